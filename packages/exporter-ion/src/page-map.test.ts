/**
 * PageMap against a model that keeps an owner for every page, and its recovery from death at every
 * store.
 */
import { Words } from '@dmabuf/core/driver';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Fit, PageMap, type Place, type Range } from './page-map.js';
import { DyingWords } from './death.test-support.js';
import { randomFrom, seedFrom } from './random.test-support.js';

const FREE = 0;
const ZEROING = -1;

/** The same heap, kept the plain way: who owns each page, and whose bytes are still in it. */
class Model {
  readonly owner: Int32Array<ArrayBufferLike>;
  readonly bytes: Int32Array<ArrayBufferLike>;

  constructor(pages: number) {
    this.owner = new Int32Array(pages);
    this.bytes = new Int32Array(pages);
  }

  /** Lengths of free runs in which a request fits; `clean`: only those that find() may prefer. */
  fits(fit: Fit, clean: boolean): number[] {
    const sizes: number[] = [];
    const free = (page: number): boolean => this.isFree(page, clean);
    for (let from = 0; from < this.owner.length; from++) {
      if (!free(from)) continue;
      let end = from;
      while (end < this.owner.length && free(end)) end++;
      const start = Math.ceil((fit.origin + from) / fit.align) * fit.align - fit.origin;
      const borders = this.isTaken(from - 1) || this.isTaken(end);
      if (start + fit.length <= end && (borders || !clean)) sizes.push(end - from);
      from = end;
    }
    return sizes;
  }

  isFree(page: number, clean: boolean): boolean {
    return this.owner[page] === FREE && !(clean && this.bytes[page] !== 0);
  }

  /** Taken, or beyond the ends. */
  isTaken(page: number): boolean {
    return (this.owner[page] ?? 1) > 0;
  }

  fill(pages: Int32Array<ArrayBufferLike>, range: Range, value: number): void {
    pages.fill(value, range.start, range.start + range.length);
  }

  isAll(pages: Int32Array<ArrayBufferLike>, range: Range, value: number): boolean {
    return pages.subarray(range.start, range.start + range.length).every((page) => page === value);
  }
}

/** One map and its model, stepped by random numbers. */
class Run {
  readonly map: PageMap;
  readonly model: Model;
  readonly held: Range[] = [];
  readonly #random: () => number;
  #zeroing: Range | undefined;
  #owner = 0;
  taken = 0;
  refused = 0;

  constructor(pages: number, random: () => number) {
    this.map = new PageMap(new Words(new ArrayBuffer((pages + 8) * 8)), 8, pages);
    this.map.format();
    this.model = new Model(pages);
    this.#random = random;
  }

  step(): void {
    const dice = this.#random();
    if (dice < 0.46) this.#take();
    else if (dice < 0.9) this.#free();
    else if (dice < 0.97) this.#zero();
    else if (dice < 0.98) this.#abort();
    else this.#compare();
  }

  /** Gives everything back and zeroes it. */
  end(): void {
    this.#abort();
    while (this.held.length > 0) this.#free();
    for (let range = this.map.beginZero(7); range !== undefined; range = this.map.beginZero(7)) {
      this.map.endZero(range);
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #take(): void {
    const length = 1 + this.#below(this.#random() < 0.9 ? 8 : this.map.pages / 2);
    const align = 2 ** this.#below(5);
    const policy = this.#random() < 0.8 ? 'best' : 'first';
    const fit: Fit = { length, align, origin: this.#below(3), policy };
    const place = this.map.find(fit);
    const clean = this.model.fits(fit, true);
    const any = this.model.fits(fit, false);
    if (place === undefined) {
      assert.equal(any, [], 'a free run was overlooked');
      this.refused++;
      return;
    }
    this.#accept(fit, place, clean, any);
  }

  #accept(fit: Fit, place: Place, clean: readonly number[], any: readonly number[]): void {
    const range = { start: place.start, length: fit.length };
    assert.is((fit.origin + range.start) % fit.align, 0);
    assert.ok(range.start >= 0 && range.start + range.length <= this.map.pages);
    assert.ok(this.model.isAll(this.model.owner, range, FREE), 'a page was given out twice');
    const dirty = this.map.take(place, fit.length);
    assert.is(dirty.length === 0 || clean.length === 0, true, 'clean memory was overlooked');
    if (fit.policy === 'best')
      this.#wasBest(range, clean.length > 0, clean.length > 0 ? clean : any);
    for (const part of dirty) this.model.fill(this.model.bytes, part, 0);
    assert.ok(this.model.isAll(this.model.bytes, range, 0), 'bytes of an earlier owner are left');
    this.model.fill(this.model.owner, range, ++this.#owner);
    this.model.fill(this.model.bytes, range, this.#owner);
    this.held.push(range);
    this.taken++;
  }

  /** The run that it came from was the smallest of those in which it fitted. */
  #wasBest(range: Range, clean: boolean, sizes: readonly number[]): void {
    let from = range.start;
    let end = range.start;
    while (from > 0 && this.model.isFree(from - 1, clean)) from--;
    while (end < this.map.pages && this.model.isFree(end, clean)) end++;
    assert.is(end - from, Math.min(...sizes), 'not the smallest run that would do');
  }

  #free(): void {
    const [range] = this.held.splice(this.#below(this.held.length), 1);
    if (range === undefined) return;
    assert.ok(this.map.free(range.start));
    assert.not(this.map.free(range.start), 'freed twice');
    this.model.fill(this.model.owner, range, FREE);
  }

  #zero(): void {
    if (this.#zeroing === undefined) {
      this.#zeroing = this.map.beginZero(1 + this.#below(6));
      if (this.#zeroing === undefined) return;
      assert.ok(this.model.isAll(this.model.owner, this.#zeroing, FREE));
      this.model.fill(this.model.owner, this.#zeroing, ZEROING);
      return;
    }
    this.model.fill(this.model.bytes, this.#zeroing, 0);
    this.model.fill(this.model.owner, this.#zeroing, FREE);
    this.map.endZero(this.#zeroing);
    this.#zeroing = undefined;
  }

  #abort(): void {
    if (this.#zeroing === undefined) return;
    this.model.fill(this.model.owner, this.#zeroing, FREE);
    this.map.abortZero();
    this.#zeroing = undefined;
  }

  /** Every page is in exactly one range, and the totals are the model's. */
  #compare(): void {
    const { owner, bytes } = this.model;
    const stats = this.map.stats();
    const count = (test: (page: number) => boolean): number =>
      owner.reduce((sum, _, page) => sum + (test(page) ? 1 : 0), 0);
    assert.is(
      stats.clean,
      count((page) => owner[page] === FREE && bytes[page] === 0),
    );
    assert.is(
      stats.dirty,
      count((page) => owner[page] === FREE && bytes[page] !== 0),
    );
    assert.is(
      stats.zeroing,
      count((page) => owner[page] === ZEROING),
    );
    assert.is(stats.used, this.held.length);
  }
}

test('random takes, frees and zeroing keep to a model, and end with one clean block', () => {
  const steps = process.env['DMABUF_LONG_TESTS'] === '1' ? 2_300_000 : 100_000;
  const seed = seedFrom(process.env['DMABUF_SEED']);
  console.log(
    `seed ${seed}, ${steps} steps (DMABUF_SEED repeats it, DMABUF_LONG_TESTS=1: a million each)`,
  );
  const run = new Run(128, randomFrom(seed));
  for (let i = 0; i < steps; i++) run.step();
  assert.ok(run.taken > steps / 4 && run.refused > steps / 100, `${run.taken} ${run.refused}`);
  run.end();
  const { clean, dirty, zeroing, used, holes, largest, pages } = run.map.stats();
  assert.equal(
    { clean, dirty, zeroing, used, holes, largest },
    {
      ...{ clean: pages, dirty: 0, zeroing: 0, used: 0, holes: 1, largest: pages },
    },
  );
});

test('a request takes the smallest hole that it fits, and leaves the large one whole', () => {
  const map = new PageMap(new Words(new ArrayBuffer(400)), 0, 64);
  map.format();
  const fit = (length: number): Fit => ({ length, align: 1, origin: 0, policy: 'best' });
  const take = (length: number): Place => {
    const place = map.find(fit(length));
    if (place === undefined) throw new Error('full');
    map.take(place, length);
    return place;
  };
  const places = [8, 1, 3, 1].map(take);
  map.free(places[0]?.start ?? -1);
  map.free(places[2]?.start ?? -1);
  for (let range = map.beginZero(64); range !== undefined; range = map.beginZero(64)) {
    map.endZero(range);
  }
  assert.is(take(3).start, 9);
  assert.is(take(4).start, 0);
  assert.is(map.stats().largest, 51);
});

test('an allocation does not cut a free run in two', () => {
  const map = new PageMap(new Words(new ArrayBuffer(400)), 0, 16);
  map.format();
  // Dirty, clean, dirty: the clean middle would do for three pages, but leave two holes.
  map.take({ start: 0, from: 0 }, 16);
  map.free(0);
  for (const piece of [4, 8]) map.beginZero(piece);
  map.endZero({ start: 4, length: 8 });
  map.abortZero();
  assert.equal(
    [...map.ranges()].map(({ length }) => length),
    [4, 8, 4],
  );
  assert.equal(map.find({ length: 3, align: 1, origin: 0, policy: 'best' }), { start: 0, from: 0 });
  map.take({ start: 0, from: 0 }, 4);
  assert.equal(map.find({ length: 3, align: 1, origin: 0, policy: 'best' }), { start: 4, from: 4 });
});

test('a free run of clean and dirty parts is taken as a whole, and only its dirty parts reported', () => {
  const map = new PageMap(new Words(new ArrayBuffer(400)), 0, 16);
  map.format();
  const whole: Fit = { length: 16, align: 1, origin: 0, policy: 'best' };
  const part = map.find({ ...whole, length: 4 });
  assert.equal(part, { start: 0, from: 0 });
  // Not where find() would put it.
  map.take({ start: 6, from: 0 }, 4);
  map.free(6);
  const place = map.find(whole);
  assert.equal(place, { start: 0, from: 0 });
  assert.equal(map.take({ start: 0, from: 0 }, 16), [{ start: 6, length: 4 }]);
  assert.is(map.find({ ...whole, length: 1 }), undefined);
});

test('death at any store leaves a map that is as before or as after', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 9 }), fc.nat(2)), { maxLength: 24 }),
      fc.nat(20),
      (script, dieAt) => {
        const words = new DyingWords(new ArrayBuffer(400));
        const map = new PageMap(words, 0, 48);
        map.format();
        words.dieAfter(dieAt);
        for (const [pick, length, shift] of script) {
          const before = snapshot(map);
          const wasDead = words.dead;
          perform(map, pick, length, 2 ** shift);
          if (!words.dead || wasDead) continue;
          words.revive();
          const after = snapshot(map);
          assert.is(after.pages, 48, 'pages were lost or doubled');
          assert.ok(Math.abs(after.used - before.used) <= 1);
        }
      },
    ),
    { numRuns: 500 },
  );
});

/** Frees what starts at the `pick`th taken range, or takes `length`. */
function perform(map: PageMap, pick: number, length: number, align: number): void {
  const taken = [...map.ranges()].filter(({ kind }) => kind === 3);
  const victim = pick < 4 ? taken[pick % Math.max(1, taken.length)] : undefined;
  if (victim !== undefined) {
    map.free(victim.start);
    return;
  }
  const place = map.find({ length, align, origin: 0, policy: 'best' });
  if (place !== undefined) map.take(place, length);
}

function snapshot(map: PageMap): { readonly pages: number; readonly used: number } {
  let pages = 0;
  let used = 0;
  for (const { length, kind } of map.ranges()) {
    assert.ok(length > 0 && kind >= 1 && kind <= 4, 'a walk met what is no head');
    pages += length;
    if (kind === 3) used++;
  }
  return { pages, used };
}

test.run();
