// Doorbells: nobody sleeps through work, and nobody pays for waking one who is awake.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ACTOR, ASLEEP } from '../memory/layout.js';
import type { Seam, WaitResult } from '../substrate/seam.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { Doorbell } from './doorbell.js';

interface Bench {
  readonly fake: FakeMachine;
  /** Rings actor 2 from actor 1. */
  ring(): void;
  /** Actor 2 sleeps until 1000 ms. */
  sleep(idle: () => boolean): void;
  waiting(): number;
}

function bench(): Bench {
  const fake = new FakeMachine();
  const { bell, kernel } = fake.actor(1).services;
  return {
    fake,
    ring: () => fake.actor(0).services.bell.ring(2),
    sleep: (idle) => bell.sleep(idle, 1000),
    waiting: () => fake.words.get(kernel.actor + ACTOR.WAITING),
  };
}

test('ringing one who is awake costs one load and notifies nobody', () => {
  const b = bench();
  b.fake.words.reset();
  b.ring();
  assert.is(b.fake.words.atomics, 1);
  assert.equal(b.fake.notified, []);
});

test('a sleeper is woken by the ring, and counts it', () => {
  const b = bench();
  b.fake.whileAsleep = () => {
    assert.is(b.waiting(), ASLEEP);
    b.ring();
    b.ring();
  };
  b.sleep(() => true);
  assert.is(b.waiting(), 0);
  assert.is(b.fake.notified.length, 1, 'once');
  assert.is(b.fake.actor(0).machine.actorStats(2).wakeups, 1);
  assert.is(b.fake.actor(0).machine.now(), 0, 'no time has passed');
});

test('work that comes between the look and the sleep is seen', () => {
  const b = bench();
  let asked = 0;
  b.sleep(() => {
    asked++;
    b.ring();
    return true;
  });
  assert.is(asked, 1);
  assert.is(b.fake.actor(0).machine.now(), 0, 'it did not sleep');
});

test('work is looked for only after the word says asleep', () => {
  const b = bench();
  b.sleep(() => {
    assert.is(b.waiting(), ASLEEP);
    return false;
  });
  assert.is(b.waiting(), 0);
});

test('a sleep is bounded, and counts as no wake-up', () => {
  const b = bench();
  b.sleep(() => true);
  assert.ok(b.fake.actor(0).machine.now() <= 100);
  assert.is(b.fake.actor(0).machine.actorStats(2).wakeups, 0);
});

test('nobody rings: each sleep is twice as long as the last, to 400 ms; a ring or a deadline starts anew', () => {
  const { kernel } = new FakeMachine({ clock: 'real' }).actor(1).services;
  const slept: number[] = [];
  let result: WaitResult = 'timeout';
  const seam: Seam = {
    ...kernel.seam,
    wait: (_words, _index, _value, ms) => {
      slept.push(ms);
      return result;
    },
  };
  const watched = new Proxy(kernel, {
    get: (of, key): unknown => (key === 'seam' ? seam : Reflect.get(of, key)),
  });
  const bell = new Doorbell(watched);
  const sleep = (until = Infinity): void => bell.sleep(() => true, until);
  for (let i = 0; i < 4; i++) sleep();
  assert.equal(slept.splice(0), [100, 200, 400, 400]);
  result = 'woken';
  sleep();
  result = 'timeout';
  sleep();
  sleep(kernel.clock.now() + 50);
  sleep();
  const [last, first, short = 0, again] = slept;
  assert.equal([last, first, again], [400, 100, 100]);
  assert.ok(short <= 50);
});

test('adding a granted job rings its target, once for a batch of grants', () => {
  const { fake } = bench();
  const { machine } = fake.actor(0);
  const context = machine.createContext(2);
  const { kernel } = fake.actor(1).services;
  fake.words.store(kernel.actor + ACTOR.WAITING, ASLEEP);
  context.submit({});
  context.submit({});
  assert.equal(fake.notified, [kernel.actor + ACTOR.WAITING]);
});

test('an asynchronous sleeper is woken by the ring, too', async () => {
  const b = bench();
  const { bell } = b.fake.actor(1).services;
  b.fake.whileAsleep = () => b.ring();
  await bell.sleepAsync(() => true, Infinity);
  assert.is(b.waiting(), 0);
});

test.run();
