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
}

export function makeWorld(options: IonOptions, poolBytes: number): World {
  const config = resolveOptions(options);
  return {
    kernel: new ArrayBuffer((BASE + wordsFor(config)) * 4),
    pool: new ArrayBuffer(poolBytes),
    spec: { name: 'ion', module: '', options: config, devices: [] },
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
    regionBytes: () => world.pool.byteLength,
    // The dead reach no memory.
    view: (_region, offset, length) =>
      words instanceof DyingWords && words.dead
        ? new Uint8Array(length)
        : new Uint8Array(world.pool, offset, length),
    makeRegion: () => 2,
    adoptRegion: () => 3,
    export() {
      throw new DmaBufError('ENFILE', 'dma_buf_export', 'no machine behind this door');
    },
    ring() {},
  };
  return new Ion(door, {});
}
