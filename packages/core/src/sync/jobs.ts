/**
 * Jobs: claims on several buffers at once, granted by the buffers' queues, run by a device, ended
 * by a fence (design D6–D8).
 *
 *   FREE → BUILDING → PENDING → READY → RUNNING → DONE → RELEASED → FREE
 *                        └→ CANCELLING → DONE …
 *
 * One word holds state, the mask of granted links, the waiters bit and 15 bits of generation; every
 * change of it is a CAS. There is no counter of pending grants: PENDING with a full mask is READY.
 * JobBuilder adds jobs, Dispatch hands on those that became READY; here they are claimed, completed,
 * released and cancelled. FINISHING names the job that this thread is half-way through ending, for
 * whoever recovers after its death.
 */
import type { Doorbell } from '../actor/doorbell.js';
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  CONTEXT,
  CONTEXT_FLAG,
  JOB,
  JOB_FLAG,
  JOB_STATE,
  JOB_STATE_MASK,
  JOB_WAITERS,
  LINK,
  LINK_FLAG,
  QUEUE,
} from '../memory/layout.js';
import { Contexts } from './contexts.js';
import { Dependents } from './dependents.js';
import { Dispatch } from './dispatch.js';
import { JobBuilder } from './job-builder.js';
import { firstLink, nextLink, nextRecord } from './job-links.js';
import type { FencePoint, JobSpec } from './job-spec.js';
import { JobTable } from './job-table.js';
import { Payloads } from './payloads.js';
import { Queues } from './queue.js';
import { ReadySets } from './ready-set.js';

export type { FencePoint, JobSpec } from './job-spec.js';

export class Jobs {
  readonly #k: Kernel;
  readonly table: JobTable;
  readonly ready: ReadySets;
  readonly contexts: Contexts;
  readonly payloads: Payloads;
  readonly builder: JobBuilder;
  readonly #queues: Queues;
  readonly #dependents: Dependents;
  readonly #dispatch: Dispatch;
  /** Told when a queue ran empty whose buffer has no reference left. */
  onOrphan: (queue: number) => void = () => {};

  constructor(kernel: Kernel, bell: Doorbell) {
    this.#k = kernel;
    this.table = new JobTable(kernel);
    this.ready = new ReadySets(kernel);
    this.contexts = new Contexts(kernel);
    this.payloads = new Payloads(kernel);
    const dispatch = new Dispatch(kernel, bell, this.ready);
    dispatch.onAuto = (job) => this.#endAuto(job);
    this.#dispatch = dispatch;
    this.#queues = new Queues(kernel, (job, bit) => dispatch.grant(job, bit));
    this.#dependents = new Dependents(kernel, (job, bit) => dispatch.grant(job, bit));
    const { table, contexts, payloads } = this;
    const [queues, dependents] = [this.#queues, this.#dependents];
    const parts = { kernel, table, contexts, queues, dependents, dispatch, payloads };
    this.builder = new JobBuilder(parts);
  }

  /** Adds a job: see {@link JobBuilder.add}. */
  add(spec: JobSpec): FencePoint {
    return this.builder.add(spec);
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
    this.#dispatch.flush();
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
    this.#dispatch.flush();
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
  cancel(job: number, error: number, generation?: number): boolean {
    const { words, actor } = this.#k;
    for (;;) {
      const state = words.load(job + JOB.STATE);
      if ((state & JOB_STATE_MASK) !== JOB_STATE.PENDING) return false;
      // The slot may have moved on since the caller looked: the word itself names the generation.
      if (generation !== undefined && words.load(job + JOB.GEN) !== generation) return false;
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
      this.#dispatch.redispatch(job);
    }
    words.set(actor + ACTOR.FINISHING, 0);
    this.#dispatch.flush();
    return true;
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
