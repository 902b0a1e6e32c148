/**
 * Histogram of flip lateness in words of kernel memory.
 *
 * One writer (the CRTC's device half) records; anybody may read percentiles meanwhile and gets
 * a picture that is at most a few records out of step. Buckets are log-linear, 16 to an octave,
 * as in HdrHistogram: whole µs (rounded down) below 32 µs, then to 1/16 (6.25 %), up to 134 s.
 */

import { Words } from '@dmabuf/core/driver';

/** Buckets in an octave, and the width of the exact part. */
const SUB_BUCKETS = 16;
const SUB_BITS = 4;
const MAX_US = 2 ** 27 - 1;
const BUCKETS = (27 - SUB_BITS) * SUB_BUCKETS + SUB_BUCKETS;

const COUNT_WORD = BUCKETS;
const MAX_WORD = BUCKETS + 1;

/** 32-bit words that one histogram takes: 386. All zero is an empty one. */
export const LATENESS_WORDS: number = BUCKETS + 2;

/** Times in ms. Percentiles are the upper edge of their bucket: never better than the truth. */
export interface LatenessSummary {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

function bucketOf(us: number): number {
  if (us < SUB_BUCKETS) return us;
  const shift = 31 - Math.clz32(us) - SUB_BITS;
  return shift * SUB_BUCKETS + (us >>> shift);
}

/** The largest µs value that falls into a bucket. */
function upperEdge(bucket: number): number {
  if (bucket < 2 * SUB_BUCKETS) return bucket;
  const shift = (bucket >>> SUB_BITS) - 1;
  return (((bucket & (SUB_BUCKETS - 1)) + SUB_BUCKETS + 1) << shift) - 1;
}

export class LatenessHistogram {
  readonly #words: Words;
  readonly #base: number;

  /**
   * Over the {@link LATENESS_WORDS} words at `base`, which stay the caller's and keep what they hold:
   * a restarted device goes on counting. Default: private memory.
   */
  constructor(words: Words = new Words(new ArrayBuffer(LATENESS_WORDS * 4)), base: number = 0) {
    if (base < 0 || words.i32.length < base + LATENESS_WORDS) {
      throw new RangeError(
        `a lateness histogram takes ${LATENESS_WORDS} words from ${base}, there are ${words.i32.length}`,
      );
    }
    this.#words = words;
    this.#base = base;
  }

  /** Flips recorded. */
  get count(): number {
    return this.#word(COUNT_WORD);
  }

  /**
   * Counts one flip that came `ms` after its vblank. Allocates nothing. Early ones count as 0;
   * NaN and what exceeds 134 s count as the worst, so that no fault hides.
   */
  record(ms: number): void {
    const us = Math.floor(ms * 1000);
    const clamped = us < MAX_US ? Math.max(us, 0) : MAX_US;
    const value = Number.isNaN(us) ? MAX_US : clamped;
    this.#add(bucketOf(value), 1);
    this.#add(COUNT_WORD, 1);
    if (value > this.#word(MAX_WORD)) this.#set(MAX_WORD, value);
  }

  /** Adds what another histogram has counted; that one stays as it is. */
  merge(other: LatenessHistogram): void {
    for (let word = 0; word <= COUNT_WORD; word++) this.#add(word, other.#word(word));
    this.#set(MAX_WORD, Math.max(this.#word(MAX_WORD), other.#word(MAX_WORD)));
  }

  /** Back to empty. Only the writer may call this. */
  reset(): void {
    for (let word = 0; word < LATENESS_WORDS; word++) this.#set(word, 0);
  }

  /** The value in ms that the given share (0 to 1) of all flips did not exceed; 0 when empty. */
  percentile(share: number): number {
    let left = Math.max(1, Math.ceil(this.count * share));
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#word(bucket);
      if (left <= 0) return Math.min(upperEdge(bucket), this.#word(MAX_WORD)) / 1000;
    }
    return this.#word(MAX_WORD) / 1000;
  }

  /** The figures that a summary line prints. */
  summary(): LatenessSummary {
    const max = this.#word(MAX_WORD) / 1000;
    return { count: this.count, p50: this.percentile(0.5), p99: this.percentile(0.99), max };
  }

  /** Counters are unsigned: 2³² flips are two years at 60 Hz. */
  #word(index: number): number {
    return this.#words.get(this.#base + index) >>> 0;
  }

  #add(index: number, amount: number): void {
    this.#set(index, this.#words.get(this.#base + index) + amount);
  }

  #set(index: number, value: number): void {
    this.#words.set(this.#base + index, value);
  }
}
