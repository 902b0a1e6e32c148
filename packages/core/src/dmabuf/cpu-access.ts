/**
 * CPU access: the blocking mode of KDS (kds_waitall). The calling thread queues a job of its own on the
 * buffers, sleeps until it is granted, and holds the claim until it releases it.
 */
import { DmaBufError } from '../errno.js';
import { type Kernel, WAIT_BOUND_MS } from '../kernel.js';
import {
  CONTEXT_FLAG,
  JOB,
  JOB_FLAG,
  JOB_STATE,
  JOB_STATE_MASK,
  JOB_WAITERS,
  LINK_FLAG,
} from '../memory/layout.js';
import type { Access } from '../sync/context.js';
import { errno } from '../errno.js';
import type { FencePoint, Jobs } from '../sync/jobs.js';
import type { BufferRecord } from './ops.js';

/** A granted claim of this thread. */
export class CpuHold {
  readonly #jobs: Jobs;
  /** Its fence: signals when the hold ends. */
  readonly fence: FencePoint;

  constructor(jobs: Jobs, fence: FencePoint) {
    this.#jobs = jobs;
    this.fence = fence;
  }

  release(): void {
    this.#jobs.complete(this.fence.slot, 0);
    this.#jobs.release(this.fence.slot);
  }
}

const FLAGS: Readonly<Record<Access, number>> = {
  shared: 0,
  exclusive: LINK_FLAG.EXCLUSIVE,
  discard: LINK_FLAG.EXCLUSIVE | LINK_FLAG.DISCARD,
};

export class CpuAccess {
  readonly #k: Kernel;
  readonly #jobs: Jobs;
  #context = 0;

  constructor(kernel: Kernel, jobs: Jobs) {
    this.#k = kernel;
    this.#jobs = jobs;
  }

  /** Claims a buffer and waits for the grant. ETIME; or the errno of the writer that failed (D8). */
  hold(record: BufferRecord, access: Access, timeout: number): CpuHold {
    this.#context ||= this.#jobs.contexts.create(this.#k.self, 'cpu', CONTEXT_FLAG.UNORDERED);
    const fence = this.#jobs.add({
      context: this.#context,
      claims: [record.queue | FLAGS[access]],
      inFences: [],
      flags: JOB_FLAG.BLOCKING,
      startAt: 0,
      limit: 0,
      payload: 0,
    });
    if (!this.#granted(fence.slot, timeout)) {
      throw new DmaBufError(
        'ETIME',
        'prepare_access',
        `buffer ${record.ino} is in use by queued jobs and did not come free within ${timeout} ms`,
      );
    }
    this.#jobs.claim(fence.slot);
    const blocker = this.#jobs.blocker(fence.slot);
    const hold = new CpuHold(this.#jobs, fence);
    if (blocker === 0) return hold;
    hold.release();
    throw DmaBufError.of(
      blocker,
      'prepare_access',
      `the job that wrote buffer ${record.ino} failed, its content is not valid; overwrite it with discard`,
    );
  }

  /** Sleeps until the job is READY; takes it back and returns false when the time runs out. */
  #granted(job: number, timeout: number): boolean {
    const { words, seam, clock } = this.#k;
    const until = clock.now() + timeout;
    for (;;) {
      const state = words.load(job + JOB.STATE);
      if ((state & JOB_STATE_MASK) === JOB_STATE.READY) return true;
      const left = until - clock.now();
      if (left <= 0 && this.#jobs.cancel(job, -errno.ETIME)) return false;
      if (left <= 0) continue;
      if ((state & JOB_WAITERS) === 0 && !words.cas(job, state, state | JOB_WAITERS)) continue;
      const bound = Math.min(left, WAIT_BOUND_MS);
      const result = seam.wait(words.i32, job + JOB.STATE, state | JOB_WAITERS, bound);
      if (result === 'woken') this.#k.countWakeup();
      if (result === 'timeout') this.#k.checkAfterSleep('prepare_access');
    }
  }
}
