/**
 * The CRTC's time: mode, vblanks, and whether anything is scanned out.
 *
 * Owned by the CRTC; its worker alone writes these registers. Vblanks run only while the CRTC is active,
 * and not at all at speed `max`. All of it outlives the worker (see CrtcState): mode and beat go on, and
 * vblanks that nobody served are missed ones.
 */
import { CrtcState, type CrtcTiming } from './crtc-state.js';
import type { FlipSpeed } from './flip-queue.js';
import { addDouble, REG } from './registers.js';
import { VblankClock } from './vblank-clock.js';
import { VblankTimes } from './vblank-times.js';
import type { Words } from '@dmabuf/core/driver';

type Mode = Pick<CrtcTiming, 'hdisplay' | 'vdisplay' | 'vrefresh'>;

/** Where a timeline lives. */
export interface TimelineEnvironment {
  readonly words: Words;
  /** Word offset of the registers. */
  readonly base: number;
  readonly speed: FlipSpeed;
  /** The mode at boot. */
  readonly mode: Mode;
  /** Lowest refresh rate, mHz, of a screen that can vary it; 0: it cannot. */
  readonly vrr: number;
  /** ms of the machine's clock. */
  now(): number;
}

export class CrtcTimeline {
  readonly clock: VblankClock;
  /** What present times count from, of an earlier life; undefined when no sequence has begun. */
  readonly earlierEpoch: number | undefined;
  /** Whether this is the first life of the CRTC. */
  readonly first: boolean;
  readonly #env: TimelineEnvironment;
  readonly #words: Words;
  readonly #base: number;
  readonly #state: CrtcState;
  readonly #times: VblankTimes;
  #savedEpoch: number | undefined;
  #vrr: boolean;

  constructor(env: TimelineEnvironment) {
    this.#env = env;
    this.#words = env.words;
    this.#base = env.base;
    this.#state = new CrtcState(env.words, env.base);
    this.#times = new VblankTimes(env.words, env.base);
    const before = this.#state.load();
    this.first = before === undefined;
    this.earlierEpoch = before?.presentEpoch;
    this.#savedEpoch = before?.presentEpoch;
    this.#vrr = before?.vrr ?? false;
    this.clock = new VblankClock((before ?? env.mode).vrefresh, before?.base);
    if (before === undefined) this.#setMode(env.mode);
    else this.#resumeFrom(before);
  }

  /** Whether something is scanned out. */
  get active(): boolean {
    return this.#words.get(this.#base + REG.ACTIVE) !== 0;
  }

  /** The mode, pixels and mHz. */
  get mode(): Mode {
    const words = this.#words;
    return {
      hdisplay: words.get(this.#base + REG.HDISPLAY),
      vdisplay: words.get(this.#base + REG.VDISPLAY),
      vrefresh: words.get(this.#base + REG.VREFRESH),
    };
  }

  /** Another mode; a clock that is off takes its rate too, for when it is turned on. */
  setMode(mode: Mode): void {
    const { vrefresh } = this.mode;
    // A commit that changes the size alone does not disturb the beat.
    if (mode.vrefresh !== vrefresh) this.clock.retime(this.#env.now(), mode.vrefresh);
    this.#setMode(mode);
  }

  /** Scan-out begins, and with it vblanks. */
  on(now: number): void {
    if (this.active) return;
    if (this.#env.speed === 'realtime') this.clock.on(now);
    this.#save(true);
    this.#words.store(this.#base + REG.ACTIVE, 1);
  }

  /** Scan-out ends. */
  off(): void {
    this.clock.off(this.#env.now());
    this.#save(false);
    this.#words.store(this.#base + REG.ACTIVE, 0);
  }

  /** VRR_ENABLED: whether the rate varies, if the screen can. */
  setVrr(on: boolean): void {
    if (on === this.#vrr) return;
    this.#vrr = on;
    this.#save(this.active);
  }

  /** Length of the longest frame, ms; undefined: all are a period. */
  get #longest(): number | undefined {
    const { vrr } = this.#env;
    return this.#vrr && vrr > 0 && vrr < this.clock.vrefresh ? 1_000_000 / vrr : undefined;
  }

  /**
   * When the next vblank comes, ms. Where the rate varies: a period after the last one, or with the first flip
   * after that; at the lowest rate without one. `due`: of the first flip, undefined without.
   */
  nextVblank(due: number | undefined): number {
    const { clock } = this;
    const earliest = clock.timeOf(clock.sequence + 1);
    const longest = this.#longest;
    if (longest === undefined) return earliest;
    const latest = Math.max(earliest, clock.timeOf(clock.sequence) + longest);
    return Math.max(earliest, Math.min(latest, due ?? Infinity));
  }

  /** Counts the vblanks that have come by `now`, with a flip that is due then; how many. */
  serve(now: number, due: number | undefined): number {
    const passed = this.#advance(now, due);
    if (passed === 0) return 0;
    const words = this.#words;
    const { sequence } = this.clock;
    // The number last: whoever knows of a vblank finds its time.
    this.#times.add(sequence, this.clock.timeOf(sequence));
    words.store(this.#base + REG.SEQUENCE, sequence);
    addDouble(words, this.#base + REG.VBLANKS, passed);
    if (passed > 1) addDouble(words, this.#base + REG.MISSED, passed - 1);
    return passed;
  }

  #advance(now: number, due: number | undefined): number {
    const longest = this.#longest;
    if (longest === undefined || !this.clock.active) return this.clock.tick(now);
    const first = this.nextVblank(due);
    if (now < first) return 0;
    // Those that nobody served came at the lowest rate.
    const more = Math.floor((now - first) / longest);
    this.clock.restartAt(this.clock.sequence + 1 + more, first + more * longest);
    this.#save(this.active);
    return 1 + more;
  }

  /** Notes what present times count from. */
  savePresentEpoch(epoch: number | undefined): void {
    if (epoch === this.#savedEpoch) return;
    this.#savedEpoch = epoch;
    this.#save(this.active);
  }

  #setMode(mode: Mode): void {
    const words = this.#words;
    words.store(this.#base + REG.HDISPLAY, mode.hdisplay);
    words.store(this.#base + REG.VDISPLAY, mode.vdisplay);
    words.store(this.#base + REG.VREFRESH, mode.vrefresh);
    this.#save(this.active);
  }

  /** Goes on where an earlier life of the worker ended. */
  #resumeFrom(before: CrtcTiming): void {
    if (before.active && this.#env.speed === 'realtime') {
      const lowBits = this.#words.load(this.#base + REG.SEQUENCE);
      // A rate that varies goes on from the last vblank that there was.
      const until = this.#longest === undefined ? this.#env.now() : before.epoch;
      this.clock.resume(before.base, before.epoch, lowBits, until);
    }
    this.#words.store(this.#base + REG.ACTIVE, before.active ? 1 : 0);
    this.#setMode(before);
  }

  #save(active: boolean): void {
    const { base, epoch, sequence } = this.clock;
    this.#words.store(this.#base + REG.SEQUENCE, sequence);
    this.#state.save({
      ...this.mode,
      active,
      vrr: this.#vrr,
      epoch,
      base: this.clock.active ? base : sequence,
      presentEpoch: this.#savedEpoch,
    });
  }
}
