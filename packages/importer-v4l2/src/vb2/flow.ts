/**
 * BufferFlow: the way of a queue's buffers from QBUF through the driver to DQBUF (videobuf2-core.c).
 *
 *   DEQUEUED → QUEUED → ACTIVE → DONE | ERROR → DEQUEUED
 *
 * Owned by its Vb2Queue, which has checked what user space asks for. All of it is one thread's: no word is shared.
 */
import {
  isCapture,
  isOutput,
  V4L2_BUF_FLAG_LAST,
  V4L2_FIELD_ANY,
  V4L2_FIELD_NONE,
} from '../videodev2.js';
import type { PlaneMemory, V4l2Buffer, Vb2Buffer } from './buffer.js';
import type { Vb2Ops } from './ops.js';

/** What becomes of a buffer that the driver has finished with. */
export interface BufferResult {
  /** 0, or −errno: then the buffer is in ERROR. */
  readonly error: number;
  readonly flags?: number;
  readonly sequence?: number;
  readonly timestamp?: number;
  /** One a plane. */
  readonly bytesused?: readonly number[];
}

/** What poll needs to know of a queue. */
export interface Readiness {
  readonly idle: boolean;
  readonly done: boolean;
  /** LAST was dequeued and DQBUF has not yet said EPIPE. */
  readonly ended: boolean;
  readonly room: boolean;
  readonly unfed: boolean;
}

export class BufferFlow<M extends PlaneMemory> {
  readonly #ops: Vb2Ops<M>;
  /** Streaming begins once this many buffers are queued. */
  readonly #minQueued: number;
  /** QUEUED and ACTIVE ones, in the order of QBUF. */
  #queued: Vb2Buffer<M>[] = [];
  #done: Vb2Buffer<M>[] = [];
  #streaming = false;
  #started = false;
  #error = false;
  #lastDequeued = false;
  /** EPIPE has been told: poll does not say so again (see {@link readiness}). */
  #endTold = false;
  /** CAPTURE: nothing was queued since STREAMON. */
  #waitingForBuffers: boolean;

  constructor(ops: Vb2Ops<M>, minQueued: number, type: number) {
    this.#ops = ops;
    this.#minQueued = minQueued;
    this.#waitingForBuffers = !isOutput(type);
  }

  get streaming(): boolean {
    return this.#streaming;
  }

  /** Whether the driver has said that it cannot go on. */
  get error(): boolean {
    return this.#error;
  }

  /** Buffers that the driver has, or is to have. */
  get queued(): number {
    return this.#queued.length;
  }

  /** Buffers that wait for DQBUF. */
  get done(): number {
    return this.#done.length;
  }

  /** The buffers that the driver has, in the order in which it got them. */
  get active(): readonly Vb2Buffer<M>[] {
    return this.#queued.filter(({ state }) => state === 'ACTIVE');
  }

  /** New buffers, of a type: none of them has been queued. */
  allocated(type: number): void {
    this.#waitingForBuffers = !isOutput(type);
  }

  /** QBUF, for a buffer that is prepared. What the driver refuses leaves it DEQUEUED. */
  enqueue(buffer: Vb2Buffer<M>, given: V4l2Buffer, type: number): void {
    buffer.sequence = 0;
    buffer.flags = 0;
    buffer.field = isOutput(type) ? V4L2_FIELD_NONE : V4L2_FIELD_ANY;
    buffer.timestamp = isOutput(type) ? (given.timestamp ?? 0) : 0;
    buffer.state = 'QUEUED';
    this.#queued.push(buffer);
    try {
      if (this.#started) this.#give(buffer);
      else if (this.#streaming && this.#queued.length >= this.#minQueued) this.#start();
    } catch (error) {
      buffer.state = 'DEQUEUED';
      this.#queued = this.#queued.filter((other) => other !== buffer);
      throw error;
    }
    this.#waitingForBuffers = false;
  }

  /** STREAMON. What the driver refuses leaves it off. */
  streamon(): void {
    if (this.#queued.length >= this.#minQueued) this.#start();
    this.#streaming = true;
  }

  /** __vb2_queue_cancel: all buffers, which are `buffers`, are user space's again. */
  cancel(buffers: Iterable<Vb2Buffer<M>>, type: number): void {
    if (this.#started) this.#ops.stopStreaming(this.active);
    this.#streaming = false;
    this.#started = false;
    this.#error = false;
    this.clearLastBufferDequeued();
    this.#waitingForBuffers = !isOutput(type);
    this.#queued = [];
    this.#done = [];
    for (const buffer of buffers) {
      buffer.state = 'DEQUEUED';
      buffer.prepared = false;
    }
  }

  /** See {@link Vb2Queue.bufferDone}. */
  finish(buffer: Vb2Buffer<M>, result: BufferResult): void {
    if (buffer.state !== 'ACTIVE') return;
    buffer.state = result.error === 0 ? 'DONE' : 'ERROR';
    buffer.flags = result.flags ?? 0;
    buffer.field = V4L2_FIELD_NONE;
    buffer.sequence = result.sequence ?? 0;
    buffer.timestamp = result.timestamp ?? buffer.timestamp;
    result.bytesused?.forEach((bytes, i) => {
      const plane = buffer.planes[i];
      if (plane !== undefined) plane.bytesused = bytes;
    });
    this.#queued = this.#queued.filter((other) => other !== buffer);
    this.#done.push(buffer);
  }

  /** The buffer that DQBUF is to have, in its state still; {@link dequeued} follows. */
  take(): Vb2Buffer<M> | undefined {
    return this.#done.shift();
  }

  /** User space has it now. */
  dequeued(buffer: Vb2Buffer<M>, type: number): void {
    buffer.state = 'DEQUEUED';
    buffer.prepared = false;
    if (isCapture(type) && (buffer.flags & V4L2_BUF_FLAG_LAST) !== 0) this.#lastDequeued = true;
  }

  /** Whether DQBUF is to say EPIPE; with that it has been told. */
  tellEnd(): boolean {
    if (this.#lastDequeued) this.#endTold = true;
    return this.#lastDequeued;
  }

  /** vb2_queue_error */
  fail(): void {
    this.#error = true;
  }

  /** vb2_clear_last_buffer_dequeued */
  clearLastBufferDequeued(): void {
    this.#lastDequeued = false;
    this.#endTold = false;
  }

  /**
   * What poll needs to know, of a queue of `size` buffers. Once DQBUF has said EPIPE, poll does not report the queue
   * again, so that nobody spins on it.
   */
  readiness(size: number): Readiness {
    const running = this.#streaming && !this.#error;
    const empty = this.#queued.length + this.#done.length === 0;
    return {
      idle: !running || (empty && !this.#lastDequeued),
      done: running && this.#done.length > 0,
      ended: running && this.#lastDequeued && !this.#endTold && this.#done.length === 0,
      room: running && this.#queued.length < size,
      unfed: running && this.#waitingForBuffers,
    };
  }

  /** Starts the driver and gives it all that is queued; what fails leaves all of it QUEUED. */
  #start(): void {
    this.#ops.startStreaming();
    try {
      for (const buffer of this.#queued) this.#give(buffer);
    } catch (error) {
      this.#ops.stopStreaming(this.active);
      for (const buffer of this.#queued) buffer.state = 'QUEUED';
      throw error;
    }
    this.#started = true;
  }

  #give(buffer: Vb2Buffer<M>): void {
    this.#ops.bufQueue(buffer);
    buffer.state = 'ACTIVE';
  }
}
