import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { VblankClock } from './vblank-clock.js';

const DAY = 86_400_000;
/** performance.now() of a process that has been up for a while. */
const epochs = fc.double({ min: 0, max: 1e8, noNaN: true });
const rates = fc.integer({ min: 1000, max: 240_000 });

/** The next smaller double. */
function justBefore(time: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, time);
  view.setBigInt64(0, view.getBigInt64(0) - 1n);
  return view.getFloat64(0);
}

test('a vblank after ten days at 59.94 Hz is where exact arithmetic puts it', () => {
  const clock = new VblankClock(59_940);
  clock.on(0);
  const frames = (59_940 * 10 * DAY) / 1e6;
  assert.is(clock.timeOf(frames), 10 * DAY);
  assert.is(clock.sequenceAt(10 * DAY), frames);
  assert.is(clock.sequenceAt(10 * DAY - 0.001), frames - 1);
});

test('times never drift: any vblank of a century is within 2 ulp of the rational', () => {
  fc.assert(
    fc.property(rates, fc.integer({ min: 0, max: 1e12 }), (vrefresh, sequence) => {
      const clock = new VblankClock(vrefresh);
      clock.on(0);
      const exactPicoseconds = (BigInt(sequence) * 10n ** 15n) / BigInt(vrefresh);
      const exact = Number(exactPicoseconds) / 1e9;
      const ulp = 2 ** (Math.floor(Math.log2(Math.max(exact, 1))) - 52);
      assert.ok(Math.abs(clock.timeOf(sequence) - exact) <= 2 * ulp + 1e-9);
    }),
  );
});

test('sequenceAt and timeOf agree to the last bit', () => {
  fc.assert(
    fc.property(epochs, rates, fc.integer({ min: 1, max: 1e9 }), (epoch, vrefresh, sequence) => {
      const clock = new VblankClock(vrefresh);
      clock.on(epoch);
      const time = clock.timeOf(sequence);
      assert.is(clock.sequenceAt(time), sequence);
      assert.is(clock.nextAfter(time), sequence + 1);
      assert.ok(clock.timeOf(clock.nextAfter(time)) > time);
      const halfway = (time + clock.timeOf(sequence + 1)) / 2;
      assert.is(clock.sequenceAt(halfway), sequence);
      assert.is(clock.sequenceAt(justBefore(time)), sequence - 1);
    }),
    { numRuns: 2000 },
  );
});

test('a wake-up in time counts one vblank, an early one none', () => {
  const clock = new VblankClock(60_000);
  clock.on(1000);
  assert.is(clock.tick(1016.6), 0);
  assert.is(clock.tick(1016.7), 1);
  assert.is(clock.tick(1016.8), 0);
  assert.is(clock.tick(1033.4), 1);
  assert.is(clock.sequence, 2);
  assert.is(clock.missed, 0);
});

test('a wake-up that comes late counts every vblank and reports those slept through', () => {
  const clock = new VblankClock(60_000);
  clock.on(0);
  assert.is(clock.tick(16.7), 1);
  assert.is(clock.tick(68), 3);
  assert.is(clock.sequence, 4);
  assert.is(clock.missed, 2);
  assert.ok(68 - clock.timeOf(clock.sequence) < clock.period);
});

test('every vblank is either served or missed, whatever the wake-ups', () => {
  fc.assert(
    fc.property(
      epochs,
      rates,
      fc.array(fc.double({ min: -2, max: 200, noNaN: true }), { maxLength: 50 }),
      (epoch, vrefresh, steps) => {
        const clock = new VblankClock(vrefresh);
        clock.on(epoch);
        let now = epoch;
        let served = 0;
        for (const step of steps) {
          now += step;
          const before = clock.sequence;
          const passed = clock.tick(now);
          assert.is(clock.sequence, before + passed);
          if (passed > 0) served++;
          assert.ok(clock.timeOf(clock.sequence + 1) > now);
        }
        assert.is(clock.sequence, served + clock.missed);
      },
    ),
  );
});

test('off and on keeps the sequence monotone and begins a whole period later', () => {
  const clock = new VblankClock(60_000);
  clock.on(0);
  clock.tick(16.7);
  clock.off(20);
  assert.not(clock.active);
  assert.is(clock.tick(10_000), 0);
  assert.is(clock.sequence, 1);
  clock.on(10_000);
  assert.is(clock.sequence, 1);
  assert.is(clock.tick(10_016.6), 0);
  assert.is(clock.tick(10_016.7), 1);
  assert.is(clock.sequence, 2);
  assert.is(clock.missed, 0);
});

test('vblanks due before the clock goes off are counted, as missed', () => {
  const clock = new VblankClock(60_000);
  clock.on(0);
  clock.off(51);
  assert.is(clock.sequence, 3);
  assert.is(clock.missed, 3);
});

test('a modeset changes the rate and keeps the count', () => {
  const clock = new VblankClock(60_000);
  clock.on(0);
  clock.tick(16.7);
  clock.on(20, 24_000);
  assert.is(clock.period, 1e6 / 24_000);
  assert.is(clock.timeOf(2), 20 + 1e6 / 24_000);
  assert.is(clock.tick(62), 1);
  assert.is(clock.sequence, 2);
});

test('time that goes back changes nothing', () => {
  const clock = new VblankClock(60_000);
  clock.on(100);
  clock.tick(150);
  const { sequence, missed } = clock;
  assert.is(clock.tick(90), 0);
  assert.is(clock.sequence, sequence);
  assert.is(clock.missed, missed);
});

test('a rate that is no whole number of mHz is a RangeError', () => {
  for (const vrefresh of [0, -1, 59.94, NaN]) {
    assert.throws(() => new VblankClock(vrefresh), RangeError);
  }
});

test.run();
