/**
 * Jobs that were handed over early: their target has them before their turn and sees by itself when that
 * comes, as an engine with hardware semaphores does. The semaphore is the job's state word; whoever
 * grants the job writes it and rings the target if that sleeps. There is no dispatch in between.
 *
 * A target that waits for one of them goes on with everything else: its other contexts, mail, ticks.
 * What the job waits for may well be among them.
 */
import type { Kernel } from '../kernel.js';
import { JOB, JOB_FLAG, JOB_STATE, JOB_STATE_MASK } from '../memory/layout.js';
import { isBeingCancelled } from '../sync/contexts.js';

/** Whether a job was handed over early and its turn has not come (nor its cancel been completed). */
export function awaitsGrant(kernel: Kernel, job: number): boolean {
  const { words } = kernel;
  if ((words.get(job + JOB.FLAGS) & JOB_FLAG.EARLY) === 0) return false;
  const stage = words.load(job + JOB.STATE) & JOB_STATE_MASK;
  return stage === JOB_STATE.PENDING || isBeingCancelled(stage);
}
