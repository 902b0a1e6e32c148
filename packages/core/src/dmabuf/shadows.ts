/**
 * Shadows: the CPU cache of one process, in a machine that is not coherent (design D10).
 *
 * Each process maps its own copy of a buffer that NEEDS_SYNC, never the memory, so what others do is not seen
 * until the lines are invalidated, and what it does arrives only when they are cleaned: by an access
 * bracket's prepare and finish. Devices work on the memory itself. A process has one cache: two mappings of one
 * buffer see each other's bytes; two threads of a machine are two processes, so two caches.
 *
 * Whole lines move, as in hardware. A bracket that covers a line in part writes all of it back, with what
 * its neighbours in the line were when it was prepared: who shares a line without sharing the claim loses
 * bytes here as on the board. Nothing beyond the buffer's ends is touched, for there kernels align buffers.
 * A cache that evicts lines at will is not modelled: a write that was not finished never arrives.
 *
 * Only this thread touches a shadow. It lives from the first mapping of its buffer to the last, costs the
 * buffer's size meanwhile, and dies with its thread.
 */
import { DmaBufError } from '../errno.js';
import { BUFFER_FLAG } from '../memory/layout.js';
import type { Regions } from '../memory/regions.js';
import type { BufferRecord } from './ops.js';

interface Shadow {
  readonly bytes: Uint8Array<ArrayBuffer>;
  mappings: number;
}

export class Shadows {
  readonly #regions: Regions;
  /** By the buffer's pointer, which stays its own while it is mapped. */
  readonly #shadows: Map<number, Shadow> = new Map();

  constructor(regions: Regions) {
    this.#regions = regions;
  }

  /** Bytes that they cost this thread now. */
  get bytes(): number {
    let sum = 0;
    for (const { bytes } of this.#shadows.values()) sum += bytes.byteLength;
    return sum;
  }

  /** One more mapping of a buffer that has memory; the first one loads all lines. ENOMEM. */
  open(record: BufferRecord): void {
    if ((record.flags & BUFFER_FLAG.NEEDS_SYNC) === 0) return;
    const known = this.#shadows.get(record.pointer);
    if (known !== undefined) {
      known.mappings++;
      return;
    }
    const bytes = allocate(record.size);
    bytes.set(this.#regions.view(record.region, record.offset, record.size));
    this.#shadows.set(record.pointer, { bytes, mappings: 1 });
  }

  /** One mapping less; with the last one what was not written back is lost. */
  close(pointer: number): void {
    const shadow = this.#shadows.get(pointer);
    if (shadow !== undefined && --shadow.mappings === 0) this.#shadows.delete(pointer);
  }

  /** What a CPU mapping shows: the shadow; of memory that needs no maintenance the memory. */
  view(record: BufferRecord, offset: number, length: number): Uint8Array<ArrayBufferLike> {
    const shadow = this.#shadows.get(record.pointer);
    if (shadow !== undefined) return shadow.bytes.subarray(offset, offset + length);
    return this.#regions.view(record.region, record.offset + offset, length);
  }

  /** Memory to shadow. `offset` and `length` are whole lines, cut at the buffer's ends. */
  invalidate(record: BufferRecord, offset: number, length: number): void {
    const shadow = this.#shadows.get(record.pointer);
    shadow?.bytes.set(this.#regions.view(record.region, record.offset + offset, length), offset);
  }

  /** Shadow to memory, the same way. */
  clean(record: BufferRecord, offset: number, length: number): void {
    const lines = this.#shadows.get(record.pointer)?.bytes.subarray(offset, offset + length);
    if (lines === undefined) return;
    this.#regions.view(record.region, record.offset + offset, length).set(lines);
  }
}

function allocate(size: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(size);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const detail = `the host has no memory for a cache of ${size} bytes of this process; unmap buffers first`;
    throw new DmaBufError('ENOMEM', 'mmap', detail);
  }
}
