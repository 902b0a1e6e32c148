/**
 * libion's Exit cases: a process ends while it holds buffers in every way there is; what it held comes
 * back, and the next one can allocate.
 */
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { boot } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExitTask } from './exit-worker.test-support.js';
import { ion, IonClient, ION_FLAG } from './index.js';

const MIB = 1 << 20;
const HOLDS = ['handle', 'fd', 'many fds', 'mapping', 'part mapping'] as const;
const FLAGS = [0, ION_FLAG.CACHED, ION_FLAG.CACHED | ION_FLAG.CACHED_NEEDS_SYNC] as const;

test('Exit.With*: what a dead process held comes back, and all of it can be had again', async () => {
  const drivers = [ion({ heaps: [{ type: 'carveout' }] })];
  const machine = await boot({ drivers, pool: MIB });
  const url = new URL('./exit-worker.test-support.js', import.meta.url);
  try {
    using client = IonClient.open(machine);
    for (const [hold, flags] of HOLDS.flatMap((hold) =>
      FLAGS.map((flag) => [hold, flag] as const),
    )) {
      const { workerData: token, transferList } = machine.invite('exiting');
      const task: ExitTask = { token, hold, flags };
      const worker = new Worker(url, { workerData: task, transferList });
      const exit: unknown[] = await once(worker, 'exit');
      assert.equal(exit, [0]);
      const held = (): number => client.stats()[0]?.allocated ?? -1;
      while (held() > 0) await setImmediate();
      assert.is(held(), 0, `${hold}, flags ${flags}`);
      client.alloc({ size: MIB }).close();
    }
  } finally {
    await machine.shutdown();
  }
});

test.run();
