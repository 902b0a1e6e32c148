/**
 * Callbacks: functions of this thread that run when a fence signals, or when a set of buffers
 * is granted (dma_fence_add_callback, kds_async_waitall).
 *
 * A callback is a job whose target is the thread that registered it: nothing but the job table
 * and this thread's ready set is involved. It runs in this thread: at once if it is already
 * granted, else when the thread next pumps, which event-loop threads do by themselves while
 * callbacks are armed. Callbacks run in the order in which they were granted, those of one
 * fence in order of registration.
 */
import type { Doorbell } from '../actor/doorbell.js';
import type { ReadyInbox } from '../actor/ready-inbox.js';
import type { Kernel } from '../kernel.js';
import { CONTEXT_FLAG, JOB, JOB_FLAG, JOB_STATE, JOB_STATE_MASK } from '../memory/layout.js';
import type { FencePoint, Jobs, JobSpec } from './jobs.js';

/** A granted set of claims, or a signalled fence. */
export type Granted = (fence: FencePoint) => void;

/** A registered callback. */
export interface Callback {
  /** True if it was still waiting: it will not run. */
  remove(): boolean;
}

interface Entry {
  readonly fence: FencePoint;
  readonly order: number;
  readonly run: Granted;
}

export class Callbacks {
  readonly #k: Kernel;
  readonly #jobs: Jobs;
  readonly #bell: Doorbell;
  readonly #inbox: ReadyInbox;
  readonly #entries: Map<number, Entry> = new Map();
  #context = 0;
  #order = 0;
  #pumping = false;

  constructor(kernel: Kernel, jobs: Jobs, bell: Doorbell, inbox: ReadyInbox) {
    this.#k = kernel;
    this.#jobs = jobs;
    this.#bell = bell;
    this.#inbox = inbox;
    inbox.callbacks = (ready) => this.#route(ready);
  }

  /** Runs `run` once when a fence has signalled, at once if it has. */
  onFence(point: FencePoint, run: Granted): Callback {
    return this.#arm([], [point], (fence) => {
      this.#end(fence);
      run(point);
    });
  }

  /** Runs `run` once when all claims are granted; whoever it gives the hold to ends it. */
  onGrant(
    claims: readonly number[],
    inFences: readonly FencePoint[],
    run: Granted,
    limit: number = 0,
  ): Callback {
    return this.#arm(claims, inFences, run, limit);
  }

  /** Ends a granted set: fence signalled, claims gone. */
  #end(fence: FencePoint): void {
    this.#jobs.end(fence.slot, fence.generation, 0);
  }

  /** Sleeps until this thread is rung or `until`, and runs what is due. Blocks. */
  sleep(until: number): void {
    if (this.pump()) return;
    this.#bell.sleep(() => this.#inbox.isEmpty, until);
    this.#k.checkAfterSleep('pump');
    this.pump();
  }

  /** Runs the callbacks that are due; true if there were any. */
  pump(): boolean {
    return this.#inbox.gather();
  }

  /** Takes back what is armed, and the context: on leave. */
  close(): void {
    for (const { fence } of [...this.#entries.values()]) this.#remove(fence);
    if (this.#context !== 0) this.#jobs.contexts.destroy(this.#context);
    this.#context = 0;
  }

  #arm(
    claims: readonly number[],
    inFences: readonly FencePoint[],
    run: Granted,
    limit: number = 0,
  ): Callback {
    const spec = { claims, inFences, flags: JOB_FLAG.RUN_ANYWAY, startAt: 0, limit, payload: 0 };
    const context = this.#context === 0 ? this.#openContext(spec) : this.#context;
    const fence = this.#jobs.add({ context, ...spec });
    this.#entries.set(fence.slot, { fence, order: this.#order++, run });
    const state = this.#k.words.load(fence.slot + JOB.STATE) & JOB_STATE_MASK;
    if (state === JOB_STATE.READY) this.pump();
    if (this.#entries.size > 0) this.#keepPumping();
    return { remove: () => this.#remove(fence) };
  }

  /** The thread's context, made with the first job; what is refused does not make it. */
  #openContext(first: Omit<JobSpec, 'context'>): number {
    this.#jobs.builder.check(first);
    this.#context = this.#jobs.contexts.create(this.#k.self, 'callbacks', CONTEXT_FLAG.UNORDERED);
    return this.#context;
  }

  #remove(fence: FencePoint): boolean {
    const entry = this.#entries.get(fence.slot);
    if (entry === undefined || entry.fence.generation !== fence.generation) return false;
    const waiting = this.#jobs.cancel(fence.slot, 0);
    if (!waiting && this.#jobs.start(fence.slot)) {
      this.#jobs.abandon(fence.slot, fence.generation);
    }
    this.#entries.delete(fence.slot);
    return true;
  }

  /** Takes out of a batch of ready jobs those that are callbacks, and runs them. */
  #route(ready: readonly number[]): readonly number[] {
    if (this.#entries.size === 0) return ready;
    const mine: Entry[] = [];
    const others: number[] = [];
    for (const job of ready) {
      const entry = this.#entries.get(job);
      if (entry === undefined) others.push(job);
      else mine.push(entry);
    }
    if (mine.length > 1) {
      const at = (entry: Entry): number =>
        this.#k.words.getDouble(entry.fence.slot + JOB.T_GRANTED);
      mine.sort((a, b) => at(a) - at(b) || a.order - b.order);
    }
    for (const entry of mine) {
      if (!this.#jobs.start(entry.fence.slot)) continue;
      this.#entries.delete(entry.fence.slot);
      entry.run(entry.fence);
    }
    return others;
  }

  /** In an event loop, sleeps on the doorbell as long as callbacks are armed. */
  #keepPumping(): void {
    if (this.#pumping || this.#inbox.serving) return;
    this.#pumping = true;
    void this.#pumpAsync();
  }

  async #pumpAsync(): Promise<void> {
    try {
      while (this.#entries.size > 0 && !this.#inbox.serving && !this.#k.over) {
        await this.#bell.sleepAsync(() => this.#inbox.isEmpty && !this.#k.over, Infinity);
        this.pump();
      }
    } finally {
      this.#pumping = false;
    }
  }
}
