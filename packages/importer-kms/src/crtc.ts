/**
 * The CRTC: keeps vblank, and shows, drops and skips commits (design D7, D8, D8a); a flip is a commit of
 * the primary plane's framebuffer alone.
 *
 * Owned by the CRTC worker, in which nothing slow ever runs: it never touches pixels. What planes show and
 * who holds it, Scanout says; the beat, CrtcTimeline. Commands that change the mode or remove a
 * framebuffer wait until all flips before them are through, and flips after them wait for them
 * (`drm_atomic_helper_wait_for_flip_done`).
 *
 * Of several commits that are ready and due at one vblank the newest is shown, and of those before it
 * whatever it does not replace: a cursor that moved is no reason to lose a frame of video. One that it
 * replaces on all its planes is dropped.
 *
 * The worker may die at any instruction. Flips that have not been
 * shown come to its next life, but for the one that it was taking; the picture stays, mode, vblank timeline and present
 * epoch go on, vblanks that nobody served are missed ones. Core has released what was
 * held, as after a failed flip.
 *
 * Time, registers and jobs come from outside, so that tests drive it without a machine.
 */
import { DmaBufError, errno } from '@dmabuf/core';
import { TRACE_KIND, type Words } from '@dmabuf/core/driver';
import { type CrtcCommand, decodeCommand, type ModeChange } from './command.js';
import { type Assembled, CommitAssembly } from './commit-assembly.js';
import { CommitQueue } from './commit-queue.js';
import {
  type Commit,
  finishCommit,
  isBarrier,
  isFlip,
  isStart,
  lastOf,
  planesOf,
  type ScanoutJob,
  shows,
} from './crtc-job.js';
import { changesOf, effectiveChanges, replacedOf } from './crtc-changes.js';
import { CrtcTimeline } from './crtc-timeline.js';
import { FlipRecords } from './flip-records.js';
import type { FramebufferTable } from './framebuffer-table.js';
import { LatenessHistogram } from './lateness.js';
import { makeMode } from './mode.js';
import type { KmsSettings } from './options.js';
import { checkCovers, checkSource } from './plane.js';
import { fullScreen, type PlaneState } from './plane-state.js';
import { initialise, shownPlanes } from './display-state.js';
import { count, REG } from './registers.js';
import { type PlaneChange, Scanout } from './scanout.js';
import { type VblankJob, VblankWaits } from './vblank-waits.js';
import { WakeAhead } from './wake-ahead.js';

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

export class Crtc {
  readonly #env: CrtcEnvironment;
  readonly #words: Words;
  readonly #base: number;
  readonly #timeline: CrtcTimeline;
  readonly #queue: CommitQueue;
  readonly #scanout: Scanout;
  readonly #assembly: CommitAssembly = new CommitAssembly();
  readonly #records: FlipRecords;
  readonly #waits: VblankWaits = new VblankWaits();
  readonly #lateness: LatenessHistogram;
  readonly #ahead: WakeAhead;
  /** Commits behind one that waits for the flips before it; the first one is that. */
  readonly #held: Commit[] = [];
  /** The primary plane as the newest commit in the queue leaves it. */
  #primary: PlaneState | undefined;
  /** Jobs up to this seqno were taken back by {@link disable}. */
  #cancelled: number;
  /** seqno of a flip that was to start a sequence and failed, or died: the next one starts it. */
  #startLost: number;
  /** seqno of a part of a commit that the earlier life was taking when it died. */
  readonly #lost: number;

  constructor(env: CrtcEnvironment) {
    const { words, base, settings } = env;
    const { speed, tolerance, mode, spin, vrr } = settings;
    if (words.load(base + REG.TIMING_SLOT) === 0) initialise(words, base, mode);
    this.#env = env;
    this.#words = words;
    this.#base = base;
    this.#timeline = new CrtcTimeline({ words, base, speed, mode, vrr, now: () => env.now() });
    this.#queue = new CommitQueue(speed, tolerance, this.#timeline.earlierEpoch);
    this.#scanout = new Scanout(shownPlanes(words, base));
    this.#records = new FlipRecords(words, base);
    this.#lateness = new LatenessHistogram(words, base + REG.LATENESS);
    this.#ahead = new WakeAhead(spin, () => env.now());
    this.#cancelled = words.load(base + REG.CANCELLED_SEQNO) >>> 0;
    this.#startLost = words.load(base + REG.START_LOST) >>> 0;
    this.#lost = words.load(base + REG.IN_HAND) >>> 0;
    words.store(base + REG.IN_HAND, 0);
    // An earlier life may have died with some of them in hand.
    if (!this.#timeline.first) words.store(base + REG.DOOMED, 1);
  }

  /** Takes a command, in the order of the context. All jobs are deferred: none ends here. */
  run(job: ScanoutJob): void {
    const command = this.#decode(job);
    if (isStart(command)) this.#words.store(this.#base + REG.START_LOST, job.seqno);
    const isPart = command.kind === 'part' || (command.kind === 'commit' && command.parts > 0);
    if (isPart) this.#words.store(this.#base + REG.IN_HAND, job.seqno);
    job.defer({ again: true }); // nothing comes of it before it is shown: another life may do that
    this.#take(job, command, 0);
    if (isPart) this.#words.store(this.#base + REG.IN_HAND, 0);
  }

  /** Takes a request for a vblank: a job of another context than the CRTC's own. */
  waitVblank(job: VblankJob): void {
    const { clock } = this.#timeline;
    if (clock.active) this.#serve(this.#env.now()); // it may have come, and not been served yet
    const newest = clock.active ? clock.sequence : undefined;
    this.#waits.add(job, newest, (sequence) => clock.timeOf(sequence));
  }

  /** Ends a commit of which a render failed (D8): what it was to replace stays on screen. */
  failed(job: ScanoutJob): void {
    const command = this.#decode(job);
    if (isStart(command)) {
      this.#words.store(this.#base + REG.START_LOST, job.seqno);
      this.#startLost = job.seqno;
    }
    job.defer({ again: true });
    this.#take(job, command, job.blocker);
  }

  /** Serves the vblank, if it has come; when the next one comes, ms. */
  tick(now: number): number {
    this.#giveUpBroken();
    this.#reap();
    const { clock } = this.#timeline;
    if (!clock.active) return Infinity;
    this.#ahead.woke(now);
    const due = this.#nextVblank();
    this.#serve(this.#isFlipDue(due) ? this.#ahead.meet(due, now) : now);
    // A held modeset may have restarted the clock, a removal may have stopped it.
    if (!clock.active) return Infinity;
    const next = this.#nextVblank();
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
    for (const commit of this.#queue.clear()) this.#cancel(commit);
    for (const commit of this.#held.splice(0)) this.#cancel(commit);
    this.#startLost = 0;
    this.#off();
    this.#words.store(this.#base + REG.START_LOST, 0);
  }

  /** When the next vblank comes, as things stand. */
  #nextVblank(): number {
    return this.#timeline.nextVblank(this.#queue.due());
  }

  #isFlipDue(time: number): boolean {
    return this.#queue.isDue(time, this.#env.settings.tolerance);
  }

  #decode(job: ScanoutJob): CrtcCommand {
    const command = decodeCommand(job.payload);
    // After a death flips come again that stood before the start: they are not the next one.
    const lost = this.#startLost;
    const timed = command.kind === 'flip' || command.kind === 'commit';
    if (!timed || lost === 0 || job.seqno < lost) return command;
    this.#startLost = 0;
    return { ...command, start: true };
  }

  #take(job: ScanoutJob, command: CrtcCommand, error: number): void {
    job.waitUntil(Infinity); // for the rest of its commit, or flips before it; #expect says for which time
    const decided =
      command.kind === 'part'
        ? this.#assembly.part(job, command, error)
        : this.#assembly.first(job, command, error);
    if (decided === undefined) job.finish(error || -errno.ECANCELED);
    else this.#decided(decided);
    this.#giveUpBroken();
  }

  /** A commit that will never be whole fails: see CommitAssembly. */
  #giveUpBroken(): void {
    const assembly = this.#assembly;
    if (!assembly.pending) return;
    const broken = this.#words.load(this.#base + REG.BROKEN_SEQNO) >>> 0;
    if (assembly.beganAt(broken)) this.#decided(assembly.abandon(-errno.ECANCELED));
    else if (assembly.misses(this.#lost)) this.#decided(assembly.abandon(-errno.EOWNERDEAD));
  }

  #decided(assembled: readonly Assembled[]): void {
    for (const { commit, error } of assembled) {
      if (commit.job.seqno <= this.#cancelled) this.#cancel(commit);
      else if (error !== 0) this.#fail(commit, error);
      else if (this.#mustWait(commit)) this.#held.push(commit);
      else this.#accept(commit);
    }
  }

  #mustWait({ command }: Commit): boolean {
    return this.#held.length > 0 || (isBarrier(command) && this.#queue.pending > 0);
  }

  #accept(commit: Commit): void {
    const { command } = commit;
    try {
      if (command.kind === 'rmfb') this.#remove(commit, command.fb);
      else if (command.kind === 'commit' && command.mode !== undefined) {
        this.#modeset(commit, command.mode);
      } else this.#enqueue(commit);
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      this.#fail(commit, error.errno);
    }
  }

  #fail(commit: Commit, error: number): void {
    // Counted first: who has waited for the fence reads the counter.
    if (isFlip(commit)) count(this.#words, this.#base + REG.FAILED);
    finishCommit(commit, error);
    if (!isFlip(commit)) return;
    for (const plane of planesOf(commit)) this.#scanout.failed(plane, commit.job.seqno);
  }

  #enqueue(commit: Commit): void {
    const { job, command } = commit;
    if (command.kind === 'rmfb') return;
    if (command.start) this.#restart(job);
    const changes = changesOf(commit, this.#primary ?? this.#scanout.state(0), this.#timeline.mode);
    for (const change of changes) this.#checkScanout(change, 'page_flip');
    const now = this.#env.now();
    if (command.kind === 'flip') this.#timeline.on(now);
    if (!this.#timeline.active) {
      this.#show([commit], now); // nothing is scanned out, so there is no vblank to wait for
      return;
    }
    if (command.async && this.#queue.pending === 0) {
      this.#show([commit], now, true);
      return;
    }
    this.#primary = changes.findLast(({ plane }) => plane === 0)?.state ?? this.#primary;
    this.#queue.push(commit, command.at, now);
    // A batch of jobs can be long, and the device's loop ticks after it: vblank is kept here too.
    if (this.#queue.speed === 'max') this.#latch(now);
    else this.#serve(now);
  }

  /** A sequence begins. */
  #restart(job: ScanoutJob): void {
    this.#queue.restart();
    this.#timeline.savePresentEpoch(undefined);
    const word = this.#base + REG.START_LOST;
    if (job.seqno >= this.#words.load(word) >>> 0) this.#words.store(word, 0);
  }

  #modeset(commit: Commit, change: ModeChange): void {
    const { hdisplay, vdisplay, vrefresh } = change;
    const mode = makeMode(hdisplay, vdisplay, vrefresh);
    const changes = changesOf(commit, this.#scanout.state(0), this.#timeline.mode);
    for (const each of changes) this.#checkScanout(each, 'modeset');
    const shown = this.#scanout.state(0);
    if (change.refit && shown.fb !== 0 && !changes.some(({ plane }) => plane === 0)) {
      checkCovers(this.#env.framebuffers.get(shown.fb, 'modeset'), hdisplay, vdisplay, 'modeset');
      const state = fullScreen(shown, shown.fb, hdisplay, vdisplay);
      changes.push({ plane: 0, state, job: undefined });
    }
    this.#timeline.setMode(mode);
    const active = change.active ?? this.#timeline.active;
    const now = this.#env.now();
    if (active) this.#timeline.on(now);
    else if (this.#timeline.active) this.#vblanksOff();
    this.#records.add(lastOf(commit), this.#sequence(), now);
    this.#scanOut([commit], changes);
  }

  #remove({ job }: Commit, fb: number): void {
    this.#takeOff(fb);
    const found = this.#env.framebuffers.remove(fb);
    job.finish(found ? 0 : -errno.ENOENT);
  }

  /** No plane shows a framebuffer any more; with the primary plane the CRTC goes off. */
  #takeOff(fb: number): void {
    if (this.#scanout.fb(0) === fb) this.#off();
    const changes = this.#scanout.without(fb);
    if (changes.length > 0) this.#scanout.show(changes)();
  }

  /**
   * Removes the framebuffers of owners that have died: at once, and flips to them with them. They are gone from
   * the table first, and REAPED says so, so that whoever sees a plane off finds it off in the committed state too.
   */
  #reap(): void {
    const words = this.#words;
    const { framebuffers } = this.#env;
    if (words.load(this.#base + REG.DOOMED) === 0) return;
    words.store(this.#base + REG.DOOMED, 0);
    for (const fb of framebuffers.orphans()) {
      for (const commit of this.#queue.remove((each) => shows(each, fb))) {
        this.#fail(commit, -errno.ENOENT);
      }
      framebuffers.remove(fb);
    }
    count(words, this.#base + REG.REAPED);
    for (const fb of this.#scanout.shown()) {
      if (framebuffers.find(fb) === undefined) this.#takeOff(fb);
    }
    if (this.#queue.pending === 0) this.#resume();
  }

  /** Serves the vblanks that have come by `now`. */
  #serve(now: number): void {
    const passed = this.#timeline.serve(now, this.#queue.due());
    if (passed === 0) return;
    const { clock } = this.#timeline;
    this.#env.trace(TRACE_KIND.VBLANK, clock.sequence, passed - 1, 0);
    this.#latch(clock.timeOf(clock.sequence));
    if (this.#queue.pending === 0) this.#resume();
    this.#waits.reached(clock.sequence);
  }

  /** Carries out what the queue decides for the vblank at `time`. */
  #latch(time: number): void {
    const ready = this.#queue.latch(time);
    this.#timeline.savePresentEpoch(this.#queue.epoch);
    if (ready.length > 0) this.#show(this.#dropReplaced(ready), time);
  }

  /** Drops what is replaced on all its planes by newer ones; what is left. */
  #dropReplaced(ready: readonly Commit[]): readonly Commit[] {
    if (ready.length === 1) return ready;
    const dropped = replacedOf(ready, this.#timeline.mode);
    for (const commit of dropped) {
      count(this.#words, this.#base + REG.DROPPED);
      finishCommit(commit, -errno.ECANCELED);
    }
    return ready.filter((commit) => !dropped.has(commit));
  }

  /** `atOnce`: not at a vblank, so none of them is late. */
  #show(commits: readonly Commit[], vblank: number, atOnce = false): void {
    const words = this.#words;
    const now = this.#env.now();
    const changes: PlaneChange[] = [];
    for (const commit of commits) {
      changes.push(...changesOf(commit, this.#scanout.state(0), this.#timeline.mode));
      if (!isFlip(commit)) continue;
      const { clock } = this.#timeline;
      if (clock.active && !atOnce) this.#lateness.record(now - vblank);
      if (words.getDouble(this.#base + REG.FIRST_FLIP) === 0) {
        words.setDouble(this.#base + REG.FIRST_FLIP, now);
      }
      words.setDouble(this.#base + REG.LAST_FLIP, now);
      count(words, this.#base + REG.SHOWN);
      const { job, command } = commit;
      const shown = command.kind === 'rmfb' ? job.seqno : (command.payload ?? job.seqno);
      this.#env.trace(TRACE_KIND.FLIP, this.#sequence(), job.context, shown);
    }
    for (const commit of commits) this.#records.add(lastOf(commit), this.#sequence(), vblank);
    if (this.#queue.pending === 0) this.#primary = undefined;
    this.#scanOut(commits, changes);
  }

  /** From here on the changes are on screen; what was there before is not, and is let go. */
  #scanOut(commits: readonly Commit[], changes: readonly PlaneChange[]): void {
    for (const { command } of commits) {
      if (command.kind === 'commit' && command.vrr !== undefined)
        this.#timeline.setVrr(command.vrr);
    }
    const effective = effectiveChanges(changes, (plane) => this.#scanout.fb(plane));
    const holders = new Set(effective.map(({ job }) => job));
    const release = this.#scanout.show(effective);
    for (const { members } of commits) {
      for (const { job } of members) {
        if (holders.has(job)) job.complete();
        else job.finish();
      }
    }
    release();
  }

  /** Goes on with held commits, up to one that must wait for flips again. */
  #resume(): void {
    for (;;) {
      const [next] = this.#held;
      if (next === undefined) return;
      if (isBarrier(next.command) && this.#queue.pending > 0) return;
      this.#held.shift();
      this.#accept(next);
    }
  }

  #off(): void {
    this.#primary = undefined;
    const release = this.#scanout.clear();
    this.#timeline.savePresentEpoch(this.#queue.epoch);
    this.#vblanksOff();
    release();
  }

  /** Whoever waits for a vblank is told that none will come. */
  #vblanksOff(): void {
    this.#timeline.off();
    this.#waits.reached(Infinity);
  }

  #checkScanout({ state, job }: PlaneChange, call: string): void {
    if (state.fb === 0) return;
    const info = this.#env.framebuffers.get(state.fb, call);
    if (job !== undefined && job.buffers[0]?.record.ino !== info.ino) {
      const detail = `the job does not claim the buffer of framebuffer ${state.fb}`;
      throw new DmaBufError('EINVAL', call, detail);
    }
    checkSource(info, state, call);
  }

  /** Number of the vblank, or of the flip where there are none. */
  #sequence(): number {
    const { clock } = this.#timeline;
    return clock.active ? clock.sequence : this.#words.get(this.#base + REG.SHOWN) >>> 0;
  }

  #cancel(commit: Commit): void {
    if (isFlip(commit)) count(this.#words, this.#base + REG.CANCELLED);
    finishCommit(commit, -errno.ECANCELED);
  }
}
