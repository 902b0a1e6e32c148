/**
 * BufferTable: the buffers of one queue, by their index: allocated, removed, exported, and found by an mmap cookie
 * (__vb2_queue_alloc, __find_plane_by_offset in videobuf2-core.c). Owned by its Vb2Queue.
 */
import { DmaBufError } from '@dmabuf/core';
import {
  isOutput,
  O_ACCMODE,
  O_CLOEXEC,
  V4L2_MEMORY_DMABUF,
  V4L2_MEMORY_MMAP,
  VIDEO_MAX_FRAME,
} from '../videodev2.js';
import { type PlaneMemory, Vb2Buffer } from './buffer.js';
import type { Vb2MemOps } from './ops.js';
import { releasePlanes } from './planes.js';

/** As vb2 shifts them: planes by a page, buffers by eight planes. */
const PAGE_SHIFT = 12;
const INDEX_SHIFT = 15;
/** Cookies of CAPTURE queues (DST_QUEUE_OFF_BASE, v4l2-mem2mem.c). */
const CAPTURE_OFFSET = 0x40000000;

export class BufferTable<M extends PlaneMemory> {
  readonly #mem: Vb2MemOps<M>;
  readonly #buffers: Map<number, Vb2Buffer<M>> = new Map();
  #memory = 0;

  constructor(mem: Vb2MemOps<M>) {
    this.#mem = mem;
  }

  get size(): number {
    return this.#buffers.size;
  }

  /** V4L2_MEMORY_* of the buffers that are allocated; 0 without. */
  get memory(): number {
    return this.#memory;
  }

  /** In order of their making. A copy: they may be freed meanwhile. */
  all(): readonly Vb2Buffer<M>[] {
    return [...this.#buffers.values()];
  }

  /** EINVAL: no such buffer. */
  at(call: string, index: number): Vb2Buffer<M> {
    const buffer = this.#buffers.get(index);
    if (buffer !== undefined) return buffer;
    const detail = `no buffer ${index}; there are ${this.size}`;
    throw new DmaBufError('EINVAL', call, detail);
  }

  /** Makes buffers; their indices, fewer than `count` where memory has run out. ENOMEM: not even one. */
  allocate(
    call: string,
    count: number,
    sizes: readonly number[],
    { type, memory }: { readonly type: number; readonly memory: number },
  ): number[] {
    const made: Vb2Buffer<M>[] = [];
    for (const index of this.freeIndexes(count)) {
      const buffer = new Vb2Buffer<M>(index, type, memory, sizes);
      try {
        if (memory === V4L2_MEMORY_MMAP) {
          for (const plane of buffer.planes) plane.memory = this.#mem.alloc(plane.minLength);
        }
      } catch (error) {
        releasePlanes(buffer, this.#mem);
        if (made.length > 0) break; // as many as there is memory for
        if (error instanceof DmaBufError) throw new DmaBufError('ENOMEM', call, error.detail);
        throw error;
      }
      made.push(buffer);
    }
    this.#memory = memory;
    for (const buffer of made) this.#buffers.set(buffer.index, buffer);
    return made.map(({ index }) => index);
  }

  free(buffer: Vb2Buffer<M>): void {
    releasePlanes(buffer, this.#mem);
    this.#buffers.delete(buffer.index);
    if (this.#buffers.size === 0) this.#memory = 0;
  }

  /** New indices go on; holes of removed buffers are filled first where the run of them is long enough. */
  freeIndexes(count: number): number[] {
    for (let first = 0; first + count <= VIDEO_MAX_FRAME; first++) {
      const run = Array.from({ length: count }, (_, i) => first + i);
      if (run.every((index) => !this.#buffers.has(index))) return run;
    }
    const free = Array.from({ length: VIDEO_MAX_FRAME }, (_, i) => i);
    return free.filter((index) => !this.#buffers.has(index)).slice(0, count);
  }

  /** The memory of a plane that may be exported. EINVAL: not MMAP, flags, no such buffer or plane. */
  exportable(
    call: string,
    { index, plane = 0, flags = O_CLOEXEC }: { index: number; plane?: number; flags?: number },
  ): M {
    const refuse = (detail: string): DmaBufError => new DmaBufError('EINVAL', call, detail);
    if (this.#memory !== V4L2_MEMORY_MMAP) throw refuse('only MMAP buffers are exported');
    if ((flags & ~(O_CLOEXEC | O_ACCMODE)) !== 0) {
      throw refuse(`flags 0x${flags.toString(16)}; O_CLOEXEC and the mode`);
    }
    const { planes } = this.at(call, index);
    const memory = planes[plane]?.memory;
    if (memory !== undefined) return memory;
    throw refuse(`buffer ${index} has ${planes.length} planes, not ${plane}`);
  }

  /** What QUERYBUF gives for mmap: where a plane of a buffer lies. */
  cookie({ index, type }: Vb2Buffer<M>, plane: number): number {
    const base = isOutput(type) ? 0 : CAPTURE_OFFSET;
    return base + ((index << INDEX_SHIFT) | (plane << PAGE_SHIFT));
  }

  /** The memory behind an mmap cookie. EINVAL: none, not an MMAP queue, or longer than the plane. */
  planeAt(offset: number, length: number | undefined): M {
    const at = this.#findCookie(offset);
    if (at === undefined || this.#memory !== V4L2_MEMORY_MMAP) {
      throw new DmaBufError('EINVAL', 'mmap', `offset ${offset} is no cookie of QUERYBUF`);
    }
    if (length !== undefined && length > at.length) {
      throw new DmaBufError('EINVAL', 'mmap', `${length} bytes of a plane of ${at.length}`);
    }
    return at.memory;
  }

  #findCookie(offset: number): { memory: M; length: number } | undefined {
    for (const buffer of this.#buffers.values()) {
      for (const [i, { memory, length }] of buffer.planes.entries()) {
        if (this.cookie(buffer, i) === offset && memory !== undefined) return { memory, length };
      }
    }
    return undefined;
  }
}

/** EINVAL: user pointers, and what does not exist. */
export function checkMemory(call: string, memory: number): void {
  if (memory === V4L2_MEMORY_MMAP || memory === V4L2_MEMORY_DMABUF) return;
  throw new DmaBufError('EINVAL', call, `memory ${memory}; MMAP (1) and DMABUF (4) are here`);
}
