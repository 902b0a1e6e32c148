/**
 * Jobs of a dead actor: what it was granting, ending or building is finished or undone; what it ran fails;
 * what it had submitted is cancelled; what was on its way to it waits for its next life, or fails.
 *
 * Others go on meanwhile: a hold of the dead may be evicted, its slot freed and taken for another job, between
 * two looks at it. So a job is known by its generation, and what somebody else is ending (the state word names
 * who does) is left to them.
 */
import { errno } from '../errno.js';
import {
  ACTOR,
  CONTEXT,
  CONTEXT_FLAG,
  enderOf,
  JOB,
  JOB_FLAG,
  JOB_GEN_SHIFT,
  JOB_STATE,
  JOB_STATE_MASK,
  LINK,
  LINK_FLAG,
} from '../memory/layout.js';
import { MORE_SLOT, nextRecord } from '../sync/job-links.js';
import { TRACE_KIND } from '../trace/ring.js';
import type { Services } from './services.js';

type Parts = Pick<Services, 'kernel' | 'jobs' | 'timelines'>;

/** A job to be ended. */
interface Ended {
  readonly job: number;
  readonly generation: number;
  readonly ordered: boolean;
}

/** One look at a job. */
interface Look {
  readonly generation: number;
  readonly stage: number;
  /** Whether it is the dead who ends it, in a state that names somebody. */
  readonly ours: boolean;
  readonly flags: number;
  readonly owner: number;
  readonly target: number;
  /** Whether its context is a line. */
  readonly ordered: boolean;
}

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

  /** The job that the dead was ending: only if nobody else does, who was faster. */
  finish(): void {
    const { kernel, jobs } = this.#s;
    const { words } = kernel;
    const at = kernel.actors.at(this.#dead);
    const job = words.get(at + ACTOR.FINISHING);
    const generation = words.get(at + ACTOR.FINISHING_GEN);
    if (job === 0) return;
    const look = this.#look(job);
    if (look === undefined || look.generation !== generation) return;
    const { stage, flags, ours } = look;
    if (stage === JOB_STATE.CANCELLING && look.owner === this.#dead) {
      jobs.resume(job, -errno.ECANCELED);
    } else if (stage === JOB_STATE.RECALLING && look.owner !== this.#dead) {
      jobs.resume(job, -errno.EOWNERDEAD);
    } else if (stage === JOB_STATE.RUNNING && (flags & JOB_FLAG.BARE) !== 0) {
      this.#endBare(job, look);
    } else if (!ours) return;
    else if (stage === JOB_STATE.ENDING) jobs.resume(job, -errno.EOWNERDEAD);
    else if (stage === JOB_STATE.EVICTING) jobs.resume(job, this.#evicted(look));
    else if (stage === JOB_STATE.DONE) {
      // A device's own job goes on holding its claims until its next life, or all(), ends them.
      if (look.target === this.#dead && look.ordered) jobs.signalAgain(job);
      else jobs.resume(job, 0);
    } else if (stage === JOB_STATE.RUNNING && (flags & JOB_FLAG.AUTO) !== 0) {
      jobs.resume(job, jobs.blocker(job));
    }
  }

  /** How the fence of a hold ends whose evictor died: it was past its limit, or its thread is dead. */
  #evicted({ target }: Look): number {
    return this.#s.kernel.isDead(target) ? -errno.EOWNERDEAD : -errno.ETIMEDOUT;
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
    const ended: Ended[] = [];
    for (let i = 0; i < kernel.jobs.count; i++) {
      const job = kernel.jobs.at(i);
      if ((kernel.words.get(job + JOB.STATE) & JOB_STATE_MASK) === JOB_STATE.FREE) continue;
      const look = this.#look(job);
      if (look === undefined) continue; // freed meanwhile: it was nothing of the dead's
      const { stage, flags, generation, ordered } = look;
      if ((flags & JOB_FLAG.MORE) !== 0) this.#further(job, stage);
      else if (stage === JOB_STATE.BUILDING) this.#dropHalfBuilt(job);
      else if (this.#settle(job, look)) ended.push({ job, generation, ordered });
    }
    this.#fail(ended);
    jobs.flush();
  }

  /** One job; true if the dead's line has to end it, in the order of seqnos. */
  #settle(job: number, look: Look): boolean {
    const { jobs } = this.#s;
    const { stage, flags } = look;
    if (stage === JOB_STATE.RECLAIM) return false;
    // Its adder sleeps, and whoever granted it may have died before it could wake it.
    if ((flags & JOB_FLAG.BLOCKING) !== 0) jobs.dispatch.again(job);
    if (stage === JOB_STATE.RELEASED) jobs.unpinned(job, look.generation);
    else if (stage === JOB_STATE.DONE) return look.ours && this.#settleDone(job, look);
    else if ((flags & JOB_FLAG.AUTO) !== 0) {
      // Whoever granted it may have died before it had ended it.
      if (stage === JOB_STATE.READY) jobs.endAuto(job, look.generation);
    } else if ((flags & JOB_FLAG.BARE) !== 0) this.#settleBare(job, look);
    else if (look.target === this.#dead) return this.#settleTarget(job, look);
    else if (look.owner === this.#dead) this.#cancel(job, look);
    return false;
  }

  /** The dead has signalled it, and not ended its claims or not freed it. */
  #settleDone(job: number, { target, ordered }: Look): boolean {
    if (target === this.#dead && ordered) return true;
    this.#s.jobs.resume(job, 0);
    return false;
  }

  /** A timeline's fence: the dead may have made it and not put it on the list. */
  #settleBare(job: number, look: Look): void {
    const made = look.stage === JOB_STATE.RUNNING && look.owner === this.#dead;
    if (made && this.#s.kernel.words.get(job + JOB.COOKIE) === 0) this.#endBare(job, look);
  }

  /**
   * One that is on no list: somebody is ending it who took it off, and has it in FINISHING until it is DONE;
   * or it is the dead's.
   */
  #endBare(job: number, { generation }: Look): void {
    const { kernel, jobs, timelines } = this.#s;
    const { words, actors } = kernel;
    if (timelines.isListed(job)) return;
    for (let actor = 1; actor < actors.count; actor++) {
      const other = actor !== this.#dead && actor !== kernel.self;
      if (other && words.load(actors.at(actor) + ACTOR.FINISHING) === job) return;
    }
    const look = this.#look(job);
    if (look?.stage !== JOB_STATE.RUNNING || look.generation !== generation) return;
    jobs.resume(job, words.load(words.get(job + JOB.CONTEXT) + CONTEXT.FINAL_ERROR));
  }

  #settleTarget(job: number, { stage, generation, ordered }: Look): boolean {
    const { kernel, jobs } = this.#s;
    if (stage === JOB_STATE.RUNNING) return true;
    if (this.#restarts && ordered) {
      jobs.dispatch.again(job); // it may have taken the job from its ready set
      return false;
    }
    const pending = stage === JOB_STATE.PENDING;
    if (pending && jobs.cancel(job, -errno.EOWNERDEAD, generation, JOB_STATE.RECALLING)) {
      return this.#isReady(job, generation); // ended at once, or handed to its target: to us
    }
    if (!this.#isReady(job, generation)) return false;
    kernel.words.cas(job + JOB.DEP_ERROR, 0, -errno.EOWNERDEAD);
    return true;
  }

  /** What the dead had submitted to others and was not started. */
  #cancel(job: number, { stage, generation }: Look): void {
    const { kernel, jobs } = this.#s;
    const pending = stage === JOB_STATE.PENDING;
    if (pending && jobs.cancel(job, -errno.ECANCELED, generation, JOB_STATE.RECALLING)) {
      // One that is handed over early was to be pushed by its adder, who may have died before it had.
      jobs.dispatch.again(job);
      return;
    }
    if (!this.#isReady(job, generation)) return;
    kernel.words.cas(job + JOB.DEP_ERROR, 0, -errno.ECANCELED); // its target sees it in its turn
  }

  /**
   * Ends the jobs of the dead's lines, each line in order. Where a job of which nothing has come is before
   * them in its line, they wait for the next life with it, to fail there in their turn.
   */
  #fail(ended: Ended[]): void {
    const { words } = this.#s.kernel;
    const again = new Set<number>();
    const seqno = (job: number): number => words.getDouble(job + JOB.SEQNO);
    ended.sort((a, b) => seqno(a.job) - seqno(b.job));
    for (const { job, generation, ordered } of ended) {
      if (!ordered) {
        this.#endHold(job, generation);
        continue;
      }
      const context = words.get(job + JOB.CONTEXT);
      if (this.#comesAgain(job, again.has(context))) {
        if (!again.has(context)) words.setDouble(context + CONTEXT.STARTED, seqno(job) - 1);
        again.add(context);
        continue;
      }
      const started = Math.max(words.getDouble(context + CONTEXT.STARTED), seqno(job));
      words.setDouble(context + CONTEXT.STARTED, started);
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
    if (!this.#restarts || !running) return false;
    if (!untouched && !mustFollow) return false;
    if (!untouched) words.cas(job + JOB.DEP_ERROR, 0, -errno.EOWNERDEAD);
    words.set(job + JOB.FLAGS, flags & ~JOB_FLAG.AGAIN);
    const state = words.load(job + JOB.STATE);
    words.cas(job + JOB.STATE, state, (state & ~JOB_STATE_MASK) | JOB_STATE.READY);
    jobs.dispatch.again(job);
    return true;
  }

  /** A hold, a callback, or a job of no line: the watchdog may be at it too. */
  #endHold(job: number, generation: number): void {
    const { kernel, jobs } = this.#s;
    const error = kernel.words.get(job + JOB.DEP_ERROR) || -errno.EOWNERDEAD;
    if (this.#isReady(job, generation)) jobs.claim(job);
    jobs.endOfDead(job, generation, error);
  }

  /** A job of a device's line: nobody else ends it. */
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
    if (stage === JOB_STATE.RECLAIM) {
      const mine = enderOf(words.load(record + JOB.STATE)) === this.#dead;
      if (mine && ledTo) words.store(lead, 0); // its slot is taken back with the rest
    } else if (words.get(record + JOB.HOME) === this.#dead && !this.#isPublished(record)) {
      this.#drop(record);
    } else if (stage === JOB_STATE.READY && ledTo) {
      jobs.dispatch.grant(before, MORE_SLOT); // its granter may have died between the two
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

  /** A job's words, all of one life of its slot; undefined if that changed meanwhile. */
  #look(job: number): Look | undefined {
    const { words } = this.#s.kernel;
    const generation = words.load(job + JOB.GEN);
    const state = words.load(job + JOB.STATE);
    const context = words.get(job + JOB.CONTEXT);
    const look = {
      generation,
      stage: state & JOB_STATE_MASK,
      ours: enderOf(state) === this.#dead,
      flags: words.get(job + JOB.FLAGS),
      owner: words.get(job + JOB.OWNER),
      target: words.get(job + JOB.TARGET),
      ordered: (words.get(context + CONTEXT.FLAGS) & CONTEXT_FLAG.UNORDERED) === 0,
    };
    return words.load(job + JOB.GEN) === generation ? look : undefined;
  }

  #isReady(job: number, generation: number): boolean {
    const look = this.#look(job);
    return look?.generation === generation && look.stage === JOB_STATE.READY;
  }

  #stage(job: number): number {
    return this.#s.kernel.words.load(job + JOB.STATE) & JOB_STATE_MASK;
  }
}
