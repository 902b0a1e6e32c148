/**
 * The table of open files in the driver's own words: what an open file is, for the threads that use it
 * and for the worker that serves it. It outlives both: a worker that is started again after it died
 * finds its files here.
 *
 * A record belongs to one worker (ACTOR). "dev" is written by that worker alone, "own" by the thread
 * whose queues they are (it holds SINK_OWNER or SOURCE_OWNER), "open" once, before STATE says open. What
 * is under L(LOCK) may be left half changed by a thread that dies: PENDING_SINK says so.
 */
import type { DriverDoor, Words } from '@dmabuf/core/driver';
import { EVENT_RING_WORDS } from './event-ring.js';
import { RESULT_WORDS, resultOffset } from './results.js';

/** Files that may be open at one time, on all workers of the driver. */
export const MAX_FILES = 16;

/** Bytes of parameter sets (H.264: SPS and PPS) that S_FMT takes. */
export const MAX_HEADER_BYTES = 1024;

/** What stands before the records. */
const TABLE = {
  LOCK: 0, // owner lock: held while a record is taken
  WORDS: 16,
} as const;

/** Fields of a record. */
export const FILE = {
  STATE: 0, // generation while open, −generation while its last jobs end, 0 when free
  LOCK: 1, // owner lock: held while a packet and its CAPTURE job are queued, and by reset and close
  GEN: 2, // L(TABLE): grows with each open
  ERROR: 3, // dev: −errno that ended the stream, until reset; 0
  FOURCC: 4, // dev: coded format, 0 before S_FMT
  WIDTH: 5, // dev: visible size, from S_FMT; then of the newest picture; 0: not known yet
  HEIGHT: 6, // dev
  REORDER: 7, // dev: pictures that the decoder may hold back
  PACKETS: 8, // dev
  DECODED: 9, // dev
  ERRORS: 10, // dev
  HIDDEN: 11, // dev
  DROPPED: 12, // dev
  HELD: 13, // own: CAPTURE buffers that the application has
  COPIED: 14, // double, dev: bytes
  LAST_TIMESTAMP: 16, // double, L(LOCK)
  ACTOR: 18, // open: the worker
  OWNER: 19, // open: the process that opened it; it is closed when that process dies
  SOURCE: 20, // open: id of the context of packets (OUTPUT)
  SINK: 21, // open: id of the context of CAPTURE jobs
  STOP: 22, // dev: where a stream stands (STOP.*)
  STARVED: 23, // dev: 1 while a result waits and every CAPTURE buffer is with the application
  SOURCE_OWNER: 24, // CAS from 0: the actor that has buffers on OUTPUT
  SINK_OWNER: 25, // likewise on CAPTURE
  SOURCE_ON: 26, // own: STREAMON and STREAMOFF of OUTPUT so far; odd: on
  SINK_ON: 27, // own: likewise of CAPTURE
  STARTS: 28, // own: DEC_CMD_START so far
  SEEN_STARTS: 29, // dev: what of STARTS it has done
  SOURCE_CUT: 30, // double, own, L(LOCK): packets up to this seqno were taken back by STREAMOFF or reset
  SINK_CUT: 32, // double, own, L(LOCK): CAPTURE jobs likewise
  PENDING_SINK: 34, // double, L(LOCK): seqno of a CAPTURE job whose packet is not queued yet, or 0
  SEEN_SOURCE: 36, // dev: what of SOURCE_ON it has done; the rest is done when the worker is up again
  SEEN_SINK: 37, // dev: likewise of SINK_ON
  HEADER_BYTES: 38, // dev
  IN_PLACE: 39, // dev: pictures of DECODED that were not copied
  BITRATE: 40, // dev, S_FMT: encoder
  GOP: 41, // dev, S_FMT: encoder
  RATE: 42, // double, dev, S_FMT: frames a second
  QUALITY: 44, // dev, S_FMT: MJPEG
  SOURCE_FOURCC: 45, // dev: encoder: format of the pictures; 0: it is a decoder
  CODED: 46, // dev: coded width and height, left and top of what is visible in it (streams)
  DRAIN_CUT: 50, // double, own: place in the line of packets at STREAMOFF(CAPTURE): it takes drains up to there back
  VOID_DRAINS: 52, // double, dev: what of DRAIN_CUT it has done: not where the size changes
  LAST_SINK: 54, // double, dev, before STOP says so: CAPTURE job that LAST is given to
  EPOCH: 56, // double, dev, camera: when it began to stream, ms; 0: it does not. NEXT_FRAME is set before it
  NEXT_FRAME: 58, // dev, camera: number of the frame that comes next
  EVENTS: 60, // see event-ring.ts
} as const;

/** Behind a record's fields and its ring of events: what the device says of each buffer (results.ts). */
const RESULTS: number = FILE.EVENTS + EVENT_RING_WORDS;
/** dev: bytes of parameter sets. */
const HEADER: number = RESULTS + RESULT_WORDS;
const RECORD_WORDS: number = HEADER + MAX_HEADER_BYTES / 4;

export const FILE_TABLE_WORDS: number = TABLE.WORDS + MAX_FILES * RECORD_WORDS;

/** Counters of one open file since S_FMT. A snapshot, not atomic as a whole. */
export interface DecoderStats {
  /** Packets (of an encoder: pictures) that the codec has taken. */
  readonly packets: number;
  /** Pictures (packets) that CAPTURE buffers were filled with. */
  readonly decoded: number;
  /** Buffers that ended with V4L2_BUF_FLAG_ERROR: damaged, or no picture of that timestamp. */
  readonly errors: number;
  /** Packets that rightly gave no picture: headers, frames that are not shown. */
  readonly hidden: number;
  /** Pictures that nobody wanted: of packets without CAPTURE, or whose CAPTURE job was cancelled. */
  readonly dropped: number;
  /** Bytes copied from the codec to CAPTURE buffers: once for each picture that did not stay in place. */
  readonly bytesCopied: number;
  /** Of `decoded`: pictures that were not copied, on a device that decodes in place (`v4l2({ inPlace })`). */
  readonly inPlace: number;
  /** CAPTURE buffers of REQBUFS that the application has: neither queued nor waiting for DQBUF. */
  readonly held: number;
  /** A picture waits in the decoder, and the application has every CAPTURE buffer. */
  readonly starved: boolean;
}

/** Word offset of the table's lock. */
export function tableLock(door: DriverDoor): number {
  return door.base + TABLE.LOCK;
}

/** Word offset of a file's record. */
export function fileRecord(door: DriverDoor, file: number): number {
  return door.base + TABLE.WORDS + file * RECORD_WORDS;
}

/** Word offset of what the device says of a buffer. */
export function fileResult(record: number, output: boolean, index: number): number {
  return record + RESULTS + resultOffset(output, index);
}

/** The counters of a record. */
export function readStats(words: Words, record: number): DecoderStats {
  return {
    packets: words.get(record + FILE.PACKETS),
    decoded: words.get(record + FILE.DECODED),
    errors: words.get(record + FILE.ERRORS),
    hidden: words.get(record + FILE.HIDDEN),
    dropped: words.get(record + FILE.DROPPED),
    bytesCopied: words.getDouble(record + FILE.COPIED),
    inPlace: words.get(record + FILE.IN_PLACE),
    held: words.get(record + FILE.HELD),
    starved: words.load(record + FILE.STARVED) !== 0,
  };
}

/** Size of the pictures of a stream, and where what is visible lies in what is coded. */
export interface FileGeometry {
  readonly width: number;
  readonly height: number;
  readonly codedWidth: number;
  readonly codedHeight: number;
  readonly left: number;
  readonly top: number;
}

/** The size of a record's pictures; 0 by 0 before it is known. */
export function readGeometry(words: Words, record: number): FileGeometry {
  const coded = (i: number): number => words.get(record + FILE.CODED + i);
  return {
    width: words.get(record + FILE.WIDTH),
    height: words.get(record + FILE.HEIGHT),
    codedWidth: coded(0),
    codedHeight: coded(1),
    left: coded(2),
    top: coded(3),
  };
}

/** By the device. */
export function writeGeometry(words: Words, record: number, size: FileGeometry): void {
  words.set(record + FILE.CODED, size.codedWidth);
  words.set(record + FILE.CODED + 1, size.codedHeight);
  words.set(record + FILE.CODED + 2, size.left);
  words.set(record + FILE.CODED + 3, size.top);
  words.set(record + FILE.WIDTH, size.width);
  words.set(record + FILE.HEIGHT, size.height);
}

/** Clears what an earlier file has left in a record, but for its lock and generation. */
export function clearRecord(words: Words, record: number): void {
  for (let i = FILE.ERROR; i < HEADER; i++) words.set(record + i, 0);
}

/** The parameter sets of a record; undefined without. */
export function readHeader(words: Words, record: number): Uint8Array | undefined {
  const length = words.get(record + FILE.HEADER_BYTES);
  if (length === 0) return undefined;
  return Uint8Array.from(words.bytes(record + HEADER, length));
}

export function writeHeader(words: Words, record: number, header: Uint8Array | undefined): void {
  if (header !== undefined) words.bytes(record + HEADER, header.length).set(header);
  words.set(record + FILE.HEADER_BYTES, header?.length ?? 0);
}
