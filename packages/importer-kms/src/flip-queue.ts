/**
 * Queued flips of one CRTC: what is shown at a vblank, what is dropped, what waits.
 *
 * Owned by the CRTC's device half, which feeds it readiness and failures and carries out what
 * {@link FlipQueue.latch} decides. Pure: no clock, no buffers, no fences.
 *
 * The rules, `realtime`:
 * - At a vblank the newest flip that is due and ready is shown; ready ones queued before it are
 *   dropped, to be released at once. "Newest" is queue order, also where present times disagree.
 * - A flip is due at the first vblank ≥ its present time, and never shown before. A flip without
 *   a present time is due at once.
 * - Present times count from the epoch, which is chosen when the first timed flip is shown so
 *   that this one was exactly on time (`epoch = vblank − at`): a sequence may start at any
 *   timestamp, and its start does not suffer from a slow first frame. Until then the only timed
 *   flip that may be shown is the first of the queue that has not failed.
 * - A flip that was not ready when a newer one was shown has been overtaken: it is dropped the
 *   moment it becomes ready, for a display does not go back in time.
 * And `max`: strictly in order, each as soon as it is ready, none dropped, present times ignored.
 * In both a failed flip is skipped as if it had never been queued: its predecessor stays.
 *
 * Rounding: vblank times and present times are doubles and come from different divisions
 * (k × 33.333…, 2k × 16.666…), and media timestamps are whole µs. So "≥" forgives
 * {@link DUE_TOLERANCE_MS}: twice the half µs of rounding (one in the timestamp, one in the
 * epoch), and as much again for the doubles. Without it such noise would cost a frame a whole
 * vblank. Containers that round to whole ms need a tolerance of 1, given by who knows of it.
 */

/** How early, in ms, a flip may be called due by default: 2 µs. */
export const DUE_TOLERANCE_MS = 0.002;

/** `'realtime'`: present times count, late frames are dropped. `'max'`: every frame, at once. */
export type FlipSpeed = 'realtime' | 'max';

/** What to do at one vblank. */
export interface FlipDecision {
  /** The flip to show now; undefined: what is on screen stays. */
  readonly show: number | undefined;
  /** Ready flips that will never be shown, in queue order: complete and release them at once. */
  readonly dropped: readonly number[];
}

interface QueuedFlip {
  readonly id: number;
  /** Place in the queue; only ever compared. */
  readonly order: number;
  readonly at: number | undefined;
  ready: boolean;
}

const NOTHING: FlipDecision = Object.freeze({ show: undefined, dropped: Object.freeze([]) });

export class FlipQueue {
  readonly speed: FlipSpeed;
  readonly #tolerance: number;
  /** All flips not yet shown, dropped or failed, in queue order (a Map keeps insertion order). */
  readonly #flips = new Map<number, QueuedFlip>();
  /** The ready ones among them, in queue order: at most as many as there are framebuffers. */
  readonly #ready: QueuedFlip[] = [];
  #nextOrder = 0;
  /** Present time of the newest flip, and whether those of all pending ones ascend in queue order. */
  #newest = -Infinity;
  #ascending = true;
  /** Order of the newest flip that was shown; what is older has been overtaken. */
  #shownOrder = -1;
  #epoch: number | undefined;
  #dropped = 0;

  /** `tolerance` in ms: see the head of this file. `epoch`: of a sequence that was begun before. */
  constructor(speed: FlipSpeed, tolerance: number = DUE_TOLERANCE_MS, epoch?: number) {
    if (!(tolerance >= 0)) throw new RangeError(`tolerance must be ≥ 0 ms, not ${tolerance}`);
    this.#epoch = epoch;
    this.speed = speed;
    this.#tolerance = tolerance;
  }

  /** Flips that are neither shown, dropped nor failed, overtaken ones included. */
  get pending(): number {
    return this.#flips.size;
  }

  /** Flips dropped since construction. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The time that present times count from; undefined until the first timed flip is shown. */
  get epoch(): number | undefined {
    return this.#epoch;
  }

  /**
   * Appends a flip. `id` is the caller's (a job id) and unique among pending ones; `at` is its
   * present time in ms after the epoch, or undefined for "as soon as ready". Not ready yet.
   */
  push(id: number, at?: number): void {
    if (this.#flips.has(id)) throw new RangeError(`flip ${id} is queued already`);
    if (at !== undefined && !Number.isFinite(at)) {
      throw new TypeError(`present time of flip ${id} must be finite ms, not ${at}`);
    }
    if (this.#flips.size === 0) {
      this.#ascending = true;
      this.#newest = -Infinity;
    }
    const time = at ?? -Infinity;
    if (time < this.#newest) this.#ascending = false;
    this.#newest = time;
    this.#flips.set(id, { id, order: this.#nextOrder++, at, ready: false });
  }

  /**
   * The flip's buffers may now be read. Returns whether it is in the running; false means that
   * it was overtaken and is hereby dropped: complete and release it at once. A second call for
   * the same flip changes nothing.
   */
  setReady(id: number): boolean {
    const flip = this.#get(id);
    if (flip.order < this.#shownOrder) {
      this.#flips.delete(id);
      this.#dropped++;
      return false;
    }
    if (flip.ready) return true;
    flip.ready = true;
    let place = this.#ready.length;
    while (place > 0 && this.#orderAt(place - 1) > flip.order) place--;
    this.#ready.splice(place, 0, flip);
    return true;
  }

  /** Takes a flip out, ready or not: its render failed, or its caller cancelled it. */
  remove(id: number): void {
    const flip = this.#get(id);
    this.#flips.delete(id);
    if (flip.ready) this.#ready.splice(this.#ready.indexOf(flip), 1);
  }

  /** Takes everything out and forgets the epoch (the CRTC goes off). Ids in queue order. */
  clear(): number[] {
    const ids = [...this.#flips.keys()];
    this.#flips.clear();
    this.#ready.length = 0;
    this.#epoch = undefined;
    return ids;
  }

  /** The next timed flip starts a sequence of its own, with an epoch of its own (after a seek). */
  restart(): void {
    this.#epoch = undefined;
  }

  /**
   * Decides for the vblank at `vblank` ms: the vblank's own time on the clock that the epoch is
   * on, not the time at which the caller woke up, else lateness would show frames early. In
   * `max` the caller may call whenever it likes: each call yields the next ready flip.
   */
  latch(vblank: number): FlipDecision {
    const winner = this.speed === 'max' ? this.#headIfReady() : this.#newestDue(vblank);
    if (winner === undefined) return NOTHING;
    const older = this.#ready.splice(0, this.#ready.indexOf(winner) + 1);
    const dropped: number[] = [];
    for (const flip of older) {
      this.#flips.delete(flip.id);
      if (flip !== winner) dropped.push(flip.id);
    }
    this.#dropped += dropped.length;
    this.#shownOrder = winner.order;
    if (winner.at !== undefined) this.#epoch ??= vblank - winner.at;
    return { show: winner.id, dropped };
  }

  /**
   * The earliest time at which {@link latch} could show one of the flips that are ready now:
   * -Infinity when one is due whatever the time, undefined when none can be. For a device that
   * wants to sleep over vblanks at which nothing can happen.
   */
  nextDue(): number | undefined {
    if (this.speed === 'max') return this.#headIfReady() === undefined ? undefined : -Infinity;
    let earliest: number | undefined;
    for (const flip of this.#ready) {
      const due = this.#dueTime(flip);
      if (due !== undefined && (earliest === undefined || due < earliest)) earliest = due;
      if (this.#ascending) break;
    }
    return earliest;
  }

  /** When a pending flip is due; -Infinity: at once; Infinity: not known, its sequence has not begun; or none such. */
  dueTime(id: number): number {
    const flip = this.#flips.get(id);
    return (flip && this.#dueTime(flip)) ?? Infinity;
  }

  #headIfReady(): QueuedFlip | undefined {
    const first = this.#ready[0];
    for (const head of this.#flips.values()) return head === first ? head : undefined;
    return undefined;
  }

  #newestDue(vblank: number): QueuedFlip | undefined {
    let newest: QueuedFlip | undefined;
    for (const flip of this.#ready) {
      const due = this.#dueTime(flip);
      if (due !== undefined && due <= vblank + this.#tolerance) newest = flip;
      // A clip that is queued as a whole: what stands behind is due later still.
      else if (this.#ascending) break;
    }
    return newest;
  }

  /** When a flip is due; undefined while that is not known, as the sequence has not begun. */
  #dueTime(flip: QueuedFlip): number | undefined {
    if (flip.at === undefined) return -Infinity;
    if (this.#epoch !== undefined) return this.#epoch + flip.at;
    return flip === this.#firstTimed() ? -Infinity : undefined;
  }

  #firstTimed(): QueuedFlip | undefined {
    for (const flip of this.#flips.values()) {
      if (flip.at !== undefined && flip.order > this.#shownOrder) return flip;
    }
    return undefined;
  }

  #orderAt(place: number): number {
    return this.#ready[place]?.order ?? -1;
  }

  #get(id: number): QueuedFlip {
    const flip = this.#flips.get(id);
    if (flip === undefined) throw new RangeError(`flip ${id} is not queued`);
    return flip;
  }
}
