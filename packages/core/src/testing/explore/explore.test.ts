import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../random.js';
import { parseSchedule, scheduleText } from './control.js';
import { Explorer } from './explorer.js';
import { BUGS, exploreAll, failureText, findPlanted, killAll, replay } from './faults.js';

const LIMITS = { bound: 1, schedules: 60, failures: 3 };
const all = { first: 0, of: 1 };
const print = (): void => {};
const explorer = new Explorer();

test.after(async () => explorer.close());

test('all scenarios hold under schedules with one preemption', async () => {
  const extent = { limits: LIMITS, samples: 0, seed: 1, share: all, print };
  const tally = await exploreAll(explorer, extent);
  console.log(`# ${tally.schedules} schedules`);
  assert.equal(tally.failures.map(failureText), []);
});

test('all scenarios recover from random deaths, of the recoverer too', async () => {
  const { seed } = new Random();
  const extent = { limits: LIMITS, samples: 6, seed, share: all, print };
  const tally = await killAll(explorer, { ...extent, every: 48 });
  console.log(`# ${tally.kills} kill points, ${tally.recoveries} recoveries checked`);
  assert.equal(tally.failures.map(failureText), []);
});

for (const bug of BUGS) {
  test(`a planted bug is found: ${bug.name}`, async () => {
    const after = await findPlanted(explorer, bug, { bound: 2, schedules: 12_000, failures: 1 });
    console.log(`# after ${after} ${bug.by === 'death' ? 'deaths' : 'schedules'}`);
    assert.ok(after > 0);
  });
}

test('a schedule is replayed as it was, access by access', async () => {
  const text = 'add/add crossing:57>1,80>0,120x,120>3';
  const first = await replay(explorer, text);
  const trace = (steps: number): unknown[] =>
    Array.from({ length: steps }, (_, i) => explorer.step(i + 1));
  const before = trace(first.steps);
  const again = await replay(explorer, text);
  assert.equal(again, first);
  assert.equal(trace(again.steps), before);
  assert.is(first.recovered, 1);
});

test('a schedule is written and read', () => {
  const schedule = parseSchedule('57>1,80>0,120x');
  assert.is(scheduleText(schedule), '57>1,80>0,120x');
  assert.throws(() => parseSchedule('57'), /no entry/);
});

test.run();
