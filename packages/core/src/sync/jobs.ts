/**
 * Jobs: claims on several buffers at once, granted by the buffers' queues, run by a device, ended
 * by a fence (design D6–D8).
 *
 *   FREE → BUILDING → PENDING → READY → RUNNING → DONE → (RELEASED →) RECLAIM → FREE
 *                        └→ CANCELLING → DONE …    RUNNING → ENDING or EVICTING → DONE … (holds)
 *
 * One word holds state, the mask of granted links (later: who ends the job), the waiters bit and 15 bits of
 * generation; every change of it is a CAS. There is no counter of pending grants: PENDING with a full mask is READY.
 * JobBuilder adds jobs, Dispatch hands on those that became READY; here they are claimed, completed,
 * released and cancelled, and JobClaims does what that does to their buffers. FINISHING names the job that this thread is half-way through ending, for
 * whoever recovers after its death; every step of ending can be done twice, but by one after the other. Who
 * ends a job is decided by a CAS of its state word, which names the winner: others may have it in FINISHING too.
 */
import type { Doorbell } from '../actor/doorbell.js';
import type { BufferRecord, SgEntry } from '../dmabuf/ops.js';
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  CONTEXT,
  CONTEXT_FLAG,
  HEADER,
  JOB,
  JOB_GRANT_MASK,
  JOB_GRANT_SHIFT,
  JOB_STATE,
  JOB_STATE_MASK,
  JOB_WAITERS,
} from '../memory/layout.js';
import { Contexts, isBeingCancelled } from './contexts.js';
import { Dependents } from './dependents.js';
import { Dispatch } from './dispatch.js';
import { JobBuilder } from './job-builder.js';
import { JobClaims } from './job-claims.js';
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
  readonly queues: Queues;
  readonly dependents: Dependents;
  readonly dispatch: Dispatch;
  readonly claims: JobClaims;
  /** The pieces of memory of a claimed buffer, which its exporter knows. */
  pieces: (buffer: BufferRecord) => readonly SgEntry[] = () => [];

  constructor(kernel: Kernel, bell: Doorbell) {
    this.#k = kernel;
    this.table = new JobTable(kernel);
    this.ready = new ReadySets(kernel);
    this.contexts = new Contexts(kernel);
    this.payloads = new Payloads(kernel);
    const dispatch = new Dispatch(kernel, bell, this.ready);
    dispatch.onAuto = (job, generation) => this.endAuto(job, generation);
    this.dispatch = dispatch;
    this.queues = new Queues(kernel, (job, bit) => dispatch.grant(job, bit));
    this.dependents = new Dependents(kernel, (job, bit) => dispatch.grant(job, bit));
    const { table, contexts, payloads } = this;
    const [queues, dependents] = [this.queues, this.dependents];
    this.claims = new JobClaims(kernel, table, queues, dependents);
    const parts = { kernel, table, contexts, queues, dependents, dispatch, payloads };
    this.builder = new JobBuilder(parts);
  }

  /** Adds a job: see {@link JobBuilder.add}. */
  add(spec: JobSpec): FencePoint {
    return this.builder.add(spec);
  }

  /** Takes a READY job for running; false if it is gone. Its target only. */
  claim(job: number): boolean {
    const { words } = this.#k;
    for (;;) {
      const state = words.get(job + JOB.STATE);
      if ((state & JOB_STATE_MASK) !== JOB_STATE.READY) return false;
      const next = (state & ~JOB_STATE_MASK) | JOB_STATE.RUNNING;
      if (words.cas(job + JOB.STATE, state, next)) return true;
    }
  }

  /** Why a claimed job must not run, 0 if it may: see {@link JobClaims.blocker}. */
  blocker(job: number): number {
    return this.claims.blocker(job);
  }

  /** Signals the fence of a RUNNING (or CANCELLING) job: 0 or −errno. Its claims stay. */
  complete(job: number, error: number): void {
    this.#begin(job);
    this.#complete(job, error);
    this.#end();
    this.dispatch.flush();
  }

  /** Ends the claims of a job that is DONE, and frees its slot unless a sync file pins it. */
  release(job: number): void {
    const generation = this.#begin(job);
    this.claims.remove(job);
    this.#end();
    this.#reclaim(job, generation);
    this.dispatch.flush();
  }

  /** {@link complete} and {@link release} as one. */
  finish(job: number, error: number): void {
    const generation = this.#begin(job);
    this.#complete(job, error);
    this.claims.remove(job);
    this.#end();
    this.#reclaim(job, generation);
    this.dispatch.flush();
  }

  /** {@link claim} of a hold or a callback, whose time begins to count. By its thread. */
  start(job: number): boolean {
    this.#k.words.setDouble(job + JOB.T_STARTED, this.#k.clock.now());
    return this.claim(job);
  }

  /** Whether a hold that was started has not ended: nobody has evicted it. */
  isHeld(job: number, generation: number): boolean {
    const { words } = this.#k;
    const running = (words.load(job + JOB.STATE) & JOB_STATE_MASK) === JOB_STATE.RUNNING;
    return running && words.load(job + JOB.GEN) === generation;
  }

  /** {@link finish} of a hold or a callback by its thread; false if the watchdog has been faster. */
  end(job: number, generation: number, error: number): boolean {
    if (!this.#decide(job, generation, JOB_STATE.ENDING)) return false;
    this.finish(job, error);
    return true;
  }

  /** {@link finish} of a hold that is past its limit; false if it has ended. Its buffers are tainted (D9). */
  evict(job: number, generation: number, error: number): boolean {
    if (!this.#decide(job, generation, JOB_STATE.EVICTING)) return false;
    this.claims.taint(job);
    this.finish(job, error);
    return true;
  }

  /** {@link finish} of a dead thread's hold; false if the watchdog has been faster. */
  endOfDead(job: number, generation: number, error: number): boolean {
    if (!this.#decide(job, generation, JOB_STATE.EVICTING)) return false;
    this.finish(job, error);
    return true;
  }

  /** Ends a claimed job that never ran: its claims go first, so that no buffer's content changes. */
  abandon(job: number, generation: number): void {
    if (!this.#decide(job, generation, JOB_STATE.ENDING)) return;
    this.claims.remove(job);
    this.finish(job, 0);
  }

  /** RUNNING → ENDING or EVICTING: whoever makes it ends the job. */
  #decide(job: number, generation: number, stage: number): boolean {
    return this.#become(job, generation, JOB_STATE.RUNNING, stage);
  }

  /** The transition `from` → `to`, which names this thread as who ends the job. FINISHING names the job before. */
  #become(job: number, generation: number, from: number, to: number): boolean {
    const { words } = this.#k;
    this.#begin(job, generation);
    for (;;) {
      const state = words.load(job + JOB.STATE);
      if ((state & JOB_STATE_MASK) !== from || words.load(job + JOB.GEN) !== generation) break;
      if (words.cas(job + JOB.STATE, state, this.#ending(state, to))) return true;
    }
    this.#end();
    return false;
  }

  /** A state word's successor in which this thread ends the job. */
  #ending(state: number, stage: number): number {
    const kept = state & ~(JOB_STATE_MASK | JOB_GRANT_MASK);
    return kept | (this.#k.self << JOB_GRANT_SHIFT) | stage;
  }

  /**
   * Goes on with a {@link finish} whose thread has died in it: whatever was done is not done again but
   * harmlessly. `error`: for a fence that had not signalled. Only for a job that the dead alone was ending.
   */
  resume(job: number, error: number): void {
    const { words } = this.#k;
    const stage = words.load(job + JOB.STATE) & JOB_STATE_MASK;
    if (stage === JOB_STATE.DONE) {
      const generation = this.#begin(job);
      this.#takeOver(job);
      this.#wake(job);
      this.dependents.signal(job, words.get(job + JOB.ERROR));
      this.claims.remove(job);
      this.#end();
      this.#reclaim(job, generation);
      this.dispatch.flush();
    } else if (isBeingCancelled(stage)) {
      this.#finishCancel(job, error);
      this.dispatch.flush();
    } else this.finish(job, error);
  }

  /** A DONE job of the dead's is this thread's to end: for who recovers this one. */
  #takeOver(job: number): void {
    const { words } = this.#k;
    for (;;) {
      const state = words.load(job + JOB.STATE);
      if (words.cas(job + JOB.STATE, state, this.#ending(state, JOB_STATE.DONE))) return;
    }
  }

  /** Only what {@link resume} does to a DONE job's waiters: it goes on holding its claims. */
  signalAgain(job: number): void {
    this.#wake(job);
    this.dependents.signal(job, this.#k.words.get(job + JOB.ERROR));
    this.dispatch.flush();
  }

  /** Whoever sleeps on a job's state word looks again. */
  #wake(job: number): void {
    const { words, seam } = this.#k;
    if ((words.load(job + JOB.STATE) & JOB_WAITERS) === 0) return;
    seam.notify(words.i32, job + JOB.STATE, 0x7fffffff);
  }

  /** Rings and wakes whoever was granted something meanwhile. With no lock held. */
  flush(): void {
    this.dispatch.flush();
  }

  /** A sync file let go of a slot: frees it if its job has been released. */
  unpinned(job: number, generation: number): void {
    const stage = this.#k.words.load(job + JOB.STATE) & JOB_STATE_MASK;
    if (stage === JOB_STATE.RELEASED) this.#reclaim(job, generation);
  }

  /** This thread is about to end a job: for what comes before {@link finish} and must not be left half done. */
  intend(job: number): void {
    this.#begin(job);
  }

  /**
   * Takes a PENDING job back: its claims go at once, so that readers behind a cancelled writer move
   * up. A job of an unordered context (CPU access, callbacks) ends here; a device's job is handed to
   * the device, which signals it in its context's order. False if it was granted before. By its owner;
   * a recoverer says RECALLING.
   */
  cancel(
    job: number,
    error: number,
    generation?: number,
    stage: number = JOB_STATE.CANCELLING,
  ): boolean {
    const { words } = this.#k;
    this.#begin(job, generation);
    for (;;) {
      const state = words.load(job + JOB.STATE);
      const pending = (state & JOB_STATE_MASK) === JOB_STATE.PENDING;
      // The slot may have moved on since the caller looked: the word itself names the generation.
      if (!pending || (generation !== undefined && words.load(job + JOB.GEN) !== generation)) {
        this.#end();
        return false;
      }
      const next = (state & ~JOB_STATE_MASK) | stage;
      if (words.cas(job + JOB.STATE, state, next)) break;
    }
    this.#finishCancel(job, error);
    this.dispatch.flush();
    return true;
  }

  /** What follows once a job is CANCELLING or RECALLING: only its canceller, or that one's recoverer. */
  #finishCancel(job: number, error: number): void {
    const { words } = this.#k;
    const generation = this.#begin(job);
    words.cas(job + JOB.DEP_ERROR, 0, error);
    this.claims.remove(job);
    const here = this.#endsHere(job);
    if (here) this.#complete(job, error);
    else this.dispatch.redispatch(job);
    this.#end();
    if (here) this.#reclaim(job, generation);
  }

  /** Says what this thread is half-way through, for whoever recovers after its death. */
  #begin(job: number, generation: number = this.#k.words.get(job + JOB.GEN)): number {
    const { words, actor } = this.#k;
    words.set(actor + ACTOR.FINISHING_GEN, generation);
    words.set(actor + ACTOR.FINISHING, job);
    return generation;
  }

  /** Always before the slot is freed: FINISHING never names a job of somebody else. */
  #end(): void {
    this.#k.words.set(this.#k.actor + ACTOR.FINISHING, 0);
  }

  /** Each step can be done twice, the transition to DONE comes last. */
  #complete(job: number, error: number): void {
    const { words, clock, seam } = this.#k;
    this.claims.markContent(job, error);
    words.set(job + JOB.ERROR, error);
    words.setDouble(job + JOB.T_DONE, clock.now());
    this.contexts.completed(words.get(job + JOB.CONTEXT), words.getDouble(job + JOB.SEQNO), error);
    for (;;) {
      // The waiters bit stays: of a job that is DONE it says that a sync file may pin it.
      const state = words.get(job + JOB.STATE);
      if (!words.cas(job + JOB.STATE, state, this.#ending(state, JOB_STATE.DONE))) continue;
      if ((state & JOB_WAITERS) !== 0) seam.notify(words.i32, job + JOB.STATE, 0x7fffffff);
      break;
    }
    this.dependents.signal(job, error);
  }

  /**
   * DONE → RECLAIM → FREE. Whoever makes the first transition frees the slot, once; a job that was looked
   * at by somebody (waiters bit) may be pinned: then it stays as RELEASED.
   */
  #reclaim(job: number, generation: number): void {
    const { words, locks } = this.#k;
    let locked = false;
    for (;;) {
      const state = words.get(job + JOB.STATE);
      const stage = state & JOB_STATE_MASK;
      const same = words.load(job + JOB.GEN) === generation;
      if (!same || (stage !== JOB_STATE.DONE && stage !== JOB_STATE.RELEASED)) break;
      if ((state & JOB_WAITERS) !== 0 && !locked) {
        locks.lock(HEADER.FENCE_LOCK);
        locked = true;
        continue;
      }
      const pinned = locked && words.get(job + JOB.HOLDS) > 0;
      const next = pinned
        ? (state & ~JOB_STATE_MASK) | JOB_STATE.RELEASED
        : this.table.reclaimWord(job);
      if (!words.cas(job + JOB.STATE, state, next)) continue;
      if (locked) locks.unlock(HEADER.FENCE_LOCK);
      if (!pinned) this.table.free(job);
      return;
    }
    if (locked) locks.unlock(HEADER.FENCE_LOCK);
  }

  /** Whether a cancelled job is ended by its canceller, there being no order to keep. */
  #endsHere(job: number): boolean {
    const { words } = this.#k;
    const flags = words.get(words.get(job + JOB.CONTEXT) + CONTEXT.FLAGS);
    return (flags & CONTEXT_FLAG.UNORDERED) !== 0;
  }

  /** Ends a granted job that ends by itself. By whoever comes first: the claim decides. */
  endAuto(job: number, generation: number): void {
    if (this.#become(job, generation, JOB_STATE.READY, JOB_STATE.RUNNING)) {
      this.finish(job, this.blocker(job));
    }
  }
}
