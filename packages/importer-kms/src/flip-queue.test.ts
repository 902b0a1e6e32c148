import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FlipQueue } from './flip-queue.js';
import { VblankClock } from './vblank-clock.js';

/** A queue with flips 0, 1, 2, … at the given times, all ready. */
function readyQueue(times: readonly (number | undefined)[]): FlipQueue {
  const queue = new FlipQueue('realtime');
  for (const [id, at] of times.entries()) {
    queue.push(id, at);
    queue.setReady(id);
  }
  return queue;
}

/** What is on screen after each of `count` vblanks, with a handful of flips ready ahead. */
function play(
  times: readonly number[],
  vrefresh: number,
  count: number,
  options: { on?: number; tolerance?: number } = {},
): number[] {
  const clock = new VblankClock(vrefresh);
  clock.on(options.on ?? 12_345.678);
  const queue = new FlipQueue('realtime', options.tolerance);
  const screen: number[] = [];
  let pushed = 0;
  for (let n = 1; n <= count; n++) {
    for (; pushed < times.length && queue.pending < 8; pushed++) {
      queue.push(pushed, times[pushed]);
      queue.setReady(pushed);
    }
    const { show } = queue.latch(clock.timeOf(n));
    screen.push(show ?? screen.at(-1) ?? -1);
  }
  return screen;
}

function repeated(frames: number, pattern: readonly number[]): number[] {
  const screen: number[] = [];
  for (let k = 0; k < frames; k++) {
    for (let i = pattern[k % pattern.length] ?? 0; i > 0; i--) screen.push(k);
  }
  return screen;
}

test('30 fps on 60 Hz shows each frame for exactly two vblanks, whatever the rounding', () => {
  const expected = repeated(5000, [2]);
  const timestamps: ((k: number) => number)[] = [
    (k) => (k * 1000) / 30,
    (k) => k * (1000 / 30),
    (k) => k * 33.333333,
    (k) => Math.round((k * 1e6) / 30) / 1000,
    (k) => (1.4 + k / 30) * 1000,
  ];
  for (const on of [0, 12_345.678, 1e9 / 7]) {
    for (const timestamp of timestamps) {
      const times = Array.from({ length: 5000 }, (_, k) => timestamp(k));
      assert.equal(play(times, 60_000, expected.length, { on }), expected);
    }
  }
});

test('30000/1001 fps on 59.94 Hz holds two vblanks a frame for hours, and 24 on 60 Hz pulls down 3:2', () => {
  const ntsc = Array.from({ length: 20_000 }, (_, k) => (k * 1001) / 30);
  assert.equal(play(ntsc, 59_940, 40_000), repeated(20_000, [2]));
  const film = Array.from({ length: 240 }, (_, k) => (k * 1000) / 24);
  assert.equal(play(film, 60_000, 600), repeated(240, [3, 2]));
});

test('timestamps in whole milliseconds hold two vblanks a frame with a tolerance of 1 ms', () => {
  const times = Array.from({ length: 3000 }, (_, k) => Math.round((k * 1000) / 30));
  assert.equal(play(times, 60_000, 6000, { tolerance: 1 }), repeated(3000, [2]));
});

test('a flip due between two vblanks waits for the second', () => {
  assert.equal(play([0, 17], 60_000, 3), [0, 0, 1]);
});

test('the newest of several due and ready flips is shown and the older ones are dropped', () => {
  const queue = readyQueue([0, 10, 20, 30, 40]);
  assert.is(queue.latch(1000).show, 0);
  assert.equal(queue.latch(1035), { show: 3, dropped: [1, 2] });
  assert.is(queue.dropped, 2);
  assert.is(queue.pending, 1);
  assert.is(queue.latch(1039.9).show, undefined);
  assert.equal(queue.latch(1040), { show: 4, dropped: [] });
});

test('of flips with equal times the newest is shown', () => {
  const queue = readyQueue([0, 10, 10, 10]);
  queue.latch(0);
  assert.equal(queue.latch(16), { show: 3, dropped: [1, 2] });
});

test('a present time in the past is due at the next vblank', () => {
  const queue = readyQueue([100, -500]);
  assert.is(queue.latch(0).show, 0);
  assert.is(queue.latch(16).show, 1);
});

test('a flip that becomes ready late is shown at the next vblank if nothing newer is due', () => {
  const queue = new FlipQueue('realtime');
  for (const id of [0, 1, 2]) queue.push(id, id * 33);
  queue.setReady(0);
  assert.is(queue.latch(0).show, 0);
  assert.is(queue.latch(50).show, undefined);
  queue.setReady(1);
  queue.setReady(2);
  assert.is(queue.latch(60).show, 1);
  assert.is(queue.latch(70).show, 2);
});

test('an overtaken flip is dropped the moment it becomes ready', () => {
  const queue = new FlipQueue('realtime');
  for (const id of [0, 1, 2]) queue.push(id, id);
  queue.setReady(0);
  queue.latch(0);
  queue.setReady(2);
  assert.equal(queue.latch(5), { show: 2, dropped: [] });
  assert.is(queue.pending, 1);
  assert.not(queue.setReady(1));
  assert.is(queue.dropped, 1);
  assert.is(queue.pending, 0);
  assert.is(queue.latch(99).show, undefined);
});

test('the epoch is set when the first timed flip is shown, as if that one were on time', () => {
  const queue = readyQueue([1400, 1433]);
  assert.is(queue.epoch, undefined);
  assert.is(queue.latch(500).show, 0);
  assert.is(queue.epoch, -900);
  assert.is(queue.latch(532).show, undefined);
  assert.is(queue.latch(533).show, 1);
});

test('a slow first flip delays the sequence and costs none of its frames', () => {
  const queue = new FlipQueue('realtime');
  for (const id of [0, 1, 2]) queue.push(id, id * 20);
  queue.setReady(1);
  queue.setReady(2);
  assert.is(queue.latch(100).show, undefined);
  queue.setReady(0);
  assert.equal(queue.latch(300), { show: 0, dropped: [] });
  assert.equal(queue.latch(320), { show: 1, dropped: [] });
  assert.equal(queue.latch(340), { show: 2, dropped: [] });
});

test('when the first flip fails the second begins the sequence', () => {
  const queue = new FlipQueue('realtime');
  for (const id of [0, 1, 2]) queue.push(id, id * 20);
  queue.setReady(1);
  queue.setReady(2);
  queue.remove(0);
  assert.is(queue.latch(100).show, 1);
  assert.is(queue.latch(119).show, undefined);
  assert.is(queue.latch(120).show, 2);
});

test('a failed flip is skipped and its predecessor stays', () => {
  for (const wasReady of [false, true]) {
    const queue = readyQueue([0]);
    queue.push(1, 10);
    if (wasReady) queue.setReady(1);
    queue.push(2, 20);
    queue.setReady(2);
    queue.latch(0);
    queue.remove(1);
    assert.equal(queue.latch(10), { show: undefined, dropped: [] });
    assert.equal(queue.latch(20), { show: 2, dropped: [] });
  }
});

test('flips without a present time are due at once and set no epoch', () => {
  const queue = readyQueue([undefined, undefined]);
  assert.equal(queue.latch(7), { show: 1, dropped: [0] });
  assert.is(queue.epoch, undefined);
  queue.push(2, 0);
  queue.push(3, 10);
  queue.setReady(2);
  queue.setReady(3);
  assert.is(queue.latch(100).show, 2);
  assert.is(queue.epoch, 100);
  assert.is(queue.latch(109).show, undefined);
});

test('in max every flip is shown, in order, as soon as it is ready', () => {
  const queue = new FlipQueue('max');
  for (const id of [0, 1, 2, 3]) queue.push(id, id * 1000);
  queue.setReady(2);
  queue.setReady(1);
  assert.is(queue.latch(0).show, undefined);
  assert.is(queue.nextDue(), undefined);
  queue.setReady(0);
  assert.is(queue.nextDue(), -Infinity);
  assert.equal([queue.latch(0).show, queue.latch(0).show, queue.latch(0).show], [0, 1, 2]);
  queue.remove(3);
  assert.is(queue.latch(0).show, undefined);
  assert.is(queue.dropped, 0);
});

test('nextDue says when a ready flip can first be shown', () => {
  const queue = readyQueue([0, 40, 30]);
  assert.is(queue.nextDue(), -Infinity);
  queue.latch(100);
  assert.is(queue.nextDue(), 130);
  queue.latch(130);
  assert.is(queue.nextDue(), undefined);
});

test('restart gives the next timed flip an epoch of its own', () => {
  const queue = readyQueue([0]);
  queue.latch(100);
  queue.restart();
  queue.push(1, 9000);
  queue.setReady(1);
  assert.is(queue.latch(200).show, 1);
  assert.is(queue.epoch, -8800);
});

test('clear gives back everything in queue order', () => {
  const queue = readyQueue([0, 10, 20]);
  queue.push(3, 30);
  queue.latch(0);
  assert.equal(queue.clear(), [1, 2, 3]);
  assert.is(queue.pending, 0);
  assert.is(queue.latch(1000).show, undefined);
});

test('misuse throws: an id twice, an unknown id, a time that is no number', () => {
  const queue = readyQueue([0]);
  assert.throws(() => queue.push(0), RangeError);
  assert.throws(() => queue.setReady(7), RangeError);
  assert.throws(() => queue.remove(7), RangeError);
  assert.throws(() => queue.push(1, NaN), TypeError);
  assert.throws(() => new FlipQueue('realtime', -1), RangeError);
});

/** The rules once more, as plainly as they can be written: every flip looked at every time. */
interface Modelled {
  readonly at: number | undefined;
  state: 'waiting' | 'ready' | 'shown' | 'dropped' | 'failed';
}

function modelLatch(flips: Modelled[], vblank: number, epoch: number | undefined): number {
  const lastShown = flips.findLastIndex((flip) => flip.state === 'shown');
  const alive = (flip: Modelled, i: number): boolean =>
    i > lastShown && (flip.state === 'waiting' || flip.state === 'ready');
  const firstTimed = flips.findIndex((flip, i) => flip.at !== undefined && alive(flip, i));
  const winner = flips.findLastIndex((flip, i) => {
    if (flip.state !== 'ready') return false;
    if (flip.at === undefined) return true;
    return epoch === undefined ? i === firstTimed : epoch + flip.at <= vblank;
  });
  for (let i = 0; i < winner; i++) {
    const older = flips[i];
    if (older?.state === 'ready') older.state = 'dropped';
  }
  const shown = flips[winner];
  if (shown !== undefined) shown.state = 'shown';
  return winner;
}

type Step = readonly [what: 'push' | 'ready' | 'fail' | 'latch', n: number];

const steps = fc.array(
  fc.tuple(fc.constantFrom('push', 'ready', 'ready', 'fail', 'latch'), fc.nat(100)),
  { maxLength: 80 },
) as fc.Arbitrary<Step[]>;

test('realtime does what the plain model does, never shows a flip early, and loses none', () => {
  fc.assert(
    fc.property(steps, (script) => {
      const queue = new FlipQueue('realtime', 0);
      const flips: Modelled[] = [];
      let now = 0;
      for (const [what, n] of script) {
        const id = flips.length === 0 ? -1 : n % flips.length;
        const flip = flips[id];
        if (what === 'push') {
          const at = n % 5 === 0 ? undefined : n;
          queue.push(flips.length, at);
          flips.push({ at, state: 'waiting' });
        } else if (what === 'ready' && flip?.state === 'waiting') {
          const overtaken = flips.findLastIndex((each) => each.state === 'shown') > id;
          flip.state = overtaken ? 'dropped' : 'ready';
          assert.is(queue.setReady(id), !overtaken);
        } else if (what === 'fail' && (flip?.state === 'waiting' || flip?.state === 'ready')) {
          queue.remove(id);
          flip.state = 'failed';
        } else if (what === 'latch') {
          now += n;
          const { epoch } = queue;
          const before = flips.map((each) => each.state);
          const { show, dropped } = queue.latch(now);
          const expected = modelLatch(flips, now, epoch);
          assert.is(show ?? -1, expected);
          const gone = flips.flatMap((each, i) =>
            each.state === 'dropped' && before[i] !== 'dropped' ? [i] : [],
          );
          assert.equal(dropped, gone);
          const at = show === undefined ? undefined : flips[show]?.at;
          if (epoch !== undefined && at !== undefined) assert.ok(epoch + at <= now);
        }
      }
      const open = flips.filter((each) => each.state === 'waiting' || each.state === 'ready');
      assert.is(queue.pending, open.length);
      assert.is(queue.dropped, flips.filter((each) => each.state === 'dropped').length);
    }),
    { numRuns: 2000 },
  );
});

test('max shows all that did not fail, in order', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray([...Array(20).keys()], { minLength: 20 }),
      fc.nat(19),
      (order, bad) => {
        const queue = new FlipQueue('max');
        for (let id = 0; id < 20; id++) queue.push(id, 1000 - id);
        const shown: number[] = [];
        for (const id of order) {
          if (id === bad) queue.remove(id);
          else queue.setReady(id);
          for (let next = queue.latch(0).show; next !== undefined; next = queue.latch(0).show) {
            shown.push(next);
          }
        }
        assert.equal(
          shown,
          [...Array(20).keys()].filter((id) => id !== bad),
        );
        assert.is(queue.dropped, 0);
      },
    ),
  );
});

test.run();
