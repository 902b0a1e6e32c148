/**
 * What a queue needs of its driver and of memory (struct vb2_ops, struct vb2_mem_ops).
 */
import type { PlaneMemory, Vb2Buffer } from './buffer.js';

/** A driver behind a queue. */
export interface Vb2Ops<M extends PlaneMemory> {
  /**
   * How many buffers there shall be, and the bytes of each plane. `sizes` are those that CREATE_BUFS asks
   * for; a size below the format's is refused by throwing `EINVAL`.
   */
  queueSetup(
    count: number,
    sizes: readonly number[] | undefined,
  ): { readonly count: number; readonly sizes: readonly number[] };
  /** A last look at a buffer before it is QUEUED. Throws what QBUF throws. */
  bufPrepare(buffer: Vb2Buffer<M>): void;
  /** Streaming begins; buffers follow by `bufQueue`. What it throws, STREAMON (or QBUF) throws. */
  startStreaming(): void;
  /** Streaming ends: every ACTIVE buffer is given up; none may be touched after this returns. */
  stopStreaming(active: readonly Vb2Buffer<M>[]): void;
  /** The buffer is the driver's now, until it calls `Vb2Queue.bufferDone`. */
  bufQueue(buffer: Vb2Buffer<M>): void;
  /** Calls `bufferDone` for every buffer that the driver has finished with by now. */
  collect(): void;
  /** Blocks until `collect` may find something, up to `until` (ms of the machine's clock). */
  wait(until: number): void;
}

/** Where planes get their memory. All that it hands out is given back by `release`. */
export interface Vb2MemOps<M extends PlaneMemory> {
  /** MMAP. `ENOMEM`, … */
  alloc(bytes: number): M;
  /** DMABUF: which dma-buf an fd is. `EINVAL` when it is none. */
  lookup(fd: number): PlaneMemory;
  /** DMABUF: attaches and maps. `EFAULT` when the device cannot use it. */
  attach(fd: number): M;
  /** Whether anybody has an MMAP plane mapped. */
  mapped(memory: M): boolean;
  release(memory: M): void;
}
