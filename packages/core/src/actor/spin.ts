/**
 * Spinning: a thread that is about to sleep looks on for a moment, since a wake-up costs 5 to 30 µs and who it
 * waits for may need less. It does not say meanwhile that it sleeps, so nobody notifies it either.
 *
 * Only where cores are to spare: a thread that spins on the core which the other one needs delays it. By default
 * (`boot({ spin: 'auto' })`) that is while no more actors live than there are cores, the broker and the reaper,
 * which sleep all the time, left out. And only where it pays: a thread that spun in vain does without for the
 * next 1, 3, 7, … 63 times.
 */
import type { Kernel } from '../kernel.js';
import { ACTOR, ACTOR_STATE, HEADER, ROLE } from '../memory/layout.js';

/** What a wake-up costs at most, µs: to spin for longer pays never. */
export const SPIN_US = 30;
const MAX_SKIPPED = 63;
/** Looks between two looks at the clock. */
const LOOKS = 8;

export class Spin {
  readonly #k: Kernel;
  /** ms. */
  readonly #budget: number;
  /** More actors than that: no spinning. 0: whatever their number. */
  readonly #cores: number;
  #epoch = -1;
  #allowed = false;
  #skip = 0;
  #skipped = 0;

  constructor(kernel: Kernel) {
    this.#k = kernel;
    this.#budget = kernel.words.get(HEADER.SPIN_US) / 1000;
    this.#cores = kernel.words.get(HEADER.SPIN_CORES);
  }

  /** Looks until `ready()`, for as long as spinning may pay and until `end` (ms) at most; whether it came. */
  until(ready: () => boolean, end: number): boolean {
    if (this.#budget === 0 || !this.#isAllowed()) return false;
    if (this.#skip > 0) {
      this.#skip--;
      return false;
    }
    if (this.#look(ready, end)) {
      this.#skipped = 0;
      return true;
    }
    this.#skipped = Math.min(2 * this.#skipped + 1, MAX_SKIPPED);
    this.#skip = this.#skipped;
    return false;
  }

  #look(ready: () => boolean, end: number): boolean {
    const { clock } = this.#k;
    const last = Math.min(end, clock.now() + this.#budget);
    do {
      for (let i = 0; i < LOOKS; i++) if (ready()) return true;
    } while (clock.now() < last);
    return false;
  }

  /** Counted anew when actors have come or gone. */
  #isAllowed(): boolean {
    if (this.#cores === 0) return true;
    const epoch = this.#k.words.load(HEADER.ACTORS_EPOCH);
    if (epoch === this.#epoch) return this.#allowed;
    this.#epoch = epoch;
    this.#allowed = this.#countActors() <= this.#cores;
    return this.#allowed;
  }

  #countActors(): number {
    const { words, actors } = this.#k;
    let live = 0;
    for (const actor of actors.live()) {
      const role = words.get(actor + ACTOR.ROLE);
      if (words.load(actor + ACTOR.STATE) !== ACTOR_STATE.LIVE) continue;
      if (role === ROLE.DEVICE || role === ROLE.PROCESS) live++;
    }
    return live;
  }
}
