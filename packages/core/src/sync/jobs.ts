/**
 * Jobs: claims on several buffers at once, granted by the buffers' queues, run by a device, ended
 * by a fence (design D6–D8).
 *
 *   FREE → BUILDING → PENDING → READY → RUNNING → DONE → RELEASED → FREE
 *                        └→ CANCELLING → DONE …
 *
 * One word holds state, the mask of granted links, the waiters bit and 15 bits of generation; every
 * change of it is a CAS, and PENDING with a full mask *is* READY: the thread whose CAS sets the last
 * bit makes the transition and dispatches the job. There is no counter of pending grants.
 *
 * Adding takes the context's lock, then all queue locks in ascending order, appends everywhere and
 * publishes: so all jobs have one total order over all queues and cannot deadlock each other,
 * and a context's jobs stand in every queue in seqno order. It waits for nobody but lock holders.
 *
 * Ringing and waking happen after the queue locks are dropped ({@link Jobs.flush}); pushing to a ready
 * set happens under them. INTENT / FINISHING name the job that this thread is half-way through
 * changing, for whoever recovers after its death.
 */
import type { Doorbell } from '../actor/doorbell.js';
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  CONTEXT,
  JOB,
  JOB_FLAG,
  JOB_GEN_SHIFT,
  JOB_GRANT_MASK,
  JOB_GRANT_SHIFT,
  JOB_STATE,
  JOB_STATE_MASK,
  JOB_WAITERS,
  LINK,
  CONTEXT_FLAG,
  LINK_FLAG,
  MAX_LINKS,
  QUEUE,
  RECORD_LINKS,
} from '../memory/layout.js';
import { TRACE_KIND } from '../trace/ring.js';
import { Contexts } from './contexts.js';
import { Dependents } from './dependents.js';
import {
  firstLink,
  isFurther,
  linksIn,
  MORE_SLOT,
  nextLink,
  nextRecord,
  placeOf,
  recordsFor,
} from './job-links.js';
import { JobTable } from './job-table.js';
import { Queues } from './queue.js';
import { ReadySets } from './ready-set.js';

/** A fence by its plain value: where it was, which one, and its point on its context. */
export interface FencePoint {
  /** Pointer of the job record. */
  readonly slot: number;
  /** All 32 bits of the generation that the slot had. */
  readonly generation: number;
  /** Id of the context (see Contexts). */
  readonly context: number;
  /** Point on the context, from 1. */
  readonly seqno: number;
}

/** What {@link Jobs.add} is told. */
export interface JobSpec {
  /** Pointer of the context. */
  readonly context: number;
  /** Queue pointers | LINK_FLAG.EXCLUSIVE, DISCARD. */
  readonly claims: readonly number[];
  /** Fences that must have signalled before it runs. */
  readonly inFences: readonly FencePoint[];
  /** JOB_FLAG.* */
  readonly flags: number;
  /** ms of the machine's clock; 0: any time. */
  readonly startAt: number;
  /** ms; 0: the default. */
  readonly limit: number;
  /** msgpack bytes, or with INT_PAYLOAD the integer. */
  readonly payload: Uint8Array | number;
}

const NO_BYTES = new Uint8Array(0);
const BARE: Omit<JobSpec, 'context'> = {
  claims: [],
  inFences: [],
  flags: 0,
  startAt: 0,
  limit: 0,
  payload: 0,
};

export class Jobs {
  readonly #k: Kernel;
  readonly #bell: Doorbell;
  readonly table: JobTable;
  readonly ready: ReadySets;
  readonly contexts: Contexts;
  readonly #queues: Queues;
  readonly #dependents: Dependents;
  readonly #payloadBase: number;
  readonly #payloadWords: number;
  /** Queue pointers of the job being added, ascending: the lock order. */
  readonly #sorted: number[] = [];
  #sortedCount = 0;
  /** Records of the job being added, and the grants that each has at once. */
  readonly #records: number[] = [0];
  readonly #bits: number[] = [0];
  #recordCount = 0;
  // Scratch lists keep their length and are counted beside: shortening an array is slow.
  /** Actors to ring, and blocking jobs to wake, once no lock is held. */
  readonly #rings: number[] = [];
  #ringCount = 0;
  readonly #wakes: number[] = [];
  #wakeCount = 0;
  /** Jobs that end by themselves and have been granted. */
  readonly #autos: number[] = [];
  /** The job being added has in-fences: others may grant it bits before it is published. */
  #fenced = false;
  /** Told when a queue ran empty whose buffer has no reference left. */
  onOrphan: (queue: number) => void = () => {};

  constructor(kernel: Kernel, bell: Doorbell, payloadBase: number, payloadWords: number) {
    this.#k = kernel;
    this.#bell = bell;
    this.table = new JobTable(kernel);
    this.ready = new ReadySets(kernel);
    this.contexts = new Contexts(kernel);
    this.#queues = new Queues(kernel, (job, bit) => this.#grant(job, bit));
    this.#dependents = new Dependents(kernel, (job, bit) => this.#grant(job, bit));
    this.#payloadBase = payloadBase;
    this.#payloadWords = payloadWords;
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
    const seqno = words.getDouble(spec.context + CONTEXT.SUBMITTED) + 1;
    this.#build(job, spec, seqno, now);
    words.setDouble(spec.context + CONTEXT.SUBMITTED, seqno);
    const context = this.contexts.idOf(spec.context);
    const target = words.get(spec.context + CONTEXT.TARGET);
    // Traced before others can see the job, so that its end is never recorded before its start.
    this.#k.trace.emit(TRACE_KIND.QUEUE, job, seqno, context, target);
    this.#dependOnAll(spec);
    this.#lockAll();
    this.#appendAll(spec.claims, spec.claims.length + spec.inFences.length);
    this.#publishAll(now);
    for (let i = 0; i < this.#sortedCount; i++) locks.unlock(this.#sorted[i] as number);
    locks.unlock(lock);
    this.flush();
    return { slot: job, generation, context, seqno };
  }

  /**
   * A fence that no device signals: RUNNING from the start, completed by whoever made it (a
   * software timeline). `seqno` is its point on the context.
   */
  addBare(context: number, seqno: number): FencePoint {
    const { words, clock } = this.#k;
    const job = this.table.alloc('create_fence');
    const spec = { ...BARE, context, flags: JOB_FLAG.BARE };
    this.#fenced = true;
    this.#build(job, spec, seqno, clock.now());
    const state = words.load(job + JOB.STATE);
    words.store(job + JOB.STATE, (state & ~JOB_STATE_MASK) | JOB_STATE.RUNNING);
    const generation = words.get(job + JOB.GEN);
    return { slot: job, generation, context: this.contexts.idOf(context), seqno };
  }

  /** Takes a READY job for running; false if somebody else has (or it is gone). Its target only. */
  claim(job: number): boolean {
    const { words } = this.#k;
    for (;;) {
      const state = words.get(job + JOB.STATE);
      if ((state & JOB_STATE_MASK) !== JOB_STATE.READY) return false;
      const next = (state & ~JOB_STATE_MASK) | JOB_STATE.RUNNING;
      if (words.cas(job + JOB.STATE, state, next)) return true;
    }
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
      if ((target & (LINK_FLAG.FENCE | LINK_FLAG.DISCARD)) !== 0) continue;
      const error = words.get((target & LINK_FLAG.TARGET_MASK) + QUEUE.CONTENT_ERROR);
      if (error !== 0) return error;
    }
    return 0;
  }

  /** Signals the fence of a RUNNING (or CANCELLING) job: 0 or −errno. Its claims stay. */
  complete(job: number, error: number): void {
    const { words, actor, clock, seam } = this.#k;
    words.set(actor + ACTOR.FINISHING, job);
    this.#markContent(job, error);
    words.set(job + JOB.ERROR, error);
    words.setDouble(job + JOB.T_DONE, clock.now());
    this.contexts.completed(words.get(job + JOB.CONTEXT), words.getDouble(job + JOB.SEQNO), error);
    for (;;) {
      const state = words.get(job + JOB.STATE);
      const next = (state & ~(JOB_STATE_MASK | JOB_WAITERS)) | JOB_STATE.DONE;
      if (!words.cas(job + JOB.STATE, state, next)) continue;
      if ((state & JOB_WAITERS) !== 0) seam.notify(words.i32, job + JOB.STATE, 0x7fffffff);
      break;
    }
    this.#dependents.signal(job, error);
    this.flush();
    words.set(actor + ACTOR.FINISHING, 0);
  }

  /** Ends the claims of a job that is DONE, and drops the reference that it had while in flight. */
  release(job: number): void {
    const { words, actor } = this.#k;
    words.set(actor + ACTOR.FINISHING, job);
    this.#removeLinks(job);
    // Nobody else changes the word of a job that is DONE; unref publishes the store.
    const state = words.get(job + JOB.STATE);
    words.set(job + JOB.STATE, (state & ~JOB_STATE_MASK) | JOB_STATE.RELEASED);
    this.unref(job);
    words.set(actor + ACTOR.FINISHING, 0);
    this.flush();
  }

  /** Ends a claimed job that never ran: its claims go first, so that no buffer's content changes. */
  abandon(job: number): void {
    this.#k.words.set(this.#k.actor + ACTOR.FINISHING, job);
    this.#removeLinks(job);
    this.complete(job, 0);
    this.release(job);
  }

  /** Drops a reference; the last one frees the slot. */
  unref(job: number): void {
    if (this.#k.words.add(job + JOB.REFS, -1) === 1) this.table.free(job);
  }

  /**
   * Takes a PENDING job back: its claims go at once, so that readers behind a cancelled writer move
   * up. A job of an unordered context (CPU access, callbacks) ends here; a device's job is handed to
   * the device, which signals it in its context's order. False if it was granted before.
   */
  cancel(job: number, error: number): boolean {
    const { words, actor } = this.#k;
    for (;;) {
      const state = words.load(job + JOB.STATE);
      if ((state & JOB_STATE_MASK) !== JOB_STATE.PENDING) return false;
      const next = (state & ~JOB_STATE_MASK) | JOB_STATE.CANCELLING;
      if (words.cas(job + JOB.STATE, state, next)) break;
    }
    words.set(actor + ACTOR.FINISHING, job);
    words.cas(job + JOB.DEP_ERROR, 0, error);
    this.#removeLinks(job);
    if (this.#endsHere(job)) {
      this.complete(job, error);
      this.release(job);
    } else {
      this.#redispatch(job);
    }
    words.set(actor + ACTOR.FINISHING, 0);
    this.flush();
    return true;
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
    for (let job = this.#autos.pop(); job !== undefined; job = this.#autos.pop())
      this.#endAuto(job);
  }

  /** A job's payload: the integer, or a private copy of its msgpack bytes. */
  payload(job: number): number | Uint8Array {
    const { words, jobs } = this.#k;
    if ((words.get(job + JOB.FLAGS) & JOB_FLAG.INT_PAYLOAD) !== 0)
      return words.get(job + JOB.COOKIE);
    const length = words.get(job + JOB.PAYLOAD);
    if (length === 0) return NO_BYTES;
    const slot = this.#payloadBase + jobs.indexOf(job) * this.#payloadWords;
    return words.bytes(slot, length).slice();
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
    const room = this.#payloadWords * 4;
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
        this.#records[this.#recordCount] = this.table.alloc('submit');
        this.#bits[this.#recordCount] = 0;
        this.#recordCount++;
      }
    } catch (error) {
      while (this.#recordCount > 0) this.table.free(this.#records[--this.#recordCount] as number);
      throw error;
    }
  }

  #build(job: number, spec: JobSpec, seqno: number, now: number): void {
    const { words, self } = this.#k;
    const links = spec.claims.length + spec.inFences.length;
    words.store(job + JOB.REFS, 1);
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
    this.#writePayload(job, spec);
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

  #writePayload(job: number, spec: JobSpec): void {
    const { words, jobs } = this.#k;
    const { payload } = spec;
    if (typeof payload === 'number') {
      words.set(job + JOB.COOKIE, payload);
      words.set(job + JOB.FLAGS, spec.flags | JOB_FLAG.INT_PAYLOAD);
      return;
    }
    words.set(job + JOB.FLAGS, spec.flags);
    words.set(job + JOB.PAYLOAD, payload.byteLength);
    if (payload.byteLength === 0) return;
    const slot = this.#payloadBase + jobs.indexOf(job) * this.#payloadWords;
    words.bytes(slot, payload.byteLength).set(payload);
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
      if (full && !further) this.#aboutToDispatch(record, now);
      const next = bits | (full ? JOB_STATE.READY : JOB_STATE.PENDING);
      if (!this.#fenced) words.store(record + JOB.STATE, next);
      else if (!words.cas(record + JOB.STATE, state, next)) continue;
      if (!further) this.#published(record, full);
      return full;
    }
  }

  /** A job that is to be handed over early goes to its target now, granted or not. */
  #published(job: number, full: boolean): void {
    const { words, jobs } = this.#k;
    const early = (words.get(job + JOB.FLAGS) & JOB_FLAG.EARLY) !== 0;
    if (early) this.#push(words.get(job + JOB.TARGET), jobs.indexOf(job));
    if (full) this.#dispatch(job);
  }

  /** Sets one bit of the granted mask; the last one makes a PENDING job READY. */
  #grant(job: number, bit: number): void {
    const { words, clock } = this.#k;
    for (;;) {
      const state = words.get(job + JOB.STATE);
      let next = state | (1 << (JOB_GRANT_SHIFT + bit));
      const ready =
        (next & JOB_GRANT_MASK) === JOB_GRANT_MASK &&
        (state & JOB_STATE_MASK) === JOB_STATE.PENDING;
      const further = ready && isFurther(this.#k, job);
      if (ready) next = (next & ~JOB_STATE_MASK) | JOB_STATE.READY;
      if (ready && !further) this.#aboutToDispatch(job, clock.now());
      if (!words.cas(job + JOB.STATE, state, next)) continue;
      if (further) this.#grant(words.get(job + JOB.CONTEXT), MORE_SLOT);
      else if (ready) this.#dispatch(job);
      return;
    }
  }

  #aboutToDispatch(job: number, now: number): void {
    const { words, actor } = this.#k;
    words.set(actor + ACTOR.INTENT, job);
    words.setDouble(job + JOB.T_GRANTED, now);
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
    else if ((flags & JOB_FLAG.AUTO) !== 0) this.#autos.push(job);
    else this.#push(words.get(job + JOB.TARGET), jobs.indexOf(job));
    words.set(actor + ACTOR.INTENT, 0);
  }

  #push(target: number, index: number): void {
    this.ready.push(target, index);
    this.#ringLater(target);
  }

  #ringLater(target: number): void {
    for (let i = 0; i < this.#ringCount; i++) if (this.#rings[i] === target) return;
    this.#rings[this.#ringCount++] = target;
  }

  /** Whether a cancelled job is ended by its canceller, there being no order to keep. */
  #endsHere(job: number): boolean {
    const { words } = this.#k;
    const flags = words.get(words.get(job + JOB.CONTEXT) + CONTEXT.FLAGS);
    return (flags & CONTEXT_FLAG.UNORDERED) !== 0;
  }

  #endAuto(job: number): void {
    if (!this.claim(job)) return;
    this.complete(job, this.blocker(job));
    this.release(job);
  }

  #redispatch(job: number): void {
    const { words, clock } = this.#k;
    this.#aboutToDispatch(job, clock.now());
    for (;;) {
      const state = words.load(job + JOB.STATE);
      const next = (state & ~JOB_STATE_MASK) | JOB_STATE.READY;
      if (words.cas(job + JOB.STATE, state, next)) break;
    }
    this.#dispatch(job);
  }

  /** D8: a failed writer poisons the content; a full overwrite that succeeded clears it. */
  #markContent(job: number, error: number): void {
    const { words } = this.#k;
    for (let link = firstLink(words, job); link !== 0; link = nextLink(words, link)) {
      const target = words.get(link + LINK.TARGET);
      if ((target & LINK_FLAG.EXCLUSIVE) === 0 || (target & LINK_FLAG.FENCE) !== 0) continue;
      const queue = target & LINK_FLAG.TARGET_MASK;
      if (error !== 0) words.set(queue + QUEUE.CONTENT_ERROR, error);
      else if ((target & LINK_FLAG.DISCARD) !== 0) words.set(queue + QUEUE.CONTENT_ERROR, 0);
    }
  }

  /** Takes all links of a job back and frees its further records. */
  #removeLinks(job: number): void {
    const { words } = this.#k;
    for (let link = firstLink(words, job); link !== 0; link = nextLink(words, link)) {
      const target = words.get(link + LINK.TARGET);
      if ((target & LINK_FLAG.FENCE) !== 0) this.#dependents.remove(link);
      else this.#removeClaim(target & LINK_FLAG.TARGET_MASK, link);
    }
    let further = nextRecord(this.#k, job);
    words.set(job + JOB.LINKS, 0);
    while (further !== 0) {
      const next = nextRecord(this.#k, further);
      this.table.free(further);
      further = next;
    }
  }

  #removeClaim(queue: number, link: number): void {
    const { words, locks } = this.#k;
    locks.lock(queue);
    this.#queues.remove(queue, link);
    const orphan = words.get(queue + QUEUE.HEAD) === 0 && words.get(queue + QUEUE.ORPHAN) !== 0;
    locks.unlock(queue);
    if (orphan) this.onOrphan(queue);
  }
}
