/**
 * OpenFile: one open file of the video device: its decoder, its two lines of jobs, its record.
 *
 * A file that was closed lives on here until the last job that was queued on it has been granted
 * and ended; then its contexts are closed. Owned by the device.
 */
import { DmaBufError, errno, type Context, type Job } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { codecOf, type Decoder } from '../codec/index.js';
import { FILE } from '../file-table.js';
import { v4l2_fourcc } from '../videodev2.js';
import { DecoderSession } from './decoder-session.js';
import { PacketJob, SlotJob, slotTimestamp } from './jobs.js';

/** What S_FMT is told. */
export interface OutputFormat {
  readonly fourcc: string;
  readonly header: Uint8Array | undefined;
  /** Visible size if known, else 0. */
  readonly width: number;
  readonly height: number;
  /** CAPTURE buffers that the application is going to queue, 0 if it does not say. */
  readonly depth: number;
}

/** A failure of the codec itself (out of memory, a broken package) as the caller of an ioctl gets it. */
function codecError(error: unknown): DmaBufError {
  if (error instanceof DmaBufError) return error;
  const code = error instanceof RangeError ? 'ENOMEM' : 'EIO';
  return new DmaBufError(code, 'open_codec', `the codec did not start: ${String(error)}`);
}

export class OpenFile {
  readonly bitstream: Context;
  readonly capture: Context;
  readonly #door: DriverDoor;
  readonly #record: number;
  readonly #wake: () => void;
  #session: DecoderSession | undefined;
  #closed = false;

  constructor(
    door: DriverDoor,
    record: number,
    contexts: { readonly bitstream: Context; readonly capture: Context },
    wake: () => void,
  ) {
    this.#door = door;
    this.#record = record;
    this.#wake = wake;
    this.bitstream = contexts.bitstream;
    this.capture = contexts.capture;
    this.#clearRecord();
  }

  /** Whether its decoder has something to do. */
  get ready(): boolean {
    return this.#session?.ready === true;
  }

  /** Why its stream is over. */
  get failure(): string | undefined {
    return this.#session?.failure?.text;
  }

  /** Opens the decoder of an OUTPUT format. Refused calls leave everything as it was. */
  async setFormat(format: OutputFormat): Promise<void> {
    if (this.#inFlight > 0) {
      const detail = `${this.#inFlight} jobs are queued on this file; wait for their fences, or reset() and wait`;
      throw new DmaBufError('EBUSY', 'VIDIOC_S_FMT', detail);
    }
    const decoder = await this.#openDecoder(format);
    const { reorderDelay } = decoder;
    if (format.depth > 0 && format.depth <= reorderDelay) {
      await decoder.close();
      const detail = `a depth of ${format.depth} CAPTURE buffers; ${decoder.name} holds back ${reorderDelay} pictures and needs more than that`;
      throw new DmaBufError('EINVAL', 'VIDIOC_S_FMT', detail);
    }
    await this.#session?.close();
    this.#session = new DecoderSession(decoder, format.header !== undefined, {
      wake: this.#wake,
      publish: () => this.publish(),
    });
    const { words } = this.#door;
    words.set(this.#record + FILE.WIDTH, format.width);
    words.set(this.#record + FILE.HEIGHT, format.height);
    words.set(this.#record + FILE.REORDER, reorderDelay);
    words.store(this.#record + FILE.FOURCC, v4l2_fourcc(format.fourcc));
    this.publish();
  }

  /** Takes a job in: one that was granted, or one that was cancelled before that. */
  take(job: Job): void {
    const session = this.#session;
    if (session === undefined) {
      throw new DmaBufError(
        'EINVAL',
        'decode',
        'the file has no OUTPUT format; call setFormat first',
      );
    }
    if (job.context === this.bitstream.id) {
      const packet = new PacketJob(job, this.#door);
      job.defer();
      session.addPacket(packet);
    } else if (job.blocker === 0) {
      const slot = new SlotJob(job);
      job.defer();
      session.addSlot(slot);
    } else {
      const timestamp = slotTimestamp(job);
      session.cancelSlot(job.seqno, timestamp);
      job.finish(job.blocker);
    }
  }

  /** Decodes a packet, if it may. True if there is more to do at once. */
  step(): boolean {
    return this.#session?.step() === true;
  }

  withdraw(seqno: number): void {
    this.#session?.withdraw(seqno);
  }

  /** Seek: everything up to these places in the two lines is cancelled. */
  async reset(lastPacket: number, lastSlot: number): Promise<void> {
    await this.#session?.reset(lastPacket, lastSlot);
    this.publish();
  }

  /** Cancels what is queued and gives the decoder back. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#session?.close();
  }

  /** Closes the contexts of a closed file once all its jobs have ended; true when that is done. */
  drained(): boolean {
    if (!this.#closed || this.#inFlight > 0) return false;
    try {
      this.bitstream.close();
      this.capture.close();
      return true;
    } catch (error) {
      // EBUSY: somebody has just queued another one.
      if (error instanceof DmaBufError) return false;
      throw error;
    }
  }

  /** Puts what other threads may read into the record. */
  publish(): void {
    if (this.#closed || this.#session === undefined) return;
    const { words } = this.#door;
    const { counters, failure, size } = this.#session;
    const record = this.#record;
    words.set(record + FILE.PACKETS, counters.packets);
    words.set(record + FILE.DECODED, counters.decoded);
    words.set(record + FILE.ERRORS, counters.errors);
    words.set(record + FILE.HIDDEN, counters.hidden);
    words.set(record + FILE.DROPPED, counters.dropped);
    words.setDouble(record + FILE.COPIED, counters.bytesCopied);
    if (size !== undefined) {
      words.set(record + FILE.WIDTH, size.width);
      words.set(record + FILE.HEIGHT, size.height);
    }
    words.store(record + FILE.ERROR, failure?.error ?? 0);
  }

  get #inFlight(): number {
    const { bitstream, capture } = this;
    return bitstream.submitted - bitstream.completed + (capture.submitted - capture.completed);
  }

  async #openDecoder({ fourcc, header }: OutputFormat): Promise<Decoder> {
    const codec = codecOf(fourcc);
    try {
      return await codec.open(header === undefined ? {} : { header });
    } catch (error) {
      throw codecError(error);
    }
  }

  #clearRecord(): void {
    const { words } = this.#door;
    for (let i = FILE.ERROR; i < FILE.WORDS; i++) words.set(this.#record + i, 0);
  }
}

/** −errno of jobs that arrive for a file that this device does not know. */
export const NO_FILE: number = -errno.EBADF;
