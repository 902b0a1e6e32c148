/**
 * DeferringHeap: a heap whose freed memory the heap thread sees to (ion_heap_init_deferred_free). What it is at, it is at
 * under ZERO_LOCK, so that its death shows, and so that who needs the memory can wait for it.
 */
import { Heap, type HeapEnv } from './heap.js';
import { HEAP, ION } from './layout.js';

export abstract class DeferringHeap extends Heap {
  /** Word offset of the driver's own words. */
  protected readonly base: number;

  constructor(env: HeapEnv) {
    super(env);
    this.base = env.base;
  }

  override restart(): void {
    this.whileNotZeroing(() => this.locked(() => this.abortZeroing()));
  }

  protected override released(): void {
    if (!this.config.defer) return;
    const { words, door } = this;
    // Who finds it set already knows that the heap thread has not looked yet.
    if (words.exchange(this.base + ION.DIRTY, 1) === 1) return;
    const thread = this.heapThread;
    if (thread !== 0) door.ring(thread);
  }

  /** Actor id of the heap thread; 0 before it has started. */
  protected get heapThread(): number {
    return this.words.load(this.base + ION.HEAP_THREAD);
  }

  protected whileNotZeroing<T>(work: () => T): T {
    const { locks } = this.door;
    const zeroLock = this.pointer + HEAP.ZERO_LOCK;
    locks.lock(zeroLock);
    try {
      return work();
    } finally {
      locks.unlock(zeroLock);
    }
  }
}
