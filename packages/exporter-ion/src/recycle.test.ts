/**
 * The system heap's pool in a machine: who gets a region again, and the heap thread's part in it.
 */
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { boot, type DmaBuf, exclusive } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ion, IonClient } from './index.js';
import { fill, heapNamed, isAll, MIB, PAGE } from './machine.test-support.js';
import { users } from './users.test-support.js';

const heaps = [
  { type: 'system', recycle: 4 * MIB },
  { type: 'system', name: 'plain', id: 5, recycle: 0 },
];
const machine = await boot({ drivers: [ion({ heaps }), users] });
const client = IonClient.open(machine);
const device = machine.createContext(machine.device('/dev/lists').actor);
test.after(() => machine.shutdown());

type For = Parameters<IonClient['alloc']>[0]['for'];

/** Writes a buffer, frees it, and tells its region. */
function used(buffer: DmaBuf): number {
  fill(buffer, 0xaaaaaaaa);
  const { region } = buffer.record;
  buffer.close();
  return region;
}

function next(size: number, whom: For = []): DmaBuf {
  return client.alloc({ size, heaps: 'system', for: whom });
}

const clean = async (): Promise<void> => {
  while (heapNamed(client, 'system').deferred > 0) await setImmediate();
};

test('a thread that allocates and frees gets its region again, always zeroed, and none is dropped', async () => {
  const { recycled } = heapNamed(client, 'system');
  const regions = new Set<number>();
  for (let i = 0; i < 20; i++) {
    const buffer = next(8 * PAGE);
    assert.ok(isAll(buffer, 0));
    regions.add(used(buffer));
    await clean();
  }
  assert.is(regions.size, 1);
  assert.is(heapNamed(client, 'system').recycled - recycled, 19);
  assert.is(machine.stats().regionsDropped, 0);
});

test('the same without a pause: whatever the heap thread is at, memory is zeroed and not overlaid', () => {
  const held: DmaBuf[] = [];
  for (let i = 0; i < 400; i++) {
    const buffer = next(8 * PAGE);
    assert.ok(isAll(buffer, 0));
    fill(buffer, i + 1);
    held.push(buffer);
    if (held.length < 4) continue;
    const old = held.shift();
    assert.ok(old !== undefined && isAll(old, i - 2));
    old.close();
  }
  for (const buffer of held) buffer.close();
});

test('the heap thread zeroes what was freed', async () => {
  await clean();
  const before = heapNamed(client, 'system');
  const region = used(next(MIB));
  await clean();
  const after = heapNamed(client, 'system');
  assert.is(after.zeroedInBackground - before.zeroedInBackground, MIB);
  const again = next(MIB);
  assert.is(again.record.region, region);
  assert.ok(isAll(again, 0));
  assert.is(heapNamed(client, 'system').zeroedInAlloc, before.zeroedInAlloc);
  again.close();
});

test('what a device has had serves again only where the buffer is for that device', async () => {
  const work = (): number => {
    const buffer = next(3 * PAGE, ['/dev/lists']);
    device.submit({ buffers: [exclusive(buffer)] }).wait(20_000);
    return used(buffer);
  };
  const region = work();
  await clean();
  using other = next(3 * PAGE);
  assert.is.not(other.record.region, region);
  using forAnother = next(3 * PAGE, ['/dev/plain']);
  assert.is.not(forAnother.record.region, region);
  assert.is(work(), region);
});

test('what another process has had serves again only where the buffer is for it, until it has ended', async () => {
  const url = new URL('./coherency-worker.test-support.js', import.meta.url);
  const { workerData, transferList } = machine.invite('other');
  const worker = new Worker(url, { workerData, transferList });
  const ended = once(worker, 'exit');
  await once(worker, 'message'); // it has joined
  const first = next(5 * PAGE);
  const { region } = first.record;
  machine.passFd(workerData.actor, first.fd);
  machine.send(workerData.actor, 'write 7');
  assert.is(machine.receive(20_000).value, 7);
  first.close();
  const { actor } = workerData;
  machine.send(actor, 'end');
  assert.is((await ended)[0], 0);
  while (machine.driver('ion').importersOf(region).includes(actor)) await setImmediate();
  await clean();
  using again = next(5 * PAGE);
  assert.is(again.record.region, region);
  assert.ok(isAll(again, 0));
});

test('the shrinker gives up what is above the limit', async () => {
  const before = heapNamed(client, 'system').shrunk;
  const many = Array.from({ length: 10 }, () => next(MIB));
  for (const buffer of many) used(buffer);
  while (heapNamed(client, 'system').pooled > 4 * MIB) await setImmediate();
  assert.ok(heapNamed(client, 'system').shrunk - before >= 6);
  assert.match(client.debugfs(), /page pool +\d+\n/);
});

test('a heap that is to keep nothing keeps nothing', () => {
  const buffer = client.alloc({ size: PAGE, heaps: 'plain' });
  const dropped = machine.stats().regionsDropped;
  buffer.close();
  assert.is(heapNamed(client, 'plain').pooled, 0);
  assert.is(machine.stats().regionsDropped, dropped + 1);
});

test.run();
