/**
 * JobQueue: how a vb2 queue drives its device: QBUF of a streaming queue adds a job that claims the buffer's
 * planes, and its fence is the buffer's. DQBUF looks at fences; nobody sends a message.
 *
 * Jobs of one queue end in the order of QBUF, whatever the order in which their buffers become free, so the
 * oldest fence is all that is looked at. STREAMOFF takes back what is not granted, tells the device where to
 * cut, and is then done: what was in the device's hands is ended by it.
 */
import { type Context, DmaBufError, errno, type Fence } from '@dmabuf/core';
import type {
  DrainPayload,
  PlanePayload,
  SinkPayload,
  SourcePayload,
} from './device/stream-jobs.js';
import { FILE, fileResult } from './file-table.js';
import { type DmaPlane, DmaPlanes } from './plane-memory.js';
import { readResult } from './results.js';
import type { Vb2Buffer } from './vb2/buffer.js';
import type { Vb2Ops } from './vb2/ops.js';
import type { BufferResult } from './vb2/flow.js';
import { type QueueOptions, Vb2Queue } from './vb2/queue.js';
import { V4L2_BUF_FLAG_ERROR } from './videodev2.js';
import type { VideoFile } from './video-file.js';

/** A blocking DQBUF looks this often whether anything can still come, ms. */
const LOOK_MS = 20;

/** What differs between the queues of a device. */
export interface JobQueueHooks {
  /** Least bytes of each plane, by the format. */
  planeSizes(type: number): readonly number[];
  /** Before each QBUF: throws what QBUF throws. */
  prepare(buffer: Vb2Buffer<DmaPlane>): void;
  /** What goes with a source: an encoder's parameters. */
  parameters(): readonly number[];
  /** Why nothing can come any more while this thread waits; undefined while something can. */
  stuck(): string | undefined;
}

interface InFlight {
  readonly buffer: Vb2Buffer<DmaPlane>;
  readonly fence: Fence;
}

export class JobQueue implements Vb2Ops<DmaPlane> {
  readonly queue: Vb2Queue<DmaPlane>;
  readonly #file: VideoFile;
  readonly #output: boolean;
  readonly #context: Context;
  readonly #hooks: JobQueueHooks;
  #inFlight: InFlight[] = [];
  /** Buffers that were given to the device since STREAMON: the number of the next. */
  #given = 0;
  /** The number of the newest that came back; −1 before. */
  #sequence = -1;

  constructor(
    file: VideoFile,
    output: boolean,
    options: Pick<QueueOptions<DmaPlane>, 'type' | 'minQueued' | 'timestampFlags'>,
    hooks: JobQueueHooks,
  ) {
    this.#file = file;
    this.#output = output;
    this.#context = output ? file.source : file.sink;
    this.#hooks = hooks;
    const name = this.#context.name;
    const moves = file.inPlace && !output;
    const mem = new DmaPlanes(file.machine, file.actor, {
      name,
      output,
      door: moves ? file.door : undefined,
    });
    this.queue = new Vb2Queue<DmaPlane>({ ...options, ops: this, mem });
  }

  /** The fence of a buffer that the device has: it signals when the buffer is done. */
  fenceOf(index: number): Fence | undefined {
    return this.#inFlight.find(({ buffer }) => buffer.index === index)?.fence;
  }

  /** The fence that signals next; undefined when the device has nothing. */
  get next(): Fence | undefined {
    return this.#inFlight[0]?.fence;
  }

  /** Queues the marker that ends a drain behind all that was queued so far; its fence. */
  drain(): Fence {
    const payload: DrainPayload = ['drain'];
    return this.#context.submit({ payload });
  }

  queueSetup(
    count: number,
    sizes: readonly number[] | undefined,
  ): { count: number; sizes: readonly number[] } {
    const call = sizes === undefined ? 'VIDIOC_REQBUFS' : 'VIDIOC_CREATE_BUFS';
    this.#file.check(call);
    const need = this.#hooks.planeSizes(this.queue.type);
    if (sizes === undefined) return { count, sizes: need };
    if (sizes.length === need.length && need.every((bytes, i) => (sizes[i] ?? 0) >= bytes)) {
      return { count, sizes };
    }
    const detail = `plane sizes [${sizes.join(', ')}]; the format needs [${need.join(', ')}]`;
    throw new DmaBufError('EINVAL', call, detail);
  }

  bufPrepare(buffer: Vb2Buffer<DmaPlane>): void {
    this.#hooks.prepare(buffer);
  }

  startStreaming(): void {
    this.#given = 0;
    this.#sequence = -1;
    this.#switch();
  }

  stopStreaming(): void {
    for (const { fence } of this.#inFlight) this.#context.cancel(fence);
    this.#inFlight = [];
    const { door, record, source, sink } = this.#file;
    if (this.#output) door.words.setDouble(record + FILE.SOURCE_CUT, source.submitted);
    else {
      door.words.setDouble(record + FILE.SINK_CUT, sink.submitted);
      door.words.setDouble(record + FILE.DRAIN_CUT, source.submitted);
    }
    this.#switch();
  }

  bufQueue(buffer: Vb2Buffer<DmaPlane>): void {
    const { memories, planes } = planesOf(buffer);
    const { index, timestamp } = buffer;
    const payload: SourcePayload | SinkPayload = this.#output
      ? ['source', index, this.#given, timestamp, planes, this.#hooks.parameters()]
      : ['sink', index, this.#given, planes];
    const buffers = memories.map((memory) => memory.use(!this.#output));
    const fence = this.#context.submit({ buffers, payload });
    this.#given++;
    this.#inFlight.push({ buffer, fence });
  }

  collect(): void {
    const { door, record } = this.#file;
    // The device says so before it ends the buffers that are concerned.
    const broken = door.words.load(record + FILE.ERROR) !== 0 && this.queue.streaming;
    if (broken) this.queue.queueError();
    for (;;) {
      const [first] = this.#inFlight;
      if (first === undefined || first.fence.status === 0) return;
      this.#inFlight.shift();
      const result = this.#resultOf(first);
      this.#sequence = result.sequence;
      this.queue.bufferDone(first.buffer, result);
    }
  }

  wait(until: number): void {
    const { machine } = this.#file;
    const { next } = this;
    const stuck = this.#hooks.stuck();
    // The device says so first and ends buffers afterwards: one that has ended since is no deadlock.
    if (stuck !== undefined && (next === undefined || next.status === 0)) {
      throw new DmaBufError('EDEADLK', 'VIDIOC_DQBUF', stuck);
    }
    const left = until - machine.now();
    if (left <= 0) throw new DmaBufError('ETIME', 'VIDIOC_DQBUF', 'no buffer was done in time');
    try {
      if (next === undefined) machine.pump(Math.min(left, LOOK_MS));
      else next.wait(Math.min(left, LOOK_MS));
    } catch (error) {
      if (!(error instanceof DmaBufError) || error.code !== 'ETIME') throw error;
    }
  }

  /** STREAMON and STREAMOFF by turns: the record says so, then the device is told to look. */
  #switch(): void {
    const { door, record } = this.#file;
    const word = record + (this.#output ? FILE.SOURCE_ON : FILE.SINK_ON);
    door.words.store(word, door.words.get(word) + 1);
    this.#file.ioctl('sync');
  }

  /**
   * What the device wrote of it; where it never came to that, since it died, an error whatever the fence says, and
   * the number that was next.
   */
  #resultOf({ buffer, fence }: InFlight): BufferResult & { readonly sequence: number } {
    const { door, record } = this.#file;
    const at = fileResult(record, this.#output, buffer.index);
    const result = readResult(door.words, at, fence.seqno);
    const { status } = fence;
    // An empty LAST has no content (ENODATA), which is no error of the buffer.
    const told = status === 1 || status === -errno.ENODATA || status === -errno.ESTALE;
    const error = told && result !== undefined ? result.error : status < 0 ? status : -errno.EIO;
    if (result === undefined) {
      return { error, sequence: this.#sequence + 1, ...this.#content(buffer.planes.map(() => 0)) };
    }
    const { sequence, timestamp, bytesused } = result;
    const flags = result.flags & ~V4L2_BUF_FLAG_ERROR;
    return { error, flags, sequence, timestamp, ...this.#content(bytesused) };
  }

  /** Bytes of content: those of OUTPUT buffers stay as they were queued. */
  #content(bytesused: readonly number[]): Pick<BufferResult, 'bytesused'> {
    return this.#output ? {} : { bytesused };
  }
}

/** The memories of a buffer, each once, and where each plane lies in them. */
function planesOf(buffer: Vb2Buffer<DmaPlane>): {
  memories: DmaPlane[];
  planes: PlanePayload[];
} {
  const memories: DmaPlane[] = [];
  const planes = buffer.planes.map(({ memory, length, dataOffset, bytesused }): PlanePayload => {
    if (memory === undefined) throw new DmaBufError('EINVAL', 'VIDIOC_QBUF', 'a plane is bare');
    if (!memories.includes(memory)) memories.push(memory);
    const bytes = bytesused === 0 ? length : bytesused - dataOffset;
    return [memories.indexOf(memory), dataOffset, bytes];
  });
  return { memories, planes };
}
