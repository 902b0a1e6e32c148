/**
 * The machine's clock (design D13): milliseconds as a double, one time-base for all threads.
 *
 * Real: `performance.now()`, whose origin is the same in every worker of a process. Manual, for
 * tests: a double in kernel memory that only `advance()` moves; vblanks, watchdogs, start times
 * and timeouts then take no real time and never flake.
 */
import { HEADER } from './memory/layout.js';
import type { Words } from './memory/words.js';

export interface Clock {
  readonly manual: boolean;
  /** Now, in ms. */
  now(): number;
}

export const realClock: Clock = { manual: false, now: () => performance.now() };

export function manualClock(words: Words): Clock {
  return { manual: true, now: () => words.getDouble(HEADER.MANUAL_TIME) };
}
