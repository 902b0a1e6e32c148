/**
 * Display: a card as an application uses it (the driver half of importer-kms).
 *
 * All calls run in the calling thread on kernel memory; those that block say so. Any number of threads
 * may have a Display of one card open at a time: they share its framebuffers, and the one line of its
 * flips, so that fences of flips signal in the order in which they were queued, whoever queued them.
 */
import {
  type Context,
  type DmaBuf,
  DmaBufError,
  type Fence,
  type Machine,
  shared,
  type SubmitOptions,
} from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { type CrtcCommand, encodeCommand } from './command.js';
import { Framebuffer, type FramebufferHandle } from './display-framebuffer.js';
import { SINK_LIMIT_MS, WritebackSink } from './display-sink.js';
import { checkFramebuffer } from './framebuffer.js';
import { FramebufferTable } from './framebuffer-table.js';
import { LatenessHistogram, type LatenessSummary } from './lateness.js';
import { makeMode, type DisplayMode } from './mode.js';
import { type KmsSettings, settingsOf, toMode } from './options.js';
import { checkCovers, checkPlaneFormat } from './plane.js';
import { REG } from './registers.js';
import { type SinkRequest, throwFailure } from './sink-request.js';
import type { TermViewOptions } from './term-view.js';
import { encodeWriteback } from './writeback-job.js';
import type { Y4mMatrix } from './y4m.js';

/** Fences that a job waits for: what `Context.submit` takes. */
export type InFences = NonNullable<SubmitOptions['inFences']>;

/** What another thread needs to open the same display. Plain data. */
export interface DisplayHandle {
  readonly path: string;
}

/** A framebuffer to be: `struct drm_mode_fb_cmd2`, with all planes in one buffer. */
export interface FramebufferOptions {
  readonly buffer: DmaBuf;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Pixel format: `DRM_FORMAT_XRGB8888`, `DRM_FORMAT_ARGB8888` or `DRM_FORMAT_RGB565`. */
  readonly fourcc: number;
  /** Bytes from row to row, per plane. */
  readonly pitches: readonly number[];
  /** Bytes from the start of the buffer to the first row, per plane. Default 0. */
  readonly offsets?: readonly number[];
  readonly flags?: number;
  readonly modifier?: readonly bigint[];
}

/** A flip that is queued. */
export interface QueueFlipOptions {
  readonly fb: Framebuffer;
  /**
   * Present time: ms after the epoch, which is set when the first timed flip of a sequence is shown, so
   * that this one was on time. Shown at the first vblank from then on; left out: as soon as ready.
   */
  readonly at?: number;
  /** Begins a new sequence with an epoch of its own, after all flips before it (a seek, another clip). */
  readonly start?: boolean;
  /** Fences that must have signalled before, beside those of the buffer's own queue. */
  readonly inFences?: InFences;
  /** A 32-bit integer that the trace shows with the flip. Default: its seqno. */
  readonly payload?: number;
}

/** A frame to be recorded. */
export interface QueueWritebackOptions {
  readonly fb: Framebuffer;
  /** The flip that shows it. */
  readonly after: InFences[number];
}

/** Where recorded frames go: a file (see {@link Display.openSink}) or a terminal. */
export type SinkOptions =
  | {
      /** `.y4m`: every frame; `.png`: the last one; `.png` with `%04d` in its name: every one. */
      readonly file: string;
      /** Frames a second as a fraction, for the header of a Y4M. Default: the mode's. */
      readonly rate?: readonly [numerator: number, denominator: number];
      /** RGB to Y′CbCr in a Y4M. Default BT709. */
      readonly matrix?: Y4mMatrix;
    }
  | {
      readonly view: TermViewOptions;
      /** Where the terminal is. Default 1. */
      readonly fd?: number;
    };

/** Counters of the CRTC. */
export interface DisplayStats {
  /** Flips that came on screen. */
  readonly shown: number;
  /** Flips that a newer one overtook: ready and due, but late (ECANCELED). Never at speed `max`. */
  readonly dropped: number;
  /** Flips whose render failed, or that could not be scanned out. */
  readonly failed: number;
  /** Flips that `disable()` took back. */
  readonly cancelled: number;
  readonly vblanks: number;
  /** Vblanks that passed without a wake-up of their own. */
  readonly missedVblanks: number;
  /** How long after its vblank a flip came on screen, ms. Empty at speed `max`. */
  readonly lateness: LatenessSummary;
  /** When the first and the newest flip came on screen, ms of the machine's clock. */
  readonly firstFlip: number | undefined;
  readonly lastFlip: number | undefined;
}

/** Counters of the writeback. */
export interface WritebackStats {
  readonly sinks: number;
  readonly recorded: number;
  /** Frames that were shown and not recorded, as the writeback was behind or had no sink. */
  readonly notRecorded: number;
  /** Bytes written to sinks. */
  readonly bytes: number;
  /** Bytes of frames that were copied to be recorded: no copy between stages of a pipeline. */
  readonly copied: number;
}

export class Display {
  readonly path: string;
  readonly #machine: Machine;
  readonly #door: DriverDoor;
  readonly #settings: KmsSettings;
  readonly #framebuffers: FramebufferTable;
  readonly #lateness: LatenessHistogram;
  readonly #crtc: Context;
  readonly #writeback: Context;
  #mode: DisplayMode;

  private constructor(machine: Machine, path: string) {
    const door = machine.driver(machine.device(path).driver);
    const { words, base, locks } = door;
    this.path = path;
    this.#machine = machine;
    this.#door = door;
    this.#settings = settingsOf(door.spec.options);
    this.#framebuffers = new FramebufferTable(words, base, this.#settings.framebuffers, locks);
    this.#lateness = new LatenessHistogram(words, base + REG.LATENESS);
    this.#crtc = machine.contextById(words.load(base + REG.CRTC_CONTEXT));
    this.#writeback = machine.contextById(words.load(base + REG.WB_CONTEXT));
    this.#mode = this.#settings.mode;
  }

  /**
   * Opens a card in this thread. Does not block. ENOENT: no such device in this machine; ENODEV: it
   * is no display.
   */
  static open(machine: Machine, path: string = '/dev/dri/card0'): Display {
    const { info } = machine.device(path);
    const isCard = typeof info === 'object' && info !== null && 'writeback' in info;
    if (isCard) return new Display(machine, path);
    throw new DmaBufError('ENODEV', 'open', `${path} is no display; open /dev/dri/card0`);
  }

  /** Opens the display that another thread's {@link handle} names. */
  static fromHandle(machine: Machine, handle: DisplayHandle): Display {
    return Display.open(machine, handle.path);
  }

  /** Plain data by which another thread of the machine opens the same display. */
  get handle(): DisplayHandle {
    return { path: this.path };
  }

  /** Actor id of the CRTC worker. */
  get actor(): number {
    return this.#crtc.target;
  }

  /** Actor id of the writeback worker. */
  get writebackActor(): number {
    return this.#writeback.target;
  }

  /** The mode that is set. */
  get mode(): DisplayMode {
    const hdisplay = this.#get(REG.HDISPLAY);
    const vdisplay = this.#get(REG.VDISPLAY);
    const vrefresh = this.#get(REG.VREFRESH);
    const old = this.#mode;
    const same =
      old.hdisplay === hdisplay && old.vdisplay === vdisplay && old.vrefresh === vrefresh;
    if (!same) this.#mode = makeMode(hdisplay, vdisplay, vrefresh);
    return this.#mode;
  }

  /** Whether something is scanned out. Off at boot; the first flip or `setMode` with one turns it on. */
  get active(): boolean {
    return this.#get(REG.ACTIVE) !== 0;
  }

  /** Id of the framebuffer on screen; 0 for none. */
  get onScreen(): number {
    return this.#get(REG.ON_SCREEN);
  }

  /**
   * Sets a mode (`'1920x1080@60'`) and, if given, puts a framebuffer on screen with it; else what is
   * on screen stays. Takes its turn behind the flips that are queued already, and blocks until it is
   * done. EINVAL: the mode is out of range; ENOSPC: the framebuffer does not cover it; ECANCELED:
   * `disable()` came first; the errno of the render, if that of `fb` failed.
   */
  setMode(mode: string | DisplayMode, fb?: Framebuffer): void {
    const { hdisplay, vdisplay, vrefresh, name } = toMode(mode);
    if (fb !== undefined) {
      checkCovers(this.#framebuffers.get(fb.id, 'modeset'), hdisplay, vdisplay, 'modeset');
    }
    const id = fb?.id ?? 0;
    const command: CrtcCommand = { kind: 'modeset', hdisplay, vdisplay, vrefresh, fb: id };
    const status = this.#submit(command, fb, []).wait();
    if (status < 0) throw DmaBufError.of(status, 'modeset', `mode ${name} was not set`);
  }

  /**
   * Goes off at once (dpms off): lets go of what is on screen, takes back all flips that are queued
   * (their fences: ECANCELED), stops vblanks. The next flip turns it on again. Blocks for the answer of
   * the CRTC worker.
   */
  disable(): void {
    this.#machine.ioctl(this.#crtc.target, 'DISABLE', this.#crtc.submitted);
  }

  /**
   * ADDFB2: makes a framebuffer of a buffer, with all the checks of Linux, and attaches it to both
   * workers (which blocks for some 100 µs). The caller owns it; the buffer's own handle may be closed.
   * EINVAL and ERANGE name the field that is wrong; ENOSPC: the table of framebuffers is full; EMFILE.
   */
  addFramebuffer(options: FramebufferOptions): Framebuffer {
    const {
      buffer,
      width,
      height,
      fourcc,
      pitches,
      offsets = [],
      flags = 0,
      modifier = [],
    } = options;
    // Handles beyond the format's planes are excused as Linux does, so one per plane that has a pitch; the
    // first plane has one in any case, so that it is its pitch that is found wrong.
    const handles = pitches.map((pitch, i) => (pitch > 0 || i === 0 ? buffer.size : undefined));
    const request = { width, height, fourcc, pitches, offsets, flags, modifier, handles };
    const { planes } = checkFramebuffer(request);
    checkPlaneFormat(fourcc, 'addfb2');
    const geometry = {
      ino: buffer.record.ino,
      width,
      height,
      fourcc,
      pitches: planes.map((plane) => plane.pitch),
      offsets: planes.map((plane) => plane.offset),
    };
    const own = buffer.dup();
    const attachments = [];
    try {
      for (const actor of [this.actor, this.writebackActor]) {
        attachments.push(own.attach(actor, { align: 4 }));
      }
      const id = this.#framebuffers.add(geometry);
      return new Framebuffer({ id, ...geometry }, own, attachments);
    } catch (error) {
      for (const attachment of attachments) attachment.detach();
      own.close();
      throw error;
    }
  }

  /**
   * A framebuffer that another process added, by its handle and an fd of its buffer that was passed
   * here. It takes a reference of its own; whoever added it removes it. ENOENT: removed already; EINVAL:
   * another buffer's.
   */
  framebuffer(handle: FramebufferHandle, buffer: DmaBuf): Framebuffer {
    const info = this.#framebuffers.get(handle.id, 'getfb2');
    if (info.ino === buffer.record.ino) return new Framebuffer(info, buffer.dup(), []);
    const detail = `framebuffer ${info.id} is of buffer ${info.ino}, an fd of buffer ${buffer.record.ino} was given`;
    throw new DmaBufError('EINVAL', 'getfb2', detail);
  }

  /**
   * RMFB: removes a framebuffer, in its turn behind the flips that are queued already; if it is on
   * screen then, the CRTC goes off. Blocks until that is done. ENOENT: it was removed before.
   */
  rmFramebuffer(fb: Framebuffer): void {
    this.#framebuffers.get(fb.id, 'rmfb');
    const status = this.#submit({ kind: 'rmfb', fb: fb.id }, undefined, []).wait();
    fb.drop();
    if (status < 0) throw DmaBufError.of(status, 'rmfb', `framebuffer ${fb.id} was not removed`);
  }

  /**
   * Queues a flip, as far ahead as the machine's tables allow (design D8a), and returns its fence: it
   * signals when the framebuffer is on screen, or fails: ECANCELED when a newer flip overtook it or
   * `disable()` took it back, the errno of the render when that failed (its predecessor stays on screen
   * then). The framebuffer is held, shared, until its successor is on screen. Never blocks.
   *
   * ENOENT: no such framebuffer; ENOSPC: it does not cover the mode, or the job table is full (wait
   * for a fence, then try again); E2BIG: more in-fences than a job has room for.
   */
  queueFlip(options: QueueFlipOptions): Fence {
    const { fb, at, start = false, payload, inFences = [] } = options;
    if (at !== undefined && !Number.isFinite(at)) {
      throw new TypeError(`queueFlip: at must be finite ms, not ${at}`);
    }
    if (payload !== undefined && (payload | 0) !== payload) {
      throw new TypeError(`queueFlip: payload must be a 32-bit integer, not ${payload}`);
    }
    this.#checkCovers(fb, 'queue_flip');
    return this.#submit({ kind: 'flip', fb: fb.id, at, start, payload }, fb, inFences);
  }

  /**
   * The legacy page flip: shown at the next vblank at which the framebuffer is ready. EBUSY: a flip is
   * pending, or the CRTC is off; EINVAL: another pixel format than on screen; the rest as
   * {@link queueFlip}. Never blocks.
   */
  pageFlip(fb: Framebuffer): Fence {
    const { locks, base } = this.#door;
    this.#checkCovers(fb, 'page_flip');
    locks.lock(base + REG.FLIP_LOCK);
    try {
      this.#mayFlip(fb);
      return this.#submit(
        { kind: 'flip', fb: fb.id, at: undefined, start: false, payload: undefined },
        fb,
        [],
      );
    } finally {
      locks.unlock(base + REG.FLIP_LOCK);
    }
  }

  /** Flips and other commands that are queued and not through. */
  get pending(): number {
    return this.#crtc.submitted - this.#crtc.completed;
  }

  /**
   * Queues the recording of a frame: once the flip `after` has shown it, the writeback worker copies it
   * and hands it to all open sinks. Queue it behind the flip and before the next render into the
   * framebuffer. Never blocks. Its fence signals when the frame is copied, and fails with the
   * flip's errno when that was not shown, ENOBUFS when the writeback was behind (`realtime` only; at
   * `max` the pipeline waits for it), ENODEV when no sink is open. ENOENT and ENOSPC as
   * {@link queueFlip}.
   */
  queueWriteback(options: QueueWritebackOptions): Fence {
    const { fb, after } = options;
    this.#checkCovers(fb, 'queue_writeback');
    const payload = encodeWriteback({
      fourcc: fb.fourcc,
      pitch: fb.pitches[0] ?? 0,
      offset: fb.offsets[0] ?? 0,
      width: this.#get(REG.HDISPLAY),
      height: this.#get(REG.VDISPLAY),
    });
    return this.#writeback.submit({ buffers: [shared(fb.buffer)], inFences: [after], payload });
  }

  /**
   * Opens a sink for recorded frames, of the size of the mode. Blocks until it is open, so that what
   * cannot be written is refused before a pipeline starts. The caller closes it. Several may be open.
   * EINVAL: the name's ending, or an option; OutputError: EISDIR, EACCES, ENOENT, ENOTDIR, EROFS, ….
   */
  openSink(options: SinkOptions): WritebackSink {
    const actor = this.#writeback.target;
    const reply = this.#machine.ioctl(
      actor,
      'OPEN_SINK',
      this.#sinkRequest(options),
      SINK_LIMIT_MS,
    );
    const id = throwFailure(reply);
    if (typeof id === 'number') return new WritebackSink(this.#machine, this.#writeback, id);
    throw new DmaBufError('EIO', 'writeback', 'the writeback worker gave a malformed reply');
  }

  /** Counters, read from shared words: no round trip. */
  stats(): DisplayStats {
    return {
      shown: this.#get(REG.SHOWN) >>> 0,
      dropped: this.#get(REG.DROPPED) >>> 0,
      failed: this.#get(REG.FAILED) >>> 0,
      cancelled: this.#get(REG.CANCELLED) >>> 0,
      vblanks: this.#double(REG.VBLANKS),
      missedVblanks: this.#double(REG.MISSED),
      lateness: this.#lateness.summary(),
      firstFlip: this.#double(REG.FIRST_FLIP) || undefined,
      lastFlip: this.#double(REG.LAST_FLIP) || undefined,
    };
  }

  /** Counters of the writeback, the same way. */
  writebackStats(): WritebackStats {
    return {
      sinks: this.#get(REG.SINKS),
      recorded: this.#get(REG.RECORDED) >>> 0,
      notRecorded: this.#get(REG.NOT_RECORDED) >>> 0,
      bytes: this.#double(REG.BYTES),
      copied: this.#double(REG.COPIED),
    };
  }

  #submit(command: CrtcCommand, fb: Framebuffer | undefined, inFences: InFences): Fence {
    const buffers = fb === undefined ? [] : [shared(fb.buffer)];
    return this.#crtc.submit({ buffers, inFences, payload: encodeCommand(command) });
  }

  #mayFlip(fb: Framebuffer): void {
    const { pending, onScreen } = this;
    if (pending > 0) {
      const detail = `${pending} flips are pending on ${this.path}; wait for their fences, or use queueFlip`;
      throw new DmaBufError('EBUSY', 'page_flip', detail);
    }
    if (onScreen === 0) {
      const detail = `${this.path} is off; use setMode with a framebuffer, or queueFlip, to turn it on`;
      throw new DmaBufError('EBUSY', 'page_flip', detail);
    }
    const shown = this.#framebuffers.find(onScreen);
    if (shown === undefined || shown.fourcc === fb.fourcc) return;
    const detail = `framebuffer ${fb.id} has another pixel format than framebuffer ${onScreen} on screen; use setMode or queueFlip`;
    throw new DmaBufError('EINVAL', 'page_flip', detail);
  }

  #checkCovers(fb: Framebuffer, syscall: string): void {
    const info = this.#framebuffers.get(fb.id, syscall);
    checkCovers(info, this.#get(REG.HDISPLAY), this.#get(REG.VDISPLAY), syscall);
  }

  #sinkRequest(options: SinkOptions): SinkRequest {
    if ('view' in options) return { view: options.view, fd: options.fd ?? 1 };
    const { hdisplay, vdisplay, vrefresh } = this.mode;
    const { file, rate = [vrefresh, 1000], matrix = 'BT709' } = options;
    return { file, format: { width: hdisplay, height: vdisplay, rate, matrix } };
  }

  #get(register: number): number {
    return this.#door.words.load(this.#door.base + register);
  }

  #double(register: number): number {
    return this.#door.words.getDouble(this.#door.base + register);
  }
}
