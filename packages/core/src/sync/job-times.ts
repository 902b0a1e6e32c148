/** When a job passed its stages, as its record says. */
import type { Kernel } from '../kernel.js';
import { JOB, JOB_STATE, JOB_STATE_MASK } from '../memory/layout.js';

/** When a job passed its stages, ms of the machine's clock; NaN for what has not happened. */
export interface FenceTimes {
  readonly queued: number;
  readonly granted: number;
  readonly started: number;
  readonly done: number;
}

/** Of the job that has the slot now; whoever does not own it looks at its generation afterwards. */
export function timesOf({ words, clock }: Kernel, job: number): FenceTimes {
  const read = (field: number): number => words.getDouble(job + field);
  const state = words.load(job + JOB.STATE) & JOB_STATE_MASK;
  const queued = read(JOB.T_QUEUED);
  const granted = state >= JOB_STATE.READY ? read(JOB.T_GRANTED) : NaN;
  const over = state === JOB_STATE.DONE || state === JOB_STATE.RELEASED;
  const done = over ? read(JOB.T_DONE) : NaN;
  // It may be a time to come; of one that died while it waited for it, it still is.
  const begun = state >= JOB_STATE.RUNNING ? read(JOB.T_STARTED) : NaN;
  const started = begun > (over ? done : clock.now()) ? done : begun;
  return { queued, granted, started, done };
}
