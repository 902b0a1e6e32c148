/** The board of tiles, with whoever works on it dying at each of its accesses. */
import { DmaBufError } from '@dmabuf/core';
import { Words } from '@dmabuf/core/driver';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { gpuWords, TILES, tilesAt } from './layout.js';
import { gpu } from './spec.js';
import { Death, doorOf, DyingWords } from './testing/dying.test-helper.js';
import { type DoTile, TileBoard, type TileCall } from './tile-board.js';

const [FRONT, CORE, REAPER] = [1002, 1003, 1004];
const ROWS = 21;
const CALL: TileCall = {
  ...{ entry: 3, args: [7, 0, ROWS, 0.5], rowsAt: 1, scratchAt: 0, scratchStep: 16, tileRows: 2 },
};

/** A board as a front end, a core and the reaper see it, and how often each row was done. */
function bench() {
  const memory = new ArrayBuffer(4 * gpuWords({ images: 1, kernels: 1 }));
  const spec = gpu({ images: 1, kernels: 1, shaderCores: 2 });
  const mortal = new DyingWords(memory);
  const sane = (self: number): TileBoard => new TileBoard(doorOf(new Words(memory), self, spec));
  sane(FRONT).frontEnd = FRONT;
  const rows = Array.from({ length: ROWS }, () => 0);
  const scratch = new Set<number | undefined>();
  const doTile = ([at, y0 = 0, y1 = 0, half]: readonly number[]): number => {
    assert.is(half, 0.5);
    scratch.add(at);
    for (let y = y0; y < y1; y++) rows[y] = (rows[y] ?? 0) + 1;
    return y1 - y0;
  };
  const join = (entry: number): DoTile => {
    assert.is(entry, 3);
    return doTile;
  };
  const reap = (dead: number): void => {
    TileBoard.died(doorOf(new Words(memory), REAPER, spec), dead);
  };
  const dying = (self: number): TileBoard => new TileBoard(doorOf(mortal, self, spec));
  return { mortal, dying, sane, rows, scratch, doTile, join, reap };
}

const once = (rows: readonly number[]): boolean => rows.every((count) => count === 1);

test('every row is done once, by the front end or by the core, and nothing when the board is closed', () => {
  for (const helped of [false, true]) {
    const { sane, rows, scratch, doTile, join } = bench();
    const [front, core] = [sane(FRONT), sane(CORE)];
    const ring = (): void => (helped ? core.serve(1, join) : undefined);
    assert.is(front.run(CALL, doTile, ring), ROWS);
    assert.ok(once(rows));
    assert.equal([...scratch], [helped ? 23 : 7], 'each thread has scratch of its own');
    core.serve(1, join);
    assert.ok(once(rows));
  }
});

test('what a call throws in a core is thrown by the front end, in words, and nobody takes a tile after', () => {
  const why = 'out of order: '.padEnd(400, '§');
  for (const done of [0, 1, 5]) {
    const { sane, rows, doTile } = bench();
    const [front, core] = [sane(FRONT), sane(CORE)];
    let tiles = 0;
    const failing = (args: readonly number[]): number => {
      if (tiles++ === done) throw new DmaBufError('EIO', 'gpu_job', why);
      return doTile(args);
    };
    const ring = (): void => core.serve(1, () => failing);
    assert.throws(() => front.run(CALL, doTile, ring), /^EIO.*out of order: §{100}/);
    assert.is(rows.filter((count) => count === 1).length, 2 * done, 'the front end did none');
    rows.fill(0);
    assert.is(
      front.run(CALL, doTile, () => {}),
      ROWS,
      'the next call is whole',
    );
  }
});

test('a core that dies while it says what was thrown: the call fails or is said to be lost, and the next one is whole', () => {
  let deaths = 0;
  for (let at = 0; ; at++) {
    const { mortal, dying, sane, rows, doTile, reap } = bench();
    const front = sane(FRONT);
    const failing = (): never => {
      mortal.dieAt(at);
      throw new RangeError('out of order');
    };
    const before = deaths;
    const ring = (): void => {
      try {
        dying(CORE).serve(1, () => failing);
      } catch (error) {
        if (!(error instanceof Death)) throw error;
        deaths++;
        reap(CORE);
      }
    };
    try {
      assert.is(front.run(CALL, doTile, ring), undefined);
    } catch (error) {
      assert.match(
        String(error),
        /EIO.*(RangeError: out of order|a kernel failed in shader core 1)/,
      );
    }
    rows.fill(0);
    assert.is(
      front.run(CALL, doTile, () => {}),
      ROWS,
    );
    if (deaths === before) break;
  }
  assert.ok(deaths > 5, `${deaths} deaths`);
});

test('a core that cannot join a call leaves all of it to the front end', () => {
  const { sane, rows, doTile } = bench();
  const refusing = (): never => {
    throw new RangeError('no such module here');
  };
  const core = sane(CORE);
  assert.is(
    sane(FRONT).run(CALL, doTile, () => core.serve(1, refusing)),
    ROWS,
  );
  assert.ok(once(rows));
  assert.equal(core.busy(), []);
});

test('a core that dies at any access: the call is whole or said to be lost, and the next one is whole', () => {
  let deaths = 0;
  let lost = 0;
  for (let at = 0; ; at++) {
    const { mortal, dying, sane, rows, doTile, join, reap } = bench();
    const front = sane(FRONT);
    const serve = (): void => {
      mortal.dieAt(at);
      try {
        dying(CORE).serve(1, join);
      } catch (error) {
        if (!(error instanceof Death)) throw error;
        deaths++;
        reap(CORE);
        reap(CORE);
      }
    };
    const before = deaths;
    const sum = front.run(CALL, doTile, serve);
    assert.ok(rows.every((count) => count <= 1));
    if (sum === undefined) lost++;
    else assert.ok(once(rows) && sum === ROWS, `whole after a death at ${at}`);
    rows.fill(0);
    const next = sane(CORE);
    assert.is(
      front.run(CALL, doTile, () => next.serve(1, join)),
      ROWS,
    );
    assert.ok(once(rows));
    if (deaths === before) break;
  }
  assert.ok(deaths > 20 && lost > 10, `${deaths} deaths, ${lost} lost`);
});

test('a front end that dies at any store: the cores leave its call alone, and its next life’s is whole', () => {
  let deaths = 0;
  for (let at = 0; ; at++) {
    const { mortal, dying, sane, rows, doTile, join, reap } = bench();
    const core = sane(CORE);
    let died = false;
    try {
      mortal.dieAt(at);
      dying(FRONT).run(CALL, doTile, () => {});
    } catch (error) {
      if (!(error instanceof Death)) throw error;
      died = true;
      deaths++;
      reap(FRONT);
      reap(FRONT);
    }
    const done = [...rows];
    core.serve(1, join);
    assert.equal(rows, done, `the core wrote after the death at ${at}`);
    rows.fill(0);
    assert.is(
      sane(FRONT).run(CALL, doTile, () => core.serve(1, join)),
      ROWS,
    );
    assert.ok(once(rows));
    if (!died) break;
  }
  assert.ok(deaths > 30, `${deaths} deaths`);
});

/** The front end dies with a core in a tile; `onSleep` is called with each sleep of the reaper's, and may let it leave. */
function frontEndDies(
  dead: readonly number[],
  onSleep: (sleeps: number, leave: () => void) => void,
): { readonly words: Words; readonly lock: number; readonly sleeps: number } {
  const spec = gpu({ images: 1, kernels: 1, shaderCores: 2 });
  const words = new Words(new ArrayBuffer(4 * gpuWords({ images: 1, kernels: 1 })));
  const lock = tilesAt(spec.options) + TILES.LOCKS;
  new TileBoard(doorOf(words, FRONT, spec)).frontEnd = FRONT;
  words.store(tilesAt(spec.options) + TILES.OPEN, 1);
  words.store(lock, CORE);
  let sleeps = 0;
  const onWait = (): void => onSleep(++sleeps, () => words.store(lock, 0));
  TileBoard.died(doorOf(words, REAPER, spec, { onWait, dead }), FRONT);
  assert.is(words.load(tilesAt(spec.options) + TILES.OPEN), 0, 'the board is closed');
  return { words, lock, sleeps };
}

test('recovery of the front end sleeps until a core has left its tile', () => {
  const { words, lock, sleeps } = frontEndDies([FRONT], (n, leave) => {
    if (n === 3) leave();
  });
  assert.is(sleeps, 3);
  assert.is(words.load(lock), 0);
});

test('it waits for no core that is dead as well, whose own recovery frees its lock', () => {
  const { words, lock, sleeps } = frontEndDies([FRONT, CORE], () => {});
  assert.is(sleeps, 0);
  assert.is(words.load(lock) & 0xffff, CORE);
  const spec = gpu({ images: 1, kernels: 1, shaderCores: 2 });
  TileBoard.died(doorOf(words, REAPER, spec), CORE);
  assert.is(words.load(lock), 0);
});

test('nor for ever for one that hangs', () => {
  const { words, lock, sleeps } = frontEndDies([FRONT], () => {});
  assert.is(sleeps, 500);
  assert.is(words.load(lock) & 0xffff, CORE);
});

test.run();
