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
  LINK_FLAG,
  MAX_LINKS,
  QUEUE,
} from '../memory/layout.js';
import { TRACE_KIND } from '../trace/ring.js';
import { Contexts } from './contexts.js';
import { Dependents } from './dependents.js';
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
  /** Actors to ring, and blocking jobs to wake, once no lock is held. */
  readonly #rings: number[] = [];
  readonly #wakes: number[] = [];
  /** Told when a queue ran empty whose buffer has no reference left. */
  onOrphan: (queue: number) => void = () => {};

  constructor(
    kernel: Kernel,
    bell: Doorbell,
    payloadBase: number,
    payloadWords: number,
  ) {
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
    this.#validate(spec);
    const { words, locks, clock } = this.#k;
    const job = this.table.alloc('submit');
    const now = clock.now();
    const generation = words.get(job + JOB.GEN);
    const lock = spec.context + CONTEXT.LOCK;
    locks.lock(lock);
    const seqno = words.getDouble(spec.context + CONTEXT.SUBMITTED) + 1;
    this.#build(job, spec, seqno, now);
    words.setDouble(spec.context + CONTEXT.SUBMITTED, seqno);
    let granted = 0;
    for (let i = 0; i < spec.inFences.length; i++) {
      granted |= this.#dependOn(job, spec.claims.length + i, spec.inFences[i] as FencePoint);
    }
    this.#lockAll();
    granted |= this.#appendAll(job, spec.claims);
    this.#publish(job, granted, now);
    for (const queue of this.#sorted) locks.unlock(queue);
    locks.unlock(lock);
    this.flush();
    const context = this.contexts.idOf(spec.context);
    const target = words.get(spec.context + CONTEXT.TARGET);
    this.#k.trace.emit(TRACE_KIND.QUEUE, job, seqno, context, target);
    return { slot: job, generation, context, seqno };
  }

  /** Takes a READY job for running; false if somebody else has (or it is gone). Its target only. */
  claim(job: number): boolean {
    const { words } = this.#k;
    for (;;) {
      const state = words.load(job + JOB.STATE);
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
    const dep = words.load(job + JOB.DEP_ERROR);
    if (dep !== 0) return dep;
    if ((words.get(job + JOB.FLAGS) & JOB_FLAG.RUN_ANYWAY) !== 0) return 0;
    const links = words.get(job + JOB.LINKS);
    for (let i = 0; i < links; i++) {
      const target = words.get(job + JOB.LINK + i * LINK.WORDS + LINK.TARGET);
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
    this.contexts.completed(
      words.get(job + JOB.CONTEXT),
      words.getDouble(job + JOB.SEQNO),
      error,
    );
    for (;;) {
      const state = words.load(job + JOB.STATE);
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
    const state = words.load(job + JOB.STATE);
    words.store(job + JOB.STATE, (state & ~JOB_STATE_MASK) | JOB_STATE.RELEASED);
    this.unref(job);
    words.set(actor + ACTOR.FINISHING, 0);
    this.flush();
  }

  /** Drops a reference; the last one frees the slot. */
  unref(job: number): void {
    if (this.#k.words.add(job + JOB.REFS, -1) === 1) this.table.free(job);
  }

  /**
   * Takes a PENDING job back: its claims go at once, so that readers behind a cancelled writer move
   * up. A blocking job of this thread ends here; a device's job is handed to the device, which
   * signals it in its context's order. False if it was granted before.
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
    words.set(job + JOB.LINKS, 0);
    if ((words.get(job + JOB.FLAGS) & JOB_FLAG.BLOCKING) !== 0) {
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
    const { words, seam } = this.#k;
    for (let i = 0; i < this.#rings.length; i++) this.#bell.ring(this.#rings[i] as number);
    this.#rings.length = 0;
    for (let i = 0; i < this.#wakes.length; i++) {
      const index = (this.#wakes[i] as number) + JOB.STATE;
      if ((words.load(index) & JOB_WAITERS) !== 0) seam.notify(words.i32, index, 0x7fffffff);
    }
    this.#wakes.length = 0;
  }

  /** A job's payload: the integer, or a private copy of its msgpack bytes. */
  payload(job: number): number | Uint8Array {
    const { words, jobs } = this.#k;
    if ((words.get(job + JOB.FLAGS) & JOB_FLAG.INT_PAYLOAD) !== 0) return words.get(job + JOB.COOKIE);
    const length = words.get(job + JOB.PAYLOAD);
    if (length === 0) return NO_BYTES;
    const slot = this.#payloadBase + jobs.indexOf(job) * this.#payloadWords;
    return words.bytes(slot, length).slice();
  }

  #validate(spec: JobSpec): void {
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
    sorted.length = 0;
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

  #build(job: number, spec: JobSpec, seqno: number, now: number): void {
    const { words, self } = this.#k;
    const links = spec.claims.length + spec.inFences.length;
    words.set(job + JOB.REFS, 1);
    words.set(job + JOB.CONTEXT, spec.context);
    words.set(job + JOB.OWNER, self);
    words.set(job + JOB.TARGET, words.get(spec.context + CONTEXT.TARGET));
    words.set(job + JOB.ERROR, 0);
    words.set(job + JOB.DEP_ERROR, 0);
    words.set(job + JOB.LINKS, links);
    words.setDouble(job + JOB.SEQNO, seqno);
    words.setDouble(job + JOB.T_QUEUED, now);
    words.setDouble(job + JOB.START_AT, spec.startAt);
    words.set(job + JOB.LIMIT, spec.limit);
    this.#writePayload(job, spec);
    const mask = (JOB_GRANT_MASK << links) & JOB_GRANT_MASK;
    const gen = words.get(job + JOB.GEN) << JOB_GEN_SHIFT;
    words.store(job + JOB.STATE, gen | mask | JOB_STATE.BUILDING);
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

  /** Registers link `i` of a job that is being built with a fence; its bit if that has signalled. */
  #dependOn(job: number, i: number, fence: FencePoint): number {
    const link = job + JOB.LINK + i * LINK.WORDS;
    const settled = this.#dependents.add(link, fence);
    if (settled === 0) return 0;
    const { words } = this.#k;
    words.set(link + LINK.TARGET, LINK_FLAG.FENCE);
    if (settled < 0 && (words.get(job + JOB.FLAGS) & JOB_FLAG.RUN_ANYWAY) === 0) {
      words.cas(job + JOB.DEP_ERROR, 0, settled);
    }
    return 1 << (JOB_GRANT_SHIFT + i);
  }

  #lockAll(): void {
    const sorted = this.#sorted;
    for (let i = 0; i < sorted.length; i++) this.#k.locks.lock(sorted[i] as number);
  }

  /** Appends the links, all locks held; returns the bits of those granted at once. */
  #appendAll(job: number, claims: readonly number[]): number {
    const { words } = this.#k;
    const sorted = this.#sorted;
    let order = 0;
    for (let i = 0; i < sorted.length; i++) {
      const queue = sorted[i] as number;
      if (words.get(queue + QUEUE.HEAD) === 0) continue;
      order = Math.max(order, words.getDouble(queue + QUEUE.SEQ));
    }
    order += 1;
    words.setDouble(job + JOB.ORDER, order);
    let granted = 0;
    for (let i = 0; i < claims.length; i++) {
      const claim = claims[i] as number;
      const queue = claim & LINK_FLAG.TARGET_MASK;
      const link = job + JOB.LINK + i * LINK.WORDS;
      words.set(link + LINK.TARGET, claim);
      words.setDouble(queue + QUEUE.SEQ, order);
      if (this.#queues.append(queue, link, (claim & LINK_FLAG.EXCLUSIVE) !== 0)) {
        granted |= 1 << (JOB_GRANT_SHIFT + i);
      }
    }
    return granted;
  }

  /** BUILDING → PENDING, or READY when all bits are there (fence bits may arrive meanwhile). */
  #publish(job: number, granted: number, now: number): void {
    const { words } = this.#k;
    for (;;) {
      const state = words.load(job + JOB.STATE);
      const bits = (state & ~JOB_STATE_MASK) | granted;
      const full = (bits & JOB_GRANT_MASK) === JOB_GRANT_MASK;
      if (full) this.#aboutToDispatch(job, now);
      const next = bits | (full ? JOB_STATE.READY : JOB_STATE.PENDING);
      if (!words.cas(job + JOB.STATE, state, next)) continue;
      if (full) this.#dispatch(job);
      return;
    }
  }

  /** Sets one bit of the granted mask; the last one makes a PENDING job READY. */
  #grant(job: number, bit: number): void {
    const { words, clock } = this.#k;
    for (;;) {
      const state = words.load(job + JOB.STATE);
      let next = state | (1 << (JOB_GRANT_SHIFT + bit));
      const ready =
        (next & JOB_GRANT_MASK) === JOB_GRANT_MASK &&
        (state & JOB_STATE_MASK) === JOB_STATE.PENDING;
      if (ready) {
        next = (next & ~JOB_STATE_MASK) | JOB_STATE.READY;
        this.#aboutToDispatch(job, clock.now());
      }
      if (!words.cas(job + JOB.STATE, state, next)) continue;
      if (ready) this.#dispatch(job);
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
    if ((words.get(job + JOB.FLAGS) & JOB_FLAG.BLOCKING) !== 0) {
      this.#wakes.push(job);
    } else {
      const target = words.get(job + JOB.TARGET);
      this.ready.push(target, jobs.indexOf(job));
      if (!this.#rings.includes(target)) this.#rings.push(target);
    }
    words.set(actor + ACTOR.INTENT, 0);
    trace.emit(TRACE_KIND.GRANT, job, words.getDouble(job + JOB.SEQNO), 0, 0);
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
    const links = words.get(job + JOB.LINKS);
    for (let i = 0; i < links; i++) {
      const target = words.get(job + JOB.LINK + i * LINK.WORDS + LINK.TARGET);
      if ((target & LINK_FLAG.EXCLUSIVE) === 0 || (target & LINK_FLAG.FENCE) !== 0) continue;
      const queue = target & LINK_FLAG.TARGET_MASK;
      if (error !== 0) words.set(queue + QUEUE.CONTENT_ERROR, error);
      else if ((target & LINK_FLAG.DISCARD) !== 0) words.set(queue + QUEUE.CONTENT_ERROR, 0);
    }
  }

  #removeLinks(job: number): void {
    const { words, locks } = this.#k;
    const links = words.get(job + JOB.LINKS);
    for (let i = 0; i < links; i++) {
      const link = job + JOB.LINK + i * LINK.WORDS;
      const target = words.get(link + LINK.TARGET);
      if ((target & LINK_FLAG.FENCE) !== 0) {
        this.#dependents.remove(link);
        continue;
      }
      const queue = target & LINK_FLAG.TARGET_MASK;
      locks.lock(queue);
      this.#queues.remove(queue, link);
      const orphan = words.get(queue + QUEUE.HEAD) === 0 && words.get(queue + QUEUE.ORPHAN) !== 0;
      locks.unlock(queue);
      if (orphan) this.onOrphan(queue);
    }
  }
}
