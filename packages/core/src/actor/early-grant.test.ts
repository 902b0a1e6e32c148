// Jobs that are handed over early (hardware semaphores): no dispatch between one job and the next, and
// whoever waits for one of them goes on with everything else.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../errno.js';
import { exclusive, shared } from '../sync/context.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { startWorker } from '../testing/worker.js';
import { boot } from './boot.js';
import type { Job } from './job.js';

function bench(actors = 3) {
  const fake = new FakeMachine({ actors });
  const { machine, services } = fake.actor(0);
  const seen: unknown[] = [];
  const held: Job[] = [];
  const server = (index: number) =>
    fake.server(index, {
      run: (job) => {
        seen.push(job.payload);
        if (job.payload !== 'defer') return;
        job.defer();
        held.push(job);
      },
    });
  return { fake, machine, services, seen, held, server };
}

test('two engines that are chained by early jobs need no dispatch: the trace has no GRANT', () => {
  const { fake, machine, seen, server } = bench();
  const gpu = machine.createContext(2, 'gpu', { early: true });
  const display = machine.createContext(3, 'display', { early: true });
  const buffer = machine.alloc(4096);
  const [first, second] = [server(1), server(2)];
  const fences = [];
  for (let i = 0; i < 4; i++) {
    fences.push(gpu.submit({ buffers: [exclusive(buffer)], payload: `draw ${i}` }));
    fences.push(display.submit({ buffers: [shared(buffer)], payload: `show ${i}` }));
  }
  assert.is(fake.takeReady(0).length, 0);
  for (let i = 0; i < 4; i++) {
    first.run();
    second.run();
  }
  const order = [0, 1, 2, 3].flatMap((i) => [`draw ${i}`, `show ${i}`]);
  assert.equal(seen, order);
  assert.equal(
    fences.map((f) => f.status),
    fences.map(() => 1),
  );
  assert.equal(fake.grants(), []);
  const usual = machine.createContext(2, 'usual').submit({ buffers: [exclusive(buffer)] });
  assert.is(fake.grants().length, 1, 'a job that is not early is dispatched');
  first.run();
  assert.is(usual.status, 1);
});

test('an early job whose turn has not come holds up its own context, and nothing else', () => {
  const { machine, seen, held, server } = bench();
  const [a, b] = [machine.createContext(2, 'a', { early: true }), machine.createContext(2, 'b')];
  const buffer = machine.alloc(4096);
  const device = server(1);
  b.submit({ buffers: [exclusive(buffer)], payload: 'defer' });
  const waiting = a.submit({ buffers: [exclusive(buffer)], payload: 'early' });
  const behind = a.submit({ payload: 'behind' });
  b.submit({ payload: 'other' });
  device.run();
  assert.equal(seen, ['defer', 'other'], 'the device is not blocked by the job that it waits for');
  held[0]?.finish();
  device.run();
  assert.equal(seen, ['defer', 'other', 'early', 'behind']);
  assert.equal([waiting.status, behind.status], [1, 1]);
});

test('contexts of one actor that wait for each other in any order of arrival all end', () => {
  const { machine, seen, server } = bench();
  const lines = [1, 2, 3].map((i) => machine.createContext(2, `${i}`, { early: true }));
  const buffer = machine.alloc(4096);
  const device = server(1);
  const fences = [];
  for (let i = 0; i < 30; i++) {
    const line = lines[(i * 7) % 3];
    fences.push(line?.submit({ buffers: [exclusive(buffer)], payload: i }));
  }
  device.run();
  assert.equal(
    seen,
    fences.map((_, i) => i),
    'in the order of the queue',
  );
  assert.ok(fences.every((f) => f?.status === 1));
});

test('an early job keeps to its start time once it is granted', () => {
  const { fake, machine, seen, held, server } = bench();
  const a = machine.createContext(2, 'a', { early: true });
  const buffer = machine.alloc(4096);
  const device = server(1);
  machine.createContext(2).submit({ buffers: [exclusive(buffer)], payload: 'defer' });
  a.submit({ buffers: [shared(buffer)], payload: 'timed', startAt: 100 });
  device.run();
  held[0]?.finish();
  device.run();
  assert.equal(seen, ['defer']);
  fake.advance(100);
  device.run();
  assert.equal(seen, ['defer', 'timed']);
});

test('an early job that is cancelled before its turn ends with that errno, and the next one runs', () => {
  for (const seenBefore of [true, false]) {
    const { machine, services, seen, held, server } = bench();
    const a = machine.createContext(2, 'a', { early: true });
    const buffer = machine.alloc(4096);
    const device = server(1);
    machine.createContext(2).submit({ buffers: [exclusive(buffer)], payload: 'defer' });
    const fence = a.submit({ buffers: [exclusive(buffer)], payload: 'never' });
    const next = a.submit({ payload: 'next' });
    if (seenBefore) device.run();
    assert.ok(services.jobs.cancel(fence.slot, -errno.ECANCELED));
    device.run();
    assert.equal(seen, ['defer', 'next']);
    assert.is(fence.error, 'ECANCELED');
    assert.is(next.status, 1);
    held[0]?.finish();
    assert.is(machine.stats().jobs, 0);
  }
});

for (const part of ['serve', 'serveAsync'] as const) {
  test(`real workers (${part}): early jobs that are chained all end, and a stop ends a wait`, async () => {
    const machine = await boot();
    try {
      const peers = ['one', 'two'].map((name) => startWorker(machine, part, name));
      const lines = [];
      for (const name of ['one', 'two']) {
        lines.push(machine.createContext(await machine.peer(name), name, { early: true }));
      }
      const buffer = machine.alloc(4096);
      const fences = [];
      for (let i = 0; i < 200; i++) {
        const line = lines[i % 2];
        fences.push(line?.submit({ buffers: [exclusive(buffer)], payload: i }));
      }
      for (const fence of fences) assert.is(fence?.wait(20_000), 1);
      machine.waitAll([exclusive(buffer)]);
      const stuck = lines.map((line) => line.submit({ buffers: [exclusive(buffer)], payload: 0 }));
      await machine.shutdown();
      const results = (await Promise.all(peers.map(({ ended }) => ended))).map((o) => o.result);
      assert.equal(results, [100, 100]);
      assert.equal(
        stuck.map((f) => f.status),
        [0, 0],
      );
    } finally {
      await machine.shutdown();
    }
  });
}

test.run();
