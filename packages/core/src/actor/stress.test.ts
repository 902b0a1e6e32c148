// Three workers add random jobs over random sets of buffers for each other: no torn pattern, each
// context in order, every fence signals, and all counters are zero at the end.
//   node dist/actor/stress.test.js [SEED] [JOBS]
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random, type StressOptions, type StressResult } from '../testing/stress.js';
import { startWorker } from '../testing/worker.js';
import { boot } from './boot.js';
import type { Machine } from './machine.js';

const SEED = Number(process.argv[2] ?? Date.now() % 1e9);
const JOBS = Number(process.argv[3] ?? 3000);
const PEERS = ['red', 'green', 'blue'];

/** Actor ids of workers that have joined, in the order of their names. */
async function joined(machine: Machine, names: readonly string[]): Promise<number[]> {
  const ids = new Map<string, number>();
  while (ids.size < names.length) {
    for (let id = 1; id <= 16; id++) {
      const { name } = machine.actorStats(id);
      if (names.includes(name) && isLive(machine, id)) ids.set(name, id);
    }
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  return names.map((name) => ids.get(name) ?? 0);
}

function isLive(machine: Machine, id: number): boolean {
  try {
    machine.createContext(id).close();
    return true;
  } catch {
    return false;
  }
}

test('two workers that claim {a, b} and {b, a} lose no update, and do not deadlock', async () => {
  const rounds = 10 * JOBS;
  const machine = await boot({ tables: { jobs: 64 } });
  const names = ['left', 'right'];
  const workers = names.map((name, i) =>
    startWorker(machine, 'count', name, { seed: SEED + i, rounds, swapped: i === 1 }),
  );
  const ids = await joined(machine, names);
  const buffers = [machine.alloc(4096), machine.alloc(4096)];
  for (const id of ids) for (const { fd } of buffers) machine.passFd(id, fd);
  for (const id of ids) machine.send(id, 'tell me when you are done');
  for (let i = 0; i < names.length; i++) assert.is(machine.receive(60_000).value, 'done');
  const outcomes = await Promise.all(workers.map(({ ended }) => ended));
  const held = outcomes.reduce((sum, { result }) => sum + Number(result), 0);
  for (const buffer of buffers) {
    const bracket = buffer.access({ read: true });
    assert.is(bracket.words[0], held, `seed ${SEED}: an update was lost`);
    bracket.finish();
    buffer.close();
  }
  assert.ok(held > rounds / 32, 'most of those that write were waited for');
  console.log(`# ${2 * rounds} claims of two buffers, ${held} of them to write`);
  const { buffers: live, jobs } = machine.stats();
  assert.equal([live, jobs], [0, 0]);
  await machine.shutdown();
});

test('random jobs of three workers exclude each other, end, and leave nothing behind', async () => {
  console.log(`# seed ${SEED}`);
  const pick = random(SEED);
  const machine = await boot({ tables: { jobs: 1024 } });
  const sizes = Array.from({ length: 6 }, () => 4096 * (1 + pick(4)));
  const workers = PEERS.map((name, i) => {
    const options: StressOptions = {
      seed: SEED + i,
      jobs: JOBS,
      buffers: sizes.length,
      peers: PEERS,
      main: machine.self,
    };
    return startWorker(machine, 'stress', name, { ...options });
  });
  const ids = await joined(machine, PEERS);
  for (const size of sizes) {
    const buffer = machine.alloc(size);
    for (const id of ids) machine.passFd(id, buffer.fd);
    buffer.close();
  }
  const contexts = ids.map((id) => machine.createContext(id));
  for (const id of ids)
    machine.send(
      id,
      contexts.map((context) => context.id),
    );
  for (let i = 0; i < PEERS.length; i++) assert.is(machine.receive(60_000).value, 'done');
  const submitted = contexts.reduce((sum, context) => sum + context.submitted, 0);
  assert.is(submitted, PEERS.length * JOBS);
  for (const context of contexts) assert.is(context.completed, context.submitted);
  for (const id of ids) assert.throws(() => machine.ioctl(id, 'STOP'), /EIO/);
  const outcomes = await Promise.all(workers.map(({ ended }) => ended));
  for (const { error } of outcomes) assert.is(error, undefined, `seed ${SEED}`);
  const results = outcomes.map(({ result }) => result as StressResult);
  const sum = (key: keyof StressResult): number => results.reduce((n, r) => n + r[key], 0);
  assert.is(sum('added'), PEERS.length * JOBS);
  assert.is(sum('torn'), 0, `seed ${SEED}: a buffer was written by two at a time`);
  assert.is(sum('unordered'), 0, `seed ${SEED}: a context ran out of order`);
  assert.ok(sum('ran') > sum('added') / 4, 'most jobs are spared by the failures of a few');
  const { buffers, bytes, jobs } = machine.stats();
  assert.equal([buffers, bytes, jobs], [0, 0, 0], `seed ${SEED}`);
  console.log(`# ${sum('added')} jobs, ${sum('ran')} run, ${sum('failed')} of the last failed`);
  await machine.shutdown();
});

test.run();
