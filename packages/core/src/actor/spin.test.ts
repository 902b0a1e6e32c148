import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { HEADER } from '../memory/layout.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { boot } from './boot.js';
import { Spin } from './spin.js';

const SPIN_US = 200;

/** A thread that may spin, and how often it has looked. */
function spinner(
  cores: number,
  spin: number = SPIN_US,
): { spin: Spin; looks: () => number; ready: (at: number) => () => boolean } {
  const { words, services } = machine(spin);
  words.set(HEADER.SPIN_CORES, cores);
  let looks = 0;
  const ready = (at: number) => (): boolean => ++looks >= at;
  return { spin: new Spin(services.kernel), looks: () => looks, ready };
}

function machine(spin: number): {
  words: FakeMachine['words'];
  services: FakeMachine['actors'][0]['services'];
} {
  const fake = new FakeMachine({ clock: 'real', spin, actors: 3 });
  return { words: fake.words, services: fake.actor(0).services };
}

test('a thread that looks on sees what comes', () => {
  const { spin, looks, ready } = spinner(0);
  assert.is(spin.until(ready(3), Infinity), true);
  assert.is(looks(), 3);
});

test('it looks on for its time and no longer, nor past the end of its sleep', () => {
  const { spin, looks, ready } = spinner(0);
  const start = performance.now();
  assert.is(spin.until(ready(Infinity), Infinity), false);
  assert.ok(performance.now() - start >= SPIN_US / 1000);
  assert.ok(looks() > 0);
  const other = spinner(0, 100_000);
  const late = performance.now();
  assert.is(other.spin.until(other.ready(Infinity), late), false);
});

test('who looked on in vain does without for the next 1, 3, 7 … 63 times, until it pays again', () => {
  const { spin, looks, ready } = spinner(0, 1);
  const gaps: number[] = [];
  for (let gap = 0; gaps.length < 8;) {
    const before = looks();
    spin.until(ready(Infinity), Infinity);
    if (looks() === before) gap++;
    else {
      gaps.push(gap);
      gap = 0;
    }
  }
  assert.equal(gaps, [0, 1, 3, 7, 15, 31, 63, 63]);
  for (let skipped = 0; skipped < 63; skipped++) spin.until(ready(0), Infinity);
  assert.is(spin.until(ready(0), Infinity), true, 'it pays');
  spin.until(ready(Infinity), Infinity);
  assert.is(spin.until(ready(0), Infinity), false, 'once');
  assert.is(spin.until(ready(0), Infinity), true);
});

test('none with more actors than cores, and where it is off', () => {
  for (const { spin, looks, ready } of [spinner(2), spinner(0, 0)]) {
    assert.is(spin.until(ready(1), Infinity), false);
    assert.is(looks(), 0);
  }
  const { spin, ready } = spinner(3);
  assert.is(spin.until(ready(1), Infinity), true);
});

test('that is counted anew when an actor has come or gone', () => {
  const fake = new FakeMachine({ clock: 'real', spin: SPIN_US, actors: 3 });
  const { words } = fake;
  words.set(HEADER.SPIN_CORES, 2);
  const spin = new Spin(fake.actor(0).services.kernel);
  assert.is(
    spin.until(() => true, Infinity),
    false,
  );
  void fake.actor(2).machine.leave();
  words.add(HEADER.ACTORS_EPOCH, 1);
  assert.is(
    spin.until(() => true, Infinity),
    true,
  );
});

test('boot refuses what is no time', async () => {
  for (const spin of [-1, 1.5, NaN, 100_001, '30' as 'auto']) {
    let message = '';
    await boot({ spin }).catch((error: unknown) => {
      message = String(error);
    });
    assert.match(message, /boot: spin must be/);
  }
});

test.run();
