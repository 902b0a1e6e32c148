/**
 * Jobs that were handed over early: the target itself waits on the job's state word until it is granted,
 * as an engine with hardware semaphores does. Nobody dispatches it; whoever grants it notifies
 * that word, and only if somebody sleeps there.
 */
import { type Kernel, WAIT_BOUND_MS } from '../kernel.js';
import { JOB, JOB_STATE, JOB_STATE_MASK, JOB_WAITERS } from '../memory/layout.js';

/** Blocks until the job is granted (or cancelled, or the machine is over). */
export function awaitGrant(kernel: Kernel, job: number): void {
  const { words, seam } = kernel;
  for (let state = pending(kernel, job); state !== 0; state = pending(kernel, job)) {
    const result = seam.wait(words.i32, job + JOB.STATE, state, WAIT_BOUND_MS);
    if (result === 'woken') kernel.countWakeup();
    if (result === 'timeout' && !kernel.over) kernel.checkAfterSleep('await_grant');
  }
}

/** {@link awaitGrant} for a server in an event loop. */
export async function awaitGrantAsync(kernel: Kernel, job: number): Promise<void> {
  const { words, seam } = kernel;
  for (let state = pending(kernel, job); state !== 0; state = pending(kernel, job)) {
    const result = await seam.waitAsync(words.i32, job + JOB.STATE, state);
    if (result === 'woken') kernel.countWakeup();
  }
}

/** The state word to sleep on, its waiters bit set; 0 when there is nothing to wait for. */
function pending(kernel: Kernel, job: number): number {
  const { words } = kernel;
  for (;;) {
    const state = words.load(job + JOB.STATE);
    if ((state & JOB_STATE_MASK) !== JOB_STATE.PENDING || kernel.over) return 0;
    const armed = state | JOB_WAITERS;
    if (state === armed || words.cas(job + JOB.STATE, state, armed)) return armed;
  }
}
