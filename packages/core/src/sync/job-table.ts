/**
 * Free jobs: who may use which slot of the job table.
 *
 * Each actor keeps a private stack of free slots (a local array: no shared access at all), filled
 * in batches from the global list and spilled to it in batches. A slot that somebody else had taken goes
 * the same way, through whoever freed it.
 *
 * A slot's words say where it is, so that those of the dead are found by a scan:
 *   FREE, HOME 0                     in the global list, L(JOB_LOCK)
 *   FREE, HOME = h, NEXT = PRIVATE   on h's private stack
 *   FREE, HOME = h, NEXT = TAKEN     h is building a job in it
 *   other states, HOME = h           in use; h is whoever took it
 *   RECLAIM, mask = f                f alone frees it
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import {
  enderOf,
  HEADER,
  JOB,
  JOB_GEN_SHIFT,
  JOB_GRANT_SHIFT,
  JOB_STATE,
  JOB_STATE_MASK,
  PRIVATE,
  TAKEN,
} from '../memory/layout.js';

/** At most one leaf word of a ready set: two submitters then rarely touch the same one. */
const LARGEST_BATCH = 32;

export class JobTable {
  readonly #k: Kernel;
  readonly #free: number[] = [];
  /** Free slots that others had taken: on their way back to the global list. */
  readonly #foreign: number[] = [];
  /** Slots moved at a time: few where few jobs are to go round all actors. */
  readonly #batch: number;
  /** Set by an actor that calls {@link giveBack} before it sleeps: it may collect foreign slots. */
  collecting = false;

  constructor(kernel: Kernel) {
    this.#k = kernel;
    const share = Math.floor(kernel.jobs.count / (4 * kernel.actors.count));
    this.#batch = Math.max(1, Math.min(LARGEST_BATCH, share));
  }

  /** Links all slots into the global list. Boot only. */
  static format(kernel: Kernel): void {
    const { words, jobs } = kernel;
    for (let i = 0; i < jobs.count; i++) {
      words.set(jobs.at(i) + JOB.NEXT, i + 1 < jobs.count ? jobs.at(i + 1) : 0);
    }
    words.set(HEADER.FREE_JOBS, jobs.at(0));
  }

  /** A free slot, its generation already that of the new job. ENOSPC when none is left. */
  alloc(syscall: string): number {
    const job = this.#free.pop() ?? this.#refill(syscall);
    const { words } = this.#k;
    words.set(job + JOB.NEXT, TAKEN);
    words.store(job + JOB.GEN, (words.get(job + JOB.GEN) + 1) | 0);
    return job;
  }

  /** Gives back a slot that {@link alloc} gave this actor and that nobody else knows. */
  discard(job: number): void {
    const { words } = this.#k;
    words.set(job + JOB.NEXT, PRIVATE);
    words.store(job + JOB.STATE, (words.get(job + JOB.GEN) << JOB_GEN_SHIFT) | JOB_STATE.FREE);
    this.#free.push(job);
    if (this.#free.length > 2 * this.#batch) this.#spill(this.#free);
  }

  /** The state word by which this actor makes a slot its own to free. */
  reclaimWord(job: number): number {
    const { words, self } = this.#k;
    const gen = words.get(job + JOB.GEN) << JOB_GEN_SHIFT;
    return gen | (self << JOB_GRANT_SHIFT) | JOB_STATE.RECLAIM;
  }

  /** Gives back a slot whose state word is this actor's {@link reclaimWord}. */
  free(job: number): void {
    const { words, self } = this.#k;
    const mine = words.get(job + JOB.HOME) === self;
    this.#keep(job);
    words.store(job + JOB.STATE, (words.get(job + JOB.GEN) << JOB_GEN_SHIFT) | JOB_STATE.FREE);
    if (mine) {
      this.#free.push(job);
      if (this.#free.length > 2 * this.#batch) this.#spill(this.#free);
      return;
    }
    this.#foreign.push(job);
    if (!this.collecting || this.#foreign.length >= this.#batch) this.#spill(this.#foreign);
  }

  /** Returns the slots that others had taken: before a {@link collecting} actor sleeps. */
  giveBack(): void {
    if (this.#foreign.length > 0) this.#spill(this.#foreign);
  }

  /** Gives all slots of this actor back to the global list: on leave. */
  flush(): void {
    while (this.#free.length > 0) this.#spill(this.#free);
    this.giveBack();
  }

  /** Slots that are free, for stats; exact only while nobody allocates. */
  countFree(): number {
    const { words, jobs } = this.#k;
    let free = 0;
    for (let i = 0; i < jobs.count; i++) {
      const stage = words.load(jobs.at(i)) & JOB_STATE_MASK;
      if (stage === JOB_STATE.FREE || stage === JOB_STATE.RECLAIM) free++;
    }
    return free;
  }

  /**
   * Makes the global list anew, whoever died while changing it. JOB_LOCK is held. With an actor that has died: what
   * that had free, was building, or was freeing, goes to the list, too. Repeatable.
   */
  relink(dead: number = 0): void {
    const { words, jobs } = this.#k;
    let head = 0;
    for (let i = jobs.count - 1; i >= 0; i--) {
      const job = jobs.at(i);
      if (dead !== 0) this.#adopt(job, dead);
      const stage = words.get(job + JOB.STATE) & JOB_STATE_MASK;
      if (stage !== JOB_STATE.FREE || words.get(job + JOB.HOME) !== 0) continue;
      words.set(job + JOB.NEXT, head);
      head = job;
    }
    words.set(HEADER.FREE_JOBS, head);
  }

  /** {@link relink} with what a dead actor had. */
  adopt(dead: number): void {
    const { locks } = this.#k;
    locks.lock(HEADER.JOB_LOCK);
    this.relink(dead);
    locks.unlock(HEADER.JOB_LOCK);
  }

  #adopt(job: number, dead: number): void {
    const { words } = this.#k;
    const state = words.get(job + JOB.STATE);
    const stage = state & JOB_STATE_MASK;
    const free = stage === JOB_STATE.FREE && words.get(job + JOB.HOME) === dead;
    const freeing = stage === JOB_STATE.RECLAIM && enderOf(state) === dead;
    if (!free && !freeing) return;
    words.set(job + JOB.HOME, 0);
    words.store(job + JOB.STATE, (words.get(job + JOB.GEN) << JOB_GEN_SHIFT) | JOB_STATE.FREE);
  }

  #keep(job: number): void {
    this.#k.words.set(job + JOB.HOME, this.#k.self);
    this.#k.words.set(job + JOB.NEXT, PRIVATE);
  }

  #refill(syscall: string): number {
    const kept = this.#foreign.pop();
    if (kept !== undefined) return kept;
    this.#takeGlobal();
    const job = this.#free.pop();
    if (job !== undefined) return job;
    throw new DmaBufError(
      'ENOSPC',
      syscall,
      `all ${this.#k.jobs.count} jobs of the machine are in flight; wait for a fence, or boot with a larger tables.jobs`,
    );
  }

  #takeGlobal(): void {
    const { words, locks } = this.#k;
    locks.lock(HEADER.JOB_LOCK);
    let job = words.get(HEADER.FREE_JOBS);
    for (let i = 0; i < this.#batch && job !== 0; i++) {
      const next = words.get(job + JOB.NEXT);
      this.#keep(job);
      this.#free.push(job);
      job = next;
    }
    words.set(HEADER.FREE_JOBS, job);
    locks.unlock(HEADER.JOB_LOCK);
    this.#free.reverse();
  }

  #spill(stack: number[]): void {
    const { words, locks } = this.#k;
    const batch = stack.splice(0, this.#batch);
    locks.lock(HEADER.JOB_LOCK);
    let head = words.get(HEADER.FREE_JOBS);
    for (const job of batch) {
      words.set(job + JOB.HOME, 0);
      words.set(job + JOB.NEXT, head);
      head = job;
    }
    words.set(HEADER.FREE_JOBS, head);
    locks.unlock(HEADER.JOB_LOCK);
  }
}
