/**
 * Vb2Queue: one queue of buffers, as the ioctls see it (drivers/media/common/videobuf2): what may be asked of it, and
 * when. Its buffers are a BufferTable's, their way through the driver a BufferFlow's.
 *
 * Knows nothing of jobs, fences or shared memory: its driver (Vb2Ops) does. Owned by the thread that
 * allocated the buffers; every call runs there. A refused call leaves everything as it was.
 */
import { DmaBufError } from '@dmabuf/core';
import {
  isCapture,
  isOutput,
  V4L2_BUF_FLAG_DONE,
  V4L2_BUF_FLAG_REQUEST_FD,
  V4L2_MEMORY_MMAP,
  VIDEO_MAX_FRAME,
} from '../videodev2.js';
import {
  type Allocated,
  allocated,
  checkCount,
  checkCreation,
  checkIndexes,
} from './allocation.js';
import type { PlaneMemory, V4l2Buffer, V4l2BufferInfo, Vb2Buffer } from './buffer.js';
import { BufferTable, checkMemory } from './buffer-table.js';
import { BufferFlow, type BufferResult, type Readiness } from './flow.js';
import type { Vb2MemOps, Vb2Ops } from './ops.js';
import { checkPlanesArray, preparePlanes } from './planes.js';

/** How a queue is made. */
export interface QueueOptions<M extends PlaneMemory> {
  readonly type: number;
  readonly ops: Vb2Ops<M>;
  readonly mem: Vb2MemOps<M>;
  /** Streaming begins once this many buffers are queued. Default 0: with STREAMON. */
  readonly minQueued?: number;
  /** V4L2_BUF_FLAG_TIMESTAMP_*: whose clock timestamps are of. */
  readonly timestampFlags: number;
}

export class Vb2Queue<M extends PlaneMemory> {
  readonly #ops: Vb2Ops<M>;
  readonly #mem: Vb2MemOps<M>;
  readonly #minQueued: number;
  readonly #timestampFlags: number;
  #type: number;
  readonly #buffers: BufferTable<M>;
  readonly #flow: BufferFlow<M>;
  #waiters = 0;

  constructor({ type, ops, mem, minQueued = 0, timestampFlags }: QueueOptions<M>) {
    this.#type = type;
    this.#ops = ops;
    this.#mem = mem;
    this.#buffers = new BufferTable(mem);
    this.#minQueued = minQueued;
    this.#timestampFlags = timestampFlags;
    this.#flow = new BufferFlow(ops, minQueued, type);
  }

  get type(): number {
    return this.#type;
  }

  get streaming(): boolean {
    return this.#flow.streaming;
  }

  /** Whether buffers are allocated: then formats are fixed (`EBUSY`). */
  get busy(): boolean {
    return this.#buffers.size > 0;
  }

  get allocated(): number {
    return this.#buffers.size;
  }

  /** Buffers that user space has: neither queued nor waiting to be dequeued. */
  get held(): number {
    return this.#buffers.size - this.#flow.queued - this.#flow.done;
  }

  /** Buffers that the driver has, or is to have. */
  get queuedCount(): number {
    return this.#flow.queued;
  }

  /** Buffers that wait for DQBUF. */
  get doneCount(): number {
    this.#ops.collect();
    return this.#flow.done;
  }

  /** The buffers that the driver has, in the order in which it got them. */
  get active(): readonly Vb2Buffer<M>[] {
    return this.#flow.active;
  }

  /**
   * VIDIOC_REQBUFS: frees what there is, then allocates. `count` 0 only frees. Returned counts may differ
   * from what was asked for. Memory that is mapped or exported lives on as long as that (orphaned).
   *
   * EBUSY: streaming (whatever the count), or a DQBUF waits; EINVAL: wrong type or memory; ENOMEM.
   */
  reqbufs(req: { count: number; type: number; memory: number }): Allocated {
    const call = 'VIDIOC_REQBUFS';
    this.#checkType(call, req.type);
    checkCount(call, req.count);
    if (this.streaming) throw busy(call, 'the queue is streaming; STREAMOFF first');
    checkMemory(call, req.memory);
    if (this.#waiters > 0 && req.count > 0) throw busy(call, 'a DQBUF waits on this queue');
    this.#freeAll();
    if (req.count === 0) return allocated(0, 0);
    this.#type = req.type;
    const { count, sizes } = this.#ops.queueSetup(Math.min(req.count, VIDEO_MAX_FRAME), undefined);
    const made = this.#buffers.allocate(call, count, sizes, {
      type: this.#type,
      memory: req.memory,
    });
    this.#flow.allocated(this.#type);
    return allocated(0, made.length);
  }

  /**
   * VIDIOC_CREATE_BUFS: more buffers, of the same or a larger size; the first index that is free is theirs.
   * `count` 0 only asks.
   *
   * ENOBUFS: there are max_num_buffers; EINVAL: other memory, no planes, a size of 0 or below the format's.
   */
  createBufs(req: {
    count: number;
    type: number;
    memory: number;
    sizes?: readonly number[];
  }): Allocated {
    const call = 'VIDIOC_CREATE_BUFS';
    this.#checkType(call, req.type);
    checkCount(call, req.count);
    checkMemory(call, req.memory);
    const next = this.#buffers.freeIndexes(1)[0] ?? this.#buffers.size;
    if (req.count === 0) return allocated(next, 0);
    checkCreation(call, req, this.#buffers);
    const room = VIDEO_MAX_FRAME - this.#buffers.size;
    const setup = this.#ops.queueSetup(Math.min(req.count, room), req.sizes);
    const fresh = !this.busy;
    if (fresh) this.#type = req.type;
    const made = this.#buffers.allocate(call, Math.min(req.count, room), setup.sizes, {
      type: this.#type,
      memory: req.memory,
    });
    if (fresh) this.#flow.allocated(this.#type);
    return allocated(made[0] ?? next, made.length);
  }

  /** VIDIOC_REMOVE_BUFS. EINVAL: type or a non-existing index; EBUSY: one is not dequeued. All or none. */
  removeBufs(req: { index: number; count: number; type: number }): void {
    const call = 'VIDIOC_REMOVE_BUFS';
    this.#checkType(call, req.type);
    checkCount(call, req.count);
    if (req.count === 0) return;
    checkIndexes(call, req.index, req.count);
    const buffers = Array.from({ length: req.count }, (_, i) =>
      this.#buffers.at(call, req.index + i),
    );
    const used = buffers.find(({ state }) => state !== 'DEQUEUED');
    if (used !== undefined) throw busy(call, `buffer ${used.index} is ${used.state}; dequeue it`);
    for (const buffer of buffers) this.#buffers.free(buffer);
  }

  /** VIDIOC_QUERYBUF. EINVAL: wrong type, no such buffer. */
  querybuf(type: number, index: number): V4l2BufferInfo {
    const call = 'VIDIOC_QUERYBUF';
    this.#checkType(call, type);
    const buffer = this.#buffers.at(call, index);
    this.#ops.collect();
    return this.#infoOf(buffer);
  }

  /** VIDIOC_PREPARE_BUF: attaches and checks now what QBUF would. Errors as of QBUF. */
  prepareBuf(given: V4l2Buffer): V4l2BufferInfo {
    const call = 'VIDIOC_PREPARE_BUF';
    const buffer = this.#given(call, given);
    if ((given.flags ?? 0) & V4L2_BUF_FLAG_REQUEST_FD) {
      throw new DmaBufError('EINVAL', call, 'requests are not for PREPARE_BUF');
    }
    if (buffer.state !== 'DEQUEUED' || buffer.prepared) {
      throw new DmaBufError('EINVAL', call, `buffer ${buffer.index} is ${stateText(buffer)}`);
    }
    this.#prepare(call, buffer, given);
    return this.#infoOf(buffer);
  }

  /**
   * VIDIOC_QBUF: the buffer is the driver's from here (once streaming), until DQBUF.
   *
   * EINVAL: wrong type, memory, index or planes, or not dequeued; EIO: the queue is in error; EBADR: a request; else
   * what the driver refuses it with.
   */
  qbuf(given: V4l2Buffer): V4l2BufferInfo {
    const call = 'VIDIOC_QBUF';
    const buffer = this.#given(call, given);
    if ((given.flags ?? 0) & V4L2_BUF_FLAG_REQUEST_FD) {
      throw new DmaBufError('EBADR', call, 'this queue takes no requests');
    }
    this.#ops.collect();
    if (this.#flow.error) throw this.#inError(call);
    if (buffer.state !== 'DEQUEUED') {
      throw new DmaBufError('EINVAL', call, `buffer ${buffer.index} is ${stateText(buffer)}`);
    }
    if (!buffer.prepared) this.#prepare(call, buffer, given);
    this.#flow.enqueue(buffer, given, this.#type);
    return this.#infoOf(buffer);
  }

  /**
   * VIDIOC_DQBUF: the buffer that was finished first. Blocks until there is one, unless `nonblock`.
   *
   * EBUSY: another DQBUF waits; EINVAL: not streaming; EIO: the queue is in error; EPIPE: the one with LAST has
   * been dequeued; EAGAIN: none yet; ETIME: none until `until`.
   */
  dqbuf(type: number, options: { nonblock?: boolean; until?: number } = {}): V4l2BufferInfo {
    const { nonblock = false, until = Infinity } = options;
    for (;;) {
      const buffer = this.tryDequeue(type, nonblock);
      if (buffer !== undefined) return buffer;
      this.#waiters++;
      try {
        this.#ops.wait(until);
      } finally {
        this.#waiters--;
      }
    }
  }

  /** {@link dqbuf} in an event loop: `next` resolves when there may be something. */
  async dqbufAsync(type: number, next: () => Promise<void>): Promise<V4l2BufferInfo> {
    for (;;) {
      const buffer = this.tryDequeue(type, false);
      if (buffer !== undefined) return buffer;
      this.#waiters++;
      try {
        await next();
      } finally {
        this.#waiters--;
      }
    }
  }

  /** One look: a buffer, or undefined where DQBUF would sleep. */
  tryDequeue(type: number, nonblock: boolean): V4l2BufferInfo | undefined {
    const call = 'VIDIOC_DQBUF';
    this.#checkType(call, type);
    if (this.#waiters > 0) throw busy(call, 'another DQBUF waits on this queue');
    if (!this.streaming) throw new DmaBufError('EINVAL', call, 'the queue is not streaming');
    this.#ops.collect();
    if (this.#flow.error) throw this.#inError(call);
    if (this.#flow.tellEnd()) {
      const detail =
        'the buffer with V4L2_BUF_FLAG_LAST has been dequeued; START, or STREAMOFF and STREAMON';
      throw new DmaBufError('EPIPE', call, detail);
    }
    const buffer = this.#flow.take();
    if (buffer !== undefined) return this.#dequeue(buffer);
    if (nonblock) throw new DmaBufError('EAGAIN', call, 'no buffer is done yet');
    return undefined;
  }

  /** VIDIOC_EXPBUF: the memory of a plane that may be exported. EINVAL. */
  exportable(req: { type: number; index: number; plane?: number; flags?: number }): M {
    const call = 'VIDIOC_EXPBUF';
    this.#checkType(call, req.type);
    return this.#buffers.exportable(call, req);
  }

  /** The memory behind an mmap cookie. EINVAL: none, not an MMAP queue, or longer than the plane. */
  planeAt(offset: number, length: number | undefined): M {
    return this.#buffers.planeAt(offset, length);
  }

  /** VIDIOC_STREAMON. EINVAL: wrong type, no buffers, too few queued. Already on: nothing. */
  streamon(type: number): void {
    const call = 'VIDIOC_STREAMON';
    this.#checkType(call, type);
    if (this.streaming) return;
    if (!this.busy)
      throw new DmaBufError('EINVAL', call, 'no buffers are allocated; REQBUFS first');
    if (this.#buffers.size < this.#minQueued) {
      const detail = `${this.#buffers.size} buffers; the device needs ${this.#minQueued}`;
      throw new DmaBufError('EINVAL', call, detail);
    }
    this.#flow.streamon();
  }

  /** VIDIOC_STREAMOFF: all buffers are user space's again. EINVAL: wrong type. Already off: still so. */
  streamoff(type: number): void {
    this.#checkType('VIDIOC_STREAMOFF', type);
    this.#flow.cancel(this.#buffers.all(), this.#type);
  }

  /** A buffer is finished (vb2_buffer_done). Not ACTIVE: nothing (it was given up by STREAMOFF). */
  bufferDone(buffer: Vb2Buffer<M>, result: BufferResult): void {
    this.#flow.finish(buffer, result);
  }

  /** The driver cannot go on (vb2_queue_error): QBUF and DQBUF fail with EIO until STREAMOFF. */
  queueError(): void {
    this.#flow.fail();
  }

  /** The driver goes on after LAST (vb2_clear_last_buffer_dequeued). */
  clearLastBufferDequeued(): void {
    this.#flow.clearLastBufferDequeued();
  }

  /** What poll needs to know. */
  readiness(): Readiness {
    this.#ops.collect();
    return this.#flow.readiness(this.#buffers.size);
  }

  #dequeue(buffer: Vb2Buffer<M>): V4l2BufferInfo {
    const { flags, ...info } = this.#infoOf(buffer);
    this.#flow.dequeued(buffer, this.#type);
    return { ...info, flags: flags & ~V4L2_BUF_FLAG_DONE };
  }

  #prepare(call: string, buffer: Vb2Buffer<M>, given: V4l2Buffer): void {
    if (this.#flow.error) throw this.#inError(call);
    const planes = checkPlanesArray(call, given, buffer);
    buffer.state = 'PREPARING';
    try {
      preparePlanes(call, buffer, planes, this.#mem);
      this.#ops.bufPrepare(buffer);
    } finally {
      buffer.state = 'DEQUEUED';
    }
    buffer.prepared = true;
  }

  #freeAll(): void {
    this.#flow.cancel(this.#buffers.all(), this.#type);
    for (const buffer of this.#buffers.all()) this.#buffers.free(buffer);
  }

  #infoOf(buffer: Vb2Buffer<M>): V4l2BufferInfo {
    const { memory } = buffer.planes[0] ?? {};
    const mapped =
      buffer.memory === V4L2_MEMORY_MMAP && memory !== undefined && this.#mem.mapped(memory);
    const flags = buffer.stateFlags(mapped) | this.#timestampFlags;
    return buffer.info(flags, (plane) => this.#buffers.cookie(buffer, plane));
  }

  #given(call: string, given: V4l2Buffer): Vb2Buffer<M> {
    this.#checkType(call, given.type);
    const buffer = this.#buffers.at(call, given.index);
    if (given.memory === this.#buffers.memory) return buffer;
    const detail = `memory ${given.memory}; the queue's buffers are of memory ${this.#buffers.memory}`;
    throw new DmaBufError('EINVAL', call, detail);
  }

  /** Before buffers are allocated either API's type will do. */
  #checkType(call: string, type: number): void {
    const same = isOutput(type) === isOutput(this.#type) && (isOutput(type) || isCapture(type));
    if (type === this.#type || (same && !this.busy)) return;
    throw new DmaBufError(
      'EINVAL',
      call,
      `buffer type ${type}; this queue is of type ${this.#type}`,
    );
  }

  #inError(call: string): DmaBufError {
    return new DmaBufError('EIO', call, 'the queue is in error; STREAMOFF, then start again');
  }
}

function busy(call: string, detail: string): DmaBufError {
  return new DmaBufError('EBUSY', call, detail);
}

function stateText<M extends PlaneMemory>({ state, prepared }: Vb2Buffer<M>): string {
  return state === 'DEQUEUED' && prepared ? 'prepared already' : `${state}, not DEQUEUED`;
}
