/**
 * Free jobs: who may use which slot of the job table.
 *
 * Each actor keeps a private stack of free slots (a local array: no shared access at all), filled
 * in batches from the global list. A job that another actor frees goes onto its home's return
 * list by CAS; the home empties that with one exchange, and so may anybody who finds the global list
 * empty. JOB.HOME names the actor that a slot belongs to, so the slots of the dead are found by a
 * scan: HOME = dead and STATE = FREE.
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  HEADER,
  JOB,
  JOB_GEN_SHIFT,
  JOB_STATE,
  JOB_STATE_MASK,
  PRIVATE,
} from '../memory/layout.js';

/** At most one leaf word of a ready set: two submitters then rarely touch the same one. */
const LARGEST_BATCH = 32;

export class JobTable {
  readonly #k: Kernel;
  readonly #free: number[] = [];
  /** Slots moved at a time: few where few jobs are to go round all actors. */
  readonly #batch: number;

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
    words.set(job + JOB.NEXT, 0);
    words.store(job + JOB.GEN, (words.get(job + JOB.GEN) + 1) | 0);
    return job;
  }

  /** Gives a slot back whose last reference is gone. Any thread. */
  free(job: number): void {
    const { words, self, actors } = this.#k;
    const gen = words.get(job + JOB.GEN);
    const home = words.get(job + JOB.HOME);
    words.store(job + JOB.STATE, (gen << JOB_GEN_SHIFT) | JOB_STATE.FREE);
    if (home === self) {
      this.#keep(job);
      if (this.#free.length > 2 * this.#batch) this.#spill();
      return;
    }
    const returned = actors.at(home) + ACTOR.RETURNED;
    for (;;) {
      const head = words.load(returned);
      words.set(job + JOB.NEXT, head);
      if (words.cas(returned, head, job)) return;
    }
  }

  /** Gives all slots of this actor back to the global list: on leave. */
  flush(): void {
    this.#takeReturned(this.#k.self);
    while (this.#free.length > 0) this.#spill();
  }

  /** Slots that are free, for stats; exact only while nobody allocates. */
  countFree(): number {
    const { words, jobs } = this.#k;
    let free = 0;
    for (let i = 0; i < jobs.count; i++) {
      if ((words.load(jobs.at(i)) & JOB_STATE_MASK) === JOB_STATE.FREE) free++;
    }
    return free;
  }

  /** Takes over the free slots of a dead actor's private stack. */
  adoptFree(dead: number): void {
    const { words, jobs, self } = this.#k;
    this.#takeReturned(dead);
    for (let i = 0; i < jobs.count; i++) {
      const job = jobs.at(i);
      if ((words.load(job + JOB.STATE) & JOB_STATE_MASK) !== JOB_STATE.FREE) continue;
      if (words.get(job + JOB.HOME) !== dead || words.get(job + JOB.NEXT) !== PRIVATE) continue;
      words.set(job + JOB.HOME, self);
      this.#keep(job);
    }
    while (this.#free.length > 2 * this.#batch) this.#spill();
  }

  #keep(job: number): void {
    this.#k.words.set(job + JOB.NEXT, PRIVATE);
    this.#free.push(job);
  }

  #refill(syscall: string): number {
    this.#takeReturned(this.#k.self);
    if (this.#free.length === 0) this.#takeGlobal();
    for (let id = 1; this.#free.length === 0 && id < this.#k.actors.count; id++) {
      this.#takeReturned(id);
    }
    const job = this.#free.pop();
    if (job !== undefined) return job;
    throw new DmaBufError(
      'ENOSPC',
      syscall,
      `all ${this.#k.jobs.count} jobs of the machine are in flight; wait for a fence, or boot with a larger tables.jobs`,
    );
  }

  #takeReturned(owner: number): void {
    const { words, actors, self } = this.#k;
    const index = actors.at(owner) + ACTOR.RETURNED;
    if (words.load(index) === 0) return;
    let job = words.exchange(index, 0);
    while (job !== 0) {
      const next = words.get(job + JOB.NEXT);
      words.set(job + JOB.HOME, self);
      this.#keep(job);
      job = next;
    }
  }

  #takeGlobal(): void {
    const { words, locks, self } = this.#k;
    locks.lock(HEADER.JOB_LOCK);
    let job = words.get(HEADER.FREE_JOBS);
    for (let i = 0; i < this.#batch && job !== 0; i++) {
      const next = words.get(job + JOB.NEXT);
      words.set(job + JOB.HOME, self);
      this.#keep(job);
      job = next;
    }
    words.set(HEADER.FREE_JOBS, job);
    locks.unlock(HEADER.JOB_LOCK);
    this.#free.reverse();
  }

  #spill(): void {
    const { words, locks } = this.#k;
    const batch = this.#free.splice(0, this.#batch);
    locks.lock(HEADER.JOB_LOCK);
    for (const job of batch) {
      words.set(job + JOB.HOME, 0);
      words.set(job + JOB.NEXT, words.get(HEADER.FREE_JOBS));
      words.set(HEADER.FREE_JOBS, job);
    }
    locks.unlock(HEADER.JOB_LOCK);
  }
}
