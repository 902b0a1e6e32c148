import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ACTOR, ASLEEP, HEADER } from '../memory/layout.js';
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

test('who looked on in vain does without for the next 1, 3, 7 … 255 times, until it pays again', () => {
  const { spin, looks, ready } = spinner(0, 1);
  const gaps: number[] = [];
  for (let gap = 0; gaps.length < 10;) {
    const before = looks();
    spin.until(ready(Infinity), Infinity);
    if (looks() === before) gap++;
    else {
      gaps.push(gap);
      gap = 0;
    }
  }
  assert.equal(gaps, [0, 1, 3, 7, 15, 31, 63, 127, 255, 255]);
  for (let skipped = 0; skipped < 255; skipped++) spin.until(ready(0), Infinity);
  assert.is(spin.until(ready(0), Infinity), true, 'it pays');
  spin.until(ready(Infinity), Infinity);
  assert.is(spin.until(ready(0), Infinity), false, 'once');
  assert.is(spin.until(ready(0), Infinity), true);
});

test('none where it is off', () => {
  const { spin, looks, ready } = spinner(0, 0);
  assert.is(spin.until(ready(1), Infinity), false);
  assert.is(looks(), 0);
});

/** Actor 0 of three on two cores, whose others have served and are awake. */
function amongThree(): { fake: FakeMachine; spins: () => boolean; others: readonly number[] } {
  const fake = new FakeMachine({ clock: 'real', spin: SPIN_US, actors: 3 });
  const { words } = fake;
  words.set(HEADER.SPIN_CORES, 2);
  const { kernel } = fake.actor(0).services;
  const others = [1, 2].map((i) => fake.actor(i).services.kernel.actor);
  for (const other of others) words.set(other + ACTOR.SERVED, 1);
  const spin = new Spin(kernel);
  return { fake, spins: () => spin.until(() => true, Infinity), others };
}

test('none while more actors are awake than there are cores', () => {
  const { fake, spins, others } = amongThree();
  assert.is(spins(), false);
  fake.words.store((others[0] ?? 0) + ACTOR.WAITING, ASLEEP);
  assert.is(spins(), true);
  fake.words.store((others[0] ?? 0) + ACTOR.WAITING, 0);
  assert.is(spins(), false);
});

test('an actor that has never served does not count, for nobody knows whether it sleeps', () => {
  const { fake, spins, others } = amongThree();
  fake.words.set((others[1] ?? 0) + ACTOR.SERVED, 0);
  assert.is(spins(), true);
});

test('nor does one that has left', () => {
  const { fake, spins } = amongThree();
  assert.is(spins(), false);
  void fake.actor(2).machine.leave();
  fake.words.add(HEADER.ACTORS_EPOCH, 1);
  assert.is(spins(), true);
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
