// What every wait looks at: the state of the machine and the life of its broker.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from './errno.js';
import { ACTOR, ACTOR_STATE, HEADER, MACHINE, ROLE } from './memory/layout.js';
import { Words } from './memory/words.js';
import { writeName } from './memory/tables.js';
import { reserveActor } from './actor/reserve-actor.js';
import { FakeMachine } from './testing/fake-machine.js';
import { Kernel } from './kernel.js';

/** Calls with `performance.now()` set by the test. */
function withTime(run: (set: (ms: number) => void) => void): void {
  const real = performance.now.bind(performance);
  let now = 10_000;
  performance.now = () => now;
  try {
    run((ms) => {
      now = 10_000 + ms;
    });
  } finally {
    performance.now = real;
  }
}

test('a broker that shows no sign of life for two seconds is ENODEV', () => {
  const fake = new FakeMachine();
  const { kernel } = fake.actor(0).services;
  fake.words.store(HEADER.HEARTBEAT, 7);
  withTime((set) => {
    for (let ms = 0; ms <= 2000; ms += 100) {
      set(ms);
      kernel.checkAfterSleep('test');
    }
    set(2100);
    assert.throws(() => kernel.checkAfterSleep('test'), /ENODEV.*no sign of life/);
    fake.words.store(HEADER.HEARTBEAT, 8);
    const other = fake.actor(1).services.kernel;
    assert.throws(() => other.check('test'), /ENODEV/, 'once said it holds, for everybody');
  });
});

test('who was stopped or busy for long does not take the broker for dead', () => {
  const fake = new FakeMachine();
  const { kernel } = fake.actor(0).services;
  fake.words.store(HEADER.HEARTBEAT, 7);
  withTime((set) => {
    kernel.checkAfterSleep('test');
    set(60_000);
    kernel.checkAfterSleep('test');
    set(60_100);
    kernel.checkAfterSleep('test');
  });
});

test('a fault names the dead actor and why, with its errno; a stopped machine is ENODEV', () => {
  const fake = new FakeMachine();
  const { kernel } = fake.actor(0).services;
  fake.words.store(HEADER.STATE, MACHINE.STOPPING);
  assert.throws(() => kernel.check('test'), /ENODEV.*test.*shut down/);
  fake.words.set(HEADER.FAULT_ERRNO, -errno.EOWNERDEAD);
  writeName(fake.words, HEADER.FAULT_TEXT, 40, 'out of memory');
  fake.words.store(HEADER.FAULT_ACTOR, 2);
  assert.throws(() => kernel.check('test'), /EOWNERDEAD.*'actor2' died \(out of memory\)/);
});

test('memory of something else is refused', () => {
  const { seam, mem } = new FakeMachine().actor(0).services.kernel;
  assert.throws(() => new Kernel(new Words(new ArrayBuffer(4096)), 1, seam, mem), /dmabuf machine/);
});

test('a place that is given again starts with nothing of the one before', () => {
  const fake = new FakeMachine({ tables: { actors: 2 } });
  const { kernel } = fake.actor(0).services;
  const at = kernel.actors.at(2);
  for (const field of [ACTOR.SERVING, ACTOR.WAITING, ACTOR.WAKEUPS, ACTOR.JOBS_DONE])
    fake.words.set(at + field, 1);
  fake.words.setDouble(at + ACTOR.COPIED, 5);
  fake.words.set(at + ACTOR.LAST_DEATH, 0x41);
  fake.words.store(at + ACTOR.STATE, ACTOR_STATE.FREE);
  assert.is(reserveActor({ kernel }, 'new', ROLE.PROCESS), 2);
  assert.equal(fake.actor(0).machine.actorStats(2), {
    name: 'new',
    jobsDone: 0,
    jobsFailed: 0,
    bytesCopied: 0,
    wakeups: 0,
    restarts: 0,
    lastDeath: '',
  });
  assert.is(fake.words.get(at + ACTOR.SERVING), 0);
});

test.run();
