/**
 * libion's Exit tests: a process ends while it holds buffers in every way there is; what it held comes back, and
 * the next one can allocate.
 */
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { boot } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExitTask } from './exit-worker.test-support.js';
import { ion, IonClient, ION_FLAG } from '../index.js';

const MIB = 1 << 20;
const NEEDS_SYNC = ION_FLAG.CACHED | ION_FLAG.CACHED_NEEDS_SYNC;
const url = new URL('./exit-worker.test-support.js', import.meta.url);

const machine = await boot({ pool: MIB, drivers: [ion({ heaps: [{ type: 'carveout' }] })] });
const client = IonClient.open(machine);
test.after(() => machine.shutdown());

/** A test in which a process ends with exit code 0 and in its hands what `hold` says. */
function exitWith(hold: ExitTask['hold'], flags: number): () => Promise<void> {
  return async () => {
    const { workerData: token, transferList } = machine.invite('exiting');
    const task: ExitTask = { token, hold, flags };
    const worker = new Worker(url, { workerData: task, transferList });
    const exit: unknown[] = await once(worker, 'exit');
    assert.equal(exit, [0]);
    const allocations = client.stats()[0]?.allocations ?? 0;
    assert.ok(allocations > 0, 'it allocated nothing');
    while (client.stats()[0]?.allocated !== 0) await setImmediate();
    client.alloc({ size: MIB }).close();
  };
}

test('Exit.WithAlloc: a handle and an fd shared from it', exitWith('handle', 0));
test('Exit.WithAllocFd: an fd, its memory written', exitWith('fd', 0));
test('Exit.WithRepeatedAllocFd: 200 fds', exitWith('many fds', 0));
test('Exit.WithMapping: a mapping, the handle freed', exitWith('mapping', 0));
test('Exit.WithPartialMapping: a mapping of which half is unmapped', exitWith('part mapping', 0));
test('Exit.WithMappingCached: cached', exitWith('mapping', ION_FLAG.CACHED));
test('Exit.WithPartialMappingCached: cached', exitWith('part mapping', ION_FLAG.CACHED));
test('Exit.WithMappingNeedsSync: cached, with maintenance', exitWith('mapping', NEEDS_SYNC));
test('Exit.WithPartialMappingNeedsSync: the same', exitWith('part mapping', NEEDS_SYNC));

test.run();
