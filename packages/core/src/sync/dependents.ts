/**
 * Dependents: those who wait for a fence with a link of theirs (in-fences, callbacks).
 *
 * Each job carries a list of waiting links, protected by its DEP_LOCK, in order of
 * registration. Adding links first and then re-reads the state; signalling stores the state first
 * and then reads the list head: one of the two sees the other, so a completion that nobody waits
 * for costs one load. The list is empty whenever the slot is free, so a slot that is recycled
 * between our check and our lock does no harm: the generation is checked again under the lock.
 *
 * A fence link's TARGET is the job it waits for | FENCE, or FENCE alone while it is on no list. It changes
 * under the list's lock only, so the list of a thread that died can be made anew from the links.
 */
import type { Kernel } from '../kernel.js';
import { JOB, JOB_FLAG, JOB_STATE, JOB_STATE_MASK, LINK, LINK_FLAG } from '../memory/layout.js';
import { Contexts } from './contexts.js';
import type { FencePoint } from './jobs.js';
import { bitOfLink, type Granted, jobOfLink } from './queue.js';

export class Dependents {
  readonly #k: Kernel;
  readonly #contexts: Contexts;
  readonly #granted: Granted;

  constructor(kernel: Kernel, granted: Granted) {
    this.#k = kernel;
    this.#contexts = new Contexts(kernel);
    this.#granted = granted;
  }

  /** Status of a fence: 0 pending, 1 signalled, −errno failed; −ESTALE when nobody knows any more. */
  status(fence: FencePoint): number {
    const { words } = this.#k;
    if (words.load(fence.slot + JOB.GEN) === fence.generation) {
      const state = words.load(fence.slot + JOB.STATE) & JOB_STATE_MASK;
      const error = words.get(fence.slot + JOB.ERROR);
      const done = state === JOB_STATE.DONE || state === JOB_STATE.RELEASED;
      if (words.load(fence.slot + JOB.GEN) === fence.generation) {
        if (done) return error === 0 ? 1 : error;
        if (state !== JOB_STATE.FREE && state !== JOB_STATE.RECLAIM) return 0;
      }
    }
    return this.#contexts.recall(fence.context, fence.seqno);
  }

  /** Whether the fences of a context signal in the order of their seqnos. */
  inOrder(context: number): boolean {
    return this.#contexts.inOrder(context);
  }

  /** Puts a link on a fence's list; 0 if it now waits there, else the fence's status. */
  add(link: number, fence: FencePoint): number {
    const status = this.status(fence);
    if (status !== 0) return status;
    const { words, locks } = this.#k;
    const job = fence.slot;
    locks.lock(job + JOB.DEP_LOCK);
    words.store(link + LINK.TARGET, job | LINK_FLAG.FENCE);
    this.#append(job, link);
    const settled = this.status(fence);
    if (settled !== 0) {
      this.#unlink(job, link);
      words.store(link + LINK.TARGET, LINK_FLAG.FENCE);
    }
    locks.unlock(job + JOB.DEP_LOCK);
    return settled;
  }

  /** Takes a link off the list that it is on, if it still is. */
  remove(link: number): void {
    const { words, locks } = this.#k;
    const job = words.load(link + LINK.TARGET) & LINK_FLAG.TARGET_MASK;
    if (job === 0) return;
    locks.lock(job + JOB.DEP_LOCK);
    if (words.load(link + LINK.TARGET) === (job | LINK_FLAG.FENCE)) {
      this.#unlink(job, link);
      words.store(link + LINK.TARGET, LINK_FLAG.FENCE);
    }
    locks.unlock(job + JOB.DEP_LOCK);
  }

  /** Grants all who wait for a fence that has just signalled, in order of registration. */
  signal(job: number, error: number): void {
    const { words, locks } = this.#k;
    if (words.load(job + JOB.DEP_HEAD) === 0) return;
    locks.lock(job + JOB.DEP_LOCK);
    for (;;) {
      const link = words.load(job + JOB.DEP_HEAD);
      if (link === 0) break;
      const waiter = jobOfLink(link);
      if (error !== 0 && (words.get(waiter + JOB.FLAGS) & JOB_FLAG.RUN_ANYWAY) === 0) {
        words.cas(waiter + JOB.DEP_ERROR, 0, error);
      }
      // Granted first: who dies before the link is off the list leaves it there to be granted again.
      // The waiter may run to its end meanwhile, but takes its links back under this lock.
      this.#granted(waiter, bitOfLink(link));
      this.#unlink(job, link);
      words.store(link + LINK.TARGET, LINK_FLAG.FENCE);
    }
    locks.unlock(job + JOB.DEP_LOCK);
  }

  /** Makes the list anew from the links that name it, by age. DEP_LOCK is held: recovery. */
  rebuild(job: number, waiting: readonly number[]): void {
    const { words } = this.#k;
    words.store(job + JOB.DEP_HEAD, 0);
    words.set(job + JOB.DEP_TAIL, 0);
    for (const link of waiting) this.#append(job, link);
  }

  #append(job: number, link: number): void {
    const { words } = this.#k;
    const tail = words.get(job + JOB.DEP_TAIL);
    words.set(link + LINK.PREV, tail);
    words.set(link + LINK.NEXT, 0);
    words.set(job + JOB.DEP_TAIL, link);
    if (tail === 0) words.store(job + JOB.DEP_HEAD, link);
    else words.set(tail + LINK.NEXT, link);
  }

  #unlink(job: number, link: number): void {
    const { words } = this.#k;
    const prev = words.get(link + LINK.PREV);
    const next = words.get(link + LINK.NEXT);
    if (prev === 0) words.store(job + JOB.DEP_HEAD, next);
    else words.set(prev + LINK.NEXT, next);
    if (next === 0) words.set(job + JOB.DEP_TAIL, prev);
    else words.set(next + LINK.PREV, prev);
  }
}
