/**
 * The tests of libdmabufheap, the face of dma-heap that Android's allocators use.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import {
  boot,
  type DmaBuf,
  DMA_BUF_IOCTL_SYNC,
  DMA_BUF_SYNC_END,
  DMA_BUF_SYNC_READ,
  DMA_BUF_SYNC_RW,
  DMA_BUF_SYNC_START,
  DMA_BUF_SYNC_WRITE,
} from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dmaHeap, dmaHeaps, ion, IonClient, ION_FLAG } from '../index.js';
import { fill, isAll, MIB, PAGE } from '../machine.test-support.js';
import type { ConcurrentTask } from './concurrent-worker.test-support.js';

const SIZES = [PAGE, 16 * PAGE, MIB, 2 * MIB];
const WORKERS = 6;
const ROUNDS = 50;

const machine = await boot({ pool: 16 * MIB, drivers: [ion()] });
test.after(() => machine.shutdown());

const system = dmaHeap(machine, 'system');
const nothingLeft = (): void => assert.is(machine.stats().buffers, 0);

test('DmaBufHeapTest.Allocate: 4 KiB to 2 MiB of the system heap', () => {
  for (const size of SIZES) {
    using buffer = system.alloc(size);
    assert.is(buffer.size, size);
  }
  nothingLeft();
});

test('DmaBufHeapTest.AllocateCachedNeedsSync: by a client, with the flag', () => {
  using client = IonClient.open(machine);
  for (const size of SIZES) {
    client.alloc({ size, heaps: 'system', flags: ION_FLAG.CACHED_NEEDS_SYNC }).close();
  }
  nothingLeft();
});

test('DmaBufHeapTest.RepeatedAllocate: 1024 times', () => {
  for (const name of dmaHeaps(machine)) {
    const heap = dmaHeap(machine, name);
    for (let i = 0; i < 1024; i++) heap.alloc(16 * PAGE).close();
  }
  nothingLeft();
});

test('DmaBufHeapTest.Zeroed: what 16 buffers held is not in the next one', () => {
  for (const name of dmaHeaps(machine)) {
    const heap = dmaHeap(machine, name);
    const buffers = Array.from({ length: 16 }, () => heap.alloc(PAGE));
    for (const buffer of buffers) fill(buffer, 0xaaaaaaaa);
    for (const buffer of buffers) buffer.close();
    using next = heap.alloc(PAGE);
    assert.ok(isAll(next, 0), name);
  }
});

const sync = (buffer: DmaBuf, flags: number): number =>
  machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_SYNC, { flags });

test('DmaBufHeapTest.TestCpuSync: START and END to read, to write, and for both', () => {
  for (const how of [DMA_BUF_SYNC_READ, DMA_BUF_SYNC_WRITE, DMA_BUF_SYNC_RW]) {
    using buffer = system.alloc(PAGE);
    using mapping = buffer.mmap();
    assert.is(sync(buffer, DMA_BUF_SYNC_START | how), 0);
    assert.is(sync(buffer, DMA_BUF_SYNC_END | how), 0);
    assert.is(mapping.length, PAGE);
  }
  nothingLeft();
});

test('DmaBufHeapTest.TestDeviceCapabilityCheck: there are heaps, and their names can be had', () => {
  assert.equal(dmaHeaps(machine), ['system', 'carveout']);
});

test('DmaBufHeapTest.TestDmabufSystemHeapCompliance: there is a system heap, of zeroed memory that the CPU can map', () => {
  assert.ok(dmaHeaps(machine).includes('system'));
  using buffer = system.alloc(PAGE);
  using mapping = buffer.mmap();
  using bracket = mapping.prepareAccess({ read: true });
  assert.ok(bracket.words.every((word) => word === 0));
});

test('DmaBufHeapConcurrentAccessTest.ConcurrentAllocTest: threads that allocate, map, sync and close at once', async () => {
  const url = new URL('./concurrent-worker.test-support.js', import.meta.url);
  const counts = await Promise.all(
    Array.from({ length: WORKERS }, async (_, i) => {
      const { workerData: token, transferList } = machine.invite(`concurrent${i}`);
      const task: ConcurrentTask = { token, rounds: ROUNDS, heaps: ['system', 'carveout'] };
      const worker = new Worker(url, { workerData: task, transferList });
      // Both at once: the end may come with the message, in one turn.
      const ended: unknown[][] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
      assert.equal(ended[1], [0]);
      return ended[0]?.[0];
    }),
  );
  assert.equal(
    counts,
    Array.from({ length: WORKERS }, () => ROUNDS * 2),
  );
  nothingLeft();
});

test.run();
