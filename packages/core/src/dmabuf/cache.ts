/** Cache lines: what maintenance of a byte range covers. */
import type { BufferRecord } from './ops.js';

/** Bytes of a cache line: maintenance is done on whole lines. */
export const CACHE_LINE = 64;

/** A range of a buffer, rounded out to the lines of memory that it touches. */
export interface LineRange {
  /** Bytes from the start of the buffer, cut at its ends. */
  readonly offset: number;
  readonly length: number;
  readonly lines: number;
}

/** Lines are those of memory: a buffer need not start on one. */
export function linesOf(record: BufferRecord, offset: number, length: number): LineRange {
  const start = record.offset;
  const first = Math.floor((start + offset) / CACHE_LINE);
  const end = Math.ceil((start + offset + length) / CACHE_LINE);
  const from = Math.max(0, first * CACHE_LINE - start);
  const to = Math.min(record.size, end * CACHE_LINE - start);
  return { offset: from, length: to - from, lines: end - first };
}
