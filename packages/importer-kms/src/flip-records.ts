/**
 * When the last flips were shown: a ring in kernel memory, by the seqnos of their jobs.
 *
 * The CRTC worker alone writes. Whoever reads has waited for the flip's fence, so that its record is
 * there; 256 flips later it is another's, which its SEQNO tells.
 */
import type { Words } from '@dmabuf/core/driver';
import { FLIP, FLIP_RECORDS, REG } from './registers.js';

/** When a flip came on screen. */
export interface Presented {
  /** Number of the vblank; at speed `max`, which has none, of the flip. */
  readonly sequence: number;
  /** ms of the machine's clock: of that vblank; at speed `max` when it was shown. */
  readonly timestamp: number;
}

export class FlipRecords {
  readonly #words: Words;
  readonly #base: number;

  /** Over the registers at `base`. */
  constructor(words: Words, base: number) {
    this.#words = words;
    this.#base = base + REG.FLIPS;
  }

  add(seqno: number, sequence: number, timestamp: number): void {
    const words = this.#words;
    const at = this.#at(seqno);
    words.store(at + FLIP.SEQNO, 0);
    words.setDouble(at + FLIP.SEQUENCE, sequence);
    words.setDouble(at + FLIP.TIME, timestamp);
    words.store(at + FLIP.SEQNO, seqno | 0);
  }

  /** The record of a job; undefined when it was not shown, or so long ago that nobody remembers. */
  find(seqno: number): Presented | undefined {
    const words = this.#words;
    const at = this.#at(seqno);
    if (words.load(at + FLIP.SEQNO) !== (seqno | 0)) return undefined;
    const sequence = words.getDouble(at + FLIP.SEQUENCE);
    const timestamp = words.getDouble(at + FLIP.TIME);
    return words.load(at + FLIP.SEQNO) === (seqno | 0) ? { sequence, timestamp } : undefined;
  }

  #at(seqno: number): number {
    return this.#base + (seqno % FLIP_RECORDS) * FLIP.WORDS;
  }
}
