/**
 * Fence: the promise of a job's end (dma_fence, sync_file; design D7).
 *
 * A fence is a small plain value: slot, generation, context and seqno. It pins nothing; a program
 * that ignores every fence it is given never fills the table. While its job's slot is not
 * recycled it answers from there, after that from its context's ring of recent errors, and
 * at last ESTALE. `toJSON()` / structured clone of the four fields carry it to another
 * thread, whose machine makes it a Fence again with `machine.fence(point)`.
 */
import { wantFlags, wantFunction, wantObject, wantTime } from '../args.js';
import { DmaBufError, errno, errnoName } from '../errno.js';
import type { Blocking } from '../explain/blocking.js';
import { WAIT_BOUND_MS, type Kernel } from '../kernel.js';
import { BLOCKED, JOB, JOB_STATE, JOB_STATE_MASK, JOB_WAITERS } from '../memory/layout.js';
import { isPendingStage } from './contexts.js';
import type { Callback, Callbacks } from './callbacks.js';
import type { Dependents } from './dependents.js';
import type { FenceLike } from './fence-set.js';
import { type FenceTimes, timesOf } from './job-times.js';
import type { FencePoint } from './jobs.js';
import type { SyncFile } from './sync-file.js';

/** Waits for fences in the calling thread. */
export class FenceWaiter {
  readonly callbacks: Callbacks;
  readonly blocking: Blocking;
  readonly #k: Kernel;
  readonly #dependents: Dependents;

  constructor(kernel: Kernel, dependents: Dependents, callbacks: Callbacks, blocking: Blocking) {
    this.#k = kernel;
    this.blocking = blocking;
    this.#dependents = dependents;
    this.callbacks = callbacks;
  }

  setDeadline(fence: FencePoint, ms: number): void {
    if (this.status(fence) !== 0) return;
    const { words } = this.#k;
    const known = words.getDouble(fence.slot + JOB.DEADLINE);
    if (known === 0 || ms < known) words.setDouble(fence.slot + JOB.DEADLINE, ms);
  }

  /** Makes a sync file of one fence: set when the thread's services are wired. */
  file: (fence: FencePoint) => SyncFile = () => {
    throw new DmaBufError('ENOSYS', 'hold', 'this thread has no sync files');
  };

  now(): number {
    return this.#k.clock.now();
  }

  /** When a fence signalled, ms; −Infinity when its slot has been recycled since. */
  doneAt(fence: FencePoint): number {
    const { words } = this.#k;
    const at = words.getDouble(fence.slot + JOB.T_DONE);
    return words.load(fence.slot + JOB.GEN) === fence.generation ? at : -Infinity;
  }

  /** Whether the fences of a context signal in the order of their seqnos. */
  inOrder(context: number): boolean {
    return this.#dependents.inOrder(context);
  }

  status(fence: FencePoint): number {
    return this.#dependents.status(fence);
  }

  /**
   * Blocks until the fence has signalled; its status, or 0 when `ms` ran out first. EDEADLK: without a time limit, on
   * what waits for this thread.
   */
  wait(fence: FencePoint, ms: number): number {
    const status = this.status(fence);
    if (status !== 0 || ms <= 0) return status;
    const ref = { job: fence.slot, generation: fence.generation };
    const entered = this.blocking.enter(ref, BLOCKED.FENCE, ms !== Infinity, 'fence_wait');
    try {
      return this.#sleep(fence, ms);
    } finally {
      if (entered) this.blocking.leave();
    }
  }

  #sleep(fence: FencePoint, ms: number): number {
    const { words, seam, clock } = this.#k;
    const until = clock.now() + ms;
    this.#k.spin.until(() => this.status(fence) !== 0, until);
    for (;;) {
      const status = this.status(fence);
      if (status !== 0) return status;
      this.#k.check('fence_wait');
      const left = until - clock.now();
      if (left <= 0) return 0;
      const state = this.#announce(fence);
      if (state === 0) continue;
      const result = seam.wait(words.i32, fence.slot, state, Math.min(left, WAIT_BOUND_MS));
      if (result === 'woken') this.#k.countWakeup();
      if (result === 'timeout') this.#k.checkAfterSleep('fence_wait');
    }
  }

  /** {@link wait} without blocking the thread, and without a time limit. */
  async settled(fence: FencePoint): Promise<number> {
    const { words, seam } = this.#k;
    const unwatch = this.#k.watchBroker();
    try {
      for (;;) {
        const status = this.status(fence);
        if (status !== 0) return status;
        this.#k.check('fence_wait');
        const state = this.#announce(fence);
        if (state === 0) continue;
        const result = await seam.waitAsync(words.i32, fence.slot, state);
        if (result === 'woken') this.#k.countWakeup();
      }
    } finally {
      unwatch();
    }
  }

  /**
   * Sets the waiters bit, so that whoever signals notifies; returns the state word to sleep on, or
   * 0 when the fence has signalled or its slot has moved on. State words of jobs are never 0
   * while the job lives.
   */
  #announce(fence: FencePoint): number {
    const { words } = this.#k;
    const state = words.load(fence.slot + JOB.STATE);
    if (
      !isPendingStage(state & JOB_STATE_MASK) ||
      words.load(fence.slot + JOB.GEN) !== fence.generation
    )
      return 0;
    if ((state & JOB_WAITERS) !== 0) return state;
    return words.cas(fence.slot + JOB.STATE, state, state | JOB_WAITERS) ? state | JOB_WAITERS : 0;
  }
}

/** A fence as the thread that holds it sees it. Made by `submit`, or by `machine.fence(point)`. */
export class Fence implements FencePoint, FenceLike {
  readonly slot: number;
  readonly generation: number;
  readonly context: number;
  readonly seqno: number;
  readonly #k: Kernel;
  readonly #waiter: FenceWaiter;

  constructor(kernel: Kernel, waiter: FenceWaiter, point: FencePoint) {
    this.#k = kernel;
    this.#waiter = waiter;
    this.slot = point.slot;
    this.generation = point.generation;
    this.context = point.context;
    this.seqno = point.seqno;
  }

  /** Itself, as whatever takes several fences wants it. */
  get points(): readonly FencePoint[] {
    return [this];
  }

  /**
   * 0 while pending, 1 when signalled, −errno when its job failed or was cancelled
   * (dma_fence_get_status); −ESTALE when that is so long ago that nobody remembers. Never blocks.
   */
  get status(): number {
    return this.#waiter.status(this);
  }

  /** Whether it has signalled, in success or failure. */
  get signalled(): boolean {
    return this.status !== 0;
  }

  /** `'ECANCELED'` and the like of a fence that failed, undefined otherwise. */
  get error(): string | undefined {
    const { status } = this;
    return status < 0 ? errnoName(status) : undefined;
  }

  /**
   * Blocks the calling thread until the fence signals; returns its status (1 or −errno). Throws
   * ETIME when `timeoutMs` runs out first (0 = only look), EDEADLK when, with no timeout, its job waits for
   * what this thread holds, ENODEV when the machine is shut down, EOWNERDEAD when it lost a device.
   */
  wait(timeoutMs: number = Infinity): number {
    if (typeof timeoutMs !== 'number' || Number.isNaN(timeoutMs) || timeoutMs < 0) {
      throw new TypeError(`Fence.wait: timeoutMs must be a number of at least 0, not ${timeoutMs}`);
    }
    const status = this.#waiter.wait(this, timeoutMs);
    if (status !== 0) return status;
    throw new DmaBufError(
      'ETIME',
      'fence_wait',
      `fence ${this.context}:${this.seqno} has not signalled within ${timeoutMs} ms`,
    );
  }

  /**
   * Resolves with the status (1 or −errno) when the fence signals, without blocking the thread.
   * Keeps the process alive until then, unless `unref` is true. Rejects with ENODEV or EOWNERDEAD as
   * {@link wait} throws them.
   */
  async settled(options: { readonly unref?: boolean } = {}): Promise<number> {
    wantObject('settled', 'options', options);
    wantFlags('settled', options, ['unref']);
    const hold = options.unref !== true;
    if (hold) this.#k.keepAlive.acquire();
    try {
      return await this.#waiter.settled(this);
    } finally {
      if (hold) this.#k.keepAlive.release();
    }
  }

  /**
   * Runs `run` in this thread once the fence has signalled: when the thread next pumps, which event-loop
   * threads do by themselves. ENOENT when it has signalled already: `run` is not called then
   * (dma_fence_add_callback). Keeps the process alive until it has run or is removed.
   */
  addCallback(run: (fence: Fence) => void): Callback {
    wantFunction('addCallback', 'run', run);
    if (this.signalled) {
      const detail = `fence ${this.context}:${this.seqno} has signalled; look at its status`;
      throw new DmaBufError('ENOENT', 'add_callback', detail);
    }
    return this.#waiter.callbacks.onFence(this, () => run(this));
  }

  /**
   * Pins it: the sync file that this returns answers for ever, also after the job's slot has been
   * recycled. The caller closes it; it goes with the process. ENOSPC, EMFILE.
   */
  hold(): SyncFile {
    return this.#waiter.file(this);
  }

  /** A hint that somebody wants it signalled by `ms` (machine's clock); the earliest hint stands. */
  setDeadline(ms: number): void {
    wantTime('setDeadline', 'ms', ms);
    this.#waiter.setDeadline(this, ms);
  }

  /** When its job was queued, granted, started and done; undefined once its slot is recycled. */
  times(): FenceTimes | undefined {
    const { words } = this.#k;
    const times = timesOf(this.#k, this.slot);
    const state = words.load(this.slot + JOB.STATE) & JOB_STATE_MASK;
    const gone = state === JOB_STATE.FREE || state === JOB_STATE.RECLAIM;
    return gone || words.load(this.slot + JOB.GEN) !== this.generation ? undefined : times;
  }

  /** The plain value: what a message carries to another thread. */
  toJSON(): FencePoint {
    const { slot, generation, context, seqno } = this;
    return { slot, generation, context, seqno };
  }
}

/** The errno name of a negative status, for messages. */
export function statusText(status: number): string {
  if (status === 0) return 'pending';
  return status > 0 ? 'signalled' : `failed with ${errnoName(status)} (${-status})`;
}

/** Whether a status says that nobody remembers how the job ended. */
export function isStale(status: number): boolean {
  return status === -errno.ESTALE;
}
