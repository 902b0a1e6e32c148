/**
 * Holds: claims of the calling thread itself (KDS: kds_waitall, kds_async_waitall,
 * kds_resource_set_release).
 *
 * A hold is a job whose target is its own adder. Blocking mode sleeps on the job's state word until
 * it is granted; callback mode runs a function when it is. Either way the thread owns
 * the claims until it releases them, which signals the hold's fence.
 */
import { DmaBufError, errno } from '../errno.js';
import type { Blocking } from '../explain/blocking.js';
import { type Kernel, WAIT_BOUND_MS } from '../kernel.js';
import {
  BLOCKED,
  CONTEXT_FLAG,
  JOB,
  JOB_FLAG,
  JOB_STATE,
  JOB_STATE_MASK,
  JOB_WAITERS,
} from '../memory/layout.js';
import type { Callback, Callbacks } from './callbacks.js';
import type { FencePoint, Jobs, JobSpec } from './jobs.js';

/** Granted claims of this thread. */
export class Hold {
  /** Signals when the hold is released. */
  readonly fence: FencePoint;
  readonly #jobs: Jobs;
  readonly #ended: (hold: Hold) => void;
  #held = true;

  /** `ended` is told when it is released. */
  constructor(jobs: Jobs, fence: FencePoint, ended: (hold: Hold) => void) {
    this.#jobs = jobs;
    this.fence = fence;
    this.#ended = ended;
  }

  /** Ends the claims: whoever waits behind them goes on. Harmless the second time. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#ended(this);
    this.#jobs.finish(this.fence.slot, 0);
  }

  /** −errno of the failed writer whose content is in one of the buffers, 0 if it is sound. */
  get contentError(): number {
    return this.#held ? this.#jobs.blocker(this.fence.slot) : 0;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** A set that was asked for in callback mode. */
export interface PendingHold {
  /** Takes the set back: the callback will not run. False if it has run (release the hold then). */
  cancel(): boolean;
}

export class Holds {
  readonly #k: Kernel;
  readonly #jobs: Jobs;
  readonly #callbacks: Callbacks;
  readonly #blocking: Blocking;
  /** Granted and not yet released. */
  readonly #held: Set<Hold> = new Set();
  #context = 0;

  constructor(kernel: Kernel, jobs: Jobs, callbacks: Callbacks, blocking: Blocking) {
    this.#k = kernel;
    this.#jobs = jobs;
    this.#callbacks = callbacks;
    this.#blocking = blocking;
  }

  /**
   * Claims all at once and blocks until they are granted. ETIME when `timeout` ms run out (0 = only
   * try), EDEADLK when, without a timeout, it would wait for whoever waits for this thread: nothing stays
   * queued. EINVAL: the same one twice.
   */
  wait(claims: readonly number[], timeout: number, syscall: string, what: string): Hold {
    this.#k.check(syscall);
    const spec = {
      claims,
      inFences: [],
      flags: JOB_FLAG.BLOCKING,
      startAt: 0,
      limit: 0,
      payload: 0,
    };
    const context = this.#context === 0 ? this.#openContext(spec) : this.#context;
    const fence = this.#jobs.add({ context, ...spec });
    if (this.#wait(fence, timeout, syscall)) {
      this.#jobs.claim(fence.slot);
      return this.#hold(fence);
    }
    const detail = `${what} is in use by queued jobs and did not come free within ${timeout} ms`;
    throw new DmaBufError('ETIME', syscall, detail);
  }

  /** Claims all at once; `run` gets the hold when they are granted, at once if they are free. */
  async(
    claims: readonly number[],
    inFences: readonly FencePoint[],
    run: (hold: Hold) => void,
  ): PendingHold {
    const callback: Callback = this.#callbacks.onGrant(claims, inFences, (fence) => {
      run(this.#hold(fence));
    });
    return { cancel: () => callback.remove() };
  }

  /** Releases what this thread still holds, and its context: on leave. */
  close(): void {
    for (const hold of this.#held) hold.release();
    if (this.#context !== 0) this.#jobs.contexts.destroy(this.#context);
    this.#context = 0;
  }

  #hold(fence: FencePoint): Hold {
    const hold = new Hold(this.#jobs, fence, (ended) => {
      this.#held.delete(ended);
      this.#blocking.held = this.#held.size;
    });
    this.#held.add(hold);
    this.#blocking.held = this.#held.size;
    return hold;
  }

  /** Whether the job is granted in time; if not, it has been taken back. */
  #wait(fence: FencePoint, timeout: number, syscall: string): boolean {
    const { slot, generation } = fence;
    if (this.#stage(slot) === JOB_STATE.READY) return true;
    let entered = false;
    try {
      const ref = { job: slot, generation };
      const timed = timeout !== Infinity;
      entered = timeout > 0 && this.#blocking.enter(ref, BLOCKED.GRANT, timed, syscall);
    } catch (error) {
      if (this.#jobs.cancel(slot, -errno.EDEADLK)) throw error;
    }
    try {
      return this.#granted(slot, timeout, syscall);
    } finally {
      if (entered) this.#blocking.leave();
    }
  }

  #stage(job: number): number {
    return this.#k.words.load(job + JOB.STATE) & JOB_STATE_MASK;
  }

  /** The thread's context, made with the first job; what is refused does not make it. */
  #openContext(first: Omit<JobSpec, 'context'>): number {
    this.#jobs.builder.check(first);
    this.#context = this.#jobs.contexts.create(this.#k.self, 'cpu', CONTEXT_FLAG.UNORDERED);
    return this.#context;
  }

  /** Sleeps until the job is READY; takes it back and returns false when the time runs out. */
  #granted(job: number, timeout: number, syscall: string): boolean {
    const { words, seam, clock } = this.#k;
    const until = clock.now() + timeout;
    for (;;) {
      const state = words.load(job + JOB.STATE);
      if ((state & JOB_STATE_MASK) === JOB_STATE.READY) return true;
      const left = until - clock.now();
      if (left <= 0 && this.#jobs.cancel(job, -errno.ETIME)) return false;
      if (left <= 0) continue;
      const armed = state | JOB_WAITERS;
      if (state !== armed && !words.cas(job + JOB.STATE, state, armed)) continue;
      const bound = Math.min(left, WAIT_BOUND_MS);
      const result = seam.wait(words.i32, job + JOB.STATE, armed, bound);
      if (result === 'woken') this.#k.countWakeup();
      if (result === 'timeout') this.#k.checkAfterSleep(syscall);
    }
  }
}
