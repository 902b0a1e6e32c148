import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PERIOD, TestBench } from './crtc.test-helper.js';
import { VblankTimes } from './vblank-times.js';
import { type VblankJob, VblankWaits } from './vblank-waits.js';

/** A request, and what became of it. */
function request(payload: unknown, log: unknown[]): VblankJob {
  return {
    payload,
    defer: () => log.push(`${String(payload)} deferred`),
    waitUntil: (ms) => log.push(`${String(payload)} until ${ms}`),
    finish: (error = 0) => log.push(`${String(payload)} ended ${error}`),
  };
}

const timeOf = (sequence: number): number => sequence * PERIOD;

test('requests end in the order of their vblanks, whatever the order in which they came', () => {
  const waits = new VblankWaits();
  const log: unknown[] = [];
  for (const target of [12, 10, 11, 10]) waits.add(request(target, log), 9, timeOf);
  log.length = 0;
  waits.reached(9);
  assert.equal(log, []);
  waits.reached(10);
  assert.equal(log, ['10 ended 0', '10 ended 0']);
  waits.reached(15);
  assert.equal(log.slice(2), ['11 ended 0', '12 ended 0']);
});

test('what has come, or will not come, ends with its handler; what is no number is EINVAL', () => {
  const waits = new VblankWaits();
  const log: unknown[] = [];
  waits.add(request(9, log), 9, timeOf);
  waits.add(request(100, log), undefined, timeOf);
  assert.equal(log, [], 'not deferred');
  for (const bad of ['9', 1.5, null]) {
    assert.throws(() => waits.add(request(bad, log), 1, timeOf), /EINVAL/);
  }
});

test('a request ends at its vblank, and a late wake-up is told as the vblank that was served', () => {
  const bench = new TestBench();
  const times = new VblankTimes(bench.words, 0);
  const log: unknown[] = [];
  bench.flip(bench.addFb(1));
  bench.vblanks(2);
  const at = bench.time;
  for (const target of [3, 5]) bench.crtc.waitVblank(request(target, log));
  bench.after(PERIOD);
  const until = [at + PERIOD, at + 3 * PERIOD];
  assert.equal(log.splice(0, 4), [
    ...['3 deferred', `3 until ${until[0]}`],
    ...['5 deferred', `5 until ${until[1]}`],
  ]);
  assert.equal(log, ['3 ended 0']);
  assert.equal(times.find(3), { sequence: 3, timestamp: at + PERIOD });
  bench.after(3 * PERIOD); // 4 and 5 have passed unserved
  assert.is(log.at(-1), '5 ended 0');
  assert.equal([times.find(4), times.find(5)], [undefined, undefined]);
  assert.equal(times.reached(5), { sequence: 6, timestamp: at + 4 * PERIOD });
});

test('when the display goes off, nobody goes on waiting', () => {
  const bench = new TestBench();
  const log: unknown[] = [];
  bench.flip(bench.addFb(1));
  bench.vblanks(2);
  bench.crtc.waitVblank(request(99, log));
  bench.crtc.disable(0);
  assert.equal([log[0], log[2]], ['99 deferred', '99 ended 0']);
  bench.crtc.waitVblank(request(99, log));
  assert.is(log.length, 3);
  assert.equal(new VblankTimes(bench.words, 0).reached(99)?.sequence, 2);
});

test.run();
