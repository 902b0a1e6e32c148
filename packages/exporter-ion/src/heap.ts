/**
 * Heap: where buffers' memory comes from (struct ion_heap_ops). One object per heap and thread, all
 * on the same words.
 *
 * A type of heap is a subclass of {@link Heap}; its duties are `allocate` and `giveBack`, with nothing
 * kept outside kernel memory: what one thread allocates another releases. Accounting is done here.
 */
import { DmaBufError } from '@dmabuf/core';
import {
  BUFFER_FLAG,
  type BufferRecord,
  type DriverDoor,
  type Reach,
  type SgEntry,
  type Words,
} from '@dmabuf/core/driver';
import { HEAP, RECORD, RECORD_STATE, recordGeneration, recordState, recordWord } from './layout.js';
import type { HeapConfig } from './options.js';

/** What is asked of a heap. Validated: a positive size, `align` a power of two. */
export interface HeapRequest {
  /** Bytes that the buffer is to have. */
  readonly size: number;
  /** Bytes. */
  readonly align: number;
  /** ION_FLAG.* and, in the upper 16 bits, the heap's own. */
  readonly flags: number;
  /** Actors that are known to get the buffer: who allocates, and those named in `for`. */
  readonly actors: readonly number[];
}

/** Where a buffer lies. */
export interface Placement {
  readonly region: number;
  /** Bytes from the start of the region. */
  readonly offset: number;
}

/** What of the driver's door the heaps use. */
export type HeapDoor = Pick<
  DriverDoor,
  | 'spec'
  | 'index'
  | 'base'
  | 'words'
  | 'locks'
  | 'coherent'
  | 'hasPool'
  | 'pool'
  | 'regionBytes'
  | 'view'
  | 'makeRegion'
  | 'adoptRegion'
  | 'keptRegions'
  | 'keptWord'
  | 'dropRegion'
  | 'importersOf'
  | 'now'
  | 'self'
  | 'export'
  | 'ring'
>;

/** What a heap is made with: the thread's door, its own words, its description. */
export interface HeapEnv {
  readonly door: HeapDoor;
  /** Word offset of the driver's own words. */
  readonly base: number;
  /** Word offset of the heap's record. */
  readonly pointer: number;
  readonly granule: number;
  readonly config: HeapConfig;
}

/** Somebody who is going to attach to a buffer that is yet to be allocated. */
export interface HeapUser {
  /** How messages name it. */
  readonly name: string;
  readonly reach: Reach;
  /** A device that declares that it keeps protected memory to itself. */
  readonly protected: boolean;
}

/** What of a buffer's record tells where it lies. */
export type Place = Pick<BufferRecord, 'region' | 'offset' | 'size'>;

/** Memory of a heap, in bytes. */
export interface HeapUsage {
  /** Infinity: only the host sets a limit. */
  readonly total: number;
  readonly free: number;
  /** The largest buffer that could be had now. */
  readonly largest: number;
  /** Free, but still with an earlier owner's bytes in it. */
  readonly dirty: number;
  /** Maximal runs of free memory. */
  readonly holes: number;
  /** Kept of what was freed, beside the free memory (system heap). */
  readonly pooled: number;
}

/** Whether a device may use the buffers of a protected heap. */
export function mayUseProtected(
  config: Pick<HeapConfig, 'devices'>,
  device: Pick<HeapUser, 'name' | 'protected'>,
): boolean {
  const { devices } = config;
  return devices.length > 0 ? devices.includes(device.name) : device.protected;
}

export abstract class Heap {
  readonly door: HeapDoor;
  readonly words: Words;
  readonly config: HeapConfig;
  /** Word offset of its record (HEAP.*). */
  readonly pointer: number;
  /** Bytes of a page of the pool heaps. */
  readonly granule: number;

  constructor(env: HeapEnv) {
    this.granule = env.granule;
    this.door = env.door;
    this.words = env.door.words;
    this.config = env.config;
    this.pointer = env.pointer;
  }

  /** Makes its map that of an empty heap; its words are zero. Once in a machine's life. */
  format(): void {}

  /**
   * Finds zeroed memory for a request and notes in the record what it holds (`charge`). Runs in the
   * caller's thread. ENOMEM, with what was free; the caller then releases the record.
   */
  abstract allocate(request: HeapRequest, record: number): Placement;

  /** Takes back what a record holds, from START `start` on. Under the lock. */
  protected abstract giveBack(start: number, record: number): void;

  /** Called when memory came back, with no lock held. */
  protected released(): void {}

  /**
   * Takes back what a record holds, and frees the record. By any thread. Does nothing when the record
   * is no longer that of this generation, so it may be called twice.
   */
  release(record: number, generation: number): void {
    const { words } = this;
    const freed = this.locked(() => {
      const word = words.load(record + RECORD.STATE);
      const own = recordGeneration(word) === generation && recordState(word) !== RECORD_STATE.FREE;
      if (!own) return false;
      const start = words.get(record + RECORD.START);
      if (start !== 0) {
        this.giveBack(start, record);
        this.#countOut(record);
        words.store(record + RECORD.START, 0);
      }
      words.store(record + RECORD.STATE, recordWord(generation, 0, RECORD_STATE.FREE));
      return start !== 0;
    });
    if (freed) this.released();
  }

  abstract usage(): HeapUsage;

  /** Why an importer cannot get at buffers of this heap; undefined: it can. */
  refusal(user: HeapUser): string | undefined {
    if (user.reach.pool === true && !this.config.inPool) {
      return `${user.name} reaches the pool only`;
    }
    if (!this.config.protected || mayUseProtected(this.config, user)) return undefined;
    return `it is protected, which ${user.name} does not declare`;
  }

  /** BUFFER_FLAG.* that its buffers have. */
  get bufferFlags(): number {
    return this.config.protected ? BUFFER_FLAG.PROTECTED : 0;
  }

  /** The pieces of memory that a buffer consists of, for devices. */
  pieces(buffer: Place, _record: number): SgEntry[] {
    return [{ region: buffer.region, offset: buffer.offset, length: buffer.size }];
  }

  /** One piece of background work, by the heap thread; true if there is more. */
  background(): boolean {
    return false;
  }

  /** Gives up memory that is only kept, now and then, by the heap thread; true if there is still some. */
  shrink(): boolean {
    return false;
  }

  /** Undoes what a heap thread before this one was at. By the heap thread, before anything else. */
  restart(): void {}

  /** Makes what is marked as being zeroed dirty again: nobody is at it. Under the lock. */
  abortZeroing(): void {}

  /** Does the pending background work in the calling thread (ion_heap_freelist_drain). */
  drain(): void {
    while (this.background());
  }

  /** A call of the heap's own (ION_IOC_CUSTOM). */
  custom(command: number, _argument: unknown): unknown {
    const detail = `${this.label} has no call ${command}`;
    throw new DmaBufError('ENOTTY', 'ion_custom', detail);
  }

  /**
   * Undoes what a dead thread left half done. `records` are those of this heap that are not free. Under
   * the heap's lock, or while the dead one holds it.
   */
  recover(records: readonly number[]): void {
    this.recount(records.filter((record) => this.words.get(record + RECORD.START) !== 0));
  }

  /** How messages name it. */
  get label(): string {
    return `heap '${this.config.name}' (id ${this.config.id})`;
  }

  /** Frees a record whose memory is not held, or will be found to be nobody's. Recovery only. */
  abandon(record: number): void {
    const { words } = this;
    const generation = recordGeneration(words.load(record + RECORD.STATE));
    words.store(record + RECORD.START, 0);
    words.store(record + RECORD.STATE, recordWord(generation, 0, RECORD_STATE.FREE));
  }

  protected locked<T>(work: () => T): T {
    const lock = this.pointer + HEAP.LOCK;
    this.door.locks.lock(lock);
    try {
      return work();
    } finally {
      this.door.locks.unlock(lock);
    }
  }

  /** Notes in a record what it holds, and counts it in. Under the lock, before the take. */
  protected charge(record: number, start: number, bytes: number): void {
    const { words, pointer } = this;
    words.setDouble(record + RECORD.BYTES, bytes);
    words.store(record + RECORD.START, start);
    const now = words.getDouble(pointer + HEAP.ALLOCATED) + bytes;
    words.setDouble(pointer + HEAP.ALLOCATED, now);
    if (now > words.getDouble(pointer + HEAP.PEAK)) words.setDouble(pointer + HEAP.PEAK, now);
    words.set(pointer + HEAP.COUNT, words.get(pointer + HEAP.COUNT) + 1);
    words.set(pointer + HEAP.ALLOCS, words.get(pointer + HEAP.ALLOCS) + 1);
  }

  /** Makes the counters the sums that they stand for. */
  protected recount(records: readonly number[]): void {
    const { words, pointer } = this;
    let bytes = 0;
    for (const record of records) bytes += words.getDouble(record + RECORD.BYTES);
    words.setDouble(pointer + HEAP.ALLOCATED, bytes);
    words.set(pointer + HEAP.COUNT, records.length);
  }

  protected countFailed(): void {
    const { words, pointer } = this;
    words.set(pointer + HEAP.FAILED, words.get(pointer + HEAP.FAILED) + 1);
  }

  #countOut(record: number): void {
    const { words, pointer } = this;
    const bytes = words.getDouble(record + RECORD.BYTES);
    words.setDouble(pointer + HEAP.ALLOCATED, words.getDouble(pointer + HEAP.ALLOCATED) - bytes);
    words.set(pointer + HEAP.COUNT, words.get(pointer + HEAP.COUNT) - 1);
  }
}
