/**
 * Queue: a dependency queue without a buffer (struct kds_resource). The same that a dma-buf points to,
 * for guarding anything else: a ring in your own memory, a file, a device register.
 */
import { wantNumber } from '../args.js';
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { HEADER, QUEUE } from '../memory/layout.js';
import { formatQueue } from './queue.js';

/** An id is generation × this + pointer. */
const POINTER_SPAN = 2 ** 28;

/** Anything that jobs can claim: a dma-buf or a queue. */
export interface Claimable {
  /** Pointer of its queue; `write`: for an exclusive claim. */
  queuePointer(syscall: string, write?: boolean): number;
  /** Sees to it that an actor can reach what the queue guards. */
  deliverTo(actor: number, syscall: string): void;
}

export class Queue implements Claimable {
  /** Names it in any thread of the machine: `machine.queueById(id)`. */
  readonly id: number;
  readonly #k: Kernel;
  readonly #pointer: number;
  readonly #generation: number;

  constructor(kernel: Kernel, pointer: number) {
    this.#k = kernel;
    this.#pointer = pointer;
    this.#generation = kernel.words.get(pointer + QUEUE.GEN);
    this.id = this.#generation * POINTER_SPAN + pointer;
  }

  /** A queue again from its id. EINVAL when it has been closed. */
  static byId(kernel: Kernel, id: number): Queue {
    const pointer = id % POINTER_SPAN;
    const generation = Math.floor(id / POINTER_SPAN);
    wantNumber('queueById', 'id', id);
    const known = Number.isSafeInteger(id) && generation > 0 && kernel.queues.owns(pointer);
    if (known && kernel.words.load(pointer + QUEUE.STATE) === generation) {
      return new Queue(kernel, pointer);
    }
    throw new DmaBufError('EINVAL', 'queue', `there is no queue ${id}; it may have been closed`);
  }

  /** kds_resource_init. ENFILE when the table is full. */
  static create(kernel: Kernel): Queue {
    const { words, locks, queues } = kernel;
    locks.lock(HEADER.BUFFER_LOCK);
    const queue = queues.findFree();
    if (queue !== 0) formatQueue(words, queue, 0);
    locks.unlock(HEADER.BUFFER_LOCK);
    if (queue !== 0) return new Queue(kernel, queue);
    const detail = `all ${queues.count} queues of the machine are in use; close some, or boot with a larger tables.queues`;
    throw new DmaBufError('ENFILE', 'queue', detail);
  }

  queuePointer(syscall: string): number {
    const { words } = this.#k;
    if (words.load(this.#pointer + QUEUE.STATE) === this.#generation) return this.#pointer;
    throw new DmaBufError('EINVAL', syscall, `queue ${this.id} has been closed`);
  }

  deliverTo(): void {
    // A queue guards nothing that core could hand over.
  }

  /** kds_resource_term. EBUSY while jobs claim it; EINVAL the second time. */
  close(): void {
    const { words, locks } = this.#k;
    const queue = this.queuePointer('queue_close');
    locks.lock(queue + QUEUE.LOCK);
    const length = words.get(queue + QUEUE.LENGTH);
    if (length === 0) words.store(queue + QUEUE.STATE, 0);
    locks.unlock(queue + QUEUE.LOCK);
    if (length === 0) return;
    const detail = `${length} jobs claim queue ${this.id}; wait for their fences first`;
    throw new DmaBufError('EBUSY', 'queue_close', detail);
  }

  [Symbol.dispose](): void {
    if (this.#k.words.load(this.#pointer + QUEUE.STATE) === this.#generation) this.close();
  }
}
