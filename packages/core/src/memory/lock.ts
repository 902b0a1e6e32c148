/**
 * Owner locks: one word that is 0 or names the actor that holds it (design D6, D11).
 *
 * Word = actor id, plus WAITERS when somebody may be asleep on it. Critical sections are some
 * hundred nanoseconds long, so a contender tries a few times before it sleeps. Locks are
 * taken in this order: a context's, then a job's DEP_LOCK (one at a time), then queues in
 * ascending order of their pointers; the table locks (ACTOR, BUFFER, CONTEXT, JOB) are leaves.
 * WAIT_LOCK is taken with none held; queues are looked at under it, one at a time.
 * A buffer's LOCK is taken with none of these held; exporter ops run under it, so its holder may take
 * a table lock or ask the broker, but waits for no job.
 *
 * A woken contender takes the lock with WAITERS set, since it cannot know whether others sleep
 * behind it. If the holder dies, the word still names it: the broker settles what it was changing,
 * then frees the word.
 */
import type { Seam } from '../substrate/seam.js';
import type { Words } from './words.js';

const WAITERS = 0x10000;
const TRIES = 32;
const BOUND_MS = 100;

/** The actor that holds a lock word, 0 if it is free. */
export function lockOwner(word: number): number {
  return word & 0xffff;
}

export class Locks {
  readonly #words: Words;
  readonly #seam: Seam;
  readonly #self: number;
  /** Throws once the machine has stopped or failed: a lock of the dead is not waited for. */
  readonly #check: (syscall: string) => void;

  /** Longest sleep on a lock, ms. */
  boundMs: number = BOUND_MS;
  /** Told who holds a lock that was waited for in vain: the reaper looks whether that one is dead. */
  onStuck: (holder: number) => void = () => {};

  constructor(words: Words, seam: Seam, self: number, check: (syscall: string) => void) {
    this.#words = words;
    this.#seam = seam;
    this.#self = self;
    this.#check = check;
  }

  lock(index: number): void {
    if (this.#words.cas(index, 0, this.#self)) return;
    this.#contend(index);
  }

  /**
   * {@link lock}, given up when its holder is not worth waiting for: `worth` is asked before each sleep, of which one
   * lasts {@link boundMs} at most. False: the lock was not taken. For recovery, which meets locks of other dead.
   */
  lockWhile(index: number, worth: (holder: number) => boolean): boolean {
    return this.#words.cas(index, 0, this.#self) || this.#contend(index, worth);
  }

  unlock(index: number): void {
    const old = this.#words.exchange(index, 0);
    if (old & WAITERS) this.#seam.notify(this.#words.i32, index, 1);
  }

  /** Takes a lock over from its dead holder; false if that does not hold it. By the dead's recoverer alone. */
  inherit(index: number, dead: number): boolean {
    for (;;) {
      const held = this.#words.load(index);
      if (lockOwner(held) !== dead) return false;
      // Whoever sleeps on it sleeps on a value that has changed: unlocking is to wake it.
      if (this.#words.cas(index, held, this.#self | WAITERS)) return true;
    }
  }

  #contend(index: number, worth?: (holder: number) => boolean): boolean {
    const words = this.#words;
    for (let i = 0; i < TRIES; i++) {
      if (words.load(index) === 0 && words.cas(index, 0, this.#self)) return true;
    }
    for (;;) {
      const held = words.load(index);
      if (held === 0) {
        if (words.cas(index, 0, this.#self | WAITERS)) return true;
        continue;
      }
      if (worth?.(lockOwner(held)) === false) return false;
      if (held & WAITERS || words.cas(index, held, held | WAITERS)) {
        if (this.#seam.wait(words.i32, index, held | WAITERS, this.boundMs) === 'timeout') {
          this.#check('lock');
          this.onStuck(lockOwner(held));
        }
      }
    }
  }
}
