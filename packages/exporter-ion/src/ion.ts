/**
 * Ion: one thread's door to the heaps, clients and records of the machine's ION driver (struct
 * ion_device). There is one for each door; all of them work on the same words.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Words } from '@dmabuf/core/driver';
import { AdoptedMemory } from './adopted-memory.js';
import { ChunkHeap } from './chunk-heap.js';
import type { Heap, HeapDoor, HeapEnv } from './heap.js';
import { CLIENT, HEAP, ION, PIECE, RECORD } from './layout.js';
import { type HeapConfig, type IonConfig, UDMABUF } from './options.js';
import { granuleFor, sharesOf } from './pool-layout.js';
import { RangeHeap } from './range-heap.js';
import { SystemHeap } from './system-heap.js';

/** Makes a thread's object for a heap of one type. */
export type HeapFactory = (env: HeapEnv) => Heap;

const BUILT_IN: Readonly<Record<string, HeapFactory>> = {
  system: (env) => new SystemHeap(env),
  'system-contig': (env) => new RangeHeap(env),
  carveout: (env) => new RangeHeap(env),
  chunk: (env) => new ChunkHeap(env),
  cma: (env) => new RangeHeap(env),
  protected: (env) => new RangeHeap(env),
};

const ions = new WeakMap<HeapDoor, Ion>();

export class Ion {
  readonly door: HeapDoor;
  readonly words: Words;
  readonly base: number;
  readonly config: IonConfig;
  /** In the order of the options; a record names its heap by index. */
  readonly heaps: readonly Heap[];
  /** What udmabufs are counted in: its index is the next after those of the heaps. */
  readonly adopted: AdoptedMemory;

  constructor(door: HeapDoor, types: Readonly<Record<string, HeapFactory>>) {
    this.door = door;
    this.words = door.words;
    this.base = door.base;
    this.config = door.spec.options as IonConfig;
    const { words, base } = this;
    const lock = base + ION.LOCK;
    // The first thread lays the tables out; all others find them so.
    door.locks.lock(lock);
    try {
      const fresh = words.load(base + ION.FORMATTED) === 0;
      if (fresh) this.#layOut(door.hasPool ? door.regionBytes(door.pool) : 0);
      this.heaps = this.config.heaps.map((config, i) => this.#makeHeap(config, i, types));
      const granule = words.get(base + ION.GRANULE);
      const pointer = this.heapAt(this.heaps.length);
      this.adopted = new AdoptedMemory(
        { door, base, pointer, granule, config: UDMABUF },
        this.pieceAt(0),
        this.config.udmabuf.pieces,
      );
      if (fresh) for (const heap of this.heaps) heap.format();
      words.store(base + ION.FORMATTED, 1);
    } finally {
      door.locks.unlock(lock);
    }
    ions.set(door, this);
  }

  /** The one that belongs to a door. */
  static of(door: HeapDoor): Ion {
    const ion = ions.get(door);
    if (ion !== undefined) return ion;
    throw new TypeError(`ion: driver '${door.spec.name}' is not the ION driver`);
  }

  heapAt(index: number): number {
    return this.base + ION.WORDS + index * HEAP.WORDS;
  }

  clientAt(index: number): number {
    return this.heapAt(this.config.heaps.length + 1) + index * CLIENT.WORDS;
  }

  recordAt(index: number): number {
    return this.clientAt(this.config.clients) + index * RECORD.WORDS;
  }

  pieceAt(index: number): number {
    return this.recordAt(this.config.buffers) + index * PIECE.WORDS;
  }

  /** The heaps, and what is counted like one. */
  get all(): readonly Heap[] {
    return [...this.heaps, this.adopted];
  }

  /** The heap with an index that came out of kernel memory. */
  heap(index: number): Heap {
    const heap = index === this.heaps.length ? this.adopted : this.heaps[index];
    if (heap !== undefined) return heap;
    throw new DmaBufError('ENODEV', 'ion', `there is no heap with index ${index}`);
  }

  /** Heap by name. */
  named(name: string): Heap | undefined {
    return this.heaps.find((heap) => heap.config.name === name);
  }

  #makeHeap(config: HeapConfig, i: number, types: Readonly<Record<string, HeapFactory>>): Heap {
    const { door, base, words } = this;
    const make = BUILT_IN[config.type] ?? types[config.type];
    if (make === undefined) {
      throw new TypeError(
        `ion: heap '${config.name}' is of type '${config.type}', which the driver module does not know; pass it to createDriver`,
      );
    }
    const granule = words.get(base + ION.GRANULE);
    return make({ door, base, pointer: this.heapAt(i), granule, config });
  }

  /** Where each heap lies, and its map. */
  #layOut(poolBytes: number): void {
    const { words, base, config } = this;
    const granule = granuleFor(poolBytes, config);
    words.set(base + ION.GRANULE, granule);
    const shares = sharesOf(poolBytes, granule, config);
    let map = this.pieceAt(config.udmabuf.pieces) - base;
    words.setDouble(this.heapAt(config.heaps.length) + HEAP.BYTES, Infinity);
    config.heaps.forEach((heap, i) => {
      const at = this.heapAt(i);
      const share = shares[i];
      words.set(at + HEAP.MAP, map);
      words.setDouble(at + HEAP.BYTES, share?.bytes ?? (heap.size || Infinity));
      if (share === undefined) return;
      const pages = share.bytes / granule;
      words.set(at + HEAP.PAGES, pages);
      words.setDouble(at + HEAP.OFFSET, share.offset);
      map += pages;
    });
  }
}
