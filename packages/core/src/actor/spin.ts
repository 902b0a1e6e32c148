/**
 * Spinning: a thread that is about to sleep looks on for a moment, since a wake-up costs 5 to 30 µs and who it
 * waits for may need less. It does not say meanwhile that it sleeps, so nobody notifies it either.
 *
 * Only where cores are to spare: a thread that spins on the core which the other one needs delays it. By default
 * (`boot({ spin: 'auto' })`) that is while no more actors are awake than there are cores, itself included. Of the others
 * those count that serve: their doorbells tell whether they sleep. A thread that lives in its event loop, as an
 * application's main thread does, sleeps unseen; and the broker and the reaper sleep nearly always. And only where it
 * pays: a thread that spun in vain does without for the next 1, 3, 7, … 255 times.
 */
import type { Kernel } from '../kernel.js';
import { ACTOR, ACTOR_STATE, ASLEEP, HEADER, ROLE } from '../memory/layout.js';

/** What a wake-up costs at most, µs: to spin for longer pays never. */
export const SPIN_US = 30;
const MAX_SKIPPED = 255;
/** Looks between two looks at the clock. */
const LOOKS = 8;

export class Spin {
  readonly #k: Kernel;
  /** ms. */
  readonly #budget: number;
  /** More actors awake than that: no spinning. 0: whatever their number. */
  readonly #cores: number;
  #epoch = -1;
  /** Pointers of the others that may serve, as of the epoch. */
  #others: readonly number[] = [];
  #skip = 0;
  #skipped = 0;

  constructor(kernel: Kernel) {
    this.#k = kernel;
    this.#budget = kernel.words.get(HEADER.SPIN_US) / 1000;
    this.#cores = kernel.words.get(HEADER.SPIN_CORES);
  }

  /** Looks until `ready()`, for as long as spinning may pay and until `end` (ms) at most; whether it came. */
  until(ready: () => boolean, end: number): boolean {
    if (this.#budget === 0) return false;
    if (this.#skip > 0) {
      this.#skip--;
      return false;
    }
    if (!this.#isAllowed()) return false;
    const paid = this.#look(ready, end);
    this.#skipped = paid ? 0 : Math.min(2 * this.#skipped + 1, MAX_SKIPPED);
    this.#skip = this.#skipped;
    return paid;
  }

  #look(ready: () => boolean, end: number): boolean {
    const { clock } = this.#k;
    const last = Math.min(end, clock.now() + this.#budget);
    do {
      for (let i = 0; i < LOOKS; i++) if (ready()) return true;
    } while (clock.now() < last);
    return false;
  }

  #isAllowed(): boolean {
    if (this.#cores === 0) return true;
    const { words } = this.#k;
    const epoch = words.load(HEADER.ACTORS_EPOCH);
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#others = [...this.#k.actors.live()].filter((actor) => this.#mayServe(actor));
    }
    let awake = 1;
    for (let i = 0; i < this.#others.length; i++) {
      const actor = this.#others[i] ?? 0;
      if (words.get(actor + ACTOR.SERVED) === 0) continue;
      if (words.load(actor + ACTOR.WAITING) !== ASLEEP && ++awake > this.#cores) return false;
    }
    return true;
  }

  #mayServe(actor: number): boolean {
    const { words } = this.#k;
    const role = words.get(actor + ACTOR.ROLE);
    return (
      actor !== this.#k.actor &&
      (role === ROLE.DEVICE || role === ROLE.PROCESS) &&
      words.load(actor + ACTOR.STATE) === ACTOR_STATE.LIVE
    );
  }
}
