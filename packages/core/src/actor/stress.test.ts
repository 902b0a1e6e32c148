// Three workers add random jobs over random sets of buffers for each other: no torn pattern, each
// context in order, every fence signals, and all counters are zero at the end.
//   node dist/actor/stress.test.js [SEED] [JOBS]
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random, type StressOptions, type StressResult } from '../testing/stress.js';
import { startWorker } from '../testing/worker.js';
import { boot } from './boot.js';

const SEED = Number(process.argv[2] ?? Date.now() % 1e9);
const JOBS = Number(process.argv[3] ?? 3000);
const PEERS = ['red', 'green', 'blue'];

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
  const ids = new Map<string, number>();
  while (ids.size < PEERS.length) {
    for (let id = 1; id <= 16; id++) {
      const { name } = machine.actorStats(id);
      if (PEERS.includes(name) && lives(id)) ids.set(name, id);
    }
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  function lives(id: number): boolean {
    try {
      machine.createContext(id).close();
      return true;
    } catch {
      return false;
    }
  }
  for (const size of sizes) {
    const buffer = machine.alloc(size);
    for (const id of ids.values()) machine.passFd(id, buffer.fd);
    buffer.close();
  }
  for (let i = 0; i < PEERS.length; i++) assert.is(machine.receive(60_000).value, 'done');
  for (const id of ids.values()) assert.throws(() => machine.ioctl(id, 'STOP'), /EIO/);
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
