/**
 * When the last vblanks were: a ring in kernel memory, by their numbers. Those that nobody served are not
 * in it: they were missed.
 *
 * The CRTC worker alone writes. Numbers are kept to 32 bits: two years of vblanks at 60 Hz.
 */
import type { Words } from '@dmabuf/core/driver';
import type { Presented } from './flip-records.js';
import { REG, VBLANK, VBLANK_RECORDS } from './registers.js';

export class VblankTimes {
  readonly #words: Words;
  readonly #base: number;

  /** Over the registers at `base`. */
  constructor(words: Words, base: number) {
    this.#words = words;
    this.#base = base;
  }

  add(sequence: number, time: number): void {
    const at = this.#at(sequence);
    this.#words.store(at + VBLANK.SEQUENCE, 0);
    this.#words.setDouble(at + VBLANK.TIME, time);
    this.#words.store(at + VBLANK.SEQUENCE, sequence | 0);
  }

  /** Number of the newest vblank. */
  get newest(): number {
    return this.#words.load(this.#base + REG.SEQUENCE) >>> 0;
  }

  /** The vblank of that number; undefined if it was missed, is to come, or too long ago. */
  find(sequence: number): Presented | undefined {
    const words = this.#words;
    const at = this.#at(sequence);
    if (sequence <= 0 || words.load(at + VBLANK.SEQUENCE) !== (sequence | 0)) return undefined;
    const timestamp = words.getDouble(at + VBLANK.TIME);
    return words.load(at + VBLANK.SEQUENCE) === (sequence | 0)
      ? { sequence, timestamp }
      : undefined;
  }

  /** The first vblank from that number on that was served; without one, the newest that was. */
  reached(sequence: number): Presented | undefined {
    const { newest } = this;
    for (let n = Math.max(sequence, newest - VBLANK_RECORDS + 1); n <= newest; n++) {
      const found = this.find(n);
      if (found !== undefined) return found;
    }
    for (let n = newest; n > newest - VBLANK_RECORDS && n > 0; n--) {
      const found = this.find(n);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #at(sequence: number): number {
    return this.#base + REG.VBLANK_TIMES + (sequence % VBLANK_RECORDS) * VBLANK.WORDS;
  }
}
