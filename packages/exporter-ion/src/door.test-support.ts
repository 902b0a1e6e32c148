/**
 * For tests: the driver's door of one thread on memory that no machine is behind, so that heaps can be
 * tried without workers. Locks are core's own; nobody ever has to sleep on one.
 */
import { DmaBufError } from '@dmabuf/core';
import { type DriverSpec, Locks, type Words } from '@dmabuf/core/driver';
import { DyingWords } from './death.test-support.js';
import type { HeapDoor } from './heap.js';
import { Ion } from './ion.js';
import { type IonOptions, resolveOptions, wordsFor } from './options.js';

export const BASE = 64;

/** Kernel memory and pool that several {@link fakeIon}s share. */
export interface World {
  readonly kernel: ArrayBuffer;
  readonly pool: ArrayBuffer;
  readonly spec: DriverSpec;
  /** Memory and kept word of each region that is alive. */
  readonly regions: Map<
    number,
    { readonly memory: ArrayBuffer; readonly word: number; kept: boolean }
  >;
  /** Words of kept regions: they lie behind the driver's own. */
  readonly keptBase: number;
  /** Actors that have a region; whoever made it, if nothing is said. */
  readonly importers: Map<number, number[]>;
  /** ms */
  now: number;
}

export const WORLD_REGIONS = 96;
const FIRST_REGION = 16;

export function makeWorld(options: IonOptions, poolBytes: number): World {
  const config = resolveOptions(options);
  const keptBase = BASE + wordsFor(config);
  return {
    kernel: new ArrayBuffer((keptBase + WORLD_REGIONS) * 4),
    pool: new ArrayBuffer(poolBytes),
    spec: { name: 'ion', module: '', options: config, devices: [] },
    regions: new Map(),
    keptBase,
    importers: new Map(),
    now: 0,
  };
}

const seam = {
  wait(): never {
    throw new Error('a lock that nobody will free');
  },
  notify: (): number => 0,
  waitAsync: async (): Promise<'mismatch'> => 'mismatch',
};

/** The heaps as thread `actor` sees them, whose stores go through `words`. */
export function fakeIon(world: World, words: Words, actor: number): Ion {
  const door: HeapDoor = {
    spec: world.spec,
    index: 1,
    base: BASE,
    words,
    locks: new Locks(words, seam, actor, () => {}),
    coherent: true,
    hasPool: world.pool.byteLength > 0,
    pool: 1,
    regionBytes: (region) => memoryOf(world, region).byteLength,
    // The dead reach no memory.
    view: (region, offset, length) =>
      words instanceof DyingWords && words.dead
        ? new Uint8Array(length)
        : new Uint8Array(memoryOf(world, region), offset, length),
    makeRegion: (bytes, kept) => makeRegion(world, words, actor, bytes, kept),
    *keptRegions() {
      for (const [region, { kept }] of world.regions) if (kept) yield region;
    },
    keptWord: (region) => world.regions.get(region)?.word ?? 0,
    dropRegion(region) {
      if (!(words instanceof DyingWords && words.dead)) world.regions.delete(region);
    },
    importersOf: (region) => world.importers.get(region) ?? [],
    now: () => world.now,
    self: actor,
    adoptRegion: () => 3,
    export() {
      throw new DmaBufError('ENFILE', 'dma_buf_export', 'no machine behind this door');
    },
    ring() {},
  };
  return new Ion(door, {});
}

/** Memory of a region: the pool's, if it is none of its own. */
export function memoryOf(world: World, region: number): ArrayBuffer {
  return world.regions.get(region)?.memory ?? world.pool;
}

/** As core does, in one step: nothing is there before its word is. */
function makeRegion(
  world: World,
  words: Words,
  actor: number,
  bytes: number,
  kept: number | undefined,
): number {
  if (words instanceof DyingWords && words.dead) return FIRST_REGION;
  let region = FIRST_REGION;
  while (world.regions.has(region)) region++;
  if (region >= FIRST_REGION + WORLD_REGIONS) {
    throw new DmaBufError('ENOSPC', 'alloc', 'all regions are in use');
  }
  const word = world.keptBase + region - FIRST_REGION;
  new Int32Array(world.kernel)[word] = kept ?? 0;
  world.regions.set(region, { memory: new ArrayBuffer(bytes), word, kept: kept !== undefined });
  world.importers.set(region, [actor]);
  return region;
}
