/**
 * StreamingDevice: the calls that every video device has: formats, buffers, streaming, events, controls
 * (Documentation/userspace-api/media/v4l/user-func.rst). VideoDevice adds what codecs have.
 *
 * Runs in the calling thread. Buffers belong to the thread that allocated them (`EBUSY` for others); format
 * and event calls are any thread's that has the file. Unless it says so, no call blocks longer than for one
 * round trip to the worker. Every call throws EBADF once the file is closed.
 */
import { type DmaBuf, DmaBufError, type Fence, type Mapping } from '@dmabuf/core';
import type { ControlEvent, EventSubscription, V4l2Event } from './events.js';
import { type Capability, capabilityOf } from './capability.js';
import type { Controls, ExtControl, QueryCtrl } from './controls.js';
import { type DecoderStats, FILE, readStats } from './file-table.js';
import {
  ANY_SIZE,
  type FormatDescription,
  type FormatSet,
  type FrameSizes,
  type V4l2Format,
  type V4l2FormatRequest,
} from './formats.js';
import type { Streams } from './streams.js';
import type { V4l2Buffer, V4l2BufferInfo } from './vb2/buffer.js';
import type { Allocated } from './vb2/allocation.js';
import { V4L2_BUF_FLAG_LAST, V4L2_EVENT_CTRL_CH_VALUE } from './videodev2.js';
import type { VideoFile, VideoHandle } from './video-file.js';

/** What a device is made of; its constructor puts it together. */
export interface DeviceParts {
  readonly file: VideoFile;
  readonly formats: FormatSet;
  readonly controls: Controls;
  readonly streams: Streams;
}

/** A buffer as QBUF gives it over, and its fence. */
export interface QueuedBuffer extends V4l2BufferInfo {
  /**
   * Signals when the device is done with the buffer: 0 errors, `EIO` and the like with V4L2_BUF_FLAG_ERROR,
   * `ENODATA` for an empty buffer with LAST, `ECANCELED` after STREAMOFF. Undefined before STREAMON: then
   * `fenceOf` has it.
   */
  readonly fence: Fence | undefined;
}

/** How long a call may wait. */
export interface WaitOptions {
  /** O_NONBLOCK: `EAGAIN` instead of waiting. */
  readonly nonblock?: boolean;
  /** ms of the machine's clock; then `ETIME`. Default: no limit. */
  readonly timeout?: number;
}

export class StreamingDevice {
  /** Its plain value, for `fromHandle` in another thread. */
  readonly handle: VideoHandle;
  /** Actor id of the worker that serves it. */
  readonly actor: number;
  protected readonly file: VideoFile;
  protected readonly streams: Streams;
  protected readonly controls: Controls;
  protected readonly formats: FormatSet;

  protected constructor({ file, formats, controls, streams }: DeviceParts) {
    this.handle = file.handle;
    this.actor = file.actor;
    this.file = file;
    this.formats = formats;
    this.controls = controls;
    this.streams = streams;
  }

  /** VIDIOC_QUERYCAP. */
  querycap(): Capability {
    return capabilityOf(this.file.kind, this.handle.path);
  }

  /**
   * VIDIOC_ENUM_FMT: what a queue takes or gives. Formats whose codec is not installed are listed with what
   * to install. EINVAL: no such queue.
   */
  enumFmt(type: number): readonly FormatDescription[] {
    return this.formats.enumFmt(type);
  }

  /** VIDIOC_ENUM_FRAMESIZES of a pixel format. EINVAL: the device has none of that name. */
  enumFramesizes(pixelformat: string): FrameSizes {
    const types = [1, 2, 9, 10];
    const known = types.some((type) => this.#lists(type, pixelformat));
    if (known) return ANY_SIZE;
    throw new DmaBufError('EINVAL', 'VIDIOC_ENUM_FRAMESIZES', `no format '${pixelformat}' here`);
  }

  /** VIDIOC_G_FMT. CAPTURE of a decoder follows the stream (event SOURCE_CHANGE). EINVAL: no such queue. */
  gFmt(type: number): V4l2Format {
    this.file.check('VIDIOC_G_FMT');
    return this.formats.gFmt(type);
  }

  /** VIDIOC_TRY_FMT: what S_FMT would set. Changes nothing. EINVAL: no such queue. */
  tryFmt(request: V4l2FormatRequest): V4l2Format {
    this.file.check('VIDIOC_TRY_FMT');
    return this.formats.tryFmt(request);
  }

  /**
   * VIDIOC_S_FMT: sets the format nearest to what is asked for; returns it. EINVAL: no such queue; EBUSY: it
   * has buffers; ENOENT: the codec's package is missing (the message says which).
   */
  sFmt(request: V4l2FormatRequest): V4l2Format {
    const call = 'VIDIOC_S_FMT';
    const { queue } = this.streams.owned(call, request.type);
    if (queue.busy) {
      throw new DmaBufError('EBUSY', call, `${queue.allocated} buffers are allocated; REQBUFS 0`);
    }
    return this.formats.sFmt(request);
  }

  /**
   * VIDIOC_REQBUFS: frees the queue's buffers and allocates `count`. EBUSY: streaming, or another thread's;
   * EINVAL: type or memory; ENOMEM. Buffers that are mapped or exported live on (orphaned).
   */
  reqbufs(request: { count: number; type: number; memory: number }): Allocated {
    return this.streams.allocating('VIDIOC_REQBUFS', request.type, ({ queue }) =>
      queue.reqbufs(request),
    );
  }

  /** VIDIOC_CREATE_BUFS: more buffers. ENOBUFS: the queue is full; EINVAL; EBUSY; see Vb2Queue. */
  createBufs(request: {
    count: number;
    type: number;
    memory: number;
    sizes?: readonly number[];
  }): Allocated {
    return this.streams.allocating('VIDIOC_CREATE_BUFS', request.type, ({ queue }) =>
      queue.createBufs(request),
    );
  }

  /** VIDIOC_REMOVE_BUFS: all or none. EINVAL; EBUSY: one is not dequeued. */
  removeBufs(request: { index: number; count: number; type: number }): void {
    this.streams.allocating('VIDIOC_REMOVE_BUFS', request.type, ({ queue }) =>
      queue.removeBufs(request),
    );
  }

  /** VIDIOC_QUERYBUF. EINVAL: no such buffer. */
  querybuf(type: number, index: number): V4l2BufferInfo {
    return this.streams.owned('VIDIOC_QUERYBUF', type).queue.querybuf(type, index);
  }

  /** VIDIOC_PREPARE_BUF: attaches and checks what QBUF would. EINVAL. */
  prepareBuf(buffer: V4l2Buffer): V4l2BufferInfo {
    return this.streams.owned('VIDIOC_PREPARE_BUF', buffer.type).queue.prepareBuf(buffer);
  }

  /**
   * VIDIOC_QBUF. On a streaming queue the device's job claims the buffer from here: whatever was queued on
   * its dma-buf before comes first, whatever is queued behind it waits for it, with no DQBUF in between.
   *
   * EINVAL: type, memory, index, planes, state, a size that is not enough; EIO: the stream broke off; EBADR: a
   * request; EBUSY: another thread's queue; ENOSPC: the job table is full.
   */
  qbuf(buffer: V4l2Buffer): QueuedBuffer {
    const call = 'VIDIOC_QBUF';
    const queue = this.streams.owned(call, buffer.type);
    const info = this.#explained(call, () => queue.queue.qbuf(buffer));
    this.streams.publishHeld();
    return { ...info, fence: queue.fenceOf(buffer.index) };
  }

  /** The fence of a buffer that the device has; undefined when it has not. */
  fenceOf(type: number, index: number): Fence | undefined {
    return this.streams.owned('VIDIOC_QUERYBUF', type).fenceOf(index);
  }

  /**
   * VIDIOC_DQBUF: the buffer that was done first. Blocks until there is one.
   *
   * EAGAIN (`nonblock`), ETIME (`timeout`); EINVAL: not streaming; EPIPE: LAST has been dequeued; EIO: the stream
   * broke off; EDEADLK: nothing can come while this thread waits, say since it holds every CAPTURE
   * buffer itself (the message says what to do).
   */
  dqbuf(type: number, options: WaitOptions = {}): V4l2BufferInfo {
    const call = 'VIDIOC_DQBUF';
    const queue = this.streams.owned(call, type);
    const { nonblock = false, timeout = Infinity } = options;
    const until = this.file.machine.now() + timeout;
    const buffer = this.#explained(call, () => queue.queue.dqbuf(type, { nonblock, until }));
    this.streams.publishHeld();
    return buffer;
  }

  /** {@link dqbuf} without blocking the thread: no EDEADLK, since the thread may queue meanwhile. */
  async dqbufAsync(type: number): Promise<V4l2BufferInfo> {
    const queue = this.streams.owned('VIDIOC_DQBUF', type);
    const buffer = await queue.queue.dqbufAsync(type, async () => {
      await this.streams.next(queue);
      this.file.check('VIDIOC_DQBUF');
    });
    this.streams.publishHeld();
    return buffer;
  }

  /** VIDIOC_EXPBUF: a plane of an MMAP buffer as a dma-buf with an fd of its own, the caller's to close. EINVAL, EMFILE. */
  expbuf(request: { type: number; index: number; plane?: number; flags?: number }): DmaBuf {
    const { queue } = this.streams.owned('VIDIOC_EXPBUF', request.type);
    const { buffer } = queue.exportable(request);
    if (buffer !== undefined) return buffer.dup();
    throw new DmaBufError('EINVAL', 'VIDIOC_EXPBUF', 'the plane has no memory of the queue');
  }

  /**
   * mmap(2) of an MMAP plane by its cookie (`mem_offset`). The caller unmaps it; the memory is touched inside
   * access brackets only, which wait for the device. EINVAL: no such cookie, or longer than the plane.
   */
  mmap(offset: number, length?: number): Mapping {
    for (const { queue } of [this.streams.sink, this.streams.source ?? this.streams.sink]) {
      if (!queue.busy) continue;
      try {
        const { buffer } = queue.planeAt(offset, length);
        if (buffer !== undefined) return buffer.mmap(length === undefined ? {} : { length });
      } catch (error) {
        if (!(error instanceof DmaBufError) || error.code !== 'EINVAL') throw error;
      }
    }
    throw new DmaBufError('EINVAL', 'mmap', `offset ${offset} is no cookie of an MMAP buffer here`);
  }

  /** VIDIOC_STREAMON. EINVAL: type, no buffers. Already on: nothing. */
  streamon(type: number): void {
    this.streams.streamon('VIDIOC_STREAMON', type);
  }

  /**
   * VIDIOC_STREAMOFF: all buffers are the application's again, whatever state they were in; their fences fail
   * with ECANCELED. Of a decoder's OUTPUT: a seek. EINVAL: type. Already off: nothing.
   */
  streamoff(type: number): void {
    this.streams.streamoff('VIDIOC_STREAMOFF', type);
  }

  /**
   * poll(2): EPOLLIN: a CAPTURE buffer is done; EPOLLOUT: an OUTPUT one; EPOLLPRI: an event is pending; EPOLLERR:
   * nothing streams. Blocks up to `timeout` ms (0: only looks) until one of `events` is so. After LAST was
   * dequeued, EPOLLIN is reported until DQBUF has said EPIPE, and then no more: nobody spins on it.
   */
  poll(events: number, timeout: number = 0): number {
    this.file.check('poll');
    return this.streams.poll(events, this.file.machine.now() + timeout);
  }

  /** {@link poll} without blocking the thread. EDEADLK: nothing that was asked for can ever come. */
  async pollAsync(events: number): Promise<number> {
    this.file.check('poll');
    return this.streams.pollAsync(events);
  }

  /** VIDIOC_SUBSCRIBE_EVENT, for this handle. EINVAL: ALL, an unknown type, no such control. */
  subscribeEvent(subscription: EventSubscription): void {
    this.file.check('VIDIOC_SUBSCRIBE_EVENT');
    this.streams.events.subscribe(subscription, (id) => this.#controlEvent(id));
  }

  /** VIDIOC_UNSUBSCRIBE_EVENT: pending ones of it are dropped. */
  unsubscribeEvent(subscription: EventSubscription): void {
    this.file.check('VIDIOC_UNSUBSCRIBE_EVENT');
    this.streams.events.unsubscribe(subscription);
  }

  /** VIDIOC_DQEVENT: the oldest event. ENOENT: none is pending (poll for EPOLLPRI to wait for one). */
  dqevent(): V4l2Event {
    this.file.check('VIDIOC_DQEVENT');
    return this.streams.events.dequeue();
  }

  /** VIDIOC_QUERYCTRL; an id with V4L2_CTRL_FLAG_NEXT_CTRL asks for the one after it. EINVAL. */
  queryctrl(id: number): QueryCtrl {
    return this.controls.query(id);
  }

  /** VIDIOC_QUERYMENU: the name of a menu's entry. EINVAL. */
  querymenu(id: number, index: number): string {
    return this.controls.menu(id, index);
  }

  /** VIDIOC_G_CTRL. EINVAL: no such control; EACCES: it can only be written. */
  gCtrl(id: number): number {
    this.file.check('VIDIOC_G_CTRL');
    return this.controls.get(id);
  }

  /** VIDIOC_S_CTRL; what was set. Counts from the next OUTPUT buffer on. EINVAL, EACCES, ERANGE. */
  sCtrl(id: number, value: number): number {
    this.file.check('VIDIOC_S_CTRL');
    return this.controls.set(id, value);
  }

  /** VIDIOC_G_EXT_CTRLS. */
  gExtCtrls(ids: readonly number[]): readonly ExtControl[] {
    this.file.check('VIDIOC_G_EXT_CTRLS');
    return ids.map((id) => ({ id, value: this.controls.get(id) }));
  }

  /** VIDIOC_S_EXT_CTRLS: all or none. */
  sExtCtrls(controls: readonly ExtControl[]): readonly ExtControl[] {
    this.file.check('VIDIOC_S_EXT_CTRLS');
    return this.controls.setAll(controls);
  }

  /** VIDIOC_TRY_EXT_CTRLS: what S_EXT_CTRLS would set. */
  tryExtCtrls(controls: readonly ExtControl[]): readonly ExtControl[] {
    this.file.check('VIDIOC_TRY_EXT_CTRLS');
    return this.controls.try('VIDIOC_TRY_EXT_CTRLS', controls);
  }

  /** Counters. Does not block. EBADF. */
  stats(): DecoderStats {
    this.file.check('stats');
    return readStats(this.file.door.words, this.file.record);
  }

  /** CAPTURE buffers that the application holds: neither queued nor waiting for DQBUF. */
  get held(): number {
    return this.streams.sink.queue.held;
  }

  /** Whether a buffer ends what comes before a drain or a change of size. */
  static isLast({ flags }: { readonly flags: number }): boolean {
    return (flags & V4L2_BUF_FLAG_LAST) !== 0;
  }

  /**
   * Closes the file for all threads: what is queued is cancelled with ECANCELED, CAPTURE buffers in
   * use come back when they come free. Blocks for one round trip. Harmless the second time.
   */
  close(): void {
    if (this.file.isOpen) this.streams.close();
    this.file.close();
    this.streams.closeEvents();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** A control of this handle has been set. */
  protected controlSet(id: number, value: number): void {
    const changes = V4L2_EVENT_CTRL_CH_VALUE;
    const feedback = 2; // V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK: who sets it wants to be told all the same
    this.streams.events.controlChanged({ id, changes, value }, (flags) => (flags & feedback) !== 0);
  }

  #controlEvent(id: number): ControlEvent | undefined {
    if (!this.controls.has(id)) return undefined;
    return { id, changes: V4L2_EVENT_CTRL_CH_VALUE, value: this.controls.get(id) };
  }

  #lists(type: number, pixelformat: string): boolean {
    try {
      return this.formats.enumFmt(type).some(({ fourcc }) => fourcc === pixelformat);
    } catch (error) {
      if (error instanceof DmaBufError) return false;
      throw error;
    }
  }

  /** Says why a stream broke off, where all that a queue knows is that it did. */
  #explained<T>(call: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      const broken = this.file.door.words.load(this.file.record + FILE.ERROR) !== 0;
      if (!(error instanceof DmaBufError) || error.code !== 'EIO' || !broken) throw error;
      const detail = `the stream broke off (${this.streams.failure()}); STREAMOFF both queues, or S_FMT`;
      throw new DmaBufError('EIO', call, detail);
    }
  }
}
