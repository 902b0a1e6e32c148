/**
 * OpenFile: one open file of a codec device, as the worker that serves it has it: its codec, its two lines
 * of jobs, its record.
 *
 * All that must outlive the worker is in the record; a worker that is started again makes its files from
 * there. A file that was closed lives on until the last job that was queued on it has ended; then its
 * contexts are closed and its record is free. Owned by the device.
 */
import { DmaBufError, errno, type Context, type Job, type Machine } from '@dmabuf/core';
import type { DeviceEnv, DriverDoor } from '@dmabuf/core/driver';
import { raiseEvent, eventHead } from '../event-ring.js';
import { decodesInPlace, staysInPlace } from '../in-place.js';
import { FILE, MAX_HEADER_BYTES, readHeader, writeGeometry, writeHeader } from '../file-table.js';
import {
  fourccName,
  v4l2_fourcc,
  V4L2_EVENT_EOS,
  V4L2_EVENT_SOURCE_CHANGE,
  V4L2_EVENT_SRC_CH_RESOLUTION,
} from '../videodev2.js';
import { type CodecState, type OutputFormat, resumeOf, startOf } from './codec-state.js';
import { openCodec } from './open-codec.js';
import { closeContexts, contextOf } from './file-contexts.js';
import { PicturePool } from './picture-pool.js';
import { PacketJob, readSlot, SlotJob } from './jobs.js';
import type { M2mHooks } from './m2m.js';
import { StreamSource, streamTag } from './stream-jobs.js';

export class OpenFile {
  readonly record: number;
  readonly source: Context;
  readonly sink: Context;
  readonly #machine: Machine;
  readonly #door: DriverDoor;
  readonly #hooks: M2mHooks;
  /** Whether it is a device that leaves pictures where they were decoded. */
  readonly #inPlace: boolean;
  #codec: CodecState | undefined;
  #closing: Promise<void> | undefined;
  /** Jobs that wait for an event. */
  readonly #waiters: Job[] = [];

  private constructor(
    { machine, door, spec }: DeviceEnv,
    record: number,
    contexts: readonly [source: Context, sink: Context],
  ) {
    this.#machine = machine;
    this.#door = door;
    this.#inPlace = decodesInPlace(spec.info);
    this.record = record;
    [this.source, this.sink] = contexts;
    this.#hooks = {
      wake: () => door.ring(machine.self),
      publish: () => this.publish(),
      sourceChange: (size) => {
        writeGeometry(door.words, record, size);
        this.publish();
        this.#raise(V4L2_EVENT_SOURCE_CHANGE, V4L2_EVENT_SRC_CH_RESOLUTION);
      },
      endOfStream: () => this.#raise(V4L2_EVENT_EOS, 0),
    };
  }

  /**
   * The file of a record. Undefined when its process has died and its contexts with it: the record is then free.
   */
  static of(env: DeviceEnv, record: number): OpenFile | undefined {
    const { machine, door } = env;
    const { words } = door;
    const source = contextOf(machine, words.get(record + FILE.SOURCE));
    const sink = contextOf(machine, words.get(record + FILE.SINK));
    if (source !== undefined && sink !== undefined) {
      return new OpenFile(env, record, [source, sink]);
    }
    if (words.load(record + FILE.STATE) < 0) words.store(record + FILE.STATE, 0);
    return undefined;
  }

  /** Whether its codec has something to do. */
  get ready(): boolean {
    return this.#codec?.bound?.ready === true || this.#codec?.stream.ready === true;
  }

  /** Why its stream is over. */
  get failure(): string | undefined {
    return (this.#codec?.bound?.failure ?? this.#codec?.stream.failure)?.text;
  }

  /** Whether the application has closed it. */
  get closing(): boolean {
    return this.#door.words.load(this.record + FILE.STATE) <= 0;
  }

  get closeBegun(): boolean {
    return this.#closing !== undefined;
  }

  /** Goes on where an earlier life of the worker was, from a key frame. */
  async reopen(): Promise<void> {
    const { words } = this.#door;
    const fourcc = words.load(this.record + FILE.FOURCC);
    if (fourcc === 0 || this.closing) return;
    const source = words.get(this.record + FILE.SOURCE_FOURCC);
    const encodes = source !== 0;
    const format = {
      fourcc: fourccName(fourcc),
      header: readHeader(words, this.record),
      // A decoder's size is the stream's to say.
      width: encodes ? words.get(this.record + FILE.WIDTH) : 0,
      height: encodes ? words.get(this.record + FILE.HEIGHT) : 0,
      depth: 0,
      drains: this.#streams,
      source: encodes ? fourccName(source) : '',
    };
    const resume = resumeOf(words, this.record, this.source.completed);
    this.#codec = await openCodec(format, this.#hooks, resume, this.#poolFor(format.fourcc));
    const { counters } = this.#codec;
    counters.packets = words.get(this.record + FILE.PACKETS);
    counters.decoded = words.get(this.record + FILE.DECODED);
    counters.errors = words.get(this.record + FILE.ERRORS);
    counters.hidden = words.get(this.record + FILE.HIDDEN);
    counters.dropped = words.get(this.record + FILE.DROPPED);
    counters.bytesCopied = words.getDouble(this.record + FILE.COPIED);
    counters.inPlace = words.get(this.record + FILE.IN_PLACE);
    await this.sync();
  }

  /** Opens the decoder of an OUTPUT format. Refused calls leave everything as it was. */
  async setFormat(format: OutputFormat): Promise<void> {
    const call = 'VIDIOC_S_FMT';
    if (this.#inFlight > 0) {
      const detail = `${this.#inFlight} jobs are queued on this file; wait for their fences, or reset() and wait`;
      throw new DmaBufError('EBUSY', call, detail);
    }
    const bytes = format.header?.length ?? 0;
    if (bytes > MAX_HEADER_BYTES) {
      const detail = `a header of ${bytes} bytes; ${MAX_HEADER_BYTES} are kept: queue it as the first packet instead`;
      throw new DmaBufError('EINVAL', call, detail);
    }
    const { words } = this.#door;
    const start = startOf(words, this.record);
    const codec = await openCodec(format, this.#hooks, start, this.#poolFor(format.fourcc));
    const { reorderDelay } = codec;
    if (format.depth > 0 && format.depth <= reorderDelay) {
      await codec.discard();
      const detail = `a depth of ${format.depth} CAPTURE buffers; the decoder holds back ${reorderDelay} pictures and needs more than that`;
      throw new DmaBufError('EINVAL', call, detail);
    }
    await this.#codec?.close();
    this.#codec = codec;
    words.set(this.record + FILE.WIDTH, format.width);
    words.set(this.record + FILE.HEIGHT, format.height);
    words.set(this.record + FILE.REORDER, reorderDelay);
    const { source } = format;
    words.set(this.record + FILE.SOURCE_FOURCC, source === '' ? 0 : v4l2_fourcc(source));
    writeHeader(words, this.record, format.header);
    words.store(this.record + FILE.FOURCC, v4l2_fourcc(format.fourcc));
    this.publish();
  }

  /** Whether the next job of one of its contexts is to be started: see Handlers.accepts. */
  accepts(context: number, seqno: number): boolean {
    const codec = this.#codec;
    if (codec === undefined || this.#closing !== undefined) return true;
    const sink = context === this.sink.id;
    if (this.#streams) {
      return sink ? codec.stream.wantsSink(seqno) : codec.stream.wantsSource(seqno);
    }
    const { bound } = codec;
    if (bound === undefined) return true;
    if (!sink) return bound.wantsPacket(seqno);
    // With no packet to come a CAPTURE job is one that is refused.
    return bound.wantsSlot(seqno) || this.source.submitted === this.source.completed;
  }

  /** Takes a job in: one that was granted, or one that was cancelled before that. */
  take(job: Job): void {
    const codec = this.#codec;
    if (codec === undefined) {
      const detail = 'the file has no OUTPUT format; call setFormat first';
      throw new DmaBufError('EINVAL', 'decode', detail);
    }
    const { bound } = codec;
    if (streamTag(job) !== undefined) this.#takeStream(codec, job);
    else if (bound === undefined) {
      throw new DmaBufError('EINVAL', 'encode', 'only buffers of VIDIOC_QBUF are encoded');
    } else if (job.context === this.source.id) {
      const packet = new PacketJob(job, this.#door);
      job.defer();
      bound.addPacket(packet);
    } else if (job.blocker === 0) {
      const slot = new SlotJob(job);
      job.defer();
      bound.addSlot(slot);
    } else {
      const [timestamp, packet] = readSlot(job);
      bound.cancelSlot(job.seqno, timestamp, packet);
      job.finish(job.blocker);
    }
  }

  /** Keeps a job until an event is raised that its sender has not seen. */
  awaitEvent(job: Job, seen: number): void {
    if (this.closing) job.finish(-errno.EBADF);
    else if (eventHead(this.#door.words, this.record + FILE.EVENTS) !== seen) job.finish();
    else {
      job.defer({ again: true });
      job.waitUntil(Infinity); // however long nothing happens, the device does not hang
      this.#waiters.push(job);
    }
  }

  /** Codes a source, if it may. True if there is more to do at once. */
  step(): boolean {
    const codec = this.#codec;
    if (codec === undefined) return false;
    const more = codec.bound?.step() ?? false;
    return codec.stream.step() || more;
  }

  /** A CAPTURE job for which there will be no packet. */
  withdraw(seqno: number): void {
    this.#codec?.bound?.withdraw(seqno);
  }

  /** Seek of queueDecode's jobs: everything up to the cuts of the record is cancelled. */
  async reset(): Promise<void> {
    const { words } = this.#door;
    const source = words.getDouble(this.record + FILE.SOURCE_CUT);
    const sink = words.getDouble(this.record + FILE.SINK_CUT);
    await this.#codec?.bound?.reset(source, sink);
    this.publish();
  }

  /** Does what STREAMON, STREAMOFF and START have asked for in the record, and notes that it has. */
  async sync(): Promise<void> {
    const { words } = this.#door;
    const { record } = this;
    const stream = this.#codec?.stream;
    // STREAMON and STREAMOFF by turns: an odd count means on.
    const catchUp = async (asked: number, seen: number, step: (on: boolean) => unknown) => {
      for (let done = words.get(seen); done < words.load(asked);) {
        await step(++done % 2 === 1);
        this.publish();
        words.set(seen, done);
      }
    };
    await catchUp(record + FILE.SOURCE_ON, record + FILE.SEEN_SOURCE, (on) =>
      on ? stream?.sourceStarts() : stream?.sourceStops(words.getDouble(record + FILE.SOURCE_CUT)),
    );
    await catchUp(record + FILE.SINK_ON, record + FILE.SEEN_SINK, (on) =>
      on
        ? stream?.sinkStarts()
        : stream?.sinkStops(
            words.getDouble(record + FILE.SINK_CUT),
            words.getDouble(record + FILE.DRAIN_CUT),
          ),
    );
    const starts = words.load(record + FILE.STARTS);
    if (words.get(record + FILE.SEEN_STARTS) < starts) stream?.start();
    this.publish();
    words.set(record + FILE.SEEN_STARTS, starts);
  }

  /** Cancels what is queued and gives the codec back. */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  /** Closes the contexts of a closed file once all its jobs have ended, and frees the record. */
  drained(): boolean {
    if (this.#closing === undefined) return false;
    if (!closeContexts(this.#machine, [this.source, this.sink])) return false;
    this.#door.words.store(this.record + FILE.STATE, 0);
    return true;
  }

  /** Puts what other threads may read into the record. */
  publish(): void {
    const codec = this.#codec;
    if (codec === undefined || this.closing) return;
    const { words } = this.#door;
    const { counters, bound, stream } = codec;
    const { record } = this;
    words.set(record + FILE.PACKETS, counters.packets);
    words.set(record + FILE.DECODED, counters.decoded);
    words.set(record + FILE.ERRORS, counters.errors);
    words.set(record + FILE.HIDDEN, counters.hidden);
    words.set(record + FILE.DROPPED, counters.dropped);
    words.setDouble(record + FILE.COPIED, counters.bytesCopied);
    words.set(record + FILE.IN_PLACE, counters.inPlace);
    const size = bound?.size;
    if (size !== undefined && !this.#streams) {
      words.set(record + FILE.WIDTH, size.width);
      words.set(record + FILE.HEIGHT, size.height);
    }
    words.setDouble(record + FILE.VOID_DRAINS, stream.voidDrains);
    words.setDouble(record + FILE.LAST_SINK, stream.lastSink);
    words.store(record + FILE.STOP, stream.stop);
    const fed = this.sink.submitted > this.sink.completed;
    words.store(record + FILE.STARVED, stream.waiting && !fed ? 1 : 0);
    words.store(record + FILE.ERROR, (bound?.failure ?? stream.failure)?.error ?? 0);
  }

  #poolFor(fourcc: string): PicturePool | undefined {
    return this.#inPlace && staysInPlace(fourcc) ? new PicturePool(this.#door) : undefined;
  }

  /** Whether it is fed by QBUF. */
  get #streams(): boolean {
    const { words } = this.#door;
    const { record } = this;
    return words.load(record + FILE.SOURCE_OWNER) + words.load(record + FILE.SINK_OWNER) !== 0;
  }

  get #inFlight(): number {
    const { source, sink } = this;
    return source.submitted - source.completed + (sink.submitted - sink.completed);
  }

  #takeStream(codec: CodecState, job: Job): void {
    const place = { door: this.#door, record: this.record };
    if (streamTag(job) === 'sink') {
      if (job.blocker === 0) codec.takeSink(job, place);
      else job.finish(job.blocker);
      return;
    }
    const source = new StreamSource(job, place);
    job.defer();
    codec.stream.addSource(source);
  }

  #raise(type: number, changes: number): void {
    const { words } = this.#door;
    const timestamp = this.#door.now();
    raiseEvent(words, this.record + FILE.EVENTS, { type, changes, timestamp });
    for (const job of this.#waiters.splice(0)) job.finish();
  }

  async #close(): Promise<void> {
    for (const job of this.#waiters.splice(0)) job.finish(-errno.EBADF);
    await this.#codec?.close();
  }
}

/** −errno of jobs that arrive for a file that this device does not know. */
export const NO_FILE: number = -errno.EBADF;
