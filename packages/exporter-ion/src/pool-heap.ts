/**
 * PoolHeap: what the heaps that lie in the shared pool have in common (carveout, CMA, chunk, …).
 *
 * Freed memory is dirty until it is zeroed, mostly by the heap thread, a piece at a time. An allocation
 * takes clean memory if there is any, else dirty memory that it zeroes itself, outside the lock
 * (it is its own by then). Only if even that is not enough can a piece that is being zeroed at
 * this moment be what is missing: then it waits for the piece, by ZERO_LOCK, and looks once more.
 */
import { DmaBufError } from '@dmabuf/core';
import { DeferringHeap } from './deferring-heap.js';
import type { HeapEnv } from './heap.js';
import { HEAP } from './layout.js';
import { zero } from './zero.js';

export abstract class PoolHeap extends DeferringHeap {
  /** Bytes from the start of the pool to the heap. */
  protected readonly offset: number;
  /** Word offset of its map. */
  protected readonly map: number;

  constructor(env: HeapEnv) {
    super(env);
    const { words, pointer } = this;
    this.offset = words.getDouble(pointer + HEAP.OFFSET);
    this.map = env.base + words.get(pointer + HEAP.MAP);
  }

  /** Marks a piece of dirty memory, zeroes it, marks it clean. Under ZERO_LOCK. False: none is dirty. */
  protected abstract zeroPiece(): boolean;

  override background(): boolean {
    return this.whileNotZeroing(() => this.zeroPiece());
  }

  /** What `take` finds under the lock, if need be after what is being zeroed at this moment. */
  protected takeOnceOrTwice<T>(take: () => T | undefined): T | undefined {
    return this.locked(take) ?? this.whileNotZeroing(() => this.locked(take));
  }

  /** Zeroes bytes of the heap; `counter` is HEAP.ZEROED_BACK or ZEROED_FRONT. */
  protected zeroBytes(offset: number, length: number, counter: number): void {
    zero(this.door.view(this.door.pool, this.offset + offset, length));
    this.words.add(this.pointer + counter, length / this.granule);
  }

  /** For a machine that was booted without a pool. */
  protected noPool(): DmaBufError {
    const detail = `${this.label} lies in the pool, which this machine has not; boot with \`pool: bytes\``;
    return new DmaBufError('ENODEV', 'ion_alloc', detail);
  }
}
