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

/** What is claimed, for messages. */
export type What = string | (() => string);

/** Granted claims of this thread. */
export class Hold {
  /** Signals when the hold is released. */
  readonly fence: FencePoint;
  readonly #jobs: Jobs;
  readonly #what: What;
  readonly #ended: (hold: Hold) => number;
  #held = true;

  /** `ended` is told when it is released, and says for how long it has been held, ms. */
  constructor(jobs: Jobs, fence: FencePoint, what: What, ended: (hold: Hold) => number) {
    this.#jobs = jobs;
    this.fence = fence;
    this.#what = what;
    this.#ended = ended;
  }

  /**
   * Ends the claims: whoever waits behind them goes on. Harmless the second time. ETIMEDOUT: it was held past
   * its limit and has been evicted; others have had the buffers since.
   */
  release(): void {
    if (!this.#held) return;
    const held = this.#end();
    if (held === undefined) return;
    const what = typeof this.#what === 'string' ? this.#what : this.#what();
    const detail = `${what} was held for ${held.toFixed(1)} ms, which is past the limit, and has been given to others; what was written is not valid`;
    throw new DmaBufError('ETIMEDOUT', 'release', detail);
  }

  /** {@link release}, whatever has become of it: on leave. */
  drop(): void {
    if (this.#held) this.#end();
  }

  /** For how long it was held, ms, if it had been evicted. */
  #end(): number | undefined {
    this.#held = false;
    const held = this.#ended(this);
    const { slot, generation } = this.fence;
    return this.#jobs.end(slot, generation, 0) ? undefined : held;
  }

  /** Whether the watchdog has ended it: others may have had the buffers since. */
  get evicted(): boolean {
    const { slot, generation } = this.fence;
    return this.#held && !this.#jobs.isHeld(slot, generation);
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
  wait(
    claims: readonly number[],
    timeout: number,
    syscall: string,
    what: What,
    limit: number = 0,
  ): Hold {
    this.#k.check(syscall);
    const spec = {
      claims,
      inFences: [],
      flags: JOB_FLAG.BLOCKING,
      startAt: 0,
      limit,
      payload: 0,
    };
    const context = this.#context === 0 ? this.#openContext(spec) : this.#context;
    const fence = this.#jobs.add({ context, ...spec });
    if (this.#wait(fence, timeout, syscall)) {
      this.#jobs.start(fence.slot);
      return this.#hold(fence, what);
    }
    const name = typeof what === 'string' ? what : what();
    const detail = `${name} is in use by queued jobs and did not come free within ${timeout} ms`;
    throw new DmaBufError('ETIME', syscall, detail);
  }

  /** Claims all at once; `run` gets the hold when they are granted, at once if they are free. */
  async(
    claims: readonly number[],
    inFences: readonly FencePoint[],
    run: (hold: Hold) => void,
    what: What,
    limit: number,
  ): PendingHold {
    const granted = (fence: FencePoint): void => run(this.#hold(fence, what));
    const callback: Callback = this.#callbacks.onGrant(claims, inFences, granted, limit);
    return { cancel: () => callback.remove() };
  }

  /** Releases what this thread still holds, and its context: on leave. */
  close(): void {
    for (const hold of this.#held) hold.drop();
    if (this.#context !== 0) this.#jobs.contexts.destroy(this.#context);
    this.#context = 0;
  }

  #hold(fence: FencePoint, what: What): Hold {
    const { clock } = this.#k;
    const since = clock.now();
    const hold = new Hold(this.#jobs, fence, what, (ended) => {
      this.#held.delete(ended);
      this.#blocking.held = this.#held.size;
      return clock.now() - since;
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
    this.#k.spin.until(() => this.#stage(job) === JOB_STATE.READY, until);
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
