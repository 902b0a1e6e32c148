// Time limits: holds, callbacks and software fences are evicted, devices reset; with the manual clock.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../errno.js';
import { ACTOR, JOB, JOB_STATE, JOB_STATE_MASK, ROLE } from '../memory/layout.js';
import { discard, exclusive, shared } from '../sync/context.js';
import type { Hold } from '../sync/holds.js';
import { codeOf } from '../testing/code-of.js';
import { testDriver } from '../testing/driver.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { boot } from './boot.js';
import type { Job } from './job.js';
import { evict, overdue } from './watchdog.js';

const LIMIT_MS = 20_000;

test('a hold past its limit is evicted: its fence fails, the queue moves on, its release says so', () => {
  const f = new FakeMachine({ actors: 3 });
  const { machine } = f.actor(0);
  const buffer = machine.alloc(4096, { name: 'frame' });
  const hold = machine.waitAll([exclusive(buffer)]);
  const fence = machine.fence(hold.fence);
  const context = machine.createContext(2);
  const [reader, writer] = [shared, discard].map((use) =>
    context.submit({ buffers: [use(buffer)] }),
  );
  f.actor(2).machine.advance(4999);
  assert.is(fence.status, 0);
  f.actor(2).machine.advance(1);
  assert.is(fence.status, -errno.ETIMEDOUT);
  assert.is(machine.bufinfo().buffers[0]?.taintedBy, 'actor1');
  assert.match(String(machine.bufinfo()), /tainted by 'actor1'/);
  f.server(1, { run: () => {} }).run();
  assert.is(reader?.status, -errno.ETIMEDOUT, 'the content is not valid');
  assert.is(writer?.status, 1, 'a full overwrite makes it so');
  assert.is(machine.bufinfo().buffers[0]?.taintedBy, undefined);
  assert.throws(() => hold.release(), /ETIMEDOUT.*buffer 1 'frame' was held for 5000.0 ms/);
  hold.release(); // harmless the second time
  assert.is(machine.stats().jobs, 0);
});

test('a bracket past its limit: finish() throws ETIMEDOUT and the buffer is named', () => {
  const f = new FakeMachine();
  const { machine } = f.actor(0);
  const buffer = machine.alloc(4096);
  const mapping = buffer.mmap();
  const bracket = mapping.prepareAccess({ read: true, limit: 40 });
  machine.advance(40);
  assert.is(
    machine.bufinfo().buffers[0]?.taintedBy,
    'actor1',
    'its view can write, read bracket or not',
  );
  assert.throws(() => bracket.finish(), /ETIMEDOUT.*buffer 1 was held for 40.0 ms/);
  mapping.close();
  assert.is(machine.createContext(2).submit({ buffers: [shared(buffer)] }).status, 0);
});

test('limits: of the machine, of each hold, none; a waiting hold and a granted callback have none yet', () => {
  const f = new FakeMachine();
  const { machine } = f.actor(0);
  const queue = machine.createQueue();
  const other = machine.createQueue();
  const forEver = machine.waitAll([exclusive(queue)], Infinity, { limit: 0 });
  let late: Hold | undefined;
  machine.asyncWaitAll([exclusive(queue)], (hold) => (late = hold), { limit: 10 });
  const short = machine.waitAll([exclusive(other)], Infinity, { limit: 7.5 });
  machine.advance(100_000);
  assert.is(
    codeOf(() => short.release()),
    'ETIMEDOUT',
  );
  forEver.release();
  machine.advance(100_000);
  machine.pump();
  assert.is.not(late, undefined, 'its time begins when it is handed over');
  machine.advance(9);
  assert.is(machine.fence(late?.fence ?? short.fence).status, 0);
  machine.advance(1);
  assert.is(
    codeOf(() => late?.release()),
    'ETIMEDOUT',
  );
  assert.is(machine.stats().jobs, 0);
});

test('a release and an eviction at the same moment: exactly one ends the hold, wherever the other stops', () => {
  for (const first of ['release', 'evict'] as const) {
    const f = new FakeMachine();
    const { machine } = f.actor(0);
    const queue = machine.createQueue();
    const hold = machine.waitAll([exclusive(queue)], Infinity, { limit: 5 });
    f.advance(5);
    const parts = f.actor(1).services;
    const [late] = overdue(parts.kernel, machine.now());
    if (late === undefined) throw new Error('nothing is overdue');
    // The other one acts when this one is about to make the transition.
    const { words } = f;
    const cas = words.cas.bind(words);
    let raced = false;
    const race = first === 'release' ? () => hold.release() : () => evict(parts, late);
    words.cas = (index, expected, value) => {
      const stage = value & JOB_STATE_MASK;
      const deciding = stage === JOB_STATE.ENDING || stage === JOB_STATE.EVICTING;
      if (!raced && index === hold.fence.slot + JOB.STATE && deciding) {
        raced = true;
        race();
      }
      return cas(index, expected, value);
    };
    if (first === 'release') assert.is(evict(parts, late), false);
    else
      assert.is(
        codeOf(() => hold.release()),
        'ETIMEDOUT',
      );
    assert.is(raced, true);
    const status = first === 'release' ? 1 : -errno.ETIMEDOUT;
    assert.is(machine.fence(hold.fence).status, status);
    assert.is(machine.stats().jobs, 0);
    machine.waitAll([exclusive(queue)], 0).release();
  }
});

test('an eviction that comes after the slot has another life does nothing to it', () => {
  const f = new FakeMachine({ tables: { jobs: 32 } });
  const { machine } = f.actor(0);
  const queue = machine.createQueue();
  const hold = machine.waitAll([exclusive(queue)], Infinity, { limit: 5 });
  f.advance(5);
  const [late] = overdue(f.actor(1).services.kernel, machine.now());
  if (late === undefined) throw new Error('nothing is overdue');
  hold.release();
  const next = machine.waitAll([exclusive(queue)]);
  assert.is(next.fence.slot, hold.fence.slot, 'the slot is used again');
  assert.is(evict(f.actor(1).services, late), false);
  assert.is(machine.fence(next.fence).status, 0);
  next.release();
});

test('a software timeline’s fence past its limit fails, and those before it; what is later stays', () => {
  const f = new FakeMachine();
  const { machine } = f.actor(0);
  const timeline = machine.createTimeline('t');
  const later = timeline.createFence(9);
  const late = timeline.createFence(5, { limit: 30 });
  const before = timeline.createFence(3);
  f.actor(1).machine.advance(30);
  assert.equal([before.status, late.status, later.status], [-errno.ETIMEDOUT, -errno.ETIMEDOUT, 0]);
  timeline.increment(9);
  assert.is(later.status, 1);
});

test('a device that keeps a job past its limit is reset on the manual clock; the next job runs in its next life', async () => {
  const machine = await boot({
    clock: 'manual',
    heapMb: 32,
    limits: { job: 100 },
    drivers: [testDriver({ dev0: 'work' })],
  });
  try {
    const { actor } = machine.device('/dev/dev0');
    const context = machine.createContext(actor);
    const hung = context.submit({ payload: 'defer' });
    const next = context.submit({ payload: 'work', startAt: 5000 });
    machine.advance(99);
    assert.is(hung.status, 0);
    machine.advance(1);
    assert.is(hung.wait(LIMIT_MS), -errno.ETIMEDOUT);
    assert.is(machine.actorStats(actor).restarts, 1);
    machine.advance(4000);
    assert.is(next.status, 0, 'waiting for a start time is no hang');
    machine.advance(1000);
    assert.is(next.wait(LIMIT_MS), 1);
    assert.is(machine.actorStats(actor).restarts, 1);
  } finally {
    await machine.shutdown();
  }
});

test('the limit of a job that waits for a time on its device runs from that time', () => {
  const f = new FakeMachine();
  const { machine } = f.actor(0);
  const { kernel } = f.actor(1).services;
  f.words.store(kernel.actor + ACTOR.ROLE, ROLE.DEVICE);
  const taken: Job[] = [];
  const run = (job: Job): void => {
    job.defer();
    taken.push(job);
  };
  const fences = [1, 2, 3].map(() => machine.createContext(2).submit({ limit: 100 }));
  f.server(1, { run }).run();
  const late = (): number[] => overdue(kernel, machine.now()).map(({ job }) => job);
  const [first, second, third] = taken;
  first?.waitUntil(5000);
  second?.waitUntil(Infinity);
  f.advance(100);
  assert.equal(late(), [third?.pointer]);
  assert.ok(Number.isNaN(fences[0]?.times()?.started), 'it has not started');
  f.advance(4900);
  assert.is(fences[0]?.times()?.started, 5000);
  f.advance(99);
  assert.equal(late(), [third?.pointer]);
  f.advance(1);
  assert.equal(late(), [first?.pointer, third?.pointer]);
  second?.waitUntil(-Infinity);
  second?.complete();
  assert.equal(fences[1]?.times()?.started, 5100);
  first?.waitUntil(9000);
  first?.complete();
  assert.is(fences[0]?.times()?.started, 5100, 'never after its end');
});

test('a device in an endless loop, and a hold of a thread that does nothing: ended by the broker and its reaper', async () => {
  const machine = await boot({
    heapMb: 32,
    limits: { job: 100, hold: 150 },
    drivers: [testDriver({ dev0: 'work' })],
  });
  try {
    const { actor } = machine.device('/dev/dev0');
    const buffer = machine.alloc(4096);
    const hold = machine.waitAll([exclusive(buffer)]);
    const context = machine.createContext(actor);
    const hung = context.submit({ payload: 'hang' });
    const next = context.submit({ payload: 'work' });
    const writer = context.submit({ buffers: [discard(buffer)], payload: 'work' });
    assert.is(hung.wait(LIMIT_MS), -errno.ETIMEDOUT);
    assert.is(next.wait(LIMIT_MS), 1);
    assert.is(
      writer.wait(LIMIT_MS),
      1,
      'this thread holds its buffer and waits, with a time limit',
    );
    assert.is(
      codeOf(() => hold.release()),
      'ETIMEDOUT',
    );
    assert.is(machine.actorStats(actor).restarts, 1);
  } finally {
    await machine.shutdown();
  }
});

test('boot refuses limits that it does not know', async () => {
  for (const limits of [{ job: -1 }, { hold: 1.5 }, { jobs: 5 }, { fence: '1 s' }]) {
    const options = JSON.parse(JSON.stringify({ limits })) as { limits: { job: number } };
    let refused = '';
    await boot(options).catch((error: unknown) => (refused = String(error)));
    assert.match(refused, /boot: limits\./);
  }
});

test.run();
