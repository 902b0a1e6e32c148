/**
 * The display's registers: the driver's own words of kernel memory, and who writes each.
 *
 * "crtc" = the CRTC worker alone; "wb" = the writeback worker alone; "L(X)" = whoever holds the owner
 * lock X; anybody reads, without a round trip. Counters survive a restart of their device. Offsets are
 * from the driver's base.
 */
import type { Words } from '@dmabuf/core/driver';
import { LATENESS_WORDS } from './lateness.js';

/** Planes that a display can have: primary, overlays, cursor. */
export const MAX_PLANES = 10;
/** Flips whose present time is remembered. */
export const FLIP_RECORDS = 256;
/** Mode blobs that can exist at one time; the first is the mode at boot. */
export const MODE_BLOBS = 16;

/** A plane's state, as committed and as shown: see PlaneTable. */
export const PLANE = {
  FB: 0, // id of its framebuffer, 0: the plane is off
  CRTC_X: 1, // pixels on screen
  CRTC_Y: 2,
  CRTC_W: 3,
  CRTC_H: 4,
  SRC_X: 5, // 16.16 pixels of the framebuffer
  SRC_Y: 6,
  SRC_W: 7,
  SRC_H: 8,
  ALPHA: 9, // 0 to 0xffff
  BLEND: 10, // pixel blend mode
  ZPOS: 11,
  ENCODING: 12, // COLOR_ENCODING
  RANGE: 13, // COLOR_RANGE
  WORDS: 16,
} as const;

/** The state of CRTC and connector, as committed. */
export const CRTC = {
  ACTIVE: 0,
  MODE_BLOB: 1, // id of the blob that MODE_ID was set to, 0: no mode, the CRTC is not enabled
  HDISPLAY: 2, // what the blob says; without one, what was set last
  VDISPLAY: 3,
  VREFRESH: 4,
  LINK: 5, // bit 0: the connector's CRTC_ID is the CRTC; bit 1: its link-status is BAD
  WRITEBACK: 6, // 1: so is the writeback connector's
  VRR: 7, // 1: VRR_ENABLED
  WORDS: 8,
} as const;

/** A flip that was shown; where seqno & (FLIP_RECORDS - 1) says. */
export const FLIP = {
  SEQNO: 0, // low 32 bits; 0 while the record is written: stored first and last
  SEQUENCE: 2, // double: vblank at which it was shown
  TIME: 4, // double, ms: of that vblank; at speed `max` when it was shown
  WORDS: 8,
} as const;

/** CRCs of composed frames that are remembered. */
export const CRC_RECORDS = 64;

/** Vblanks whose time is remembered. */
export const VBLANK_RECORDS = 64;

/** A vblank that was served; where its number & (VBLANK_RECORDS - 1) says. */
export const VBLANK = {
  SEQUENCE: 0, // low 32 bits; 0 while the record is written: stored first and last
  TIME: 2, // double, ms
  WORDS: 4,
} as const;

/** The CRC of a frame; where the seqno of its writeback job & (CRC_RECORDS - 1) says. */
export const CRC = {
  SEQNO: 0, // low 32 bits; 0 while the record is written: stored first and last
  VALUE: 1,
  WORDS: 2,
} as const;

/** Modes that a connector can have. */
export const CONNECTOR_MODES = 16;

/** What a connector is plugged into. */
export const CONNECTOR = {
  STATUS: 0, // CONNECTOR_STATUS
  COUNT: 1, // its modes
  MODES: 4, // three words each: hdisplay, vdisplay, vrefresh; the preferred one first
  WORDS: 64,
} as const;

/** A mode blob; L(FLIP_LOCK). */
export const BLOB = {
  STATE: 0, // its id if live, 0 if free
  GEN: 1,
  HDISPLAY: 2,
  VDISPLAY: 3,
  VREFRESH: 4,
  WORDS: 8,
} as const;

export const REG = {
  CRTC_CONTEXT: 0, // crtc, at start: id of the context that all flips of the display go through
  WB_CONTEXT: 1, // wb, at start: the same for writeback jobs
  REAPED: 3, // crtc: how often framebuffers of the dead were removed
  ACTIVE: 2, // crtc: 1 while something is scanned out
  HDISPLAY: 4, // crtc: the mode, in pixels
  VDISPLAY: 5, // crtc
  VREFRESH: 6, // crtc: mHz
  SHOWN: 7, // crtc: flips that came on screen
  DROPPED: 8, // crtc: flips that a newer one overtook
  FAILED: 9, // crtc: flips whose render failed, or that could not be scanned out
  CANCELLED: 10, // crtc: flips taken back by disable()
  DOOMED: 11, // reaper: 1 when a framebuffer's owner has died; crtc: 0 before it looks which
  VBLANKS: 12, // double, crtc
  MISSED: 14, // double, crtc: vblanks that passed without a wake-up of their own
  FIRST_FLIP: 16, // double, crtc: ms of the machine's clock; 0 before there was one
  LAST_FLIP: 18, // double, crtc
  FLIP_LOCK: 20, // owner lock: committed state, and the order of jobs in the CRTC's context
  FB_LOCK: 21, // owner lock: adding to and removing from the table of framebuffers
  TIMING_SLOT: 22, // crtc: which TIMING record is in force, 1 or 2; 0 before a CRTC first started
  SEQUENCE: 23, // crtc: the newest vblank that was counted, its low 32 bits; never goes back
  CANCELLED_SEQNO: 24, // crtc: disable() took back all jobs up to this seqno
  START_LOST: 25, // crtc: seqno of a flip that was to start a sequence, until one has; 0 for none
  COMMITTED_SLOTS: 26, // L(FLIP_LOCK): which record of each plane (bit), and of the CRTC (bit 31), is in force
  SHOWN_SLOTS: 27, // crtc: which record of each plane is in force
  BROKEN_SEQNO: 28, // L(FLIP_LOCK): the first job of a commit that was never submitted whole
  PARTIAL_SEQNO: 30, // L(FLIP_LOCK): the first job of the commit that is being submitted, 0 for none
  CRTC_ACTOR: 31, // crtc, at start: its actor id
  IN_HAND: 29, // crtc: seqno of the part of a commit that is being taken; 0 for none
  SINKS: 32, // wb: sinks that are open
  LAST_SINK: 35, // wb: id of the sink that was opened last, in whichever life
  RECORDED: 33, // wb: frames that went to the sinks
  NOT_RECORDED: 34, // wb: frames that were shown and not recorded, for want of time or of a sink
  BYTES: 36, // double, wb: bytes written to sinks
  COPIED: 38, // double, wb: bytes of frames copied for recording
  CONNECTOR_LOCK: 60, // owner lock: changing what the connector is plugged into
  CONNECTOR_EPOCH: 61, // L(CONNECTOR_LOCK): how often that has changed; its low bit is the record in force
  TIMING: 40, // crtc: two records, see CrtcState
  LATENESS: 64, // crtc: histogram of LATENESS_WORDS
  COMMITTED: 480, // L(FLIP_LOCK): two PLANE records a plane
  SHOWN_PLANES: 800, // crtc: two PLANE records a plane
  CRTC_STATE: 1120, // L(FLIP_LOCK): two CRTC records
  BLOBS: 1136, // L(FLIP_LOCK): MODE_BLOBS records
  FLIPS: 1264, // crtc: ring of FLIP_RECORDS
  CRCS: 3328, // wb: ring of CRC_RECORDS
  VBLANK_TIMES: 3456, // crtc: ring of VBLANK_RECORDS
  CONNECTORS: 3712, // L(CONNECTOR_LOCK): two CONNECTOR records; the first state by the CRTC's first life
  FRAMEBUFFERS: 3840, // L(FB_LOCK): the table of framebuffers
} as const;

/** One of the two records at REG.TIMING. In force is the one that TIMING_SLOT names; the other is free. */
export const TIMING = {
  EPOCH: 0, // double
  BASE: 2, // double
  PRESENT_EPOCH: 4, // double, NaN for none
  HDISPLAY: 6,
  VDISPLAY: 7,
  VREFRESH: 8,
  ACTIVE: 9, // bit 0: something is scanned out; bit 1: the refresh rate varies
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
  POINTER: 12, // of its buffer's record
  OWNER: 13, // actor id of whoever added it; by the reaper: −1, it has died
  WORDS: 16,
} as const;

const BLOCKS: readonly (readonly [start: number, words: number])[] = [
  [REG.TIMING, 2 * TIMING.WORDS],
  [REG.LATENESS, LATENESS_WORDS],
  [REG.COMMITTED, MAX_PLANES * 2 * PLANE.WORDS],
  [REG.SHOWN_PLANES, MAX_PLANES * 2 * PLANE.WORDS],
  [REG.CRTC_STATE, 2 * CRTC.WORDS],
  [REG.BLOBS, MODE_BLOBS * BLOB.WORDS],
  [REG.FLIPS, FLIP_RECORDS * FLIP.WORDS],
  [REG.CRCS, CRC_RECORDS * CRC.WORDS],
  [REG.VBLANK_TIMES, VBLANK_RECORDS * VBLANK.WORDS],
  [REG.CONNECTORS, 2 * CONNECTOR.WORDS],
  [REG.FRAMEBUFFERS, 0],
];
BLOCKS.forEach(([start, words], i) => {
  const next = BLOCKS[i + 1]?.[0] ?? Infinity;
  if (start + words > next) throw new RangeError(`registers overlap at ${next}`);
});

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
