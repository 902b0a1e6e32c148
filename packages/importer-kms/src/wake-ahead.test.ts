import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { WakeAhead } from './wake-ahead.js';

const never = (): number => {
  throw new Error('it waited busily');
};

test('the lead grows to nearly all of the lateness that sleeps have, and shrinks with it', () => {
  const ahead = new WakeAhead(0.5, never);
  const sleep = (late: number): void => ahead.woke(ahead.plan(100, true) + late);
  for (let i = 0; i < 2000; i++) sleep(0.3 + 0.1 * ((i % 50) / 50));
  assert.ok(ahead.lead > 0.35 && ahead.lead < 0.45, `${ahead.lead}`);
  for (let i = 0; i < 2000; i++) sleep(0.1);
  assert.ok(ahead.lead > 0.05 && ahead.lead < 0.15, `${ahead.lead}`);
});

test('one long delay hardly moves the lead', () => {
  const ahead = new WakeAhead(0.5, never);
  for (let i = 0; i < 2000; i++) ahead.woke(ahead.plan(100, true) + 0.2);
  const before = ahead.lead;
  ahead.woke(ahead.plan(100, true) + 50);
  assert.ok(ahead.lead - before < 0.021);
});

test('the lead stays between nothing and the limit', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 2, noNaN: true }),
      fc.array(fc.nat(5000)),
      (limit, lates) => {
        const ahead = new WakeAhead(limit, never);
        for (const us of lates) {
          ahead.woke(ahead.plan(100, us % 2 === 0) + us / 1000);
          assert.ok(ahead.lead >= 0 && ahead.lead <= limit);
        }
      },
    ),
  );
});

test('a wake-up before its time, for a job, teaches nothing', () => {
  const ahead = new WakeAhead(0.5, never);
  const asked = ahead.plan(100, true);
  const before = ahead.lead;
  ahead.woke(asked - 0.1);
  ahead.woke(asked - 0.05);
  assert.is(ahead.lead, before);
  ahead.woke(asked + 1);
  assert.is.not(ahead.lead, before);
});

test('it waits busily from within the lead, and from further away not at all', () => {
  let time = 99.9;
  const ahead = new WakeAhead(0.5, () => (time += 0.01));
  assert.is(ahead.meet(100, 99), 99);
  assert.ok(ahead.meet(100, 99.9) >= 100);
  assert.is(ahead.meet(100, 100.5), 100.5, 'too late already');
});

test('with a limit of 0 it never waits busily', () => {
  const ahead = new WakeAhead(0, never);
  assert.is(ahead.plan(100, true), 100);
  assert.is(ahead.meet(100, 99.999), 99.999);
});

test.run();
