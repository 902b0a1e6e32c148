/**
 * What the device says of each buffer of QBUF when it has finished with it: flags, bytes, sequence.
 *
 * One record for each index of the two queues, in the file's words. The device writes it before the
 * buffer's job ends, and SEQNO last: the thread that sees the fence signalled sees all of it, and
 * one whose SEQNO is not the job's was not written, since the device died before.
 */
import type { Words } from '@dmabuf/core/driver';
import { VIDEO_MAX_FRAME, VIDEO_MAX_PLANES } from './videodev2.js';

const RESULT = {
  SEQNO: 0, // double: of the job that this is about
  TIMESTAMP: 2, // double, ms
  FLAGS: 4, // V4L2_BUF_FLAG_*
  SEQUENCE: 5,
  ERROR: 6, // −errno or 0
  BYTES: 8, // one a plane
  WORDS: 12,
} as const;

/** Words of the records of one file: OUTPUT's, then CAPTURE's. */
export const RESULT_WORDS: number = 2 * VIDEO_MAX_FRAME * RESULT.WORDS;

export interface Finished {
  readonly timestamp: number;
  readonly flags: number;
  readonly sequence: number;
  readonly error: number;
  readonly bytesused: readonly number[];
}

/** Where the record of a buffer lies, from the start of the file's records. */
export function resultOffset(output: boolean, index: number): number {
  return ((output ? 0 : VIDEO_MAX_FRAME) + index) * RESULT.WORDS;
}

/** By the device, before the job ends. */
export function writeResult(words: Words, at: number, seqno: number, result: Finished): void {
  words.setDouble(at + RESULT.TIMESTAMP, result.timestamp);
  words.set(at + RESULT.FLAGS, result.flags);
  words.set(at + RESULT.SEQUENCE, result.sequence);
  words.set(at + RESULT.ERROR, result.error);
  for (let i = 0; i < VIDEO_MAX_PLANES; i++) {
    words.set(at + RESULT.BYTES + i, result.bytesused[i] ?? 0);
  }
  words.setDouble(at + RESULT.SEQNO, seqno);
}

/** What the device said of the job `seqno`; undefined when it never came to that. */
export function readResult(words: Words, at: number, seqno: number): Finished | undefined {
  if (words.getDouble(at + RESULT.SEQNO) !== seqno) return undefined;
  return {
    timestamp: words.getDouble(at + RESULT.TIMESTAMP),
    flags: words.get(at + RESULT.FLAGS),
    sequence: words.get(at + RESULT.SEQUENCE),
    error: words.get(at + RESULT.ERROR),
    bytesused: Array.from({ length: VIDEO_MAX_PLANES }, (_, i) => words.get(at + RESULT.BYTES + i)),
  };
}
