/**
 * Streams: the buffer queues of an open file, by QBUF and DQBUF: which thread owns them, how one waits on
 * all of them at once, and when waiting is in vain.
 *
 * The queues of a file belong to the thread that allocated their buffers, as those of a video node belong
 * to one file handle (vb2_queue_is_busy): others get EBUSY. OUTPUT and CAPTURE may have different owners.
 */
import { type Context, DmaBufError, errno, errnoName, type Fence } from '@dmabuf/core';
import { STOP } from './device/m2m.js';
import { EventQueue } from './events.js';
import { FILE } from './file-table.js';
import type { FormatSet } from './formats.js';
import { JobQueue } from './job-queue.js';
import type { Vb2Buffer } from './vb2/buffer.js';
import type { DmaPlane } from './plane-memory.js';
import {
  EPOLLERR,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDNORM,
  EPOLLWRNORM,
  isCapture,
  isOutput,
  V4L2_BUF_FLAG_TIMESTAMP_COPY,
  V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_BUF_TYPE_VIDEO_OUTPUT,
} from './videodev2.js';
import type { VideoFile } from './video-file.js';

/** A poll looks this often at least whether what it waits for can still come, ms. */
const LOOK_MS = 100;

/** What the device adds to the queues. */
export interface StreamHooks {
  readonly formats: FormatSet;
  /** Before QBUF of a source: what goes with it. */
  parameters(): readonly number[];
  /** CAPTURE buffers that must be queued before it starts. */
  readonly minCapture: number;
  /** Where one file at a time has the device: takes it, or throws EBUSY, while `take` runs. */
  exclusively?<T>(call: string, take: () => T): T;
}

export class Streams {
  readonly events: EventQueue;
  readonly #file: VideoFile;
  readonly #hooks: StreamHooks;
  readonly #source: JobQueue | undefined;
  readonly #sink: JobQueue;
  #drain: Fence | undefined;
  #eventLine: Context | undefined;
  #event: Fence | undefined;

  constructor(file: VideoFile, hooks: StreamHooks) {
    const { door, record } = file;
    this.#file = file;
    this.#hooks = hooks;
    this.events = new EventQueue(door.words, record + FILE.EVENTS, () => door.now());
    this.#source = file.kind === 'camera' ? undefined : this.#queue(true);
    this.#sink = this.#queue(false);
  }

  /** CAPTURE's queue. */
  get sink(): JobQueue {
    return this.#sink;
  }

  /** OUTPUT's; undefined on a camera. */
  get source(): JobQueue | undefined {
    return this.#source;
  }

  /** The queue of a type. EINVAL: the device has none; EBADF: closed; EIO: the stream broke off. */
  of(call: string, type: number): JobQueue {
    this.#file.check(call);
    const found = isOutput(type) ? this.#source : isCapture(type) ? this.#sink : undefined;
    if (found !== undefined) return found;
    const has = this.#source === undefined ? 'CAPTURE' : 'OUTPUT and CAPTURE';
    throw new DmaBufError('EINVAL', call, `buffer type ${type}; this device has ${has}`);
  }

  /** {@link of}, where the call changes buffers: EBUSY when another thread owns the queue. */
  owned(call: string, type: number): JobQueue {
    const queue = this.of(call, type);
    const owner = this.#file.door.words.load(this.#ownerWord(queue));
    if (owner === 0 || owner === this.#file.machine.self) return queue;
    const detail = `the queue's buffers are those of actor ${owner}, which has to free them first`;
    throw new DmaBufError('EBUSY', call, detail);
  }

  /** Takes the queue for this thread while `allocate` runs, and for as long as it has buffers. */
  allocating<T>(call: string, type: number, allocate: (queue: JobQueue) => T): T {
    const queue = this.owned(call, type);
    const { words } = this.#file.door;
    const word = this.#ownerWord(queue);
    const { self } = this.#file.machine;
    if (words.load(word) !== self) {
      const { exclusively } = this.#hooks;
      if (exclusively === undefined) this.#take(call, word);
      else exclusively(call, () => this.#take(call, word));
    }
    try {
      return allocate(queue);
    } finally {
      if (!queue.queue.busy) words.store(word, 0);
      this.publishHeld();
    }
  }

  /** Whether this thread may allocate while jobs of queueDecode are in flight: it may not. */
  #take(call: string, word: number): void {
    const { door, machine, source, sink } = this.#file;
    this.#file.locked(() => {
      const bound = source.submitted - source.completed + sink.submitted - sink.completed;
      const { record } = this.#file;
      const streams =
        door.words.load(record + FILE.SOURCE_OWNER) + door.words.load(record + FILE.SINK_OWNER);
      if (streams === 0 && bound > 0) {
        const detail = `${bound} jobs that were queued ahead are in flight; wait for their fences`;
        throw new DmaBufError('EBUSY', call, detail);
      }
      if (door.words.cas(word, 0, machine.self)) return;
      throw new DmaBufError('EBUSY', call, 'another thread has just taken the queue');
    });
  }

  /** Tells whoever reads stats() how many CAPTURE buffers the application has. */
  publishHeld(): void {
    const { door, record } = this.#file;
    door.words.set(record + FILE.HELD, this.#sink.queue.held);
  }

  /** Why the stream broke off, for messages. */
  failure(): string {
    const { door, record } = this.#file;
    const error = door.words.load(record + FILE.ERROR);
    if (error === 0) return '';
    const why = this.#file.ioctl('failure');
    return `${errnoName(error)}: ${typeof why === 'string' ? why : 'the stream is over'}`;
  }

  /** DEC_CMD_STOP, ENC_CMD_STOP. EBUSY: a drain is under way. Without both queues streaming: nothing. */
  stop(call: string): void {
    this.#notDraining(call);
    const { door, record } = this.#file;
    const both = this.#source?.queue.streaming === true && this.#sink.queue.streaming;
    if (!both || door.words.load(record + FILE.STOP) === STOP.STOPPED) return;
    this.#drain = this.#source?.drain();
  }

  /** DEC_CMD_START, ENC_CMD_START. EBUSY: a drain is under way. */
  start(call: string): void {
    this.#notDraining(call);
    const { door, record } = this.#file;
    const word = record + FILE.STARTS;
    door.words.store(word, door.words.load(word) + 1);
    this.#file.ioctl('sync');
    this.#sink.queue.clearLastBufferDequeued();
  }

  /** VIDIOC_STREAMON. Of OUTPUT after a drain: CAPTURE goes on behind the buffer with LAST. */
  streamon(call: string, type: number): void {
    const { queue } = this.owned(call, type);
    const { door, record } = this.#file;
    const stopped = door.words.load(record + FILE.STOP) === STOP.STOPPED;
    const resumes = isOutput(type) && stopped && !queue.streaming;
    queue.streamon(type);
    if (resumes) this.#sink.queue.clearLastBufferDequeued();
  }

  /** VIDIOC_STREAMOFF. */
  streamoff(call: string, type: number): void {
    this.owned(call, type).queue.streamoff(type);
    this.publishHeld();
  }

  /** poll(2), without waiting: EPOLL* of what is so. */
  ready(): number {
    this.#mendDrain();
    const sink = this.#sink.queue.readiness();
    const source = this.#source?.queue.readiness();
    let events = this.events.pending > 0 ? EPOLLPRI : 0;
    const idle = source === undefined ? sink.idle || sink.unfed : sink.idle && source.idle;
    if (idle) events |= EPOLLERR;
    if (sink.done || sink.ended) events |= EPOLLIN | EPOLLRDNORM;
    if (source?.done === true) events |= EPOLLOUT | EPOLLWRNORM;
    return events;
  }

  /** poll(2): blocks until something of `events` is so (EPOLLERR always counts), or `until`. */
  poll(events: number, until: number): number {
    const { machine } = this.#file;
    for (;;) {
      const ready = this.ready() & (events | EPOLLERR);
      const left = until - machine.now();
      if (ready !== 0 || left <= 0) return ready;
      const fences = this.#pending(events);
      const ms = Math.min(left, LOOK_MS);
      if (fences.length === 0) machine.pump(ms);
      else waitAny(machine, fences, ms);
    }
  }

  /** {@link poll} without blocking the thread and without a time limit. */
  async pollAsync(events: number): Promise<number> {
    for (;;) {
      const ready = this.ready() & (events | EPOLLERR);
      if (ready !== 0) return ready;
      const fences = this.#pending(events);
      if (fences.length > 0) fences.push(...this.#drainUnderWay());
      if (fences.length === 0) {
        const detail = 'nothing is queued and no event is subscribed to: nothing will ever come';
        throw new DmaBufError('EDEADLK', 'poll', detail);
      }
      await anySettled(fences);
    }
  }

  /** Resolves when the next buffer of a queue may be done. */
  async next(queue: JobQueue): Promise<void> {
    this.#mendDrain();
    const fence = queue.next;
    if (fence !== undefined) return anySettled([fence, ...this.#drainUnderWay()]);
    // Nothing is queued: the thread may queue something in the meantime.
    await new Promise<void>((resolve) => {
      setTimeout(resolve, LOOK_MS);
    });
    return undefined;
  }

  /** Ends what this thread has of the file. */
  close(): void {
    for (const queue of [this.#source, this.#sink]) {
      if (queue === undefined || !queue.queue.busy) continue;
      const { type } = queue.queue;
      queue.queue.streamoff(type);
      this.allocating('close', type, () => queue.queue.reqbufs({ count: 0, type, memory: 1 }));
    }
  }

  /** After the file is closed, when its jobs have been ended. */
  closeEvents(): void {
    const line = this.#eventLine;
    this.#eventLine = undefined;
    if (line === undefined) return;
    try {
      line.close();
    } catch (error) {
      // EBUSY: the worker is down; the context ends with this process.
      if (!(error instanceof DmaBufError)) throw error;
    }
  }

  #queue(output: boolean): JobQueue {
    const { formats, parameters, minCapture } = this.#hooks;
    const type = output ? V4L2_BUF_TYPE_VIDEO_OUTPUT : V4L2_BUF_TYPE_VIDEO_CAPTURE;
    const camera = this.#file.kind === 'camera';
    const timestampFlags = camera
      ? V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC
      : V4L2_BUF_FLAG_TIMESTAMP_COPY;
    const minQueued = output ? 0 : minCapture;
    const options = { type, timestampFlags, minQueued };
    const sizes = (t: number): readonly number[] =>
      formats.gFmt(t).planes.map(({ sizeimage }) => sizeimage);
    return new JobQueue(this.#file, output, options, {
      planeSizes: sizes,
      prepare: (buffer) => {
        if (!output || this.#file.kind === 'encoder') checkSizes(buffer, sizes(buffer.type));
      },
      parameters,
      stuck: () => this.#stuck(output),
    });
  }

  /** What a wait of this thread can never see the end of. */
  #stuck(output: boolean): string | undefined {
    this.#mendDrain();
    const { door, record } = this.#file;
    const sink = this.#sink.queue;
    const starved = door.words.load(record + FILE.STARVED) !== 0 && sink.streaming;
    const held = `the application holds all ${sink.held} CAPTURE buffers`;
    if (!output) {
      if (sink.queuedCount > 0) return undefined;
      return `${held} and waits for one: QBUF one first, or allocate more`;
    }
    if (this.#source?.queue.queuedCount === 0) return 'no OUTPUT buffer is queued';
    if (starved && sink.queuedCount === 0 && sink.allocated > 0) {
      return `the codec has a result and no buffer for it: ${held}: QBUF one, or allocate more`;
    }
    const stop = door.words.load(record + FILE.STOP);
    if (stop === STOP.SETUP || stop === STOP.CHANGED) {
      return 'the size of the stream is known (SOURCE_CHANGE): set the CAPTURE queue up and start it';
    }
    return stop === STOP.STOPPED ? 'the codec has been drained: START it again' : undefined;
  }

  /** A worker that died before it had noted the drain in hand is told again. */
  #mendDrain(): void {
    const { door, record } = this.#file;
    if (this.#drain?.status !== -errno.EOWNERDEAD) return;
    const stop = door.words.load(record + FILE.STOP);
    const noted = stop === STOP.DRAINING || stop === STOP.STOPPED;
    this.#drain = noted ? undefined : this.#source?.drain();
  }

  /** The fence of a drain whose marker the worker has not come to, or which owes its LAST. */
  #drainUnderWay(): Fence[] {
    const drain = this.#drain;
    if (drain?.status !== 0) return [];
    const { door, record } = this.#file;
    return drain.seqno > door.words.getDouble(record + FILE.VOID_DRAINS) ? [drain] : [];
  }

  #notDraining(call: string): void {
    this.#mendDrain();
    const { door, record } = this.#file;
    const owed = door.words.load(record + FILE.STOP) === STOP.DRAINING;
    if (!owed && this.#drainUnderWay().length === 0) return;
    const detail = 'a drain is under way; dequeue CAPTURE buffers up to the one with LAST';
    throw new DmaBufError('EBUSY', call, detail);
  }

  #pending(events: number): Fence[] {
    const fences: (Fence | undefined)[] = [];
    if ((events & EPOLLIN) !== 0) fences.push(this.#sink.next);
    if ((events & EPOLLOUT) !== 0) fences.push(this.#source?.next);
    if ((events & EPOLLPRI) !== 0 && this.events.listens) fences.push(this.#nextEvent());
    return fences.filter((fence) => fence !== undefined);
  }

  /** A fence that signals with the next event that this handle has not seen. */
  #nextEvent(): Fence {
    const { machine, actor, handle } = this.#file;
    this.#eventLine ??= machine.createContext(actor, 'events');
    if (this.#event === undefined || this.#event.status !== 0) {
      const payload = ['event', handle.file, handle.generation, this.events.seen];
      this.#event = this.#eventLine.submit({ payload });
    }
    return this.#event;
  }

  #ownerWord(queue: JobQueue): number {
    const { record } = this.#file;
    return record + (queue === this.#sink ? FILE.SINK_OWNER : FILE.SOURCE_OWNER);
  }
}

function checkSizes(buffer: Vb2Buffer<DmaPlane>, need: readonly number[]): void {
  need.forEach((bytes, i) => {
    const plane = buffer.planes[i];
    if (plane === undefined || plane.length >= bytes) return;
    const detail = `plane ${i} has ${plane.length} bytes; the format now needs ${bytes}`;
    throw new DmaBufError('EINVAL', 'VIDIOC_QBUF', detail);
  });
}

function waitAny(machine: VideoFile['machine'], fences: readonly Fence[], ms: number): void {
  try {
    machine.waitAny(fences, ms);
  } catch (error) {
    if (!(error instanceof DmaBufError) || error.code !== 'ETIME') throw error;
  }
}

/** Resolves when one of the fences has signalled; what waited for the others is taken back. */
async function anySettled(fences: readonly Fence[]): Promise<void> {
  const callbacks: { remove(): boolean }[] = [];
  await new Promise<void>((resolve) => {
    for (const fence of fences) {
      if (fence.signalled) {
        resolve();
        break;
      }
      try {
        callbacks.push(fence.addCallback(() => resolve()));
      } catch (error) {
        if (!(error instanceof DmaBufError) || error.code !== 'ENOENT') throw error;
        resolve(); // it has signalled just now
      }
    }
  });
  for (const callback of callbacks) callback.remove();
}
