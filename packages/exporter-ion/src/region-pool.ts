/**
 * RegionPool: regions that buffers of a system heap have freed, kept for the next ones (ion_page_pool.c).
 *
 * A region cannot be taken back from those who once had it. So it serves a buffer again only if all of them are of
 * those that the new buffer is for: who allocates, the actors named in `for`, and the heap thread, which sees to it.
 * Nobody else ever has a mapping of a buffer's memory; what does not fit is left to the shrinker.
 *
 * There is no table of its own. A kept region has a word, and that word says all (KEPT): whose it is, or since when it
 * is free. Each change is one CAS of it: whoever wins it owns the region. So a death leaves a region that names a
 * record which is not alive; recovery makes that free and dirty. BUSY is held under ZERO_LOCK only, whose owner is
 * known.
 */
import type { HeapDoor } from './heap.js';
import { zero } from './zero.js';

/**
 * The word: kind (2 bits), index of the heap (5), then of USED the record (17) and the low bits of its generation (8), of
 * DIRTY and CLEAN since when it is free.
 */
export const KEPT = { USED: 0, DIRTY: 1, BUSY: 2, CLEAN: 3 } as const;
const KIND_MASK = 3;
const HEAP_SHIFT = 2;
const HEAP_MASK = 31;
const REST_SHIFT = 7;
const GEN_BITS = 8;
/** ms of a unit of the time in the word. */
const TICK = 1024;
/** Free regions that a pool keeps at most: they take records of a table that others need, too. */
export const MOST_REGIONS = 64;
/** ms after which the shrinker gives up what nobody has asked for. */
export const IDLE_MS = 10_000;

export interface PoolUsage {
  /** Bytes of free regions. */
  readonly pooled: number;
  /** Of these, with an earlier owner's bytes in them, or being zeroed. */
  readonly dirty: number;
}

export class RegionPool {
  readonly #door: HeapDoor;
  readonly #heap: number;

  /** `heap`: index of the heap whose regions these are; another's are not looked at. */
  constructor(door: HeapDoor, heap: number) {
    this.#door = door;
    this.#heap = heap;
  }

  /** The word of a region that a record's buffer lies in. Records are counted from the driver's base. */
  usedWord(record: number, generation: number): number {
    const low = generation & ((1 << GEN_BITS) - 1);
    return this.#word(KEPT.USED, (record << GEN_BITS) | low);
  }

  /**
   * A free region of that size that nobody but `actors` has ever had, for a record; a clean one if there is one. A dirty
   * one is zeroed by the caller, the first of them, who has it already. Undefined: none.
   */
  take(
    bytes: number,
    actors: readonly number[],
    word: number,
  ): { readonly region: number; readonly dirty: boolean } | undefined {
    const { words } = this.#door;
    const [self = 0] = actors;
    const fits = [...this.#free()].flatMap((free) => {
      if (this.#door.regionBytes(free.region) !== bytes) return [];
      const importers = this.#door.importersOf(free.region);
      if (!importers.every((actor) => actors.includes(actor))) return [];
      const has = importers.includes(self);
      if (free.kind === KEPT.DIRTY && !has) return [];
      return [{ ...free, cost: (free.kind === KEPT.DIRTY ? 2 : 0) + (has ? 0 : 1) }];
    });
    for (const { region, kind, word: free } of fits.sort((a, b) => a.cost - b.cost)) {
      if (!words.cas(this.#door.keptWord(region), free, word)) continue;
      // It may have served somebody since it was looked at, and be free again with the same word.
      const known = this.#door.importersOf(region).every((actor) => actors.includes(actor));
      if (known) return { region, dirty: kind === KEPT.DIRTY };
      this.free(region, word);
    }
    return undefined;
  }

  /** Takes the region of a record back. False if it is not the record's any more. */
  free(region: number, word: number): boolean {
    return this.#door.words.cas(this.#door.keptWord(region), word, this.#since(KEPT.DIRTY));
  }

  /**
   * Zeroes one dirty region, and tells of its bytes before it is clean. Under ZERO_LOCK. The heap thread does it for all,
   * another thread for those that it has. False: there is none.
   */
  scrub(heapThread: number, zeroed: (bytes: number) => void): boolean {
    const { words, self } = this.#door;
    for (const { region, kind, word } of this.#free()) {
      if (kind !== KEPT.DIRTY) continue;
      if (self !== heapThread && !this.#door.importersOf(region).includes(self)) continue;
      const index = this.#door.keptWord(region);
      if (!words.cas(index, word, this.#word(KEPT.BUSY, 0))) continue;
      const bytes = this.#door.regionBytes(region);
      let next = word;
      try {
        zero(this.#door.view(region, 0, bytes));
        zeroed(bytes);
        next = this.#word(KEPT.CLEAN, word >>> REST_SHIFT);
      } finally {
        words.store(index, next);
      }
      return true;
    }
    return false;
  }

  /**
   * Gives up the regions that have been free for longest, down to `most` bytes and {@link MOST_REGIONS} regions, and all
   * that have been free for {@link IDLE_MS}. Under ZERO_LOCK. How many.
   */
  shrink(most: number): number {
    const { words } = this.#door;
    const all = [...this.#free()].sort((a, b) => a.since - b.since);
    let left = all.reduce((sum, { region }) => sum + this.#door.regionBytes(region), 0);
    let given = 0;
    for (const { region, since, word } of all) {
      const idle = this.#door.now() - since * TICK > IDLE_MS;
      if (!idle && left <= most && all.length - given <= MOST_REGIONS) break;
      const bytes = this.#door.regionBytes(region);
      if (!words.cas(this.#door.keptWord(region), word, this.#word(KEPT.BUSY, 0))) continue;
      this.#door.dropRegion(region);
      left -= bytes;
      given++;
    }
    return given;
  }

  usage(): PoolUsage {
    let [pooled, dirty] = [0, 0];
    for (const { region, kind } of this.#all()) {
      if (kind === KEPT.USED) continue;
      const bytes = this.#door.regionBytes(region);
      pooled += bytes;
      if (kind !== KEPT.CLEAN) dirty += bytes;
    }
    return { pooled, dirty };
  }

  /** Whoever had regions BUSY has died. */
  abortBusy(): void {
    for (const { region, kind } of this.#all()) {
      if (kind !== KEPT.BUSY) continue;
      this.#door.words.store(this.#door.keptWord(region), this.#since(KEPT.DIRTY));
    }
  }

  /** Frees the regions of records that are not among the words of those alive. */
  recover(alive: ReadonlySet<number>): void {
    for (const { region, kind, word } of this.#all()) {
      if (kind === KEPT.USED && !alive.has(word)) this.free(region, word);
    }
  }

  *#free(): Generator<Kept> {
    for (const kept of this.#all()) {
      if (kept.kind === KEPT.DIRTY || kept.kind === KEPT.CLEAN) yield kept;
    }
  }

  *#all(): Generator<Kept> {
    const { words } = this.#door;
    for (const region of this.#door.keptRegions()) {
      const word = words.load(this.#door.keptWord(region));
      if (((word >>> HEAP_SHIFT) & HEAP_MASK) !== this.#heap) continue;
      yield { region, word, kind: word & KIND_MASK, since: word >>> REST_SHIFT };
    }
  }

  #since(kind: number): number {
    return this.#word(kind, Math.floor(this.#door.now() / TICK));
  }

  #word(kind: number, rest: number): number {
    return (rest << REST_SHIFT) | (this.#heap << HEAP_SHIFT) | kind;
  }
}

/** A kept region, and what its word says. */
interface Kept {
  readonly region: number;
  readonly word: number;
  readonly kind: number;
  /** Of free ones, in units of {@link TICK}. */
  readonly since: number;
}
