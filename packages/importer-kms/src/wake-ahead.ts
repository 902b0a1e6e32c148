/**
 * WakeAhead: how the CRTC worker meets a vblank to within a few µs, though a timed sleep ends late.
 *
 * It learns how late sleeps end on this machine, asks to be woken that much ahead of a vblank at which
 * a flip is due, and busy-waits the short rest. The lead follows the 98th percentile of lateness by
 * stochastic approximation (up by 0.98 steps when a sleep ended later than the lead, down by 0.02
 * steps when not), so that one long delay does not move it, and is bounded: the busy wait never takes
 * longer than `limit`, however slow the machine. Vblanks without a flip are not waited for busily.
 */

/** Share of sleeps that shall end within the lead. */
const SHARE = 0.98;
/** ms by which one sleep moves the lead. */
const STEP = 0.02;

export class WakeAhead {
  readonly #limit: number;
  readonly #now: () => number;
  #lead: number;
  /** When the sleep that is under way shall end; Infinity when there is none to learn from. */
  #asked = Infinity;

  /** `limit` in ms bounds lead and busy wait; 0 for a clock that stands still while one waits. */
  constructor(limit: number, now: () => number) {
    this.#limit = limit;
    this.#lead = limit / 2;
    this.#now = now;
  }

  /** How far ahead of a vblank the worker wakes up, ms. */
  get lead(): number {
    return this.#lead;
  }

  /** When to wake up for a vblank at `due`, ms; `precise` if a flip is due there. */
  plan(due: number, precise: boolean): number {
    this.#asked = precise ? due - this.#lead : due;
    return this.#asked;
  }

  /** The worker woke up at `now`. Learns from that, if a planned sleep is over. */
  woke(now: number): void {
    if (now < this.#asked) return;
    const late = now - this.#asked > this.#lead;
    const moved = this.#lead + (late ? SHARE : SHARE - 1) * STEP;
    this.#lead = Math.min(this.#limit, Math.max(0, moved));
    this.#asked = Infinity;
  }

  /** Waits busily for `due`, if that is no more than the lead away; the time afterwards. */
  meet(due: number, now: number): number {
    let time = now;
    // The lead may have shrunk by a step since the sleep was planned with it.
    if (this.#limit === 0 || due - now > this.#lead + STEP) return time;
    while (time < due) time = this.#now();
    return time;
  }
}
