/**
 * Locks of the dead (design D11): each is taken over, what it protects is made whole, and it is freed.
 *
 * Everything here looks at kernel memory alone, takes no lock but the one that the dead held, and so never
 * waits: it can be done whenever somebody is found to wait for a lock whose holder has died. Each
 * lock's content can be derived: lists of links from the job table, counts from the records, free lists from
 * the slots' own words. Done twice it changes nothing.
 */
import {
  BUFFER,
  CONTEXT,
  HEADER,
  JOB,
  JOB_STATE,
  JOB_STATE_MASK,
  LINK,
  LINK_FLAG,
  MAIL,
  ORPHAN,
  QUEUE,
  TIMELINE,
} from '../memory/layout.js';
import { lockOwner } from '../memory/lock.js';
import { firstLink, isFurther, nextLink } from '../sync/job-links.js';
import type { Services } from './services.js';

/** What a lock's recovery works with. */
export type LockRecoveryServices = Pick<
  Services,
  'kernel' | 'jobs' | 'references' | 'buffers' | 'regions' | 'holders' | 'files'
>;

/** What the job table holds. */
interface JobScan {
  /** Jobs whose list of dependents the dead had locked. */
  readonly locked: readonly number[];
  /** Records that are in use, or being built: some fences know these. */
  readonly records: readonly number[];
}

export class LockRecovery {
  readonly #s: LockRecoveryServices;

  constructor(services: LockRecoveryServices) {
    this.#s = services;
  }

  /** Frees every lock that `dead` held. Never waits. */
  run(dead: number): void {
    this.#tables(dead);
    const scan = this.#scan(dead);
    this.#contexts(dead, scan);
    this.#dependents(dead, scan);
    this.#queues(dead, scan);
    const { kernel, holders } = this.#s;
    for (const timeline of kernel.timelines.live()) {
      this.#takeOver(timeline + TIMELINE.LOCK, dead); // its list is whole after each single store
    }
    for (const buffer of kernel.buffers.live()) {
      this.#takeOver(buffer + BUFFER.LOCK, dead, () => holders.recountMaps(buffer));
    }
    const boxes = kernel.words.get(HEADER.MAIL);
    for (let actor = 0; actor < kernel.actors.count; actor++) {
      // A message is sent when TAIL says so: what was half written is not there.
      this.#takeOver(boxes + actor * kernel.words.get(HEADER.MAIL_WORDS) + MAIL.LOCK, dead);
    }
  }

  /** If `dead` holds a lock, mends what it protects and frees it. */
  #takeOver(index: number, dead: number, mend: () => void = () => {}): void {
    const { kernel } = this.#s;
    if (lockOwner(kernel.words.load(index)) !== dead) return;
    kernel.locks.inherit(index, dead);
    mend();
    kernel.locks.unlock(index);
  }

  #tables(dead: number): void {
    const { jobs, files, references, buffers, holders, regions } = this.#s;
    // Records of these two are published by their last store.
    this.#takeOver(HEADER.WAIT_LOCK, dead); // it protects no content
    this.#takeOver(HEADER.ACTOR_LOCK, dead);
    this.#takeOver(HEADER.CONTEXT_LOCK, dead);
    this.#takeOver(HEADER.JOB_LOCK, dead, () => jobs.table.relink());
    this.#takeOver(HEADER.FENCE_LOCK, dead, () => files.recount());
    let dropped: number[] = [];
    this.#takeOver(HEADER.BUFFER_LOCK, dead, () => {
      references.recount(dead);
      buffers.recount();
      holders.recount();
      dropped = regions.leaveEmpty(dead);
    });
    for (const region of dropped) regions.dropped(region);
  }

  /** A job that was numbered and never published leaves no hole in its line. */
  #contexts(dead: number, { records }: JobScan): void {
    const { kernel } = this.#s;
    const { words } = kernel;
    for (const context of kernel.contexts.live()) {
      this.#takeOver(context + CONTEXT.LOCK, dead, () => {
        const newest = words.getDouble(context + CONTEXT.SUBMITTED);
        if (newest <= words.getDouble(context + CONTEXT.COMPLETED)) return;
        if (this.#isPublished(records, context, newest)) return;
        words.setDouble(context + CONTEXT.SUBMITTED, newest - 1);
      });
    }
  }

  #isPublished(records: readonly number[], context: number, seqno: number): boolean {
    const { words } = this.#s.kernel;
    for (const job of this.#inUse(records, false)) {
      if (isFurther(this.#s.kernel, job)) continue;
      if (words.get(job + JOB.CONTEXT) !== context) continue;
      if (words.getDouble(job + JOB.SEQNO) === seqno) return true;
    }
    return false;
  }

  /** Lists of those who wait for a fence. */
  #dependents(dead: number, { locked, records }: JobScan): void {
    const { jobs } = this.#s;
    for (const job of locked) {
      this.#takeOver(job + JOB.DEP_LOCK, dead, () => {
        const waiting = this.#linksTo(
          this.#inUse(records, true),
          job | LINK_FLAG.FENCE,
          JOB.T_QUEUED,
        );
        jobs.dependents.rebuild(job, waiting);
      });
    }
  }

  #queues(dead: number, { records }: JobScan): void {
    const { kernel, jobs } = this.#s;
    const { words } = kernel;
    const orphans: number[] = [];
    for (const queue of kernel.queues.live()) {
      this.#takeOver(queue + QUEUE.LOCK, dead, () => {
        const published = this.#inUse(records, false);
        jobs.queues.rebuild(queue, this.#linksTo(published, queue, JOB.ORDER));
        const orphan = words.get(queue + QUEUE.ORPHAN) === ORPHAN.WAITING;
        if (!orphan || words.get(queue + QUEUE.HEAD) !== 0) return;
        words.set(queue + QUEUE.ORPHAN, -dead); // released in its turn, as what the dead was at
        orphans.push(queue);
      });
    }
    jobs.flush();
  }

  /** Links of records whose target is `target` (flags apart from FENCE ignored), by a double of their job. */
  #linksTo(records: readonly number[], target: number, by: number): number[] {
    const { words } = this.#s.kernel;
    const mask = LINK_FLAG.TARGET_MASK | LINK_FLAG.FENCE | LINK_FLAG.MORE;
    const found: { readonly link: number; readonly at: number }[] = [];
    for (const record of records) {
      if (isFurther(this.#s.kernel, record)) continue; // walked from its first record
      for (let link = firstLink(words, record); link !== 0; link = nextLink(words, link)) {
        if ((words.get(link + LINK.TARGET) & mask) !== target) continue;
        found.push({ link, at: words.getDouble(record + by) });
      }
    }
    return found.sort((a, b) => a.at - b.at).map(({ link }) => link);
  }

  /** Those records of jobs that are still in use; with those that are being built, or without. */
  #inUse(records: readonly number[], building: boolean): number[] {
    const { words } = this.#s.kernel;
    return records.filter((record) => {
      const stage = words.load(record + JOB.STATE) & JOB_STATE_MASK;
      if (stage === JOB_STATE.FREE || stage === JOB_STATE.RECLAIM) return false;
      return building || stage !== JOB_STATE.BUILDING;
    });
  }

  /**
   * The one look at the whole table, which takes most of the time of a recovery. No record is missing from it that is on
   * a list which the dead had locked, since nobody can put one there; some may be freed since (see #inUse).
   */
  #scan(dead: number): JobScan {
    const { words, jobs } = this.#s.kernel;
    const scan: { locked: number[]; records: number[] } = { locked: [], records: [] };
    for (let i = 0; i < jobs.count; i++) {
      const job = jobs.at(i);
      if (lockOwner(words.get(job + JOB.DEP_LOCK)) === dead) scan.locked.push(job);
      const stage = words.get(job + JOB.STATE) & JOB_STATE_MASK;
      if (stage !== JOB_STATE.FREE && stage !== JOB_STATE.RECLAIM) scan.records.push(job);
    }
    return scan;
  }
}
