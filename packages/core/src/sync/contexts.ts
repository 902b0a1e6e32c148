/**
 * Contexts: ordered lines of jobs for one target (a codec's, a GPU's, a CRTC), like a
 * dma_fence context with its ring (kernel: dma-fence.c, DRM scheduler entities).
 *
 * seqnos count from 1 and are assigned under the context's LOCK. A slot is recycled only after its
 * fence signalled, so a fence whose slot has moved on did signal; with which error, the
 * context's ring of recent errors tells. LOST is the highest seqno whose entry was
 * overwritten: at or below it the answer is ESTALE, above it "no entry" means success.
 */
import { DmaBufError, errno } from '../errno.js';
import type { Kernel } from '../kernel.js';
import {
  CONTEXT,
  CONTEXT_FLAG,
  CONTEXT_RING_SIZE,
  CONTEXT_RING_WORDS,
  HEADER,
  JOB,
  JOB_FLAG,
  JOB_STATE,
  JOB_STATE_MASK,
} from '../memory/layout.js';
import { readName, writeName } from '../memory/tables.js';

const INDEX_BITS = 10;
const INDEX_MASK = (1 << INDEX_BITS) - 1;

export class Contexts {
  readonly #k: Kernel;

  constructor(kernel: Kernel) {
    this.#k = kernel;
  }

  /** Makes a context whose jobs run on `target`; returns its pointer. ENOSPC when the table is full. */
  create(target: number, name: string, flags: number): number {
    const { words, locks, contexts, self } = this.#k;
    locks.lock(HEADER.CONTEXT_LOCK);
    const context = contexts.findFree() || this.#findClosed();
    if (context === 0) {
      locks.unlock(HEADER.CONTEXT_LOCK);
      throw new DmaBufError(
        'ENOSPC',
        'create_context',
        `all ${contexts.count} contexts are in use; close one, or boot with a larger tables.contexts`,
      );
    }
    const gen = (words.get(context + CONTEXT.GEN) + 1) & 0xfffff || 1;
    words.store(context + CONTEXT.STATE, 0); // a closed one's fences read ESTALE from now on
    words.set(context + CONTEXT.GEN, gen);
    words.set(context + CONTEXT.TARGET, target);
    words.set(context + CONTEXT.OWNER, self);
    words.set(context + CONTEXT.FLAGS, flags);
    words.setDouble(context + CONTEXT.SUBMITTED, 0);
    words.setDouble(context + CONTEXT.STARTED, 0);
    words.setDouble(context + CONTEXT.COMPLETED, 0);
    words.set(context + CONTEXT.ERRORS, 0);
    words.setDouble(context + CONTEXT.LOST, -1); // points of timelines begin at 0
    words.set(context + CONTEXT.CLOSED, 0);
    words.set(context + CONTEXT.FINAL_ERROR, 0);
    writeName(words, context + CONTEXT.NAME, 8, name);
    words.store(context + CONTEXT.STATE, gen);
    locks.unlock(HEADER.CONTEXT_LOCK);
    return context;
  }

  /** Closes a context. EBUSY with jobs in flight. */
  destroy(context: number): void {
    const { words, locks } = this.#k;
    locks.lock(context + CONTEXT.LOCK);
    const busy = this.#inFlight(context);
    if (busy === 0) words.store(context + CONTEXT.CLOSED, 1);
    locks.unlock(context + CONTEXT.LOCK);
    if (busy > 0) {
      throw new DmaBufError(
        'EBUSY',
        'destroy_context',
        `context '${this.nameOf(context)}' has ${busy} jobs in flight; wait for its newest fence`,
      );
    }
  }

  /** Jobs of a context whose fences have not signalled. Its LOCK is held. */
  #inFlight(context: number): number {
    const { words, jobs } = this.#k;
    if ((words.get(context + CONTEXT.FLAGS) & CONTEXT_FLAG.UNORDERED) === 0) {
      const completed = words.getDouble(context + CONTEXT.COMPLETED);
      return words.getDouble(context + CONTEXT.SUBMITTED) - completed;
    }
    let count = 0;
    for (let i = 0; i < jobs.count; i++) {
      const job = jobs.at(i);
      const stage = words.load(job + JOB.STATE) & JOB_STATE_MASK;
      if (!isPendingStage(stage) || words.get(job + JOB.CONTEXT) !== context) continue;
      if ((words.get(job + JOB.FLAGS) & JOB_FLAG.MORE) === 0) count++;
    }
    return count;
  }

  /** All fences beyond `from` fail with `error`, also those whose slots are recycled by then. */
  failBeyond(context: number, from: number, error: number): void {
    const { words } = this.#k;
    words.setDouble(context + CONTEXT.FINAL_FROM, from);
    words.store(context + CONTEXT.FINAL_ERROR, error);
  }

  /** Gives the slot up. The last store of whoever ends a context: {@link create} may take it at once. */
  close(context: number): void {
    this.#k.words.store(context + CONTEXT.CLOSED, 1);
  }

  /** Its owner has died: closed now, or, while jobs are in flight on it, when its place is needed. */
  disown(context: number, dead: number): void {
    const { words } = this.#k;
    this.#ifStill(context, CONTEXT.OWNER, dead, () => {
      if (this.#inFlight(context) === 0) words.store(context + CONTEXT.CLOSED, 1);
      else words.set(context + CONTEXT.OWNER, 0);
    });
  }

  /** Its target has died: nothing more is added to it. */
  closeLine(context: number, dead: number): void {
    const { words } = this.#k;
    this.#ifStill(context, CONTEXT.TARGET, dead, () => words.store(context + CONTEXT.CLOSED, 1));
  }

  /** Does something to a context unless its slot has become somebody else's: {@link create} is kept out. */
  #ifStill(context: number, field: number, value: number, change: () => void): void {
    const { words, locks } = this.#k;
    locks.lock(context + CONTEXT.LOCK);
    locks.lock(HEADER.CONTEXT_LOCK);
    if (words.get(context + field) === value) change();
    locks.unlock(HEADER.CONTEXT_LOCK);
    locks.unlock(context + CONTEXT.LOCK);
  }

  /** Takes back a context that {@link create} has just made and nobody else has seen. */
  discard(context: number): void {
    const { words, locks } = this.#k;
    locks.lock(HEADER.CONTEXT_LOCK);
    words.store(context + CONTEXT.STATE, 0);
    locks.unlock(HEADER.CONTEXT_LOCK);
  }

  idOf(context: number): number {
    const { words, contexts } = this.#k;
    return (words.get(context + CONTEXT.GEN) << INDEX_BITS) | contexts.indexOf(context);
  }

  /** Pointer of a context by id, 0 if it is closed or gone. */
  find(id: number): number {
    const context = this.#lookUp(id);
    return context !== 0 && this.#k.words.load(context + CONTEXT.CLOSED) === 0 ? context : 0;
  }

  #lookUp(id: number): number {
    const { words, contexts } = this.#k;
    const index = id & INDEX_MASK;
    const generation = id >>> INDEX_BITS;
    if (index >= contexts.count || generation === 0) return 0;
    const context = contexts.at(index);
    return words.load(context + CONTEXT.STATE) === generation ? context : 0;
  }

  /** Whether fences of a context (by id; also a closed one) signal in the order of their seqnos. */
  inOrder(id: number): boolean {
    const context = this.#lookUp(id);
    if (context === 0) return false;
    const flags = this.#k.words.get(context + CONTEXT.FLAGS);
    return (flags & CONTEXT_FLAG.UNORDERED) === 0 || (flags & CONTEXT_FLAG.TIMELINE) !== 0;
  }

  /** Name of a context by id, for messages; also of a closed one. */
  nameById(id: number): string {
    const context = this.#lookUp(id);
    return context === 0 ? 'detached' : this.nameOf(context);
  }

  nameOf(context: number): string {
    return readName(this.#k.words, context + CONTEXT.NAME, 8);
  }

  /** Notes that a fence signalled. By the target, in seqno order unless UNORDERED. Can be done twice. */
  completed(context: number, seqno: number, error: number): void {
    const { words, locks } = this.#k;
    if ((words.get(context + CONTEXT.FLAGS) & CONTEXT_FLAG.UNORDERED) === 0) {
      if (error !== 0) this.#noteError(context, seqno, error);
      const newest = Math.max(seqno, words.getDouble(context + CONTEXT.COMPLETED));
      words.setDouble(context + CONTEXT.COMPLETED, newest);
    } else if (error !== 0) {
      locks.lock(context + CONTEXT.LOCK);
      this.#noteError(context, seqno, error);
      locks.unlock(context + CONTEXT.LOCK);
    }
  }

  /** Status of a fence whose slot has been recycled: 1, −errno, or −ESTALE. */
  recall(id: number, seqno: number): number {
    const context = this.#lookUp(id);
    if (context === 0) return -errno.ESTALE;
    const status = this.#recall(context, seqno);
    // What was read may have been the next one's, if the slot was taken meanwhile.
    return this.#lookUp(id) === context ? status : -errno.ESTALE;
  }

  #recall(context: number, seqno: number): number {
    const { words } = this.#k;
    const final = words.load(context + CONTEXT.FINAL_ERROR);
    if (final !== 0 && seqno > words.getDouble(context + CONTEXT.FINAL_FROM)) return final;
    for (let i = 0; i < CONTEXT_RING_SIZE; i++) {
      const entry = context + CONTEXT.RING + i * CONTEXT_RING_WORDS;
      if (words.getDouble(entry) === seqno && i < words.get(context + CONTEXT.ERRORS)) {
        return words.get(entry + 2);
      }
    }
    return seqno > words.getDouble(context + CONTEXT.LOST) ? 1 : -errno.ESTALE;
  }

  /**
   * A closed context whose slot is needed: its fences then read ESTALE. One whose owner died, if nothing is in
   * flight on it, nor on a closed one. Under CONTEXT_LOCK.
   */
  #findClosed(): number {
    const { words, contexts } = this.#k;
    for (const context of contexts.live()) {
      const over = words.get(context + CONTEXT.CLOSED) !== 0;
      const disowned = words.get(context + CONTEXT.OWNER) === 0;
      if ((over || disowned) && this.#inFlight(context) === 0) return context;
    }
    return 0;
  }

  #noteError(context: number, seqno: number, error: number): void {
    const { words } = this.#k;
    const count = words.get(context + CONTEXT.ERRORS);
    if (this.#hasNoted(context, count, seqno)) return;
    const entry = context + CONTEXT.RING + (count % CONTEXT_RING_SIZE) * CONTEXT_RING_WORDS;
    if (count >= CONTEXT_RING_SIZE) {
      const lost = Math.max(words.getDouble(context + CONTEXT.LOST), words.getDouble(entry));
      words.setDouble(context + CONTEXT.LOST, lost);
    }
    words.set(entry + 2, error);
    words.setDouble(entry, seqno);
    words.set(context + CONTEXT.ERRORS, count + 1);
  }

  /** Whether the ring has this fence's error: its thread died after it had noted the error. */
  #hasNoted(context: number, count: number, seqno: number): boolean {
    for (let i = 0; i < Math.min(count, CONTEXT_RING_SIZE); i++) {
      const entry = context + CONTEXT.RING + i * CONTEXT_RING_WORDS;
      if (this.#k.words.getDouble(entry) === seqno) return true;
    }
    return false;
  }
}

/** Whether a job in this state is being taken back. */
export function isBeingCancelled(stage: number): boolean {
  return stage === JOB_STATE.CANCELLING || stage === JOB_STATE.RECALLING;
}

/** Whether a job in this state is a fence that has not signalled. */
export function isPendingStage(stage: number): boolean {
  const before = stage >= JOB_STATE.BUILDING && stage <= JOB_STATE.RUNNING;
  const ending = stage === JOB_STATE.ENDING || stage === JOB_STATE.EVICTING;
  return before || ending || isBeingCancelled(stage);
}
