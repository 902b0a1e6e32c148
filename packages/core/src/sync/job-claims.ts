/**
 * JobClaims: what a job's links, claims on queues and waits for fences, are to it while it runs and when it ends
 * (design D8): whether it may run with what its buffers hold, what it leaves in them, and how its claims end.
 *
 * Called by who ends the job, which its state word names; each can be done twice, by one after the other.
 */
import type { Kernel } from '../kernel.js';
import { JOB, JOB_FLAG, LINK, LINK_FLAG, ORPHAN, QUEUE } from '../memory/layout.js';
import type { Dependents } from './dependents.js';
import { firstLink, MORE_SLOT, nextLink, nextRecord } from './job-links.js';
import type { JobTable } from './job-table.js';
import type { Queues } from './queue.js';

export class JobClaims {
  readonly #k: Kernel;
  readonly #table: JobTable;
  readonly #queues: Queues;
  readonly #dependents: Dependents;
  /** Told when a queue ran empty whose buffer has no reference left. */
  onOrphan: (queue: number) => void = () => {};

  constructor(kernel: Kernel, table: JobTable, queues: Queues, dependents: Dependents) {
    this.#k = kernel;
    this.#table = table;
    this.#queues = queues;
    this.#dependents = dependents;
  }

  /**
   * Why a claimed job must not run: −errno of a failed dependency, of a poisoned buffer that it
   * reads (D8), or of a cancel; 0 if it may.
   */
  blocker(job: number): number {
    const { words } = this.#k;
    const dep = words.get(job + JOB.DEP_ERROR);
    if (dep !== 0) return dep;
    if ((words.get(job + JOB.FLAGS) & JOB_FLAG.RUN_ANYWAY) !== 0) return 0;
    for (let link = firstLink(words, job); link !== 0; link = nextLink(words, link)) {
      const target = words.get(link + LINK.TARGET);
      if (target === 0 || (target & (LINK_FLAG.FENCE | LINK_FLAG.DISCARD)) !== 0) continue;
      const error = words.get((target & LINK_FLAG.TARGET_MASK) + QUEUE.CONTENT_ERROR);
      if (error !== 0) return error;
    }
    return 0;
  }

  /** D8: a failed writer poisons the content; a full overwrite that succeeded clears it. */
  markContent(job: number, error: number): void {
    const { words } = this.#k;
    for (let link = firstLink(words, job); link !== 0; link = nextLink(words, link)) {
      const target = words.get(link + LINK.TARGET);
      if ((target & LINK_FLAG.EXCLUSIVE) === 0 || (target & LINK_FLAG.FENCE) !== 0) continue;
      const queue = target & LINK_FLAG.TARGET_MASK;
      if (error !== 0) words.set(queue + QUEUE.CONTENT_ERROR, error);
      else if ((target & LINK_FLAG.DISCARD) !== 0) {
        words.set(queue + QUEUE.CONTENT_ERROR, 0);
        words.set(queue + QUEUE.TAINTED, 0);
      }
    }
  }

  /** Notes on each buffer that the thread of an evicted hold may still be at it. */
  taint(job: number): void {
    const { words, locks } = this.#k;
    const actor = words.get(job + JOB.TARGET);
    for (let link = firstLink(words, job); link !== 0; link = nextLink(words, link)) {
      const target = words.get(link + LINK.TARGET);
      const queue = target & LINK_FLAG.TARGET_MASK;
      if (queue === 0 || (target & LINK_FLAG.FENCE) !== 0) continue;
      locks.lock(queue);
      words.set(queue + QUEUE.TAINTED, actor);
      locks.unlock(queue);
    }
  }

  /**
   * Takes all links of a job back and frees its further records. A link that is in no queue any more has no
   * TARGET, so this can be done twice.
   */
  remove(job: number): void {
    const { words } = this.#k;
    for (let link = firstLink(words, job); link !== 0; link = nextLink(words, link)) {
      const target = words.get(link + LINK.TARGET);
      if ((target & LINK_FLAG.FENCE) !== 0) this.#dependents.remove(link);
      else if (target !== 0) this.#removeClaim(target & LINK_FLAG.TARGET_MASK, link);
    }
    while (nextRecord(this.#k, job) !== 0) this.#freeLast(job);
  }

  /** Frees the last record of a job; RECLAIM names who is at it. */
  #freeLast(job: number): void {
    const { words } = this.#k;
    let before = job;
    let record = nextRecord(this.#k, job);
    for (let next = nextRecord(this.#k, record); next !== 0; next = nextRecord(this.#k, record)) {
      before = record;
      record = next;
    }
    words.store(record + JOB.STATE, this.#table.reclaimWord(record));
    words.store(before + JOB.LINK + MORE_SLOT * LINK.WORDS + LINK.TARGET, 0);
    this.#table.free(record);
  }

  #removeClaim(queue: number, link: number): void {
    const { words, locks } = this.#k;
    locks.lock(queue);
    // A recoverer that waited for the lock may find that it has been done.
    if ((words.get(link + LINK.TARGET) & LINK_FLAG.TARGET_MASK) === queue) {
      this.#queues.remove(queue, link);
    }
    const orphan = this.#takeOrphan(queue);
    locks.unlock(queue);
    if (orphan) this.onOrphan(queue);
  }

  /** Whether this thread is to free the buffer of a queue that has run empty. Its lock is held. */
  #takeOrphan(queue: number): boolean {
    const { words, self } = this.#k;
    if (words.get(queue + QUEUE.HEAD) !== 0) return false;
    if (words.get(queue + QUEUE.ORPHAN) !== ORPHAN.WAITING) return false;
    words.set(queue + QUEUE.ORPHAN, -self);
    return true;
  }
}
