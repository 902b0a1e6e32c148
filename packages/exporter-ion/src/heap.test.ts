/**
 * Every kind of heap under random allocations, releases and background zeroing, on memory that no
 * machine is behind: no overlap, no loss, nobody's old bytes, one free block at the end.
 */
import { DmaBufError } from '@dmabuf/core';
import { Words } from '@dmabuf/core/driver';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fakeIon, makeWorld, memoryOf, type World } from './door.test-support.js';
import type { Ion } from './ion.js';
import { HEAP } from './layout.js';
import type { HeapOptions } from './options.js';
import { randomFrom, seedFrom } from './random.test-support.js';
import { Records } from './records.js';
import { IDLE_MS } from './region-pool.js';

const PAGE = 4096;
const POOL = 256 * PAGE;
const ACTOR = 3;

interface Piece {
  readonly region: number;
  readonly offset: number;
  readonly length: number;
}
interface Held {
  readonly record: number;
  readonly generation: number;
  readonly mark: number;
  readonly pieces: readonly Piece[];
}

/** Random steps on heap 0 of a world of its own. */
class Run {
  readonly ion: Ion;
  readonly #world: World;
  readonly #records: Records;
  readonly #random: () => number;
  readonly #zeros: Buffer = Buffer.alloc(POOL);
  readonly #held: Held[] = [];
  #next = 0;
  allocations = 0;
  refusals = 0;

  constructor(heap: HeapOptions, random: () => number) {
    this.#world = makeWorld({ heaps: [heap], buffers: 64, clients: 1, pages: 256 }, POOL);
    this.ion = fakeIon(this.#world, new Words(this.#world.kernel), ACTOR);
    this.#records = new Records(this.ion);
    this.#random = random;
  }

  step(): void {
    const dice = this.#random();
    if (dice < 0.5 && this.#held.length < 64) this.#alloc();
    else if (dice < 0.9) this.#free();
    else this.ion.heap(0).background();
  }

  end(): void {
    while (this.#held.length > 0) this.#free();
    this.ion.heap(0).drain();
    this.#world.now += 2 * IDLE_MS;
    assert.not(this.ion.heap(0).shrink(), 'the shrinker leaves something');
    assert.is(this.#world.regions.size, 0);
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #alloc(): void {
    const heap = this.ion.heap(0);
    const size = 1 + this.#below(PAGE * (this.#random() < 0.9 ? 8 : 128));
    const align = this.#random() < 0.8 ? 1 : PAGE << this.#below(2);
    const owner = { client: -1, clientGeneration: 0, clientName: '', actor: ACTOR };
    const record = this.#records.claim({ ...owner, heap: 0, size, flags: 0 });
    const generation = this.#records.generation(record);
    try {
      const place = heap.allocate({ size, align, flags: 0, actors: [ACTOR] }, record);
      this.#records.publish(record, ++this.#next);
      const pieces = heap.pieces({ ...place, size }, record);
      for (const piece of pieces) this.#accept(piece, align);
      this.#held.push({ record, generation, mark: 1 + (this.#next % 255), pieces });
      for (const piece of pieces) this.#bytes(piece).fill(1 + (this.#next % 255));
      this.allocations++;
    } catch (error) {
      if (!(error instanceof DmaBufError) || error.code === 'ENODEV') throw error;
      heap.release(record, generation);
      this.refusals++;
    }
  }

  /** All zero: so it overlaps no buffer, for those are filled, and holds no old bytes. */
  #accept(piece: Piece, align: number): void {
    assert.is(piece.offset % align, 0);
    assert.ok(piece.offset + piece.length <= POOL);
    const zeros = this.#zeros.subarray(0, piece.length);
    assert.ok(this.#bytes(piece).equals(zeros), 'memory that was given out is not zero');
  }

  #free(): void {
    const [held] = this.#held.splice(this.#below(this.#held.length), 1);
    if (held === undefined) return;
    for (const piece of held.pieces) {
      const expected = Buffer.alloc(piece.length, held.mark);
      assert.ok(this.#bytes(piece).equals(expected), 'somebody else has written into a buffer');
    }
    this.ion.heap(0).release(held.record, held.generation);
  }

  #bytes({ region, offset, length }: Piece): Buffer {
    return Buffer.from(memoryOf(this.#world, region), offset, length);
  }
}

const HEAPS: readonly HeapOptions[] = [
  { type: 'system', size: POOL },
  { type: 'system-contig' },
  { type: 'carveout' },
  { type: 'chunk', chunk: 2 * PAGE },
  { type: 'cma' },
  { type: 'protected' },
];

for (const heap of HEAPS) {
  test(`${heap.type}: random allocations and releases keep every invariant`, () => {
    const steps = process.env['DMABUF_LONG_TESTS'] === '1' ? 2_700_000 : 20_000;
    const seed = seedFrom(process.env['DMABUF_SEED']);
    const run = new Run(heap, randomFrom(seed));
    for (let i = 0; i < steps; i++) run.step();
    console.log(
      `${heap.type}: seed ${seed}, ${run.allocations} allocations, ${run.refusals} times full`,
    );
    assert.ok(run.allocations > steps / 5 && run.refusals > 0);
    run.end();
    const { words } = run.ion;
    const { pointer } = run.ion.heap(0);
    const { free, total, dirty, holes } = run.ion.heap(0).usage();
    assert.equal({ free, dirty, holes }, { free: total, dirty: 0, holes: 1 });
    assert.is(words.getDouble(pointer + HEAP.ALLOCATED), 0);
    assert.is(words.get(pointer + HEAP.COUNT), 0);
    assert.is(words.get(pointer + HEAP.FAILED), run.refusals);
    assert.ok(words.getDouble(pointer + HEAP.PEAK) > POOL / 2);
  });
}

test.run();
