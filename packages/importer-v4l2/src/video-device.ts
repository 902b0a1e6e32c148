/**
 * VideoDevice: one open file of a video device, which is one decoder (V4L2's stateful decoder,
 * Documentation/userspace-api/media/v4l/dev-decoder.rst), as an application holds it.
 *
 * Runs in the calling thread. Any number of threads may hold the same file (`handle`, `fromHandle`)
 * and queue on it; it is closed once, for all of them. What queueDecode queues is two jobs: the packet
 * reads the bitstream and never waits for a CAPTURE buffer; the CAPTURE job waits for its buffer and
 * then for the picture of its timestamp (design D8a).
 */
import {
  type Context,
  DmaBuf,
  DmaBufError,
  type Fence,
  type Machine,
  discard,
  shared,
} from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { captureFormat, type CaptureFormat } from './capture-format.js';
import { codecOf, codecs } from './codec/index.js';
import type { PacketPayload } from './device/jobs.js';
import { type DecoderStats, FILE, fileRecord, readStats } from './file-table.js';
import {
  fourccName,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
  V4L2_BUF_TYPE_VIDEO_OUTPUT,
  V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
  V4L2_CAP_STREAMING,
  V4L2_CAP_VIDEO_M2M,
  V4L2_FMT_FLAG_COMPRESSED,
  V4L2_FMT_FLAG_DYN_RESOLUTION,
  V4L2_PIX_FMT_YUV420,
} from './videodev2.js';

/** `struct v4l2_capability`. */
export interface Capability {
  readonly driver: string;
  readonly card: string;
  readonly bus_info: string;
  /** V4L2_CAP_* */
  readonly capabilities: number;
}

/** `struct v4l2_fmtdesc`, and whether the format can be used in this installation. */
export interface FormatDescription {
  readonly fourcc: string;
  readonly description: string;
  /** V4L2_FMT_FLAG_* */
  readonly flags: number;
  readonly available: boolean;
  /** What to install where it is not available. */
  readonly reason?: string;
}

/** What to decode. */
export interface FormatRequest {
  readonly output: {
    /** `'H264'`, `'VP80'`, `'VP90'` */
    readonly fourcc: string;
    /** Parameter sets that the stream itself may lack (H.264: SPS and PPS, Annex B). */
    readonly header?: Uint8Array<ArrayBufferLike>;
  };
  /** Visible size, where the application knows it from elsewhere than the header. */
  readonly capture?: { readonly width: number; readonly height: number; readonly fourcc?: string };
  /** How many CAPTURE buffers the application is going to queue: more than the decoder holds back. */
  readonly depth?: number;
}

/** What is decoded, and into what. */
export interface VideoFormat {
  /** Undefined before setFormat. */
  readonly output: { readonly fourcc: string } | undefined;
  /** Of the newest picture; before it as setFormat was told; undefined where nobody has said. */
  readonly capture: CaptureFormat | undefined;
}

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

/** An open file as a plain value: what a message carries to another thread. */
export interface VideoHandle {
  readonly path: string;
  readonly file: number;
  readonly generation: number;
  /** Ids of its contexts. */
  readonly bitstream: number;
  readonly capture: number;
}

/** Loading a codec for the first time takes this long at most, ms. */
const CODEC_LIMIT_MS = 30_000;

export class VideoDevice {
  /** Its plain value, for {@link VideoDevice.fromHandle} in another thread. */
  readonly handle: VideoHandle;
  readonly #machine: Machine;
  readonly #door: DriverDoor;
  readonly #actor: number;
  readonly #record: number;
  readonly #bitstream: Context;
  readonly #capture: Context;

  private constructor(machine: Machine, handle: VideoHandle) {
    const node = videoNode(machine, handle.path);
    this.handle = handle;
    this.#machine = machine;
    this.#actor = node.actor;
    this.#door = machine.driver(node.driver);
    this.#record = fileRecord(this.#door, handle.file);
    this.#bitstream = machine.contextById(handle.bitstream);
    this.#capture = machine.contextById(handle.capture);
  }

  /**
   * Opens a video device: a decoder of its own, beside those of other files. The caller closes it.
   * Blocks for one round trip. ENOENT: no such device; ENODEV: it is no video device; EMFILE: all its
   * decoders are open; ENOSPC: no free context.
   */
  static open(machine: Machine, path: string = '/dev/video0'): VideoDevice {
    const { actor, driver } = videoNode(machine, path);
    const name = path.slice(path.lastIndexOf('/') + 1);
    const bitstream = machine.createContext(actor, `${name} bitstream`);
    let capture: Context | undefined;
    try {
      capture = machine.createContext(actor, `${name} capture`);
      const [file, generation] = readOpened(
        machine.ioctl(actor, 'open', [bitstream.id, capture.id]),
      );
      const door = machine.driver(driver);
      door.words.setDouble(fileRecord(door, file) + FILE.LAST_TIMESTAMP, -Infinity);
      const ids = { bitstream: bitstream.id, capture: capture.id };
      return new VideoDevice(machine, { path, file, generation, ...ids });
    } catch (error) {
      capture?.close();
      bitstream.close();
      throw error;
    }
  }

  /** A file that another thread opened. EBADF when it has been closed. Does not block. */
  static fromHandle(machine: Machine, handle: VideoHandle): VideoDevice {
    const { actor, driver } = videoNode(machine, handle.path);
    const door = machine.driver(driver);
    if (!isOpen(door, handle)) throw closed(handle, 'open', actor);
    return new VideoDevice(machine, handle);
  }

  /** VIDIOC_QUERYCAP. */
  querycap(): Capability {
    return {
      driver: 'dmabuf-v4l2',
      card: 'software decoder',
      bus_info: `platform:${this.handle.path.slice(this.handle.path.lastIndexOf('/') + 1)}`,
      capabilities: V4L2_CAP_VIDEO_M2M | V4L2_CAP_STREAMING,
    };
  }

  /**
   * VIDIOC_ENUM_FMT: what the OUTPUT queue takes, and what the CAPTURE queue gives. Formats whose
   * codec is not installed are listed with what to install. EINVAL: no such queue. Does not block.
   */
  enumFmt(type: number): readonly FormatDescription[] {
    if (type === V4L2_BUF_TYPE_VIDEO_OUTPUT || type === V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE) {
      const flags = V4L2_FMT_FLAG_COMPRESSED | V4L2_FMT_FLAG_DYN_RESOLUTION;
      return codecs.map((codec) => {
        const { fourcc, description } = codec;
        return { fourcc, description, flags, ...codec.probe() };
      });
    }
    if (type === V4L2_BUF_TYPE_VIDEO_CAPTURE || type === V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) {
      const description = 'Planar YUV 4:2:0';
      return [{ fourcc: V4L2_PIX_FMT_YUV420, description, flags: 0, available: true }];
    }
    const detail = `buffer type ${type}; this device has OUTPUT (2, 10) and CAPTURE (1, 9) queues`;
    throw new DmaBufError('EINVAL', 'VIDIOC_ENUM_FMT', detail);
  }

  /**
   * VIDIOC_S_FMT: opens the decoder of a format. Blocks until it is there: for the first one of its
   * kind up to a second. A refused call changes nothing.
   *
   * EINVAL: no decoder here takes the format, or the stream that its header describes (the message
   * says what is accepted), or `depth` is not more than the decoder holds back; ENOENT: its package
   * is not installed; EBUSY: jobs are in flight; EBADF: closed.
   */
  setFormat(format: FormatRequest): VideoFormat {
    const call = 'VIDIOC_S_FMT';
    this.#check(call);
    const { output, capture, depth = 0 } = format;
    const codec = codecOf(output.fourcc);
    if (capture?.fourcc !== undefined && capture.fourcc !== V4L2_PIX_FMT_YUV420) {
      const detail = `CAPTURE format '${capture.fourcc}'; the decoders here give '${V4L2_PIX_FMT_YUV420}'`;
      throw new DmaBufError('EINVAL', call, detail);
    }
    if (format.depth !== undefined && (!Number.isInteger(depth) || depth < 1)) {
      throw new DmaBufError('EINVAL', call, `a depth of ${depth} CAPTURE buffers; 1 at least`);
    }
    const stated = output.header === undefined ? undefined : codec.inspect(output.header).stream;
    const size = capture ?? stated;
    if (size !== undefined) captureFormat(size.width, size.height);
    const header = output.header === undefined ? null : Buffer.from(output.header);
    const { width, height } = size ?? { width: 0, height: 0 };
    const args = [...this.#id, width, height, depth, output.fourcc, header];
    this.#machine.ioctl(this.#actor, call, args, CODEC_LIMIT_MS);
    return this.getFormat();
  }

  /** VIDIOC_G_FMT of both queues. EBADF. Does not block. */
  getFormat(): VideoFormat {
    this.#check('VIDIOC_G_FMT');
    const { words } = this.#door;
    const fourcc = words.load(this.#record + FILE.FOURCC);
    const width = words.get(this.#record + FILE.WIDTH);
    const height = words.get(this.#record + FILE.HEIGHT);
    return {
      output: fourcc === 0 ? undefined : { fourcc: fourccName(fourcc) },
      capture: width === 0 ? undefined : captureFormat(width, height),
    };
  }

  /**
   * Queues a packet, and the buffer for its picture. Never waits for either. The fence is that of
   * the picture, or without `capture` that of the packet.
   *
   * The fence fails with EIO (V4L2_BUF_FLAG_ERROR) where there is no sound picture of this timestamp:
   * the buffer's content is then poisoned, and what was queued to read it is cancelled, nothing else.
   * With EPIPE, and all later ones until `reset`, when a picture is larger than its buffer; with
   * EINVAL likewise when the stream turns out to be one that the decoder does not do; with ECANCELED
   * after `reset` or `close`.
   *
   * Throws EINVAL: no format was set, the range is empty or leaves the bitstream buffer, the timestamp
   * does not grow, one buffer is to be both; EBADF: a buffer or the file is closed; EPIPE, EINVAL:
   * the stream is over (see above); ENOSPC: the job table is full. A refused call queues nothing, but
   * for one case: ENOSPC may cost the earlier content of `capture`.
   */
  queueDecode(request: DecodeRequest): Fence {
    const call = 'queue_decode';
    this.#check(call);
    checkRequest(request);
    const { bitstream, timestamp, capture } = request;
    bitstream.buffer.deliverTo(this.#actor, call);
    capture?.deliverTo(this.#actor, call);
    return this.#locked(() => {
      this.#checkStream(call);
      const { words } = this.#door;
      const payload: PacketPayload = [
        timestamp,
        bitstream.offset,
        bitstream.size,
        capture !== undefined,
      ];
      const packet = { buffers: [shared(bitstream.buffer)], payload };
      if (capture === undefined) return this.#bitstream.submit(packet);
      const last = words.getDouble(this.#record + FILE.LAST_TIMESTAMP);
      if (timestamp <= last) {
        const detail = `timestamp ${timestamp} after ${last}; pictures are bound by timestamps, which grow until reset()`;
        throw new DmaBufError('EINVAL', call, detail);
      }
      const picture = this.#capture.submit({ buffers: [discard(capture)], payload: timestamp });
      try {
        this.#bitstream.submit(packet);
      } catch (error) {
        this.#machine.ioctl(this.#actor, 'withdraw', [...this.#id, picture.seqno]);
        throw error;
      }
      words.setDouble(this.#record + FILE.LAST_TIMESTAMP, timestamp);
      return picture;
    });
  }

  /**
   * Seek: cancels what is queued (its fences fail with ECANCELED, those of CAPTURE buffers that are
   * still in use when they come free) and goes on with the next key frame. Ends EPIPE and EINVAL.
   * Timestamps may start anew. Blocks for one round trip. EBADF.
   */
  reset(): void {
    this.#check('reset');
    this.#locked(() => {
      const { submitted: packet } = this.#bitstream;
      const { submitted: slot } = this.#capture;
      this.#machine.ioctl(this.#actor, 'reset', [...this.#id, packet, slot], CODEC_LIMIT_MS);
      this.#door.words.setDouble(this.#record + FILE.LAST_TIMESTAMP, -Infinity);
    });
  }

  /** Counters since the format was set, read from shared words: no round trip. EBADF. */
  stats(): DecoderStats {
    this.#check('stats');
    return readStats(this.#door.words, this.#record);
  }

  /**
   * Closes the file for all threads: what is queued is cancelled with ECANCELED, CAPTURE buffers in
   * use come back when they come free. Blocks for one round trip. Harmless the second time.
   */
  close(): void {
    if (!isOpen(this.#door, this.handle)) return;
    this.#locked(() => {
      if (!isOpen(this.#door, this.handle)) return;
      this.#machine.ioctl(this.#actor, 'close', this.#id, CODEC_LIMIT_MS);
    });
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #id(): readonly [file: number, generation: number] {
    return [this.handle.file, this.handle.generation];
  }

  #check(call: string): void {
    if (!isOpen(this.#door, this.handle)) throw closed(this.handle, call, this.#actor);
  }

  /** Holds the file's lock, so that the two lines of jobs have one order for all threads. */
  #locked<T>(work: () => T): T {
    const { locks } = this.#door;
    const lock = this.#record + FILE.LOCK;
    locks.lock(lock);
    try {
      return work();
    } finally {
      locks.unlock(lock);
    }
  }

  /** Refuses what can only be cancelled. Under the file's lock. */
  #checkStream(call: string): void {
    this.#check(call);
    const { words } = this.#door;
    if (words.load(this.#record + FILE.FOURCC) === 0) {
      throw new DmaBufError('EINVAL', call, 'no OUTPUT format is set; call setFormat first');
    }
    const error = words.load(this.#record + FILE.ERROR);
    if (error === 0) return;
    const why = this.#machine.ioctl(this.#actor, 'failure', this.#id);
    throw DmaBufError.of(
      error,
      call,
      typeof why === 'string' ? why : 'the stream is over; reset()',
    );
  }
}

function videoNode(machine: Machine, path: string): { actor: number; driver: string } {
  const { actor, driver, info } = machine.device(path);
  if (typeof info === 'object' && info !== null && 'v4l2' in info) return { actor, driver };
  throw new DmaBufError('ENODEV', 'open', `'${path}' is no video device (driver '${driver}')`);
}

function readOpened(answer: unknown): readonly [file: number, generation: number] {
  const opened: readonly unknown[] = Array.isArray(answer) ? answer : [];
  const [file, generation] = opened;
  if (typeof file === 'number' && typeof generation === 'number') return [file, generation];
  throw new DmaBufError('EIO', 'open', 'the device gave no answer that makes sense');
}

function isOpen(door: DriverDoor, { file, generation }: VideoHandle): boolean {
  return door.words.load(fileRecord(door, file) + FILE.STATE) === generation;
}

function closed({ path, file }: VideoHandle, call: string, actor: number): DmaBufError {
  return new DmaBufError('EBADF', call, `file ${file} of ${path} (actor ${actor}) is closed`);
}

/** The border: nothing that cannot be right gets any further. */
function checkRequest({ bitstream, timestamp, capture }: DecodeRequest): void {
  const refuse = (detail: string): DmaBufError => new DmaBufError('EINVAL', 'queue_decode', detail);
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
