/**
 * CRCs of composed frames: a ring in kernel memory, by the seqnos of the writeback jobs that asked.
 *
 * The writeback worker alone writes. Whoever reads has waited for the job's fence; 64 of them later the
 * record is another's, which its SEQNO tells.
 */
import type { Words } from '@dmabuf/core/driver';
import { CRC, CRC_RECORDS, REG } from './registers.js';

export class FrameCrcs {
  readonly #words: Words;
  readonly #base: number;

  /** Over the registers at `base`. */
  constructor(words: Words, base: number) {
    this.#words = words;
    this.#base = base + REG.CRCS;
  }

  add(seqno: number, value: number): void {
    const at = this.#at(seqno);
    this.#words.store(at + CRC.SEQNO, 0);
    this.#words.store(at + CRC.VALUE, value | 0);
    this.#words.store(at + CRC.SEQNO, seqno | 0);
  }

  /** Unsigned; undefined when there is none, or it is too long ago. */
  find(seqno: number): number | undefined {
    const words = this.#words;
    const at = this.#at(seqno);
    if (words.load(at + CRC.SEQNO) !== (seqno | 0)) return undefined;
    const value = words.load(at + CRC.VALUE) >>> 0;
    return words.load(at + CRC.SEQNO) === (seqno | 0) ? value : undefined;
  }

  #at(seqno: number): number {
    return this.#base + (seqno % CRC_RECORDS) * CRC.WORDS;
  }
}
