/**
 * JobBuilder: adds jobs, as one atomic step on all their queues (design D6).
 *
 * Adding takes the context's lock, then all queue locks in ascending order, appends everywhere and
 * publishes: so all jobs have one total order over all queues and cannot deadlock each other,
 * and a context's jobs stand in every queue in seqno order. It waits for nobody but lock holders.
 * Everything is checked, and every record taken, before the first lock: a refused call leaves no
 * residue. A job without in-fences is known to nobody until its one publishing store.
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import {
  CONTEXT,
  JOB,
  JOB_FLAG,
  JOB_GEN_SHIFT,
  JOB_GRANT_MASK,
  JOB_GRANT_SHIFT,
  JOB_STATE,
  JOB_STATE_MASK,
  LINK,
  LINK_FLAG,
  MAX_LINKS,
  QUEUE,
  RECORD_LINKS,
} from '../memory/layout.js';
import { TRACE_KIND } from '../trace/ring.js';
import type { Contexts } from './contexts.js';
import type { Dependents } from './dependents.js';
import type { Dispatch } from './dispatch.js';
import type { FencePoint, JobSpec } from './job-spec.js';
import { isFurther, linksIn, MORE_SLOT, placeOf, recordsFor } from './job-links.js';
import type { JobTable } from './job-table.js';
import type { Payloads } from './payloads.js';
import type { Queues } from './queue.js';

const BARE: Omit<JobSpec, 'context'> = {
  claims: [],
  inFences: [],
  flags: 0,
  startAt: 0,
  limit: 0,
  payload: 0,
};

/** What a builder works with. */
export interface BuilderParts {
  readonly kernel: Kernel;
  readonly table: JobTable;
  readonly contexts: Contexts;
  readonly queues: Queues;
  readonly dependents: Dependents;
  readonly dispatch: Dispatch;
  readonly payloads: Payloads;
}

export class JobBuilder {
  readonly #k: Kernel;
  readonly #table: JobTable;
  readonly #contexts: Contexts;
  readonly #queues: Queues;
  readonly #dependents: Dependents;
  readonly #dispatch: Dispatch;
  readonly #payloads: Payloads;
  /** Queue pointers of the job being added, ascending: the lock order. */
  readonly #sorted: number[] = [];
  #sortedCount = 0;
  /** Records of the job being added, and the grants that each has at once. */
  readonly #records: number[] = [0];
  readonly #bits: number[] = [0];
  #recordCount = 0;
  /** The job being added has in-fences: others may grant it bits before it is published. */
  #fenced = false;

  constructor(parts: BuilderParts) {
    this.#k = parts.kernel;
    this.#table = parts.table;
    this.#contexts = parts.contexts;
    this.#queues = parts.queues;
    this.#dependents = parts.dependents;
    this.#dispatch = parts.dispatch;
    this.#payloads = parts.payloads;
  }

  /**
   * Adds a job to all its queues as one atomic step. Never waits for a buffer. EINVAL: the same
   * buffer twice; E2BIG: too many links; ENOSPC: no free job; EMSGSIZE: payload too long. A refused
   * call leaves no residue.
   */
  add(spec: JobSpec): FencePoint {
    this.check(spec);
    const { words, locks, clock } = this.#k;
    this.#allocate(spec);
    this.#fenced = spec.inFences.length > 0;
    const job = this.#records[0] as number;
    const now = clock.now();
    const generation = words.get(job + JOB.GEN);
    const lock = spec.context + CONTEXT.LOCK;
    locks.lock(lock);
    if (words.get(spec.context + CONTEXT.CLOSED) !== 0) this.#refuse(lock);
    const seqno = words.getDouble(spec.context + CONTEXT.SUBMITTED) + 1;
    this.#build(job, spec, seqno, now);
    words.setDouble(spec.context + CONTEXT.SUBMITTED, seqno);
    const context = this.#contexts.idOf(spec.context);
    const target = words.get(spec.context + CONTEXT.TARGET);
    // Traced before others can see the job, so that its end is never recorded before its start.
    this.#k.trace.emit(TRACE_KIND.QUEUE, job, seqno, context, target);
    this.#dependOnAll(spec);
    this.#lockAll();
    this.#appendAll(spec.claims, spec.claims.length + spec.inFences.length);
    this.#publishAll(now);
    for (let i = 0; i < this.#sortedCount; i++) locks.unlock(this.#sorted[i] as number);
    locks.unlock(lock);
    this.#dispatch.flush();
    return { slot: job, generation, context, seqno };
  }

  /** The context was closed, or its target died, between the caller's look at it and its lock. */
  #refuse(lock: number): never {
    this.#k.locks.unlock(lock);
    while (this.#recordCount > 0) this.#table.discard(this.#records[--this.#recordCount] as number);
    const detail = 'the context was closed, or the actor that runs its jobs has died';
    throw new DmaBufError('ESRCH', 'submit', detail);
  }

  /**
   * A fence that no device signals: RUNNING from the start, completed by whoever made it (a
   * software timeline). `seqno` is its point on the context.
   */
  addBare(context: number, seqno: number): FencePoint {
    const { words, clock } = this.#k;
    const job = this.#table.alloc('create_fence');
    const spec = { ...BARE, context, flags: JOB_FLAG.BARE };
    this.#fenced = true;
    this.#build(job, spec, seqno, clock.now());
    const state = words.load(job + JOB.STATE);
    words.store(job + JOB.STATE, (state & ~JOB_STATE_MASK) | JOB_STATE.RUNNING);
    const generation = words.get(job + JOB.GEN);
    return { slot: job, generation, context: this.#contexts.idOf(context), seqno };
  }

  /** Refuses what can never be added: EINVAL, E2BIG, EMSGSIZE. Nothing is touched. */
  check(spec: Omit<JobSpec, 'context'>): void {
    const { claims, inFences, payload } = spec;
    const links = claims.length + inFences.length;
    if (links > MAX_LINKS) {
      throw new DmaBufError(
        'E2BIG',
        'submit',
        `${claims.length} buffers and ${inFences.length} in-fences are ${links} links; a job has room for ${MAX_LINKS}`,
      );
    }
    const { room } = this.#payloads;
    if (typeof payload !== 'number' && payload.byteLength > room) {
      throw new DmaBufError(
        'EMSGSIZE',
        'submit',
        `the payload packs to ${payload.byteLength} bytes, a job carries ${room}; boot with a larger tables.payloadBytes`,
      );
    }
    this.#sort(claims);
  }

  /** Fills #sorted with the queues in lock order; EINVAL when one is named twice. */
  #sort(claims: readonly number[]): void {
    const sorted = this.#sorted;
    this.#sortedCount = claims.length;
    for (let i = 0; i < claims.length; i++) {
      const queue = (claims[i] as number) & LINK_FLAG.TARGET_MASK;
      let at = i;
      while (at > 0 && (sorted[at - 1] as number) > queue) {
        sorted[at] = sorted[at - 1] as number;
        at--;
      }
      if (at > 0 && sorted[at - 1] === queue) {
        throw new DmaBufError(
          'EINVAL',
          'submit',
          `buffer ${i} of the job is named twice; a job claims each buffer once, for the stronger of its uses`,
        );
      }
      sorted[at] = queue;
    }
  }

  /** Takes the records that a job needs; all or none. */
  #allocate(spec: JobSpec): void {
    const count = recordsFor(spec.claims.length + spec.inFences.length);
    this.#recordCount = 0;
    try {
      while (this.#recordCount < count) {
        this.#records[this.#recordCount] = this.#table.alloc('submit');
        this.#bits[this.#recordCount] = 0;
        this.#recordCount++;
      }
    } catch (error) {
      while (this.#recordCount > 0) {
        this.#table.discard(this.#records[--this.#recordCount] as number);
      }
      throw error;
    }
  }

  #build(job: number, spec: JobSpec, seqno: number, now: number): void {
    const { words, self } = this.#k;
    const links = spec.claims.length + spec.inFences.length;
    words.set(job + JOB.CONTEXT, spec.context);
    words.set(job + JOB.OWNER, self);
    words.set(job + JOB.TARGET, words.get(spec.context + CONTEXT.TARGET));
    words.set(job + JOB.ERROR, 0);
    words.set(job + JOB.DEP_ERROR, 0);
    words.setDouble(job + JOB.SEQNO, seqno);
    words.setDouble(job + JOB.T_QUEUED, now);
    words.setDouble(job + JOB.START_AT, spec.startAt);
    words.setDouble(job + JOB.DEADLINE, 0);
    words.set(job + JOB.LIMIT, spec.limit);
    this.#payloads.write(job, spec.payload, spec.flags);
    this.#open(0, job, Math.min(links, RECORD_LINKS));
    if (links > RECORD_LINKS) this.#buildFurther(links);
  }

  /** Further records of a job of more than ten links, each led to by the tenth of the one before. */
  #buildFurther(links: number): void {
    const { words } = this.#k;
    for (let i = 1; i < this.#recordCount; i++) {
      const before = this.#records[i - 1] as number;
      const record = this.#records[i] as number;
      words.set(record + JOB.CONTEXT, before);
      words.set(record + JOB.FLAGS, JOB_FLAG.MORE);
      const lead = before + JOB.LINK + MORE_SLOT * LINK.WORDS;
      words.set(lead + LINK.TARGET, record | LINK_FLAG.MORE);
      this.#open(i, record, linksIn(links, i));
    }
  }

  /**
   * Opens a record, the mask bits that it does not use set. It becomes BUILDING only if others may
   * look at it before it is published (in-fences); else its slot reads FREE until then.
   */
  #open(index: number, record: number, links: number): void {
    const { words } = this.#k;
    words.set(record + JOB.LINKS, links);
    const mask = (JOB_GRANT_MASK << links) & JOB_GRANT_MASK;
    const gen = words.get(record + JOB.GEN) << JOB_GEN_SHIFT;
    this.#bits[index] = gen | mask;
    if (this.#fenced) words.store(record + JOB.STATE, gen | mask | JOB_STATE.BUILDING);
  }

  /** Registers the job with its in-fences; those that have signalled count as granted. */
  #dependOnAll(spec: JobSpec): void {
    const { words } = this.#k;
    const job = this.#records[0] as number;
    const links = spec.claims.length + spec.inFences.length;
    for (let i = 0; i < spec.inFences.length; i++) {
      const { record, slot } = placeOf(links, spec.claims.length + i);
      const link = (this.#records[record] as number) + JOB.LINK + slot * LINK.WORDS;
      const settled = this.#dependents.add(link, spec.inFences[i] as FencePoint);
      if (settled === 0) continue;
      words.set(link + LINK.TARGET, LINK_FLAG.FENCE);
      this.#bits[record] = (this.#bits[record] as number) | (1 << (JOB_GRANT_SHIFT + slot));
      if (settled < 0 && (words.get(job + JOB.FLAGS) & JOB_FLAG.RUN_ANYWAY) === 0) {
        words.cas(job + JOB.DEP_ERROR, 0, settled);
      }
    }
  }

  #lockAll(): void {
    for (let i = 0; i < this.#sortedCount; i++) this.#k.locks.lock(this.#sorted[i] as number);
  }

  /** Appends the links, all locks held, and notes those granted at once. */
  #appendAll(claims: readonly number[], links: number): void {
    const { words } = this.#k;
    const order = this.#order();
    words.setDouble((this.#records[0] as number) + JOB.ORDER, order);
    for (let i = 0; i < claims.length; i++) {
      const claim = claims[i] as number;
      const queue = claim & LINK_FLAG.TARGET_MASK;
      let record = 0;
      let slot = i;
      if (links > RECORD_LINKS) ({ record, slot } = placeOf(links, i));
      const link = (this.#records[record] as number) + JOB.LINK + slot * LINK.WORDS;
      words.set(link + LINK.TARGET, claim);
      words.setDouble(queue + QUEUE.SEQ, order);
      if (this.#queues.append(queue, link, (claim & LINK_FLAG.EXCLUSIVE) !== 0)) {
        this.#bits[record] = (this.#bits[record] as number) | (1 << (JOB_GRANT_SHIFT + slot));
      }
    }
  }

  /** 1 + the largest sequence of the queues that are not empty: one total order, no shared counter. */
  #order(): number {
    const { words } = this.#k;
    let order = 0;
    for (let i = 0; i < this.#sortedCount; i++) {
      const queue = this.#sorted[i] as number;
      if (words.get(queue + QUEUE.HEAD) === 0) continue;
      order = Math.max(order, words.getDouble(queue + QUEUE.SEQ));
    }
    return order + 1;
  }

  /** Publishes the records, the last first: a full one is a granted link of the one before it. */
  #publishAll(now: number): void {
    for (let i = this.#recordCount - 1; i >= 0; i--) {
      const full = this.#publish(this.#records[i] as number, this.#bits[i] as number, now);
      if (!full || i === 0) continue;
      this.#bits[i - 1] = (this.#bits[i - 1] as number) | (1 << (JOB_GRANT_SHIFT + MORE_SLOT));
    }
  }

  /**
   * → PENDING, or READY when all bits are there. Fence bits may have arrived in the word meanwhile;
   * without in-fences nobody else can know the record, since all its queues are locked.
   */
  #publish(record: number, granted: number, now: number): boolean {
    const { words } = this.#k;
    for (;;) {
      const state = this.#fenced ? words.get(record + JOB.STATE) : 0;
      const bits = (state & ~JOB_STATE_MASK) | granted;
      const full = (bits & JOB_GRANT_MASK) === JOB_GRANT_MASK;
      const further = this.#recordCount > 1 && isFurther(this.#k, record);
      if (full && !further) this.#dispatch.aboutToDispatch(record, now);
      const next = bits | (full ? JOB_STATE.READY : JOB_STATE.PENDING);
      if (!this.#fenced) words.store(record + JOB.STATE, next);
      else if (!words.cas(record + JOB.STATE, state, next)) continue;
      if (!further) this.#dispatch.published(record, full);
      return full;
    }
  }
}
