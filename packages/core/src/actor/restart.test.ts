// A device's death and its next life, with real workers (design D11).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../errno.js';
import { exclusive, shared } from '../sync/context.js';
import { codeOf } from '../testing/code-of.js';
import { testDriver } from '../testing/driver.js';
import { startWorker } from '../testing/worker.js';
import { boot } from './boot.js';
import type { Machine } from './machine.js';

const LIMIT_MS = 20_000;

async function until(done: () => boolean): Promise<void> {
  for (const start = performance.now(); !done();) {
    if (performance.now() - start > LIMIT_MS) throw new Error('it has not happened');
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}

/** A machine with one device, a context of it, and how often the device worked. */
async function machineWith(device: string): Promise<{
  machine: Machine;
  actor: number;
  worked: () => number;
  restarts: () => number;
}> {
  const machine = await boot({ heapMb: 32, drivers: [testDriver({ [device]: 'work' })] });
  const door = machine.driver('test');
  const { actor } = machine.device(`/dev/${device}`);
  const worked = (): number => door.words.load(door.base);
  return { machine, actor, worked, restarts: () => machine.actorStats(actor).restarts };
}

/** Deaths, and what is told of each. */
const DEATHS = { throw: /^a bug in the device$/, exit: /code: 7/, heap: /memory limit/ };

for (const device of ['dev0', 'async0']) {
  for (const [payload, why] of Object.entries(DEATHS)) {
    test(`a ${device} that dies (${payload}) loses the job in hand; those behind it run in its next life`, async () => {
      const { machine, actor, worked, restarts } = await machineWith(device);
      const context = machine.createContext(actor);
      const buffer = machine.alloc(4096);
      const other = machine.alloc(4096);
      const lost = context.submit({ buffers: [exclusive(buffer)], payload });
      const reader = context.submit({ buffers: [shared(buffer)] });
      const queued = context.submit({ buffers: [exclusive(other)] });
      const { ended } = startWorker(machine, 'waitForever', 'waiter', { fence: queued.toJSON() });
      assert.is(lost.wait(LIMIT_MS), -errno.EOWNERDEAD);
      assert.is(reader.wait(LIMIT_MS), -errno.EOWNERDEAD, 'what it was to write is bad');
      assert.is(queued.wait(LIMIT_MS), 1, 'another buffer is nothing to it');
      assert.equal(await ended, { result: 1 });
      assert.is(worked(), 1);
      assert.is(restarts(), 1);
      assert.match(machine.actorStats(actor).lastDeath, why);
      assert.is(
        context.submit({ buffers: [exclusive(other)] }).wait(LIMIT_MS),
        1,
        'the line goes on',
      );
      await machine.shutdown();
    });
  }
}

test('a device that hangs is reset: its jobs come again, in order, the deferred ones fail', async () => {
  const { machine, actor, worked, restarts } = await machineWith('dev0');
  const context = machine.createContext(actor);
  const buffer = machine.alloc(4096);
  const deferred = context.submit({ buffers: [shared(buffer)], payload: 'defer' });
  const hung = context.submit({ payload: 'hang' });
  const behind = [1, 2, 3].map(() => context.submit({ buffers: [shared(buffer)] }));
  const writer = context.submit({ buffers: [exclusive(buffer)] });
  await until(() => machine.driver('test').words.load(machine.driver('test').base + 1) > 0);
  assert.is(machine.actorStats(actor).lastDeath, '');
  machine.resetDevice(actor, 'by hand');
  assert.is(hung.wait(LIMIT_MS), -errno.EOWNERDEAD);
  assert.is(deferred.wait(LIMIT_MS), -errno.EOWNERDEAD);
  for (const fence of behind) assert.is(fence.wait(LIMIT_MS), 1);
  assert.is(writer.wait(LIMIT_MS), 1, 'the claim of the deferred one is gone');
  assert.is(worked(), 4);
  assert.is(restarts(), 1);
  assert.is(machine.actorStats(actor).lastDeath, 'by hand');
  await machine.shutdown();
});

test('a device that dies again and again starts again and again', async () => {
  const { machine, actor, restarts } = await machineWith('dev0');
  const context = machine.createContext(actor);
  for (let life = 1; life <= 4; life++) {
    assert.is(context.submit({ payload: 'exit' }).wait(LIMIT_MS), -errno.EOWNERDEAD);
    assert.is(context.submit({}).wait(LIMIT_MS), 1);
    assert.is(restarts(), life);
  }
  await machine.shutdown();
});

test('a device that is reset before it serves, time and again, is not given up', async () => {
  const { machine, actor, restarts } = await machineWith('dev0');
  const context = machine.createContext(actor);
  for (let life = 1; life <= 5; life++) {
    await until(() => {
      machine.resetDevice(actor); // as soon as it has joined
      return restarts() >= life;
    });
  }
  assert.is(context.submit({}).wait(LIMIT_MS), 1);
  await machine.shutdown();
});

test('jobs can be submitted while a device is away', async () => {
  const { machine, actor } = await machineWith('dev0');
  const context = machine.createContext(actor);
  context.submit({ payload: 'exit' }).wait(LIMIT_MS);
  const buffers = Array.from({ length: 4 }, () => machine.alloc(4096)); // memory that it has never had
  const fences = buffers.map((buffer) => context.submit({ buffers: [exclusive(buffer)] }));
  for (const fence of fences) assert.is(fence.wait(LIMIT_MS), 1);
  await machine.shutdown();
});

test('what a device had imported is there in its next life', async () => {
  const { machine, actor } = await machineWith('dev0');
  const context = machine.createContext(actor);
  const buffer = machine.alloc(4096);
  buffer.attach(actor);
  context.submit({ buffers: [exclusive(buffer)] }).wait(LIMIT_MS);
  context.submit({ payload: 'exit' }).wait(LIMIT_MS);
  assert.is(context.submit({ buffers: [exclusive(buffer)] }).wait(LIMIT_MS), 1);
  await machine.shutdown();
});

test('an ioctl in which the device dies is EOWNERDEAD, or the error of its handler; the next is answered', async () => {
  const { machine, actor, restarts } = await machineWith('dev0');
  const code = codeOf(() => machine.ioctl(actor, 'CRASH', undefined, LIMIT_MS));
  assert.ok(code === 'EIO' || code === 'EOWNERDEAD', code);
  await until(() => restarts() === 1);
  assert.is(machine.ioctl(actor, 'ECHO', 7, LIMIT_MS), 7);
  await machine.shutdown();
});

test('only devices are reset', async () => {
  const { machine } = await machineWith('dev0');
  assert.is(
    codeOf(() => machine.resetDevice(machine.self)),
    'ENOTTY',
  );
  assert.is(
    codeOf(() => machine.resetDevice(60)),
    'ESRCH',
  );
  await machine.shutdown();
});

test('a process that served and dies fails what others had queued on it, and its place becomes free', async () => {
  const machine = await boot();
  const { worker, ended } = startWorker(machine, 'serve', 'server');
  const peer = await machine.peer('server');
  const context = machine.createContext(peer);
  const buffer = machine.alloc(4096);
  const timeline = machine.createTimeline();
  const gate = timeline.createFence(1);
  const fences = [1, 2, 3].map((payload) =>
    context.submit({ buffers: [exclusive(buffer)], payload, inFences: [gate] }),
  );
  await worker.terminate();
  await ended;
  for (const fence of fences) assert.is(fence.wait(LIMIT_MS), -errno.EOWNERDEAD);
  assert.is(
    codeOf(() => context.submit({})),
    'ESRCH',
  );
  buffer.access({ write: true, discard: true }).finish();
  await until(() => machine.stats().actors === 3 || machine.stats().actors === 4);
  const again = startWorker(machine, 'serve', 'server');
  const next = machine.createContext(await machine.peer('server'));
  assert.is(next.submit({ buffers: [exclusive(buffer)], payload: 5 }).wait(LIMIT_MS), 1);
  await machine.shutdown();
  await again.ended;
});

test.run();
