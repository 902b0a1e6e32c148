/**
 * The table of open files in the driver's own words: what an open decoder is, and its counters.
 *
 * One record a file, for one decoder each. The device writes them, except LOCK and LAST_TIMESTAMP,
 * which belong to whoever queues. So any thread reads formats and counters without a round trip.
 */
import type { DriverDoor, Words } from '@dmabuf/core/driver';

/** Decoders that may be open at one time. */
export const MAX_FILES = 16;

/** Fields of a record. "dev": written by the device alone. */
export const FILE = {
  STATE: 0, // dev: generation while open, 0 when free
  LOCK: 1, // owner lock: held while a packet and its CAPTURE job are queued, and by reset and close
  GEN: 2, // dev: grows with each open
  ERROR: 3, // dev: −errno that ended the stream, until reset; 0
  FOURCC: 4, // dev: OUTPUT format, 0 before S_FMT
  WIDTH: 5, // dev: visible size, from S_FMT; then of the newest picture; 0: not known yet
  HEIGHT: 6, // dev
  REORDER: 7, // dev: pictures that the decoder may hold back
  PACKETS: 8, // dev
  DECODED: 9, // dev
  ERRORS: 10, // dev
  HIDDEN: 11, // dev
  DROPPED: 12, // dev
  COPIED: 14, // double, dev: bytes
  LAST_TIMESTAMP: 16, // double, L(LOCK)
  WORDS: 32,
} as const;

export const FILE_TABLE_WORDS: number = MAX_FILES * FILE.WORDS;

/** Counters of one decoder since it was opened. A snapshot, not atomic as a whole. */
export interface DecoderStats {
  /** Packets that the decoder has taken. */
  readonly packets: number;
  /** Pictures that were copied into a CAPTURE buffer. */
  readonly decoded: number;
  /** CAPTURE jobs that ended with V4L2_BUF_FLAG_ERROR: damaged, or no picture of that timestamp. */
  readonly errors: number;
  /** Packets that rightly gave no picture: headers, frames that are not shown. */
  readonly hidden: number;
  /** Pictures that nobody wanted: of packets without CAPTURE, or whose CAPTURE job was cancelled. */
  readonly dropped: number;
  /** Bytes copied from the decoder to CAPTURE buffers: once for each picture. */
  readonly bytesCopied: number;
}

/** Word offset of a file's record. */
export function fileRecord(door: DriverDoor, file: number): number {
  return door.base + file * FILE.WORDS;
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
  };
}
