/**
 * The display's registers: the driver's own words of kernel memory, and who writes each.
 *
 * "crtc" = the CRTC worker alone; "wb" = the writeback worker alone; anybody reads, without a round
 * trip. Counters survive a restart of their device. Offsets are from the driver's base.
 */
import type { Words } from '@dmabuf/core/driver';
import { LATENESS_WORDS } from './lateness.js';

export const REG = {
  CRTC_CONTEXT: 0, // crtc, at start: id of the context that all flips of the display go through
  WB_CONTEXT: 1, // wb, at start: the same for writeback jobs
  ACTIVE: 2, // crtc: 1 while something is scanned out
  ON_SCREEN: 3, // crtc: id of the framebuffer that is scanned out, 0 for none
  HDISPLAY: 4, // crtc: the mode, in pixels
  VDISPLAY: 5, // crtc
  VREFRESH: 6, // crtc: mHz
  SHOWN: 7, // crtc: flips that came on screen
  DROPPED: 8, // crtc: flips that a newer one overtook
  FAILED: 9, // crtc: flips whose render failed, or that could not be scanned out
  CANCELLED: 10, // crtc: flips taken back by disable()
  VBLANKS: 12, // double, crtc
  MISSED: 14, // double, crtc: vblanks that passed without a wake-up of their own
  FIRST_FLIP: 16, // double, crtc: ms of the machine's clock; 0 before there was one
  LAST_FLIP: 18, // double, crtc
  FLIP_LOCK: 20, // owner lock: makes "nothing pending" and "submit" of pageFlip one step
  FB_LOCK: 21, // owner lock: adding to and removing from the table of framebuffers
  TIMING_SLOT: 22, // crtc: which TIMING record is in force, 1 or 2; 0 before a CRTC first started
  SEQUENCE: 23, // crtc: the newest vblank that was counted, its low 32 bits; never goes back
  CANCELLED_SEQNO: 24, // crtc: disable() took back all jobs up to this seqno
  START_LOST: 25, // crtc: seqno of a flip that was to start a sequence, until one has; 0 for none
  SINKS: 32, // wb: sinks that are open
  RECORDED: 33, // wb: frames that went to the sinks
  NOT_RECORDED: 34, // wb: frames that were shown and not recorded, for want of time or of a sink
  BYTES: 36, // double, wb: bytes written to sinks
  COPIED: 38, // double, wb: bytes of frames copied for recording
  TIMING: 40, // crtc: two records, see CrtcState
  LATENESS: 64, // crtc: histogram of LATENESS_WORDS
  FRAMEBUFFERS: 480, // L(FB_LOCK): the table of framebuffers
} as const;

/** One of the two records at REG.TIMING. In force is the one that TIMING_SLOT names; the other is free. */
export const TIMING = {
  EPOCH: 0, // double
  BASE: 2, // double
  PRESENT_EPOCH: 4, // double, NaN for none
  HDISPLAY: 6,
  VDISPLAY: 7,
  VREFRESH: 8,
  ACTIVE: 9,
  WORDS: 10,
} as const;

/** One record of the table of framebuffers; all of it is L(FB_LOCK). */
export const FB = {
  STATE: 0, // its id if live, 0 if free; stored last, read first and last
  GEN: 1, // grows with each removal
  INO: 2, // of its buffer
  WIDTH: 3,
  HEIGHT: 4,
  FOURCC: 5,
  PITCHES: 6, // 3 words, bytes
  OFFSETS: 9, // 3 words, bytes
  WORDS: 16,
} as const;

if (
  REG.TIMING + 2 * TIMING.WORDS > REG.LATENESS ||
  REG.LATENESS + LATENESS_WORDS > REG.FRAMEBUFFERS
) {
  throw new RangeError('registers overlap');
}

/** Words that a display with a table of so many framebuffers takes. */
export function registerWords(framebuffers: number): number {
  return REG.FRAMEBUFFERS + framebuffers * FB.WORDS;
}

/** Adds to a double register, which only the caller writes. */
export function addDouble(words: Words, index: number, amount: number): void {
  words.setDouble(index, words.getDouble(index) + amount);
}

/** Adds to a counter register, which only the caller writes; readers see it at once. */
export function count(words: Words, index: number, amount: number = 1): void {
  words.store(index, (words.get(index) + amount) | 0);
}
