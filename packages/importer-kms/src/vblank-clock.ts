/**
 * The vblank time-base of one CRTC: which vblank is when, and how many were slept through.
 *
 * Owned by the CRTC's device half. Pure: every method is given the time. Follows
 * `drivers/gpu/drm/drm_vblank.c` (a count that never goes back, also over off and on) and the
 * hrtimer of vkms (a period that passes unserved is an overrun, reported, never made up for).
 *
 * Times are milliseconds as doubles on any one monotone clock. Vblank n is `epoch + n × period`
 * with the period kept as the rational 10⁶/vrefresh(mHz) ms, computed afresh for each n: rounding
 * errors stay below a nanosecond or two and never add up, however many days a display is on.
 */

/** vrefresh is in mHz: frames in a thousand seconds, and these are a million ms. */
const MS_PER_VREFRESH = 1_000_000;

export class VblankClock {
  #vrefresh: number;
  #active = false;
  #epoch = 0;
  /** The sequence number whose time is the epoch. */
  #base = 0;
  #sequence = 0;
  #missed = 0;

  /** A clock that is off, for a mode's `vrefresh` in mHz; `sequence`: vblanks that were counted before it. */
  constructor(vrefresh: number, sequence: number = 0) {
    this.#vrefresh = checkVrefresh(vrefresh);
    this.#sequence = sequence;
  }

  get active(): boolean {
    return this.#active;
  }

  /** mHz. */
  get vrefresh(): number {
    return this.#vrefresh;
  }

  /** Length of a frame in ms, rounded to a double; do not add it up, ask {@link timeOf}. */
  get period(): number {
    return MS_PER_VREFRESH / this.#vrefresh;
  }

  /** The newest vblank that was counted; 0 before the first. Never goes back. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Vblanks since construction that passed without a wake-up of their own. */
  get missed(): number {
    return this.#missed;
  }

  /**
   * Turns vblanks on: the next one comes a whole period after `now` and carries the next
   * sequence number. With `vrefresh` the rate changes too (a modeset). If the clock was on
   * already it is first brought up to `now`, as by {@link off}.
   */
  on(now: number, vrefresh: number = this.#vrefresh): void {
    checkVrefresh(vrefresh);
    this.off(now);
    this.#vrefresh = vrefresh;
    this.#epoch = now;
    this.#base = this.#sequence;
    this.#active = true;
  }

  /** A modeset: another rate, from `now` on if vblanks run, else from the next {@link on}. */
  retime(now: number, vrefresh: number): void {
    if (this.#active) this.on(now, vrefresh);
    else this.#vrefresh = checkVrefresh(vrefresh);
  }

  /** The vblank whose time is {@link epoch}: these two and the rate are the whole timeline. */
  get base(): number {
    return this.#base;
  }

  /** ms. */
  get epoch(): number {
    return this.#epoch;
  }

  /**
   * Goes on with the timeline of an earlier clock that is gone, as if it had only slept: `lowBits` are
   * the low 32 bits of the newest vblank that it counted. What passed since is counted, as missed, by the
   * next {@link tick}.
   */
  resume(base: number, epoch: number, lowBits: number, now: number): void {
    this.#base = base;
    this.#epoch = epoch;
    this.#active = true;
    const newest = this.sequenceAt(now);
    this.#sequence = Math.max(base, newest - ((newest - lowBits) >>> 0));
  }

  /** The newest vblank, the `sequence`th, was at `time`: the next comes a period after it, or later. */
  restartAt(sequence: number, time: number): void {
    this.#sequence = sequence;
    this.#base = sequence;
    this.#epoch = time;
  }

  /** Turns vblanks off. Those that were due by `now` and not yet served count, all as missed. */
  off(now: number): void {
    if (!this.#active) return;
    const passed = this.#advance(now);
    this.#missed += passed;
    this.#active = false;
  }

  /**
   * Call at every wake-up. Returns how many vblanks have come since the last call: 0 for a
   * wake-up before its time (sleep on), 1 when on time, and n > 1 when n − 1 were missed. The
   * newest of them is now {@link sequence}; `now - timeOf(sequence)` is how late the wake-up was.
   */
  tick(now: number): number {
    if (!this.#active) return 0;
    const passed = this.#advance(now);
    if (passed > 1) this.#missed += passed - 1;
    return passed;
  }

  /** The time of a vblank, past or to come, as the clock now runs. */
  timeOf(sequence: number): number {
    const frames = sequence - this.#base;
    // Split into whole vrefresh-blocks, so that no product loses bits however large n grows.
    const blocks = Math.floor(frames / this.#vrefresh);
    const rest = frames - blocks * this.#vrefresh;
    const sinceEpoch = blocks * MS_PER_VREFRESH + (rest * MS_PER_VREFRESH) / this.#vrefresh;
    return this.#epoch + sinceEpoch;
  }

  /**
   * The newest vblank at or before `time`, consistent with {@link timeOf} to the last bit:
   * `sequenceAt(timeOf(n)) === n`. Times before the clock was turned on give its first count.
   */
  sequenceAt(time: number): number {
    if (!(time > this.#epoch)) return this.#base;
    const frames = ((time - this.#epoch) / MS_PER_VREFRESH) * this.#vrefresh;
    let sequence = this.#base + Math.floor(frames);
    while (this.timeOf(sequence) > time) sequence--;
    while (this.timeOf(sequence + 1) <= time) sequence++;
    return sequence;
  }

  /** The first vblank strictly after `time`. */
  nextAfter(time: number): number {
    return this.sequenceAt(time) + 1;
  }

  #advance(now: number): number {
    const sequence = this.sequenceAt(now);
    const passed = sequence - this.#sequence;
    if (passed <= 0) return 0;
    this.#sequence = sequence;
    return passed;
  }
}

function checkVrefresh(vrefresh: number): number {
  if (!Number.isInteger(vrefresh) || vrefresh < 1) {
    throw new RangeError(`vrefresh must be a positive whole number of mHz, not ${vrefresh}`);
  }
  return vrefresh;
}
