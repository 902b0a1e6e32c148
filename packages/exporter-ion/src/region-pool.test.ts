/**
 * The pool of a system heap: which region serves whom again, and which are given up. No machine is behind it.
 */
import { DmaBufError } from '@dmabuf/core';
import { Words } from '@dmabuf/core/driver';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fakeIon, makeWorld, memoryOf, type World, WORLD_REGIONS } from './door.test-support.js';
import type { Ion } from './ion.js';
import { HEAP, ION } from './layout.js';
import { Records } from './records.js';
import { IDLE_MS, MOST_REGIONS } from './region-pool.js';

const PAGE = 4096;
const ME = 3;
const YOU = 4;
const THEY = 5;

class Bench {
  readonly world: World;
  readonly ion: Ion;
  readonly #records: Records;

  constructor(recycle: number = 1 << 20) {
    const heaps = [
      { type: 'system', recycle },
      { type: 'system', name: 'other', id: 9, recycle: 0 },
    ];
    this.world = makeWorld({ heaps, buffers: 128, clients: 1, pages: 2 }, 0);
    this.ion = fakeIon(this.world, new Words(this.world.kernel), ME);
    this.ion.words.store(this.ion.base + ION.HEAP_THREAD, ME);
    this.#records = new Records(this.ion);
  }

  /** Region of a new buffer. */
  alloc(pages: number, actors: readonly number[] = [ME]): { region: number; free: () => void } {
    const size = pages * PAGE;
    const owner = { client: -1, clientGeneration: 0, clientName: '', actor: ME };
    const record = this.#records.claim({ ...owner, heap: 0, size, flags: 0 });
    const generation = this.#records.generation(record);
    const heap = this.ion.heap(0);
    const { region } = heap.allocate({ size, align: 1, flags: 0, actors }, record);
    this.#records.publish(record, 1);
    const bytes = new Uint8Array(memoryOf(this.world, region));
    assert.ok(bytes.every((byte) => byte === 0));
    bytes.fill(0xaa);
    return { region, free: () => heap.release(record, generation) };
  }

  count(field: number): number {
    return this.ion.words.load(this.ion.heap(0).pointer + field);
  }
}

test('a region that only the allocator ever had serves it again, zeroed', () => {
  const b = new Bench();
  const first = b.alloc(2);
  first.free();
  assert.equal(b.ion.heap(0).usage().dirty, 2 * PAGE);
  assert.is(b.alloc(2).region, first.region);
  assert.is(b.count(HEAP.RECYCLED), 1);
  assert.is.not(b.alloc(2).region, first.region);
});

test('one of another size does not', () => {
  const b = new Bench();
  const first = b.alloc(2);
  first.free();
  assert.is.not(b.alloc(1).region, first.region);
  assert.is.not(b.alloc(3).region, first.region);
});

test('one that somebody had whom the new buffer is not for does not serve, one all of whose owners it is for does', () => {
  const b = new Bench();
  const first = b.alloc(2);
  b.world.importers.set(first.region, [ME, YOU, THEY]);
  first.free();
  assert.is.not(b.alloc(2).region, first.region);
  assert.is.not(b.alloc(2, [ME, YOU]).region, first.region);
  assert.is(b.alloc(2, [ME, YOU, THEY, 7]).region, first.region);
});

test('a clean one is taken before a dirty one, and of the clean ones the one that is at hand', () => {
  const b = new Bench();
  const [dirty, far, near] = [b.alloc(1), b.alloc(1), b.alloc(1)];
  far.free();
  near.free();
  b.ion.heap(0).drain();
  dirty.free();
  b.world.importers.set(far.region, [YOU]);
  const order = [0, 1, 2].map(() => b.alloc(1, [ME, YOU]).region);
  assert.equal(order, [near.region, far.region, dirty.region]);
});

test('a dirty one that the allocator has not is left to the heap thread', () => {
  const b = new Bench();
  const first = b.alloc(1);
  b.world.importers.set(first.region, [YOU]);
  first.free();
  assert.is.not(b.alloc(1, [ME, YOU]).region, first.region);
  b.ion.heap(0).drain();
  assert.is(b.alloc(1, [ME, YOU]).region, first.region);
});

test('a thread that is not the heap thread zeroes only what it has', () => {
  const b = new Bench();
  const first = b.alloc(1);
  b.world.importers.set(first.region, [YOU]);
  first.free();
  b.alloc(2).free();
  b.ion.words.store(b.ion.base + ION.HEAP_THREAD, THEY);
  b.ion.heap(0).drain();
  assert.is(b.ion.heap(0).usage().dirty, PAGE);
  const heapThread = fakeIon(b.world, new Words(b.world.kernel), THEY);
  heapThread.heap(0).drain();
  assert.is(b.ion.heap(0).usage().dirty, 0);
});

test('a release that comes twice does not take the region from its next owner', () => {
  const b = new Bench();
  const first = b.alloc(1);
  first.free();
  const second = b.alloc(1);
  assert.is(second.region, first.region);
  first.free();
  assert.is.not(b.alloc(1).region, second.region);
});

test('above its limit the pool gives up what has been free for longest, and in time all of it', () => {
  const b = new Bench(2 * PAGE);
  const buffers = Array.from({ length: 4 }, () => b.alloc(1));
  for (const buffer of buffers) {
    b.world.now += 1024;
    buffer.free();
  }
  assert.ok(b.ion.heap(0).shrink());
  const left = (): number[] => [...b.world.regions.keys()];
  assert.equal(left(), [buffers[2]?.region, buffers[3]?.region]);
  assert.is(b.count(HEAP.SHRUNK), 2);
  b.world.now += IDLE_MS - 100;
  assert.ok(b.ion.heap(0).shrink());
  assert.equal(left(), [buffers[3]?.region]);
  b.world.now += IDLE_MS;
  assert.not(b.ion.heap(0).shrink());
  assert.equal(left(), []);
});

test('however small they are, a pool does not keep more regions than others can spare', () => {
  const b = new Bench();
  const buffers = Array.from({ length: MOST_REGIONS + 8 }, () => b.alloc(1));
  for (const buffer of buffers) buffer.free();
  b.ion.heap(0).shrink();
  assert.is(b.world.regions.size, MOST_REGIONS);
});

test('a heap leaves the regions of another alone', () => {
  const b = new Bench();
  const first = b.alloc(1);
  first.free();
  const other = b.ion.heap(1);
  assert.equal(other.usage().pooled, 0);
  other.drain();
  other.restart();
  assert.not(other.shrink());
  assert.is(b.ion.heap(0).usage().dirty, PAGE);
  assert.is(b.alloc(1).region, first.region);
});

test('where there is no room for another region the pool is emptied first', () => {
  const b = new Bench();
  const buffers = Array.from({ length: 15 }, () => b.alloc(1));
  for (const buffer of buffers) buffer.free();
  const { door } = b.ion;
  const kept: number[] = [];
  // What others have: the table is full but for those that the pool keeps.
  while (b.world.regions.size < WORLD_REGIONS) kept.push(door.makeRegion(PAGE));
  b.alloc(2);
  assert.is(b.world.regions.size, kept.length + 1);
});

test('there is another try where somebody else has just emptied it', () => {
  const b = new Bench();
  const { door } = b.ion;
  const { makeRegion } = door;
  let tries = 0;
  const full = (): number => {
    throw new DmaBufError('ENOSPC', 'alloc', 'all regions are in use');
  };
  Object.assign(door, {
    makeRegion: (bytes: number, kept?: number) =>
      tries++ === 0 ? full() : makeRegion(bytes, kept),
  });
  b.alloc(1);
  assert.is(tries, 2);
});

test('a region that was somebody else’s between being looked at and being taken does not serve', () => {
  const b = new Bench();
  const first = b.alloc(2);
  first.free();
  b.world.importers.set(first.region, [ME, YOU]);
  const { importersOf } = b.ion.door;
  let looks = 0;
  Object.assign(b.ion.door, {
    importersOf: (region: number) => (looks++ === 0 ? [ME] : importersOf(region)),
  });
  assert.is.not(b.alloc(2).region, first.region);
  assert.is(b.ion.heap(0).usage().dirty, 2 * PAGE, 'it is back in the pool');
});

test.run();
