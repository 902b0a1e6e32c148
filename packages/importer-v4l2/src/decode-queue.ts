/**
 * DecodeQueue: queueDecode, the queued form of decoding (design D8a).
 *
 * What it queues is two jobs: the packet reads the bitstream and never waits for a CAPTURE buffer; the
 * CAPTURE job waits for its buffer and then for the picture of its timestamp. Both are queued under the
 * file's lock, the CAPTURE job first; PENDING_SINK names it in between, so that whoever takes the lock after
 * a death withdraws a CAPTURE job that never got its packet.
 */
import { DmaBuf, DmaBufError, discard, type Fence, shared } from '@dmabuf/core';
import type { PacketPayload, SlotPayload } from './device/jobs.js';
import { FILE } from './file-table.js';
import type { VideoFile } from './video-file.js';

/** A packet of bitstream and the buffer for its picture. */
export interface DecodeRequest {
  /** Where the packet lies: `size` bytes at `offset`. Read under a shared claim. */
  readonly bitstream: {
    readonly buffer: DmaBuf;
    readonly offset: number;
    readonly size: number;
  };
  /** ms; grows from picture to picture. It travels with the picture as metadata. */
  readonly timestamp: number;
  /** Overwritten with the picture. Left out for a packet that shows none (headers, hidden frames). */
  readonly capture?: DmaBuf;
}

const CALL = 'queue_decode';

export class DecodeQueue {
  readonly #file: VideoFile;

  constructor(file: VideoFile) {
    this.#file = file;
  }

  /** See VideoDevice.queueDecode. */
  queue(request: DecodeRequest): Fence {
    const file = this.#file;
    file.check(CALL);
    checkRequest(request);
    const { bitstream, timestamp, capture } = request;
    bitstream.buffer.deliverTo(file.actor, CALL);
    capture?.deliverTo(file.actor, CALL);
    return file.locked(() => {
      this.#checkStream();
      this.#mend();
      const bound = capture !== undefined;
      const payload: PacketPayload = [timestamp, bitstream.offset, bitstream.size, bound];
      const packet = { buffers: [shared(bitstream.buffer)], payload };
      if (capture === undefined) return file.source.submit(packet);
      this.#checkTimestamp(timestamp);
      const picture = this.#queueSlot(capture, timestamp);
      const { words } = file.door;
      try {
        file.source.submit(packet);
      } catch (error) {
        this.#mend();
        throw error;
      }
      words.setDouble(file.record + FILE.PENDING_SINK, 0);
      words.setDouble(file.record + FILE.LAST_TIMESTAMP, timestamp);
      return picture;
    });
  }

  /** Another stream: its timestamps may begin anywhere. Under the file's lock. */
  begin(): void {
    const { door, record } = this.#file;
    door.words.setDouble(record + FILE.LAST_TIMESTAMP, -Infinity);
  }

  /** See VideoDevice.reset. */
  reset(): void {
    const file = this.#file;
    file.check('reset');
    file.locked(() => {
      const { words } = file.door;
      words.setDouble(file.record + FILE.SOURCE_CUT, file.source.submitted);
      words.setDouble(file.record + FILE.SINK_CUT, file.sink.submitted);
      words.setDouble(file.record + FILE.PENDING_SINK, 0);
      file.ioctl('reset');
      this.begin();
    });
  }

  #queueSlot(capture: DmaBuf, timestamp: number): Fence {
    const { door, record, source, sink } = this.#file;
    const payload: SlotPayload = [timestamp, source.submitted + 1];
    door.words.setDouble(record + FILE.PENDING_SINK, sink.submitted + 1);
    try {
      return sink.submit({ buffers: [discard(capture)], payload });
    } catch (error) {
      door.words.setDouble(record + FILE.PENDING_SINK, 0);
      throw error;
    }
  }

  /** Withdraws a CAPTURE job that has no packet: this thread's, or a dead one's. */
  #mend(): void {
    const { door, record, sink } = this.#file;
    const pending = door.words.getDouble(record + FILE.PENDING_SINK);
    if (pending !== 0 && pending <= sink.submitted) this.#file.ioctl('withdraw', [pending]);
    door.words.setDouble(record + FILE.PENDING_SINK, 0);
  }

  #checkTimestamp(timestamp: number): void {
    const { door, record } = this.#file;
    const last = door.words.getDouble(record + FILE.LAST_TIMESTAMP);
    if (timestamp > last) return;
    const detail = `timestamp ${timestamp} after ${last}; pictures are bound by timestamps, which grow until reset()`;
    throw new DmaBufError('EINVAL', CALL, detail);
  }

  /** Refuses what can only be cancelled. Under the file's lock. */
  #checkStream(): void {
    const { door, record } = this.#file;
    const { words } = door;
    this.#file.check(CALL);
    if (words.load(record + FILE.FOURCC) === 0 || this.#file.kind !== 'decoder') {
      throw new DmaBufError('EINVAL', CALL, 'no OUTPUT format is set; call setFormat first');
    }
    if (words.load(record + FILE.SOURCE_OWNER) + words.load(record + FILE.SINK_OWNER) !== 0) {
      const detail = 'the file has buffers of REQBUFS; use QBUF, or free them on both queues';
      throw new DmaBufError('EBUSY', CALL, detail);
    }
    const error = words.load(record + FILE.ERROR);
    if (error === 0) return;
    const why = this.#file.ioctl('failure');
    throw DmaBufError.of(
      error,
      CALL,
      typeof why === 'string' ? why : 'the stream is over; reset()',
    );
  }
}

/** The border: nothing that cannot be right gets any further. */
function checkRequest({ bitstream, timestamp, capture }: DecodeRequest): void {
  const refuse = (detail: string): DmaBufError => new DmaBufError('EINVAL', CALL, detail);
  if (!(bitstream.buffer instanceof DmaBuf)) {
    throw new TypeError('queueDecode: bitstream.buffer must be a DmaBuf');
  }
  if (capture !== undefined && !(capture instanceof DmaBuf)) {
    throw new TypeError('queueDecode: capture must be a DmaBuf, or left out');
  }
  const { buffer, offset, size } = bitstream;
  if (!Number.isSafeInteger(size) || size <= 0) {
    throw refuse(`a packet of ${size} bytes; give a positive whole number`);
  }
  if (!Number.isSafeInteger(offset) || offset < 0 || offset + size > buffer.size) {
    throw refuse(
      `bytes ${offset} to ${offset + size} are not inside the bitstream buffer of ${buffer.size} bytes`,
    );
  }
  if (typeof timestamp !== 'number' || !Number.isFinite(timestamp)) {
    throw refuse(`timestamp ${timestamp}; give a finite number of ms`);
  }
  if (capture?.record.pointer === buffer.record.pointer) {
    throw refuse('the bitstream buffer is its own CAPTURE buffer; give two');
  }
}
