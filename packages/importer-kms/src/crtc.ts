/**
 * The CRTC: keeps vblank, and shows, drops and skips flips (design D7, D8, D8a).
 *
 * Owned by the CRTC worker, in which nothing slow ever runs: it never touches pixels. The hold rule is
 * that of the KDS flip patches: a flip holds its framebuffer (shared) until its successor is on
 * screen; the last one is held until the CRTC goes off. A flip behind it that failed ends the hold
 * too: as with panel self-refresh, the picture stays and its memory is free, else a run of failed
 * frames as long as there are framebuffers would wait for itself: the next render into this one for a
 * successor that is rendered later. Vblanks run only while the CRTC is active, and not at all at
 * speed `max`. Commands that are no flips wait until all flips before them are
 * through, and flips after them wait for them (`drm_atomic_helper_wait_for_flip_done`).
 *
 * The worker may die at any instruction. Flips that have not been
 * shown come to its next life, but for the one that it was taking; the picture stays, mode, vblank timeline and present
 * epoch go on (see CrtcState), vblanks that nobody served are missed ones. Core has released what was
 * held, as after a failed flip.
 *
 * Time, registers and jobs come from outside, so that tests drive it without a machine.
 */
import { DmaBufError, errno } from '@dmabuf/core';
import { TRACE_KIND, type Words } from '@dmabuf/core/driver';
import {
  type CrtcCommand,
  decodeCommand,
  type FlipCommand,
  type ModesetCommand,
} from './command.js';
import { CrtcState, type CrtcTiming } from './crtc-state.js';
import { FlipQueue } from './flip-queue.js';
import type { FramebufferTable } from './framebuffer-table.js';
import { LatenessHistogram } from './lateness.js';
import { makeMode } from './mode.js';
import type { KmsSettings } from './options.js';
import { checkCovers } from './plane.js';
import { addDouble, count, REG } from './registers.js';
import { VblankClock } from './vblank-clock.js';
import { WakeAhead } from './wake-ahead.js';

/** What the CRTC needs of a job; core's Job is one. */
export interface ScanoutJob {
  readonly pointer: number;
  readonly context: number;
  readonly seqno: number;
  readonly blocker: number;
  readonly payload: unknown;
  readonly buffers: readonly { readonly record: { readonly ino: number } }[];
  defer(options?: { readonly again?: boolean }): void;
  complete(error?: number): void;
  release(): void;
  finish(error?: number): void;
}

/** Where a CRTC lives. */
export interface CrtcEnvironment {
  readonly words: Words;
  /** Word offset of the registers. */
  readonly base: number;
  readonly framebuffers: FramebufferTable;
  readonly settings: KmsSettings;
  /** ms of the machine's clock. */
  now(): number;
  trace(kind: number, seqno: number, a: number, b: number): void;
}

interface Flip {
  readonly job: ScanoutJob;
  readonly command: FlipCommand | ModesetCommand;
}

interface Held {
  readonly job: ScanoutJob;
  readonly command: CrtcCommand;
}

export class Crtc {
  readonly #env: CrtcEnvironment;
  readonly #words: Words;
  readonly #base: number;
  readonly #clock: VblankClock;
  readonly #queue: FlipQueue;
  readonly #lateness: LatenessHistogram;
  readonly #ahead: WakeAhead;
  readonly #state: CrtcState;
  /** The present epoch that is saved. */
  #savedEpoch: number | undefined;
  /** Flips in the queue, by the pointers of their jobs. */
  readonly #flips: Map<number, Flip> = new Map();
  /** Jobs behind a command that waits for the flips before it; the first one is that command. */
  readonly #held: Held[] = [];
  #onScreen: Flip | undefined;
  /** Whether its job still holds the framebuffer. */
  #holding = false;
  /** seqno of the newest flip that failed. */
  #failed = 0;
  /** Jobs up to this seqno were taken back by {@link disable}. */
  #cancelled = 0;
  /** seqno of a flip that was to start a sequence and failed, or died: the next one starts it. */
  #startLost = 0;

  constructor(env: CrtcEnvironment) {
    const { words, base, settings } = env;
    this.#env = env;
    this.#words = words;
    this.#base = base;
    this.#state = new CrtcState(words, base);
    const before = this.#state.load();
    const { vrefresh } = before ?? settings.mode;
    this.#clock = new VblankClock(vrefresh, before?.base);
    this.#queue = new FlipQueue(settings.speed, settings.tolerance, before?.presentEpoch);
    this.#lateness = new LatenessHistogram(words, base + REG.LATENESS);
    this.#ahead = new WakeAhead(settings.spin, () => env.now());
    if (before !== undefined) this.#resumeFrom(before);
    else this.#setMode(settings.mode);
  }

  /** Takes a command, in the order of the context. All jobs are deferred: none ends here. */
  run(job: ScanoutJob): void {
    const command = this.#decode(job);
    if (isStart(command)) this.#words.store(this.#base + REG.START_LOST, job.seqno);
    job.defer({ again: true }); // nothing comes of it before it is shown: another life may do that
    if (job.seqno <= this.#cancelled) {
      this.#cancel({ job, command });
    } else if (this.#held.length > 0 || (isBarrier(command) && this.#queue.pending > 0)) {
      this.#held.push({ job, command });
    } else {
      this.#accept(job, command);
    }
  }

  /** Ends a flip whose render failed (D8): its predecessor stays on screen. */
  failed(job: ScanoutJob): void {
    const command = this.#decode(job);
    if (isStart(command)) {
      this.#words.store(this.#base + REG.START_LOST, job.seqno);
      this.#startLost = job.seqno;
    }
    this.#fail(job, command, job.blocker);
  }

  /** Serves the vblank, if it has come; when the next one comes, ms. */
  tick(now: number): number {
    const clock = this.#clock;
    if (!clock.active) return Infinity;
    this.#ahead.woke(now);
    const due = clock.timeOf(clock.sequence + 1);
    this.#serve(this.#isFlipDue(due) ? this.#ahead.meet(due, now) : now);
    // A held modeset may have restarted the clock, a removal may have stopped it.
    if (!clock.active) return Infinity;
    const next = clock.timeOf(clock.sequence + 1);
    return this.#ahead.plan(next, this.#isFlipDue(next));
  }

  /** `DISABLE` (dpms off). ENOTTY for all others. */
  ioctl(request: string, args: unknown): unknown {
    if (request !== 'DISABLE') {
      const detail = `request '${request}' is not one of DISABLE; flips and modesets are jobs of the display's context`;
      throw new DmaBufError('ENOTTY', 'ioctl', detail);
    }
    if (typeof args !== 'number' || !(args >= 0)) {
      throw new DmaBufError('EINVAL', 'dpms', 'give the seqno up to which flips are taken back');
    }
    this.disable(args);
    return undefined;
  }

  /**
   * Goes off at once: takes back (ECANCELED) all commands up to `seqno`, those whose turn has not
   * come included, lets go of what is on screen, stops vblanks.
   */
  disable(seqno: number): void {
    this.#cancelled = Math.max(this.#cancelled, seqno);
    this.#words.store(this.#base + REG.CANCELLED_SEQNO, this.#cancelled);
    for (const id of this.#queue.clear()) {
      const flip = this.#flips.get(id);
      this.#flips.delete(id);
      if (flip !== undefined) this.#cancel(flip);
    }
    for (const held of this.#held.splice(0)) this.#cancel(held);
    this.#startLost = 0;
    this.#off();
    this.#words.store(this.#base + REG.START_LOST, 0);
  }

  /** Whether a flip that is ready now would be shown at the vblank at `time`. */
  #isFlipDue(time: number): boolean {
    return (this.#queue.nextDue() ?? Infinity) <= time + this.#env.settings.tolerance;
  }

  #decode(job: ScanoutJob): CrtcCommand {
    const command = decodeCommand(job.payload);
    // After a death flips come again that stood before the start: they are not the next one.
    const lost = this.#startLost;
    if (command.kind !== 'flip' || lost === 0 || job.seqno < lost) return command;
    this.#startLost = 0;
    return { ...command, start: true };
  }

  #accept(job: ScanoutJob, command: CrtcCommand): void {
    try {
      if (command.kind === 'flip') this.#enqueue(job, command);
      else if (command.kind === 'modeset') this.#modeset(job, command);
      else this.#remove(job, command.fb);
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      this.#fail(job, command, error.errno);
    }
  }

  #fail(job: ScanoutJob, command: CrtcCommand, error: number): void {
    // Counted first: who has waited for the fence reads the counter.
    if (command.kind === 'flip') count(this.#words, this.#base + REG.FAILED);
    job.finish(error);
    if (command.kind !== 'flip') return;
    this.#failed = job.seqno;
    this.#selfRefresh();
  }

  #enqueue(job: ScanoutJob, command: FlipCommand): void {
    const words = this.#words;
    if (command.start) {
      this.#queue.restart();
      this.#saveEpoch();
      const word = this.#base + REG.START_LOST;
      if (job.seqno >= words.load(word) >>> 0) words.store(word, 0);
    }
    const hdisplay = words.get(this.#base + REG.HDISPLAY);
    const vdisplay = words.get(this.#base + REG.VDISPLAY);
    this.#checkScanout(job, command.fb, hdisplay, vdisplay, 'page_flip');
    const now = this.#env.now();
    this.#on(now);
    this.#flips.set(job.pointer, { job, command });
    this.#queue.push(job.pointer, command.at);
    this.#queue.setReady(job.pointer);
    // A batch of jobs can be long, and the device's loop ticks after it: vblank is kept here too.
    if (this.#queue.speed === 'max') this.#latch(now);
    else this.#serve(now);
  }

  #modeset(job: ScanoutJob, command: ModesetCommand): void {
    const { hdisplay, vdisplay, vrefresh, fb } = command;
    const words = this.#words;
    const mode = makeMode(hdisplay, vdisplay, vrefresh);
    const shown = words.get(this.#base + REG.ON_SCREEN);
    if (fb !== 0) this.#checkScanout(job, fb, hdisplay, vdisplay, 'modeset');
    else if (shown !== 0) {
      const info = this.#env.framebuffers.get(shown, 'modeset');
      checkCovers(info, hdisplay, vdisplay, 'modeset');
    }
    // A clock that is off must know the rate too: it runs at it from the next flip on.
    this.#clock.retime(this.#env.now(), vrefresh);
    this.#setMode(mode);
    if (fb === 0) {
      job.finish();
      return;
    }
    this.#on(this.#env.now());
    this.#scanOut({ job, command });
  }

  #remove(job: ScanoutJob, fb: number): void {
    if (this.#words.get(this.#base + REG.ON_SCREEN) === fb) this.#off();
    const found = this.#env.framebuffers.remove(fb);
    job.finish(found ? 0 : -errno.ENOENT);
  }

  /** Serves the vblanks that have come by `now`. */
  #serve(now: number): void {
    const passed = this.#clock.tick(now);
    if (passed === 0) return;
    const words = this.#words;
    const { sequence } = this.#clock;
    words.store(this.#base + REG.SEQUENCE, sequence);
    addDouble(words, this.#base + REG.VBLANKS, passed);
    if (passed > 1) addDouble(words, this.#base + REG.MISSED, passed - 1);
    this.#env.trace(TRACE_KIND.VBLANK, sequence, passed - 1, 0);
    this.#latch(this.#clock.timeOf(sequence));
    if (this.#queue.pending === 0) this.#resume();
  }

  /** Carries out what the queue decides for the vblank at `time`. */
  #latch(time: number): void {
    const { show, dropped } = this.#queue.latch(time);
    this.#saveEpoch();
    if (show === undefined) return;
    for (const id of dropped) {
      count(this.#words, this.#base + REG.DROPPED);
      this.#take(id)?.job.finish(-errno.ECANCELED);
    }
    const flip = this.#take(show);
    if (flip !== undefined) this.#show(flip, time);
  }

  #show(flip: Flip, vblank: number): void {
    const words = this.#words;
    const now = this.#env.now();
    if (this.#clock.active) this.#lateness.record(now - vblank);
    if (words.getDouble(this.#base + REG.FIRST_FLIP) === 0) {
      words.setDouble(this.#base + REG.FIRST_FLIP, now);
    }
    words.setDouble(this.#base + REG.LAST_FLIP, now);
    count(words, this.#base + REG.SHOWN);
    const { job, command } = flip;
    const sequence = this.#clock.active ? this.#clock.sequence : words.get(this.#base + REG.SHOWN);
    const shown = command.kind === 'flip' ? (command.payload ?? job.seqno) : job.seqno;
    this.#env.trace(TRACE_KIND.FLIP, sequence, job.context, shown);
    this.#scanOut(flip);
  }

  /** From here on the framebuffer is on screen; its predecessor is not, and is let go. */
  #scanOut(flip: Flip): void {
    const previous = this.#holding ? this.#onScreen : undefined;
    this.#onScreen = flip;
    this.#holding = true;
    this.#words.store(this.#base + REG.ON_SCREEN, flip.command.fb);
    flip.job.complete();
    previous?.job.release();
    this.#selfRefresh();
  }

  /** Ends the hold of what is on screen, if a flip behind it has failed. */
  #selfRefresh(): void {
    const shown = this.#onScreen;
    if (shown === undefined || !this.#holding || shown.job.seqno > this.#failed) return;
    this.#holding = false;
    shown.job.release();
  }

  /** Goes on with held commands, up to one that must wait for flips again. */
  #resume(): void {
    for (;;) {
      const [next] = this.#held;
      if (next === undefined) return;
      if (isBarrier(next.command) && this.#queue.pending > 0) return;
      this.#held.shift();
      this.#accept(next.job, next.command);
    }
  }

  #on(now: number): void {
    if (this.#words.get(this.#base + REG.ACTIVE) !== 0) return;
    if (this.#queue.speed === 'realtime') this.#clock.on(now);
    this.#save(true);
    this.#words.store(this.#base + REG.ACTIVE, 1);
  }

  #off(): void {
    this.#clock.off(this.#env.now());
    this.#save(false);
    this.#words.store(this.#base + REG.ACTIVE, 0);
    this.#words.store(this.#base + REG.ON_SCREEN, 0);
    const previous = this.#holding ? this.#onScreen : undefined;
    this.#onScreen = undefined;
    this.#holding = false;
    previous?.job.release();
  }

  #setMode(mode: { hdisplay: number; vdisplay: number; vrefresh: number }): void {
    const words = this.#words;
    words.store(this.#base + REG.HDISPLAY, mode.hdisplay);
    words.store(this.#base + REG.VDISPLAY, mode.vdisplay);
    words.store(this.#base + REG.VREFRESH, mode.vrefresh);
    this.#save(words.get(this.#base + REG.ACTIVE) !== 0, mode);
  }

  /** Goes on where an earlier life of the worker ended. */
  #resumeFrom(before: CrtcTiming): void {
    const { active } = before;
    const words = this.#words;
    const base = this.#base;
    if (active && this.#queue.speed === 'realtime') {
      const lowBits = words.load(base + REG.SEQUENCE);
      this.#clock.resume(before.base, before.epoch, lowBits, this.#env.now());
    }
    this.#savedEpoch = before.presentEpoch;
    this.#cancelled = words.load(base + REG.CANCELLED_SEQNO) >>> 0;
    this.#startLost = words.load(base + REG.START_LOST) >>> 0;
    words.store(base + REG.ACTIVE, active ? 1 : 0);
    if (!active) words.store(base + REG.ON_SCREEN, 0);
    this.#setMode(before);
  }

  #save(
    active: boolean,
    mode: Pick<CrtcTiming, 'hdisplay' | 'vdisplay' | 'vrefresh'> = this.#mode,
  ): void {
    const { hdisplay, vdisplay, vrefresh } = mode;
    const { base, epoch, sequence } = this.#clock;
    const presentEpoch = this.#queue.epoch;
    this.#words.store(this.#base + REG.SEQUENCE, sequence);
    this.#state.save({
      hdisplay,
      vdisplay,
      vrefresh,
      active,
      epoch,
      base: this.#clock.active ? base : sequence,
      presentEpoch,
    });
    this.#savedEpoch = presentEpoch;
  }

  #saveEpoch(): void {
    if (this.#queue.epoch === this.#savedEpoch) return;
    this.#save(this.#words.get(this.#base + REG.ACTIVE) !== 0);
  }

  get #mode(): Pick<CrtcTiming, 'hdisplay' | 'vdisplay' | 'vrefresh'> {
    const words = this.#words;
    return {
      hdisplay: words.get(this.#base + REG.HDISPLAY),
      vdisplay: words.get(this.#base + REG.VDISPLAY),
      vrefresh: words.get(this.#base + REG.VREFRESH),
    };
  }

  #checkScanout(job: ScanoutJob, fb: number, width: number, height: number, call: string): void {
    const info = this.#env.framebuffers.get(fb, call);
    if (job.buffers[0]?.record.ino !== info.ino) {
      const detail = `the job does not claim the buffer of framebuffer ${fb}`;
      throw new DmaBufError('EINVAL', call, detail);
    }
    checkCovers(info, width, height, call);
  }

  #cancel({ job, command }: Held): void {
    if (command.kind === 'flip') count(this.#words, this.#base + REG.CANCELLED);
    job.finish(-errno.ECANCELED);
  }

  #take(id: number): Flip | undefined {
    const flip = this.#flips.get(id);
    this.#flips.delete(id);
    return flip;
  }
}

function isStart(command: CrtcCommand): boolean {
  return command.kind === 'flip' && command.start;
}

/** Whether a command waits until all flips before it are through. */
function isBarrier(command: CrtcCommand): boolean {
  return command.kind !== 'flip' || command.start;
}
