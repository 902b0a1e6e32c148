/**
 * Three threads allocate, pass on and free buffers of one heap at once, each watching that nobody else
 * writes into its own.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { boot, type Machine } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type HeapOptions, ion, IonClient } from './index.js';
import { seedFrom } from './random.test-support.js';
import type { StressTask } from './stress-worker.test-support.js';

const MIB = 1 << 20;
const WORKERS = 3;

const HEAPS: readonly HeapOptions[] = [
  { type: 'carveout' },
  { type: 'system', size: 4 * MIB, recycle: MIB },
];

for (const heap of HEAPS) {
  test(`${heap.type}: threads that allocate, pass on and free at once keep out of each other`, async () => {
    const steps = process.env['DMABUF_LONG_TESTS'] === '1' ? 200_000 : 2000;
    const seed = seedFrom(process.env['DMABUF_SEED']);
    console.log(`${heap.type}: seed ${seed}, ${steps} steps in each of ${WORKERS} threads`);
    const machine = await boot({ drivers: [ion({ heaps: [heap] })], pool: 4 * MIB });
    try {
      const counts = await runAll(machine, steps, seed);
      const [allocs, passed, refused] = [0, 1, 2].map((i) =>
        counts.reduce((sum, count) => sum + (count[i] ?? 0), 0),
      );
      console.log(`${allocs} allocations, ${passed} fds passed on, ${refused} times full`);
      assert.ok((allocs ?? 0) > steps / 2 && (passed ?? 0) > steps / 20 && (refused ?? 0) > 0);
      checkEmpty(machine);
    } finally {
      await machine.shutdown();
    }
  });
}

/** Everything is back, and zero. */
function checkEmpty(machine: Machine): void {
  const client = IonClient.open(machine);
  client.drain();
  const [heap] = client.stats();
  assert.is(heap?.buffers, 0, client.debugfs());
  assert.equal([heap?.allocated, heap?.holes, heap?.free], [0, 1, 4 * MIB]);
  using whole = client.alloc({ size: 4 * MIB });
  using bracket = whole.access({ read: true });
  assert.ok(bracket.words.every((word) => word === 0));
}

async function runAll(machine: Machine, steps: number, seed: number): Promise<number[][]> {
  const invitations = Array.from({ length: WORKERS }, (_, i) => machine.invite(`stress${i}`));
  const actors = invitations.map(({ workerData }) => workerData.actor);
  const url = new URL('./stress-worker.test-support.js', import.meta.url);
  return Promise.all(
    invitations.map(async ({ workerData: token, transferList }, i) => {
      const peers = actors.filter((actor) => actor !== token.actor);
      const task: StressTask = { token, peers, steps, seed: seed + i };
      const worker = new Worker(url, { workerData: task, transferList });
      // Both at once: the end may come with the message, in one turn.
      const ended: unknown[][] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
      const counts = ended[0]?.[0];
      return Array.isArray(counts) ? counts.map(Number) : [];
    }),
  );
}

test.run();
