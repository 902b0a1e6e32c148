/**
 * AdoptedMemory: what udmabufs are counted in, and the lists of those that are made of several pieces
 * (drivers/dma-buf/udmabuf.c). It is no heap: it has no memory of its own to give.
 *
 * The pieces of a buffer are those that name its record; one that is in one piece has none. All under the lock.
 */
import { DmaBufError } from '@dmabuf/core';
import type { SgEntry } from '@dmabuf/core/driver';
import { Heap, type HeapEnv, type HeapUsage, type Place, type Placement } from './heap.js';
import { HEAP, PIECE } from './layout.js';

/** Bytes of the memory that is adopted. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

export class AdoptedMemory extends Heap {
  readonly #base: number;
  readonly #pieces: number;
  readonly #count: number;

  /** `pieces` is the word offset of the table of `count` pieces. */
  constructor(env: HeapEnv, pieces: number, count: number) {
    super(env);
    this.#base = env.base;
    this.#pieces = pieces;
    this.#count = count;
  }

  /** Notes in a record what its buffer consists of. ENOSPC: too many pieces at one time. */
  note(extents: readonly Extent[], record: number): void {
    const bytes = extents.reduce((sum, { length }) => sum + length, 0);
    this.locked(() => {
      const free = extents.length === 1 ? [] : this.#free(extents.length);
      this.charge(record, 1, bytes);
      extents.forEach((extent, i) => {
        const piece = free[i];
        if (piece !== undefined) this.#write(piece, record, i, extent);
      });
    });
  }

  /** It never is asked. */
  allocate(): Placement {
    throw new DmaBufError('ENODEV', 'ion_alloc', `${this.label} has no memory of its own`);
  }

  override pieces(buffer: Place, record: number): SgEntry[] {
    const { words } = this;
    const list = [...this.#of(record)]
      .map((piece) => ({
        index: words.get(piece + PIECE.INDEX),
        offset: words.getDouble(piece + PIECE.OFFSET),
        length: words.getDouble(piece + PIECE.LENGTH),
      }))
      .sort((a, b) => a.index - b.index);
    if (list.length === 0) return super.pieces(buffer, record);
    return list.map(({ offset, length }) => ({ region: buffer.region, offset, length }));
  }

  usage(): HeapUsage {
    return { total: Infinity, free: Infinity, largest: Infinity, dirty: 0, holes: 0, pooled: 0 };
  }

  /** Bytes that buffers share now. */
  get bytes(): number {
    return this.words.getDouble(this.pointer + HEAP.ALLOCATED);
  }

  /** Frees pieces whose records are not alive. */
  override recover(records: readonly number[]): void {
    super.recover(records);
    const { words } = this;
    const alive = new Set(records.map((record) => record - this.#base));
    for (const piece of this.#all()) {
      if (!alive.has(words.load(piece + PIECE.RECORD))) words.store(piece + PIECE.RECORD, 0);
    }
  }

  protected giveBack(_start: number, record: number): void {
    for (const piece of this.#of(record)) this.words.store(piece + PIECE.RECORD, 0);
  }

  #write(piece: number, record: number, index: number, { offset, length }: Extent): void {
    const { words } = this;
    words.set(piece + PIECE.INDEX, index);
    words.setDouble(piece + PIECE.OFFSET, offset);
    words.setDouble(piece + PIECE.LENGTH, length);
    words.store(piece + PIECE.RECORD, record - this.#base);
  }

  #free(wanted: number): number[] {
    const free: number[] = [];
    for (const piece of this.#all()) {
      if (free.length === wanted) break;
      if (this.words.load(piece + PIECE.RECORD) === 0) free.push(piece);
    }
    if (free.length === wanted) return free;
    const detail = `a buffer of ${wanted} pieces, ${free.length} of ${this.#count} are free; free buffers, or give ion() a larger \`udmabuf.pieces\``;
    throw new DmaBufError('ENOSPC', 'udmabuf_create', detail);
  }

  *#of(record: number): Generator<number> {
    for (const piece of this.#all()) {
      if (this.words.load(piece + PIECE.RECORD) === record - this.#base) yield piece;
    }
  }

  *#all(): Generator<number> {
    for (let i = 0; i < this.#count; i++) yield this.#pieces + i * PIECE.WORDS;
  }
}
