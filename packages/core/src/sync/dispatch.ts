/**
 * Dispatch: the transition to READY, and what follows from it (design D6).
 *
 * PENDING with a full mask *is* READY: the thread whose CAS sets the last bit makes the transition
 * and hands the job on, to its target's ready set, to the adder who sleeps on it, or to nobody if
 * it ends by itself. Pushing happens under the queue lock that the grant happened under; ringing
 * and waking wait for {@link Dispatch.flush}, when no lock is held. INTENT names the job meanwhile, for
 * whoever recovers after this thread's death.
 */
import type { Doorbell } from '../actor/doorbell.js';
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  JOB,
  JOB_FLAG,
  JOB_GRANT_MASK,
  JOB_GRANT_SHIFT,
  JOB_STATE,
  JOB_STATE_MASK,
  JOB_WAITERS,
} from '../memory/layout.js';
import { TRACE_KIND } from '../trace/ring.js';
import { isFurther, MORE_SLOT } from './job-links.js';
import type { ReadySets } from './ready-set.js';

/** States in which a job's granted mask may grow. A bit each. */
const TAKES_GRANTS =
  (1 << JOB_STATE.BUILDING) |
  (1 << JOB_STATE.PENDING) |
  (1 << JOB_STATE.CANCELLING) |
  (1 << JOB_STATE.RECALLING);

export class Dispatch {
  readonly #k: Kernel;
  readonly #bell: Doorbell;
  readonly #ready: ReadySets;
  // Scratch lists keep their length and are counted beside: shortening an array is slow.
  /** Actors to ring, and blocking jobs to wake, once no lock is held. */
  readonly #rings: number[] = [];
  #ringCount = 0;
  readonly #wakes: number[] = [];
  #wakeCount = 0;
  /** Jobs that end by themselves and have been granted, with their generations. */
  readonly #autos: { readonly job: number; readonly generation: number }[] = [];
  /** Ends a job that ends by itself. */
  onAuto: (job: number, generation: number) => void = () => {};

  constructor(kernel: Kernel, bell: Doorbell, ready: ReadySets) {
    this.#k = kernel;
    this.#bell = bell;
    this.#ready = ready;
  }

  /**
   * Sets one bit of the granted mask; the last one makes a PENDING job READY. One that has gone on has the bit:
   * who died between granting it and noting so is followed by somebody who grants it again.
   */
  grant(job: number, bit: number): void {
    const { words, clock } = this.#k;
    for (;;) {
      const state = words.get(job + JOB.STATE);
      if (((TAKES_GRANTS >> (state & JOB_STATE_MASK)) & 1) === 0) return;
      let next = state | (1 << (JOB_GRANT_SHIFT + bit));
      const ready =
        (next & JOB_GRANT_MASK) === JOB_GRANT_MASK &&
        (state & JOB_STATE_MASK) === JOB_STATE.PENDING;
      const further = ready && isFurther(this.#k, job);
      if (ready) next = (next & ~JOB_STATE_MASK) | JOB_STATE.READY;
      if (ready && !further) this.aboutToDispatch(job, clock.now());
      if (!words.cas(job + JOB.STATE, state, next)) continue;
      if (further) this.grant(words.get(job + JOB.CONTEXT), MORE_SLOT);
      else if (ready) this.#dispatch(job);
      return;
    }
  }

  aboutToDispatch(job: number, now: number): void {
    const { words, actor } = this.#k;
    words.set(actor + ACTOR.INTENT, job);
    words.setDouble(job + JOB.T_GRANTED, now);
  }

  /** A job that is to be handed over early goes to its target now, granted or not. */
  published(job: number, full: boolean): void {
    const { words, jobs } = this.#k;
    const early = (words.get(job + JOB.FLAGS) & JOB_FLAG.EARLY) !== 0;
    if (early) this.#push(words.get(job + JOB.TARGET), jobs.indexOf(job));
    if (full) this.#dispatch(job);
  }

  redispatch(job: number): void {
    const { words, clock } = this.#k;
    this.aboutToDispatch(job, clock.now());
    for (;;) {
      const state = words.load(job + JOB.STATE);
      const next = (state & ~JOB_STATE_MASK) | JOB_STATE.READY;
      if (words.cas(job + JOB.STATE, state, next)) break;
    }
    this.#dispatch(job);
  }

  /** Rings and wakes whoever was granted something meanwhile. With no queue lock held. */
  flush(): void {
    if (this.#ringCount === 0 && this.#wakeCount === 0 && this.#autos.length === 0) return;
    const { words, seam } = this.#k;
    while (this.#ringCount > 0) this.#bell.ring(this.#rings[--this.#ringCount] as number);
    while (this.#wakeCount > 0) {
      const index = (this.#wakes[--this.#wakeCount] as number) + JOB.STATE;
      if ((words.load(index) & JOB_WAITERS) !== 0) seam.notify(words.i32, index, 0x7fffffff);
    }
    for (let auto = this.#autos.pop(); auto !== undefined; auto = this.#autos.pop()) {
      this.onAuto(auto.job, auto.generation);
    }
  }

  /** Hands a READY job to whoever runs it; the ring waits for {@link flush}. */
  #dispatch(job: number): void {
    const { words, actor, jobs, trace } = this.#k;
    const flags = words.get(job + JOB.FLAGS);
    // Once pushed the job may be run, and its slot be recycled, at any time.
    const early = (flags & JOB_FLAG.EARLY) !== 0; // its target looks at the state word by itself
    if (!early) trace.emit(TRACE_KIND.GRANT, job, words.getDouble(job + JOB.SEQNO), 0, 0);
    if (early) this.#ringLater(words.get(job + JOB.TARGET));
    else if ((flags & JOB_FLAG.BLOCKING) !== 0) this.#wakes[this.#wakeCount++] = job;
    else if ((flags & JOB_FLAG.AUTO) !== 0) {
      this.#autos.push({ job, generation: words.get(job + JOB.GEN) });
    } else this.#push(words.get(job + JOB.TARGET), jobs.indexOf(job));
    words.set(actor + ACTOR.INTENT, 0);
  }

  /**
   * Hands a job on once more whose granter may have died before it had, or whose target has lost what it was
   * given. Harmless if it was: targets take a job but once.
   */
  again(job: number): void {
    const { words, jobs } = this.#k;
    const flags = words.get(job + JOB.FLAGS);
    const stage = words.load(job + JOB.STATE) & JOB_STATE_MASK;
    const early = stage === JOB_STATE.PENDING && (flags & JOB_FLAG.EARLY) !== 0;
    if (stage !== JOB_STATE.READY && !early) return;
    if ((flags & JOB_FLAG.BLOCKING) !== 0) this.#wakes[this.#wakeCount++] = job;
    else if ((flags & JOB_FLAG.AUTO) === 0) {
      this.#push(words.get(job + JOB.TARGET), jobs.indexOf(job));
    }
  }

  #push(target: number, index: number): void {
    this.#ready.push(target, index);
    this.#ringLater(target);
  }

  #ringLater(target: number): void {
    for (let i = 0; i < this.#ringCount; i++) if (this.#rings[i] === target) return;
    this.#rings[this.#ringCount++] = target;
  }
}
