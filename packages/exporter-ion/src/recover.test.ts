/**
 * Death of a thread at every single store of allocating and releasing: nothing is lost, nothing is
 * given out twice, and what comes next works.
 */
import { Words } from '@dmabuf/core/driver';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DyingWords } from './death.test-support.js';
import { fakeIon, makeWorld, type World } from './door.test-support.js';
import type { Ion } from './ion.js';
import { HEAP, ION, RECORD, RECORD_STATE, recordState } from './layout.js';
import type { IonOptions } from './options.js';
import { Records } from './records.js';
import { recoverActor } from './recover.js';

const PAGE = 4096;
const PAGES = 16;
const VICTIM = 5;
const SURVIVOR = 6;
const TABLES = { buffers: 8, clients: 2, pages: 64 };
const OPTIONS: IonOptions = { ...TABLES, heaps: [{ type: 'carveout' }] };
const SYSTEM: IonOptions = { ...TABLES, heaps: [{ type: 'system', size: PAGES * PAGE }] };
const CHUNKS: IonOptions = { ...TABLES, heaps: [{ type: 'chunk', chunk: PAGE }] };

/** A buffer as core would have it: the record's place and generation, in its private words. */
interface FakeBuffer {
  readonly record: number;
  readonly generation: number;
}

/** Allocates as `allocate.ts` does; `exported` is what core keeps of it. */
function alloc(
  ion: Ion,
  actor: number,
  pages: number,
  exported: FakeBuffer[],
  alive: () => boolean = () => true,
): FakeBuffer {
  const records = new Records(ion);
  const size = pages * PAGE;
  const owner = { client: -1, clientGeneration: 0, clientName: 'test', actor };
  const record = records.claim({ ...owner, heap: 0, size, flags: 0 });
  const generation = records.generation(record);
  const request = { size, align: 1, flags: 0, actors: [actor] };
  const { region, offset } = ion.heap(0).allocate(request, record);
  const buffer = { record, generation };
  if (alive()) exported.push(buffer);
  records.publish(record, 1);
  for (const piece of ion.heap(0).pieces({ size, offset, region }, record)) {
    ion.door.view(piece.region, piece.offset, piece.length).fill(0xaa);
  }
  return buffer;
}

/** Some life: clean and dirty allocations, splits, joins, background zeroing. */
function live(ion: Ion, actor: number, exported: FakeBuffer[], alive: () => boolean): void {
  const free = (buffer: FakeBuffer): void => {
    if (!alive()) return;
    ion.heap(0).release(buffer.record, buffer.generation);
    if (alive()) exported.splice(exported.indexOf(buffer), 1);
  };
  const take = (pages: number): FakeBuffer => alloc(ion, actor, pages, exported, alive);
  const a = take(3);
  const b = take(2);
  free(a);
  if (alive()) ion.heap(0).background();
  const c = take(10);
  free(b);
  const d = take(4); // of clean and dirty pages
  free(c);
  free(d);
}

function storesOf(options: IonOptions, work: (world: World, words: DyingWords) => void): number {
  const world = makeWorld(options, PAGES * PAGE);
  const words = new DyingWords(world.kernel);
  work(world, words);
  return words.stores;
}

function checkWhole(world: World, ion: Ion): void {
  const heap = ion.heap(0);
  const { words } = ion;
  words.store(ion.base + ION.HEAP_THREAD, SURVIVOR);
  for (let i = 0; i < TABLES.buffers; i++) {
    const word = words.load(ion.recordAt(i) + RECORD.STATE);
    assert.is(recordState(word), RECORD_STATE.FREE, `record ${i} is not free`);
  }
  heap.drain();
  const { free, total, dirty, holes } = heap.usage();
  assert.equal({ free, dirty, holes }, { free: total, dirty: 0, holes: 1 });
  assert.is(words.getDouble(heap.pointer + HEAP.ALLOCATED), 0);
  assert.is(words.get(heap.pointer + HEAP.COUNT), 0);
  assert.is(words.load(heap.pointer + HEAP.LOCK), 0);
  assert.is(words.load(heap.pointer + HEAP.ZERO_LOCK), 0);
  for (const memory of [world.pool, ...[...world.regions.values()].map((r) => r.memory)]) {
    const clean = new Uint8Array(memory).every((byte) => byte === 0);
    assert.ok(clean, 'bytes are left in free memory');
  }
}

for (const [name, options] of [
  ['a range heap', OPTIONS],
  ['the chunk heap', CHUNKS],
  ['the system heap', SYSTEM],
] as const) {
  test(`death at any store of allocating from ${name} and releasing is made good`, () => {
    everyDeath(options);
  });
}

function everyDeath(options: IonOptions): void {
  const total = storesOf(options, (world, words) => {
    live(fakeIon(world, words, VICTIM), VICTIM, [], () => true);
  });
  assert.ok(total > 60, `only ${total} stores`);
  for (let dieAt = 0; dieAt < total; dieAt++) {
    const world = makeWorld(options, PAGES * PAGE);
    fakeIon(world, new Words(world.kernel), SURVIVOR);
    const words = new DyingWords(world.kernel);
    const victim = fakeIon(world, words, VICTIM);
    const exported: FakeBuffer[] = [];
    words.dieAfter(dieAt);
    attempt(
      () => live(victim, VICTIM, exported, () => !words.dead),
      () => words.dead,
    );
    const ion = fakeIon(world, new Words(world.kernel), SURVIVOR);
    const backed = (record: number, generation: number): boolean =>
      exported.some(
        (buffer) => buffer.record - ion.base === record && buffer.generation === generation,
      );
    recoverActor(ion, VICTIM, backed);
    recoverActor(ion, VICTIM, backed);
    // Core closes the dead one's fds: the release op runs for each of its buffers.
    for (const { record, generation } of exported) ion.heap(0).release(record, generation);
    checkWhole(world, ion);
    live(ion, SURVIVOR, [], () => true);
    checkWhole(world, ion);
  }
}

/** Makes two udmabufs of two pieces each, and gives the first one back. */
function shareTwo(ion: Ion, exported: FakeBuffer[], alive: () => boolean): void {
  const records = new Records(ion);
  const owner = { client: -1, clientGeneration: 0, clientName: 'test', actor: VICTIM };
  const heap = ion.heaps.length;
  for (let i = 0; i < 2 && alive(); i++) {
    const record = records.claim({ ...owner, heap, size: 2 * PAGE, flags: 0 });
    const generation = records.generation(record);
    const pieces = [0, 2].map((page) => ({ offset: page * PAGE, length: PAGE }));
    ion.adopted.note(pieces, record);
    if (alive()) exported.push({ record, generation });
    records.publish(record, 1);
  }
  const [first] = exported;
  if (first === undefined || !alive()) return;
  ion.adopted.release(first.record, first.generation);
  if (alive()) exported.shift();
}

test('death at any store of listing the pieces of a udmabuf, or of giving it back, is made good', () => {
  const options = { ...OPTIONS, udmabuf: { pieces: 4 } };
  const total = storesOf(options, (world, words) => {
    shareTwo(fakeIon(world, words, VICTIM), [], () => true);
  });
  assert.ok(total > 40, `only ${total} stores`);
  for (let dieAt = 0; dieAt < total; dieAt++) {
    const world = makeWorld(options, PAGES * PAGE);
    fakeIon(world, new Words(world.kernel), SURVIVOR);
    const words = new DyingWords(world.kernel);
    const victim = fakeIon(world, words, VICTIM);
    const exported: FakeBuffer[] = [];
    words.dieAfter(dieAt);
    attempt(
      () => shareTwo(victim, exported, () => !words.dead),
      () => words.dead,
    );
    const ion = fakeIon(world, new Words(world.kernel), SURVIVOR);
    const backed = (record: number, generation: number): boolean =>
      exported.some(
        (buffer) => buffer.record - ion.base === record && buffer.generation === generation,
      );
    recoverActor(ion, VICTIM, backed);
    recoverActor(ion, VICTIM, backed);
    // The first is being given back once there are two.
    const whole = exported.at(-1);
    if (whole !== undefined) {
      const place = { region: 1, offset: 0, size: 2 * PAGE };
      assert.is(ion.adopted.pieces(place, whole.record).length, 2, `died at store ${dieAt}`);
    }
    for (const { record, generation } of exported) ion.adopted.release(record, generation);
    assert.is(ion.adopted.bytes, 0);
    const records = new Records(ion);
    const owner = { client: -1, clientGeneration: 0, clientName: 'test', actor: SURVIVOR };
    const record = records.claim({ ...owner, heap: 1, size: 4 * PAGE, flags: 0 });
    const four = [0, 2, 4, 6].map((page) => ({ offset: page * PAGE, length: PAGE }));
    ion.adopted.note(four, record); // all of the table is free
  }
});

/** All that a heap thread does, after two buffers have been freed: it zeroes, makes clean, and shrinks the pools. */
function work(ion: Ion): void {
  const heap = ion.heap(0);
  heap.restart();
  ion.words.store(ion.base + ION.HEAP_THREAD, ion.door.self);
  for (let i = 0; i < 64 && heap.background();) i++; // the dead never see it done
  heap.shrink();
}

for (const [name, options] of [
  ['range', OPTIONS],
  ['chunk', CHUNKS],
  ['system', { ...SYSTEM, heaps: [{ type: 'system', size: PAGES * PAGE, recycle: PAGE }] }],
] as const) {
  test(`a heap thread of a ${name} heap that died at any store of its works is followed by one that goes on`, () => {
    const prepared = (): World => {
      const world = makeWorld(options, PAGES * PAGE);
      const ion = fakeIon(world, new Words(world.kernel), SURVIVOR);
      const buffers = [3, 4].map((pages) => alloc(ion, SURVIVOR, pages, []));
      for (const { record, generation } of buffers) ion.heap(0).release(record, generation);
      return world;
    };
    const all = prepared();
    const counting = new DyingWords(all.kernel);
    work(fakeIon(all, counting, VICTIM));
    assert.ok(counting.stores > 10, `only ${counting.stores} stores`);
    for (let dieAt = 0; dieAt < counting.stores; dieAt++) {
      const world = prepared();
      const words = new DyingWords(world.kernel);
      const heapThread = fakeIon(world, words, VICTIM);
      words.dieAfter(dieAt);
      attempt(
        () => work(heapThread),
        () => words.dead,
      );
      const ion = fakeIon(world, new Words(world.kernel), SURVIVOR);
      recoverActor(ion, VICTIM);
      assert.is(ion.heap(0).usage().free, PAGES * PAGE);
      work(ion);
      checkWhole(world, ion);
      assert.ok(ion.heap(0).usage().pooled <= PAGE, 'the pool is above its limit');
      live(ion, SURVIVOR, [], () => true);
      checkWhole(world, ion);
    }
  });
}

test('what the living hold is left alone when another dies', () => {
  for (let dieAt = 0; dieAt < 40; dieAt++) {
    const world = makeWorld(OPTIONS, PAGES * PAGE);
    const ion = fakeIon(world, new Words(world.kernel), SURVIVOR);
    const kept = alloc(ion, SURVIVOR, 1, []);
    const words = new DyingWords(world.kernel);
    const victim = fakeIon(world, words, VICTIM);
    words.dieAfter(dieAt);
    attempt(
      () => live(victim, VICTIM, [], () => !words.dead),
      () => words.dead,
    );
    recoverActor(ion, VICTIM);
    const records = new Records(ion);
    assert.ok(records.holds(kept.record, kept.generation));
    const mine = [...records.live()].filter((record) => records.read(record).actor === SURVIVOR);
    assert.equal(mine, [kept.record]);
    assert.is(new Uint8Array(world.pool)[0], 0xaa, 'its bytes were touched');
    ion.heap(0).release(kept.record, kept.generation);
  }
});

test('a record that a living thread has only just claimed is left to it', () => {
  const world = makeWorld(OPTIONS, PAGES * PAGE);
  const ion = fakeIon(world, new Words(world.kernel), SURVIVOR);
  for (let i = 0; i < TABLES.buffers; i++) {
    const { record, generation } = alloc(ion, SURVIVOR, 2, []);
    ion.heap(0).release(record, generation);
  }
  const records = new Records(ion);
  const owner = { client: -1, clientGeneration: 0, clientName: 'test', actor: SURVIVOR };
  const claimed = records.claim({ ...owner, heap: 0, size: PAGE, flags: 0 });
  recoverActor(ion, VICTIM);
  assert.ok(records.holds(claimed, records.generation(claimed)));
  assert.is(ion.words.get(ion.heap(0).pointer + HEAP.COUNT), 0);
});

test('a late release of an old generation does not hit the next user of the record', () => {
  const world = makeWorld(OPTIONS, PAGES * PAGE);
  const ion = fakeIon(world, new Words(world.kernel), SURVIVOR);
  const old = alloc(ion, SURVIVOR, 1, []);
  ion.heap(0).release(old.record, old.generation);
  let next = alloc(ion, SURVIVOR, 1, []);
  while (next.record !== old.record) {
    ion.heap(0).release(next.record, next.generation);
    next = alloc(ion, SURVIVOR, 1, []);
  }
  ion.heap(0).release(old.record, old.generation);
  assert.ok(new Records(ion).holds(next.record, next.generation));
  assert.is(ion.heap(0).usage().free, (PAGES - 1) * PAGE);
});

/** The dead one's own code may stumble over what it did not write: that is no failure. */
function attempt(work: () => void, dead: () => boolean): void {
  try {
    work();
  } catch (error) {
    if (!dead()) throw error;
  }
}

test.run();
