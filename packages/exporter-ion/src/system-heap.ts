/**
 * The system heap (ion_system_heap.c): a region of its own for each buffer, so that nobody gets at a
 * buffer who has no fd of it. What its buffers free it keeps for a while for the next ones (region-pool.ts); beside
 * that it does the accounting, and keeps the limit if there is one.
 */
import { DmaBufError } from '@dmabuf/core';
import { pageAlign } from '@dmabuf/core/driver';
import { DeferringHeap } from './deferring-heap.js';
import type { HeapEnv, HeapRequest, HeapUsage, Placement } from './heap.js';
import { HEAP, ION, RECORD, recordGeneration } from './layout.js';
import { RegionPool } from './region-pool.js';
import { bytesText } from './text.js';
import { zero } from './zero.js';

/** RECORD.START before its region is known. */
const RESERVED = 1;

export class SystemHeap extends DeferringHeap {
  readonly #pool: RegionPool;

  constructor(env: HeapEnv) {
    super(env);
    const index = (env.pointer - env.base - ION.WORDS) / HEAP.WORDS;
    this.#pool = new RegionPool(env.door, index);
  }

  allocate(request: HeapRequest, record: number): Placement {
    const bytes = pageAlign(request.size);
    this.locked(() => this.#reserve(bytes, record));
    const recycled = this.#recycle(bytes, request, record);
    if (recycled !== undefined) return { region: recycled, offset: 0 };
    try {
      return { region: this.#make(bytes, record), offset: 0 };
    } catch (error) {
      this.locked(() => this.countFailed());
      throw error;
    }
  }

  /** Back to the pool; if it keeps none core gives the region up with its buffer. */
  protected giveBack(start: number, record: number): void {
    if (start !== RESERVED) this.#pool.free(start, this.#word(record));
  }

  usage(): HeapUsage {
    const total = this.words.getDouble(this.pointer + HEAP.BYTES);
    const free = Math.max(0, total - this.words.getDouble(this.pointer + HEAP.ALLOCATED));
    const largest = Math.min(free, this.config.most);
    return { total, free, largest, holes: 1, ...this.#pool.usage() };
  }

  /** Zeroes one region of the pool. */
  override background(): boolean {
    const zeroed = (bytes: number): void => {
      this.words.add(this.pointer + HEAP.ZEROED_BACK, bytes / this.granule);
    };
    return this.whileNotZeroing(() => this.#pool.scrub(this.heapThread, zeroed));
  }

  override abortZeroing(): void {
    this.#pool.abortBusy();
  }

  override recover(records: readonly number[]): void {
    super.recover(records);
    this.#pool.recover(new Set(records.map((record) => this.#word(record))));
  }

  override shrink(): boolean {
    this.#shrink(this.config.recycle);
    return this.#pool.usage().pooled > 0;
  }

  #shrink(most: number): number {
    const given = this.whileNotZeroing(() => this.#pool.shrink(most));
    if (given > 0) this.words.add(this.pointer + HEAP.SHRUNK, given);
    return given;
  }

  /** A region of the pool; undefined: none that nobody else has had. */
  #recycle(bytes: number, { actors }: HeapRequest, record: number): number | undefined {
    if (this.config.recycle === 0) return undefined;
    const found = this.#pool.take(bytes, [...actors, this.heapThread], this.#word(record));
    if (found === undefined) return undefined;
    const { region, dirty } = found;
    this.#note(record, region);
    if (dirty) {
      zero(this.door.view(region, 0, bytes));
      this.words.add(this.pointer + HEAP.ZEROED_FRONT, bytes / this.granule);
    }
    this.words.add(this.pointer + HEAP.RECYCLED, 1);
    return region;
  }

  /**
   * A new region. Where there is no room for one, after the pool has been emptied (ion_heap_freelist_drain): by this
   * thread, or by another which was a little faster and left nothing here to be emptied.
   */
  #make(bytes: number, record: number): number {
    const { door } = this;
    const word = this.config.recycle === 0 ? undefined : this.#word(record);
    const make = (): number => door.makeRegion(bytes, word);
    let region: number;
    try {
      region = make();
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      this.#shrink(0);
      region = make();
    }
    this.#note(record, region);
    return region;
  }

  #note(record: number, region: number): void {
    this.locked(() => this.words.store(record + RECORD.START, region));
  }

  #word(record: number): number {
    const generation = recordGeneration(this.words.load(record + RECORD.STATE));
    return this.#pool.usedWord((record - this.base) / RECORD.WORDS, generation);
  }

  /** Counts a buffer in before its region is made: two threads cannot pass the limit together. */
  #reserve(bytes: number, record: number): void {
    const total = this.words.getDouble(this.pointer + HEAP.BYTES);
    const free = Math.max(0, total - this.words.getDouble(this.pointer + HEAP.ALLOCATED));
    if (bytes > this.config.most || bytes > free) {
      this.countFailed();
      const limit =
        bytes > free
          ? `${bytesText(free)} of its ${bytesText(total)} are free; free buffers, or give it a larger size`
          : `a buffer may have ${bytesText(this.config.most)}, half of the host's memory`;
      const detail = `${this.label} cannot give ${bytesText(bytes)}: ${limit}`;
      throw new DmaBufError('ENOMEM', 'ion_alloc', detail);
    }
    this.charge(record, RESERVED, bytes);
  }
}
