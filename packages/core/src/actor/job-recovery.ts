/**
 * Jobs of a dead actor: what it was granting, ending or building is finished or undone; what it ran fails;
 * what it had submitted is cancelled; what was on its way to it waits for its next life, or fails.
 */
import { errno } from '../errno.js';
import {
  ACTOR,
  CONTEXT,
  CONTEXT_FLAG,
  JOB,
  JOB_FLAG,
  JOB_GEN_SHIFT,
  JOB_GRANT_MASK,
  JOB_GRANT_SHIFT,
  JOB_STATE,
  JOB_STATE_MASK,
  LINK,
  LINK_FLAG,
} from '../memory/layout.js';
import { firstLink, MORE_SLOT, nextLink, nextRecord } from '../sync/job-links.js';
import { TRACE_KIND } from '../trace/ring.js';
import type { Services } from './services.js';

type Parts = Pick<Services, 'kernel' | 'jobs' | 'timelines'>;

/** Bit of the granted mask that leads on to a further record. */
const MORE_BIT = 1 << (JOB_GRANT_SHIFT + MORE_SLOT);

export class JobRecovery {
  readonly #s: Parts;
  readonly #dead: number;
  /** Whether the dead is a device that starts again. */
  readonly #restarts: boolean;

  constructor(services: Parts, dead: number, restarts: boolean) {
    this.#s = services;
    this.#dead = dead;
    this.#restarts = restarts;
  }

  /** The job that the dead was ending: only what nobody else does. */
  finish(): void {
    const { kernel, jobs } = this.#s;
    const { words } = kernel;
    const at = kernel.actors.at(this.#dead);
    const job = words.get(at + ACTOR.FINISHING);
    if (job === 0 || words.load(job + JOB.GEN) !== words.get(at + ACTOR.FINISHING_GEN)) return;
    const stage = this.#stage(job);
    const flags = words.get(job + JOB.FLAGS);
    const mine = words.get(job + JOB.TARGET) === this.#dead;
    if (stage === JOB_STATE.CANCELLING) jobs.resume(job, -errno.ECANCELED);
    else if (stage === JOB_STATE.ENDING && mine) jobs.resume(job, -errno.EOWNERDEAD);
    else if (stage === JOB_STATE.EVICTING && !mine) jobs.resume(job, -errno.ETIMEDOUT);
    else if (stage === JOB_STATE.DONE) {
      // A device's own job goes on holding its claims until its next life, or all(), ends them.
      if (mine && this.#isOrdered(job)) jobs.signalAgain(job);
      else jobs.resume(job, 0);
    } else if (stage === JOB_STATE.RUNNING && (flags & JOB_FLAG.AUTO) !== 0) {
      jobs.resume(job, jobs.blocker(job));
    } else if (stage === JOB_STATE.RUNNING && (flags & JOB_FLAG.BARE) !== 0) this.#endBare(job);
  }

  /** The job that the dead was handing on. */
  intent(): void {
    const { kernel, jobs } = this.#s;
    const job = kernel.words.get(kernel.actors.at(this.#dead) + ACTOR.INTENT);
    if (job === 0) return;
    jobs.dispatch.again(job);
    jobs.flush();
  }

  /** Everything else in the table. */
  all(): void {
    const { kernel, jobs } = this.#s;
    const ended: number[] = [];
    for (let i = 0; i < kernel.jobs.count; i++) {
      const job = kernel.jobs.at(i);
      const stage = this.#stage(job);
      if (stage === JOB_STATE.FREE) continue;
      if ((kernel.words.get(job + JOB.FLAGS) & JOB_FLAG.MORE) !== 0) this.#further(job, stage);
      else if (stage === JOB_STATE.BUILDING) this.#dropHalfBuilt(job);
      else if (this.#settle(job, stage)) ended.push(job);
    }
    this.#fail(ended);
    jobs.flush();
  }

  /** One job; true if the dead's line has to end it, in the order of seqnos. */
  #settle(job: number, stage: number): boolean {
    const { kernel, jobs } = this.#s;
    const { words } = kernel;
    const flags = words.get(job + JOB.FLAGS);
    if (stage === JOB_STATE.RECLAIM) return false;
    // Its adder sleeps, and whoever granted it may have died before it could wake it.
    if ((flags & JOB_FLAG.BLOCKING) !== 0) jobs.dispatch.again(job);
    if (stage === JOB_STATE.RELEASED) jobs.unpinned(job, words.load(job + JOB.GEN));
    else if ((flags & JOB_FLAG.AUTO) !== 0) this.#settleAuto(job, stage);
    else if ((flags & JOB_FLAG.BARE) !== 0) this.#settleBare(job, stage);
    else if (words.get(job + JOB.TARGET) === this.#dead) return this.#settleTarget(job, stage);
    else if (words.get(job + JOB.OWNER) === this.#dead) this.#cancel(job, stage);
    return false;
  }

  /** A job that ends by itself: whoever granted it may have died before it had ended it. */
  #settleAuto(job: number, stage: number): void {
    const { kernel, jobs } = this.#s;
    if (stage === JOB_STATE.READY) jobs.endAuto(job, kernel.words.load(job + JOB.GEN));
    else if (stage === JOB_STATE.DONE && !this.#hasClaims(job)) jobs.reclaim(job);
  }

  /** A timeline's fence: the dead may have made it and not put it on the list. */
  #settleBare(job: number, stage: number): void {
    const { kernel, jobs } = this.#s;
    const { words } = kernel;
    if (stage === JOB_STATE.DONE) jobs.reclaim(job);
    else if (stage === JOB_STATE.RUNNING && words.get(job + JOB.OWNER) === this.#dead) {
      if (words.get(job + JOB.COOKIE) === 0) this.#endBare(job);
    }
  }

  #endBare(job: number): void {
    const { kernel, jobs, timelines } = this.#s;
    const { words } = kernel;
    if (timelines.isListed(job)) return;
    jobs.resume(job, words.load(words.get(job + JOB.CONTEXT) + CONTEXT.FINAL_ERROR));
  }

  #settleTarget(job: number, stage: number): boolean {
    const { kernel, jobs } = this.#s;
    if (stage === JOB_STATE.RUNNING || stage === JOB_STATE.DONE) return true;
    if (this.#restarts && this.#isOrdered(job)) {
      jobs.dispatch.again(job); // it may have taken the job from its ready set
      return false;
    }
    if (stage === JOB_STATE.PENDING && jobs.cancel(job, -errno.EOWNERDEAD)) {
      return this.#stage(job) === JOB_STATE.READY; // ended at once, or handed to its target: to us
    }
    kernel.words.cas(job + JOB.DEP_ERROR, 0, -errno.EOWNERDEAD);
    return this.#stage(job) === JOB_STATE.READY;
  }

  /** What the dead had submitted to others and was not started. */
  #cancel(job: number, stage: number): void {
    const { kernel, jobs } = this.#s;
    if (stage === JOB_STATE.PENDING && jobs.cancel(job, -errno.ECANCELED)) {
      // One that is handed over early was to be pushed by its adder, who may have died before it had.
      jobs.dispatch.again(job);
      return;
    }
    if (this.#stage(job) !== JOB_STATE.READY) return;
    kernel.words.cas(job + JOB.DEP_ERROR, 0, -errno.ECANCELED); // its target sees it in its turn
  }

  /**
   * Ends the jobs of the dead's lines, each line in order. Where a job of which nothing has come is before
   * them in its line, they wait for the next life with it, to fail there in their turn.
   */
  #fail(ended: number[]): void {
    const { words } = this.#s.kernel;
    const again = new Set<number>();
    const seqno = (job: number): number => words.getDouble(job + JOB.SEQNO);
    ended.sort((a, b) => seqno(a) - seqno(b));
    for (const job of ended) {
      const context = words.get(job + JOB.CONTEXT);
      if (this.#comesAgain(job, again.has(context))) {
        if (!again.has(context)) words.setDouble(context + CONTEXT.STARTED, seqno(job) - 1);
        again.add(context);
        continue;
      }
      const started = Math.max(words.getDouble(context + CONTEXT.STARTED), seqno(job));
      if (this.#isOrdered(job)) words.setDouble(context + CONTEXT.STARTED, started);
      this.#end(job);
    }
  }

  /** Hands a RUNNING job on to the next life; false if it ends here. */
  #comesAgain(job: number, mustFollow: boolean): boolean {
    const { kernel, jobs } = this.#s;
    const { words } = kernel;
    const flags = words.get(job + JOB.FLAGS);
    const untouched = (flags & JOB_FLAG.AGAIN) !== 0;
    const running = this.#stage(job) === JOB_STATE.RUNNING;
    if (!this.#restarts || !running || !this.#isOrdered(job)) return false;
    if (!untouched && !mustFollow) return false;
    if (!untouched) words.cas(job + JOB.DEP_ERROR, 0, -errno.EOWNERDEAD);
    words.set(job + JOB.FLAGS, flags & ~JOB_FLAG.AGAIN);
    const state = words.load(job + JOB.STATE);
    words.cas(job + JOB.STATE, state, (state & ~JOB_STATE_MASK) | JOB_STATE.READY);
    jobs.dispatch.again(job);
    return true;
  }

  #end(job: number): void {
    const { kernel, jobs } = this.#s;
    const { words, trace } = kernel;
    if (this.#stage(job) === JOB_STATE.READY && !jobs.claim(job)) return;
    if (this.#stage(job) === JOB_STATE.DONE) {
      jobs.resume(job, 0);
      return;
    }
    const error = words.get(job + JOB.DEP_ERROR) || -errno.EOWNERDEAD;
    const context = jobs.contexts.idOf(words.get(job + JOB.CONTEXT));
    trace.emit(TRACE_KIND.DONE, job, words.getDouble(job + JOB.SEQNO), context, error);
    jobs.resume(job, error);
  }

  /** A job that the dead was building: it is known to the fences that it was to wait for, and to nobody else. */
  #dropHalfBuilt(job: number): void {
    const { words } = this.#s.kernel;
    if (words.get(job + JOB.HOME) === this.#dead) this.#drop(job);
  }

  /** A record for further links. */
  #further(record: number, stage: number): void {
    const { kernel, jobs } = this.#s;
    const { words } = kernel;
    const before = words.get(record + JOB.CONTEXT);
    const lead = before + JOB.LINK + MORE_SLOT * LINK.WORDS + LINK.TARGET;
    const ledTo = words.get(lead) === (record | LINK_FLAG.MORE);
    const state = words.load(record + JOB.STATE);
    if (stage === JOB_STATE.RECLAIM) {
      const mine = (state & JOB_GRANT_MASK) >> JOB_GRANT_SHIFT === this.#dead;
      if (mine && ledTo) words.store(lead, 0); // its slot is taken back with the rest
    } else if (words.get(record + JOB.HOME) === this.#dead && !this.#isPublished(record)) {
      this.#drop(record);
    } else if (stage === JOB_STATE.READY && (words.load(before + JOB.STATE) & MORE_BIT) === 0) {
      jobs.dispatch.grant(before, MORE_SLOT); // its granter died between the two
    }
  }

  /** Whether a further record belongs to a job that others know. */
  #isPublished(record: number): boolean {
    const { kernel } = this.#s;
    const { words } = kernel;
    let job = record;
    while ((words.get(job + JOB.FLAGS) & JOB_FLAG.MORE) !== 0) job = words.get(job + JOB.CONTEXT);
    const stage = this.#stage(job);
    if ([JOB_STATE.FREE, JOB_STATE.BUILDING, JOB_STATE.RECLAIM].some((s) => s === stage))
      return false;
    let at = job;
    while (at !== 0 && at !== record) at = nextRecord(kernel, at);
    return at === record;
  }

  /** Takes a record off the lists of fences; its queues have been made anew without it. */
  #drop(record: number): void {
    const { kernel, jobs } = this.#s;
    const { words } = kernel;
    for (let i = 0; i < words.get(record + JOB.LINKS); i++) {
      const link = record + JOB.LINK + i * LINK.WORDS;
      if ((words.get(link + LINK.TARGET) & LINK_FLAG.FENCE) !== 0) jobs.dependents.remove(link);
    }
    const gen = words.get(record + JOB.GEN) << JOB_GEN_SHIFT;
    words.store(record + JOB.STATE, gen | JOB_STATE.FREE);
  }

  #hasClaims(job: number): boolean {
    const { words } = this.#s.kernel;
    for (let link = firstLink(words, job); link !== 0; link = nextLink(words, link)) {
      const target = words.get(link + LINK.TARGET);
      if (target !== 0 && (target & LINK_FLAG.FENCE) === 0) return true;
    }
    return false;
  }

  #isOrdered(job: number): boolean {
    const { words } = this.#s.kernel;
    const flags = words.get(words.get(job + JOB.CONTEXT) + CONTEXT.FLAGS);
    return (flags & CONTEXT_FLAG.UNORDERED) === 0;
  }

  #stage(job: number): number {
    return this.#s.kernel.words.load(job + JOB.STATE) & JOB_STATE_MASK;
  }
}
