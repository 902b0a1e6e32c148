/**
 * What applications give to and get from a Display.
 */
import type { DmaBuf, SubmitOptions } from '@dmabuf/core';
import type { Framebuffer } from './display-framebuffer.js';
import type { LatenessSummary } from './lateness.js';
import type { TermViewOptions } from './term-view.js';
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

/** How a legacy page flip is made. */
export interface PageFlipOptions {
  /**
   * DRM_MODE_PAGE_FLIP_EVENT, and DRM_MODE_PAGE_FLIP_ASYNC: shown at once when it is ready, which may tear, without
   * waiting for a vblank. Default 0.
   */
  readonly flags?: number;
  /** What comes back with the event. */
  readonly userData?: unknown;
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
