/**
 * Heaps in the shared pool: carveout, CMA, system-contig, protected (ion_carveout_heap.c,
 * ion_cma_heap.c). A buffer is a range of the one wasm memory that SIMD kernels work on in place.
 */
import { DmaBufError } from '@dmabuf/core';
import type { HeapEnv, HeapRequest, HeapUsage, Placement } from './heap.js';
import { HEAP, RECORD } from './layout.js';
import { KIND, PageMap, type Range } from './page-map.js';
import { PoolHeap } from './pool-heap.js';
import { bytesText } from './text.js';

/** Bytes that the heap thread zeroes at a time: below 0.1 ms. */
const PIECE = 1 << 20;

export class RangeHeap extends PoolHeap {
  readonly #map: PageMap;

  constructor(env: HeapEnv) {
    super(env);
    const { words, pointer, map } = this;
    this.#map = new PageMap(words, map, words.get(pointer + HEAP.PAGES));
  }

  /** One clean range: wasm memory starts out as zeros. */
  override format(): void {
    if (this.#map.pages > 0) this.#map.format();
  }

  allocate(request: HeapRequest, record: number): Placement {
    if (this.#map.pages === 0) throw this.noPool();
    const length = Math.ceil(request.size / this.granule);
    const align = this.#alignOf(request) / this.granule;
    const dirty =
      request.size > this.config.most
        ? undefined
        : this.takeOnceOrTwice(() => this.#take(length, align, record));
    if (dirty === undefined) throw this.#full(request);
    for (const range of dirty) this.#zero(range, HEAP.ZEROED_FRONT);
    const start = this.words.get(record + RECORD.START) - 1;
    return { region: this.door.pool, offset: this.offset + start * this.granule };
  }

  protected giveBack(start: number): void {
    this.#map.free(start - 1);
  }

  usage(): HeapUsage {
    const page = this.granule;
    const stats = this.locked(() => this.#map.stats());
    return {
      total: stats.pages * page,
      free: (stats.clean + stats.dirty + stats.zeroing) * page,
      largest: Math.min(stats.largest * page, this.config.most),
      dirty: (stats.dirty + stats.zeroing) * page,
      holes: stats.holes,
      pooled: 0,
    };
  }

  override abortZeroing(): void {
    if (this.#map.pages > 0) this.#map.abortZero();
  }

  /** Frees what no record holds, and the records that hold nothing. */
  override recover(records: readonly number[]): void {
    const { words } = this;
    const taken = new Set<number>();
    for (const { start, kind } of this.#map.ranges()) if (kind === KIND.USED) taken.add(start);
    const good: number[] = [];
    for (const record of records) {
      const start = words.get(record + RECORD.START) - 1;
      if (taken.delete(start)) good.push(record);
      else if (start >= 0) this.abandon(record);
    }
    for (const start of taken) this.#map.free(start);
    this.recount(good);
  }

  protected zeroPiece(): boolean {
    if (this.#map.pages === 0) return false;
    const most = Math.max(1, Math.floor(PIECE / this.granule));
    const range = this.locked(() => this.#map.beginZero(most));
    if (range === undefined) return false;
    this.#zero(range, HEAP.ZEROED_BACK);
    this.locked(() => this.#map.endZero(range));
    return true;
  }

  /** Under the lock: takes a range for the record. Its dirty parts, or undefined if it is full. */
  #take(length: number, align: number, record: number): Range[] | undefined {
    const origin = this.offset / this.granule;
    const place = this.#map.find({ length, align, origin, policy: this.config.policy });
    if (place === undefined) return undefined;
    // A death in between leaves a record without a range: recover() frees it.
    this.charge(record, place.start + 1, length * this.granule);
    return this.#map.take(place, length);
  }

  #alignOf(request: HeapRequest): number {
    let natural = this.granule;
    while (natural < request.size && natural < this.config.naturalAlign) natural *= 2;
    return Math.max(request.align, natural);
  }

  #zero({ start, length }: Range, counter: number): void {
    this.zeroBytes(start * this.granule, length * this.granule, counter);
  }

  #full(request: HeapRequest): DmaBufError {
    this.locked(() => this.countFailed());
    const { free, total, largest, holes } = this.usage();
    const want = `${bytesText(request.size)} aligned to ${bytesText(this.#alignOf(request))}`;
    const limit =
      request.size > this.config.most
        ? `one buffer may have ${bytesText(this.config.most)}`
        : `${bytesText(free)} of ${bytesText(total)} are free, in ${holes} pieces, the largest ${bytesText(largest)}; free buffers, or boot with a larger pool`;
    return new DmaBufError('ENOMEM', 'ion_alloc', `${this.label} cannot give ${want}: ${limit}`);
  }
}
