/**
 * Ready sets: which granted jobs an actor has yet to take (what design D6 calls the run ring).
 *
 * One bit for each job of the table, and summary bits over the words of those. It holds
 * every job that can exist, so pushing never fails or blocks; pushing twice is harmless, since a
 * set bit is set, and taking claims the job by CAS; and there is no head or tail that a
 * death between two stores could part. Order does not matter here: contexts put their jobs in order
 * by seqno.
 *
 * Push sets the leaf, then the summary; take clears the summary, then the leaf. So a leaf bit
 * without summary bit is either being pushed, or being taken, by a thread that is between its two
 * steps; if that thread dies, INTENT names the job (pusher), or the recoverer scans (taker).
 */
import type { Kernel } from '../kernel.js';
import { HEADER } from '../memory/layout.js';

export class ReadySets {
  readonly #k: Kernel;
  readonly #base: number;
  readonly #stride: number;
  readonly #summaries: number;

  constructor(kernel: Kernel) {
    this.#k = kernel;
    this.#base = kernel.words.get(HEADER.READY);
    this.#stride = kernel.words.get(HEADER.READY_WORDS);
    this.#summaries = Math.ceil(kernel.jobs.count / 1024);
  }

  push(actor: number, jobIndex: number): void {
    const set = this.#base + actor * this.#stride;
    const leaf = jobIndex >> 5;
    this.#setBit(set + this.#summaries + leaf, jobIndex & 31);
    this.#setBit(set + (leaf >> 5), leaf & 31);
  }

  isEmpty(actor: number): boolean {
    const set = this.#base + actor * this.#stride;
    for (let i = 0; i < this.#summaries; i++) {
      if (this.#k.words.load(set + i) !== 0) return false;
    }
    return true;
  }

  /**
   * Empties the set of an actor into `out` (job pointers). Only that actor's thread. Summaries are
   * peeked at by plain loads: an actor goes to sleep on what {@link isEmpty} says, never on this.
   */
  take(actor: number, out: number[]): void {
    const { words, jobs } = this.#k;
    const set = this.#base + actor * this.#stride;
    for (let i = 0; i < this.#summaries; i++) {
      if (words.get(set + i) === 0) continue;
      let summary = words.exchange(set + i, 0);
      while (summary !== 0) {
        const leaf = 31 - Math.clz32(summary & -summary);
        summary &= summary - 1;
        let bits = words.exchange(set + this.#summaries + i * 32 + leaf, 0);
        while (bits !== 0) {
          const bit = 31 - Math.clz32(bits & -bits);
          bits &= bits - 1;
          out.push(jobs.at((i * 32 + leaf) * 32 + bit));
        }
      }
    }
  }

  #setBit(index: number, bit: number): void {
    const { words } = this.#k;
    let old = words.get(index);
    for (;;) {
      // A bit that seems to be set may just have been taken: believe an ordered load only.
      if ((old & (1 << bit)) !== 0) {
        old = words.load(index);
        if ((old & (1 << bit)) !== 0) return;
      }
      if (words.cas(index, old, old | (1 << bit))) return;
      old = words.load(index);
    }
  }
}
