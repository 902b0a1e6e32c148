/**
 * A CRTC without a machine: jobs that note what happens to them, time that tests set.
 */
import { errnoName } from '@dmabuf/core';
import { TRACE_KIND, Words } from '@dmabuf/core/driver';
import { AT_ONCE, type CommitCommand, type CrtcCommand, encodeCommand } from './command.js';
import { Crtc } from './crtc.js';
import type { ScanoutJob } from './crtc-job.js';
import { shownPlanes } from './display-state.js';
import { DRM_FORMAT_XRGB8888 } from './fourcc.js';
import { FramebufferTable } from './framebuffer-table.js';
import { checkOptions, type KmsOptions, type KmsSettings } from './options.js';
import { fullScreen, planeOff, type PlaneState, type PlaneUpdate } from './plane-state.js';
import { registerWords } from './registers.js';

/** 50 Hz: vblanks 20 ms apart, exact in doubles. */
export const PERIOD = 20;

const COMMIT = {
  kind: 'commit',
  parts: 0,
  ...AT_ONCE,
  mode: undefined,
  vrr: undefined,
  update: undefined,
} as const;

/** The framebuffer whose buffer a command's job claims; 0 for none. */
function framebufferOf(command: CrtcCommand): number {
  if (command.kind === 'flip' || command.kind === 'rmfb') return command.fb;
  return command.update?.state.fb ?? 0;
}

export class TestBench {
  /** What happened, in order: `'3 complete'`, `'2 release'`, `'4 ECANCELED'`. */
  readonly events: string[] = [];
  /** Until when the jobs wait, by their seqno. */
  readonly waits: Map<number, number> = new Map();
  readonly traced: { kind: number; seqno: number; a: number; b: number }[] = [];
  readonly words: Words;
  readonly framebuffers: FramebufferTable;
  crtc: Crtc;
  readonly #settings: KmsSettings;
  time = 1000;
  #seqno = 0;

  constructor(options: KmsOptions = {}) {
    const settings = checkOptions({ mode: '640x480@50', spin: 0, ...options });
    this.words = new Words(new ArrayBuffer(registerWords(settings.framebuffers) * 4));
    const locks = { lock: () => {}, unlock: () => {} };
    this.framebuffers = new FramebufferTable(this.words, 0, settings.framebuffers, locks);
    this.#settings = settings;
    this.crtc = this.#start();
  }

  /** The worker has died: its next life, on the same registers. */
  restart(): void {
    this.crtc = this.#start();
  }

  #start(): Crtc {
    return new Crtc({
      words: this.words,
      base: 0,
      framebuffers: this.framebuffers,
      settings: this.#settings,
      now: () => this.time,
      trace: (kind, seqno, a, b) => this.traced.push({ kind, seqno, a, b }),
    });
  }

  /** A framebuffer of buffer `ino`. */
  addFb(ino: number, width = 640, height = 480): number {
    const pitches = [width * 4];
    const geometry = { width, height, fourcc: DRM_FORMAT_XRGB8888, pitches, offsets: [0] };
    const info = { ino, pointer: 0, ...geometry };
    return this.framebuffers.add(info);
  }

  /** The next job of the context; it claims the buffer of its framebuffer. */
  job(
    command: CrtcCommand,
    blocker = 0,
    seqno: number = ++this.#seqno,
    fb: number = framebufferOf(command),
  ): ScanoutJob {
    const ino = this.framebuffers.find(fb)?.ino;
    let completed = false;
    const note = (what: string): number => this.events.push(`${seqno} ${what}`);
    const complete = (error = 0): void => {
      completed = true;
      note(error === 0 ? 'complete' : errnoName(error));
    };
    return {
      pointer: seqno * 64,
      context: 9,
      seqno,
      blocker,
      payload: encodeCommand(command),
      buffers: ino === undefined ? [] : [{ record: { ino } }],
      defer: () => {},
      waitUntil: (ms) => this.waits.set(seqno, ms),
      complete,
      release: () => {
        if (!completed) throw new Error(`job ${seqno} was released before it was complete`);
        note('release');
      },
      finish: (error = 0) => {
        complete(error);
        note('release');
      },
    };
  }

  /** Runs a flip as the device's loop does. */
  flip(
    fb: number,
    at?: number,
    more: { start?: boolean; async?: boolean; payload?: number } = {},
  ): void {
    const { start = false, async = false, payload } = more;
    this.crtc.run(this.job({ kind: 'flip', fb, at, start, async, payload }));
  }

  /** A job that an earlier life had deferred comes again. */
  again(command: CrtcCommand, seqno: number): void {
    this.crtc.run(this.job(command, 0, seqno));
  }

  modeset(size: readonly [number, number, number], fb = 0): void {
    const [hdisplay, vdisplay, vrefresh] = size;
    const active = fb === 0 ? undefined : true;
    const state = fullScreen(planeOff(0), fb, hdisplay, vdisplay);
    this.crtc.run(
      this.job({
        ...COMMIT,
        mode: { active, hdisplay, vdisplay, vrefresh, refit: true },
        update: fb === 0 ? undefined : { plane: 0, state },
      }),
    );
  }

  /** Runs a commit as the device's loop does. */
  commit(
    updates: readonly PlaneUpdate[],
    more: Partial<Omit<CommitCommand, 'kind' | 'update' | 'parts'>> = {},
  ): void {
    for (const job of this.commitJobs(updates, more)) this.crtc.run(job);
  }

  /** The jobs of a commit, for tests to run or to lose. */
  commitJobs(
    updates: readonly PlaneUpdate[],
    more: Partial<Omit<CommitCommand, 'kind' | 'update' | 'parts'>> = {},
  ): ScanoutJob[] {
    const [update, ...rest] = updates;
    const parts = rest.length;
    const first = this.job({ ...COMMIT, ...more, parts, update });
    return [
      first,
      ...rest.map((each, i) => this.job({ kind: 'part', index: i + 1, update: each })),
    ];
  }

  /** Changes a plane without a claim on its framebuffer. */
  move(update: PlaneUpdate): void {
    this.crtc.run(this.job({ ...COMMIT, update }, 0, ++this.#seqno, 0));
  }

  /** A plane state: a framebuffer of 64x64, unscaled. */
  at(plane: number, fb: number, change: Partial<PlaneState> = {}): PlaneUpdate {
    const size = { crtcW: 64, crtcH: 64, srcW: 64 << 16, srcH: 64 << 16 };
    return { plane, state: { ...planeOff(plane), fb, ...size, ...change } };
  }

  remove(fb: number): void {
    this.crtc.run(this.job({ kind: 'rmfb', fb }));
  }

  /** Lets ms pass and wakes the device once; when it wants to be woken next. */
  after(ms: number): number {
    this.time += ms;
    return this.crtc.tick(this.time);
  }

  /** Wakes the device at each of the next `n` vblanks. */
  vblanks(n: number): void {
    for (let i = 0; i < n; i++) this.after(this.crtc.tick(this.time) - this.time);
  }

  /** What happened since the last call. */
  happened(): string[] {
    return this.events.splice(0);
  }

  register(index: number): number {
    return this.words.get(index);
  }

  double(index: number): number {
    return this.words.getDouble(index);
  }

  get onScreen(): number {
    return this.shown(0).fb;
  }

  shown(plane: number): PlaneState {
    return shownPlanes(this.words, 0).get(plane);
  }

  kinds(kind: keyof typeof TRACE_KIND): { kind: number; seqno: number; a: number; b: number }[] {
    return this.traced.filter((record) => record.kind === TRACE_KIND[kind]);
  }
}
