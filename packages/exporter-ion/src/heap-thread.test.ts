/**
 * The heap thread is killed in the midst of what it does for each kind of heap: zeroing of ranges, of chunks and of regions,
 * deferred free, and the shrinker. (recover.test.ts kills it at each of its stores.)
 */
import { setImmediate } from 'node:timers/promises';
import { boot, type DmaBuf } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ion, IonClient } from './index.js';
import { fill, heapNamed, isAll, MIB } from './machine.test-support.js';

const KINDS = ['system', 'carveout', 'chunk'] as const;
const ROUNDS = 3;
const heaps = [
  { type: 'system', recycle: 4 * MIB },
  { type: 'carveout', size: 16 * MIB },
  { type: 'chunk', size: 8 * MIB },
];
const machine = await boot({ pool: 24 * MIB, drivers: [ion({ heaps })] });
const client = IonClient.open(machine);
const { actor } = machine.device('/dev/ion');
test.after(() => machine.shutdown());

const alloc = (heap: string): DmaBuf => client.alloc({ size: MIB, heaps: heap });

/** Leaves bytes of its own where the CPU can. */
function use(heap: string, buffer: DmaBuf): void {
  if (heap !== 'chunk') {
    assert.ok(isAll(buffer, 0), `${heap} gave memory that is not zero`);
    fill(buffer, 0xaaaaaaaa);
  }
  buffer.close();
}

/** Kills the heap thread while it has 6 MiB to zero, and goes on allocating while it is away. */
async function killAtWork(heap: string): Promise<void> {
  const lives = machine.actorStats(actor).restarts;
  const many = Array.from({ length: 6 }, () => alloc(heap));
  for (const buffer of many) use(heap, buffer);
  machine.resetDevice(actor);
  for (let i = 0; i < 20; i++) use(heap, alloc(heap));
  while (machine.actorStats(actor).restarts === lives) await setImmediate();
  await machine.peer('ion', 20_000); // its next life serves
}

for (const heap of KINDS) {
  test(`${heap}: what a heap thread leaves that is killed at work is made good by the next`, async () => {
    for (let round = 0; round < ROUNDS; round++) await killAtWork(heap);
    const now = (): ReturnType<typeof heapNamed> => heapNamed(client, heap);
    while (now().deferred > 0 || now().pooled > 4 * MIB) await setImmediate();
    const { buffers, allocated, free, total, holes } = now();
    assert.equal({ buffers, allocated, holes }, { buffers: 0, allocated: 0, holes: 1 });
    assert.is(free, total);
    use(heap, alloc(heap));
  });
}

test('the next lives have zeroed', () => {
  for (const heap of KINDS) assert.ok(heapNamed(client, heap).zeroedInBackground > 0, heap);
});

test.run();
