/**
 * Time limits (design D7, D9, D11): how long a device may take over a job, a thread may hold claims, and a
 * software timeline's fence may be pending. What is past its limit is ended by the watchdog (actor/watchdog.ts).
 */
import type { Words } from '../memory/words.js';
import { HEADER, JOB } from '../memory/layout.js';

/** Limits of a machine, ms; 0: none. Each job, hold and fence can have its own. */
export interface Limits {
  /**
   * From a job's start on a device to its fence. Past it the device is reset and the job fails with ETIMEDOUT.
   * Waiting for buffers, fences or a start time does not count, nor does what follows the fence: a frame may stay
   * on screen for as long as it likes. Default 10,000. Jobs that a process serves have none: nobody can
   * take a thread away from it.
   */
  readonly job: number;
  /** That a bracket or a hold may stay open. Past it its fence fails with ETIMEDOUT. Default 5,000. */
  readonly hold: number;
  /**
   * That a fence of a software timeline may be pending, from its making. Past it, it and those before it on
   * its timeline fail with ETIMEDOUT. Default 0: what it stands for is the application's affair.
   */
  readonly fence: number;
}

export const DEFAULT_LIMITS: Limits = { job: 10_000, hold: 5000, fence: 0 };

/** JOB.LIMIT of what has no limit, whatever the machine's. */
export const NO_LIMIT = -1;
/** Longest limit, ms: it is kept in one word. */
export const MAX_LIMIT_MS = 0x7fffffff;

/** JOB.LIMIT for a limit as an option gives it: left out: the machine's; 0 or Infinity: none. */
export function limitWord(ms: number | undefined): number {
  if (ms === undefined) return 0;
  return ms === 0 || ms === Infinity ? NO_LIMIT : Math.ceil(ms);
}

/** The limit of a job, hold or fence, ms; Infinity: none. `of`: which of the machine's it has by default. */
export function limitOf(words: Words, job: number, of: keyof Limits): number {
  const own = words.get(job + JOB.LIMIT);
  const limit = own === 0 ? words.get(WORD_OF[of]) : own;
  return limit > 0 ? limit : Infinity;
}

const WORD_OF: Readonly<Record<keyof Limits, number>> = {
  job: HEADER.LIMIT_JOB,
  hold: HEADER.LIMIT_HOLD,
  fence: HEADER.LIMIT_FENCE,
};
