/**
 * Holders in kernel memory: who holds a buffer otherwise than by an fd: attachments, CPU mappings,
 * kernel mappings.
 *
 * A record names its owner, so that what a process held can be taken back for it after it has left or
 * died. A holder keeps a reference on its buffer, taken before the record is published and dropped
 * after it is freed.
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { BUFFER, HEADER, HOLDER } from '../memory/layout.js';

/** What {@link Holders.take} is told; what is left out is 0. */
export interface HolderInfo {
  readonly kind: number;
  readonly buffer: number;
  readonly importer?: number;
  readonly flags?: number;
  readonly align?: number;
  readonly offset?: number;
  readonly length?: number;
}

export class Holders {
  readonly #k: Kernel;

  constructor(kernel: Kernel) {
    this.#k = kernel;
  }

  /** A new holder of this actor's, with its reference on the buffer. ENFILE when the table is full. */
  take(info: HolderInfo, syscall: string): number {
    const { words, locks, holders, self } = this.#k;
    locks.lock(HEADER.BUFFER_LOCK);
    const holder = holders.findFree();
    if (holder !== 0) {
      const gen = (words.get(holder + HOLDER.GEN) + 1) & 0x7fffffff || 1;
      for (let i = 0; i < HOLDER.WORDS; i++) words.set(holder + i, 0);
      words.set(holder + HOLDER.GEN, gen);
      words.set(holder + HOLDER.KIND, info.kind);
      words.set(holder + HOLDER.BUFFER, info.buffer);
      words.set(holder + HOLDER.OWNER, self);
      words.set(holder + HOLDER.IMPORTER, info.importer ?? 0);
      words.set(holder + HOLDER.FLAGS, info.flags ?? 0);
      words.set(holder + HOLDER.ALIGN, info.align ?? 0);
      words.setDouble(holder + HOLDER.OFFSET, info.offset ?? 0);
      words.setDouble(holder + HOLDER.LENGTH, info.length ?? 0);
      words.add(info.buffer + BUFFER.REFS, 1);
      words.store(holder + HOLDER.STATE, gen);
    }
    locks.unlock(HEADER.BUFFER_LOCK);
    if (holder !== 0) return holder;
    throw new DmaBufError(
      'ENFILE',
      syscall,
      `all ${holders.count} attachments and mappings of the machine are in use; close some, or boot with a larger tables.holders`,
    );
  }

  /** Frees the record. Its reference on the buffer is now the caller's to drop. */
  free(holder: number): void {
    this.#k.words.store(holder + HOLDER.STATE, 0);
  }

  /** Generation of a live holder, by which a handle knows later whether it still is the same. */
  generationOf(holder: number): number {
    return this.#k.words.load(holder + HOLDER.STATE);
  }

  /** Those of one buffer. */
  *of(buffer: number): Generator<number> {
    for (const holder of this.#k.holders.live()) {
      if (this.#k.words.get(holder + HOLDER.BUFFER) === buffer) yield holder;
    }
  }

  /** Those of one process. */
  *ownedBy(actor: number): Generator<number> {
    for (const holder of this.#k.holders.live()) {
      if (this.#k.words.get(holder + HOLDER.OWNER) === actor) yield holder;
    }
  }
}
