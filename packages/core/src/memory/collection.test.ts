// What was given up: counted until everybody has collected it, and a throttle to whoever makes more.
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot } from '../actor/boot.js';
import type { Machine } from '../actor/machine.js';
import { DmaBufError } from '../errno.js';
import { threadMem } from '../substrate/memory.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { HEADER } from './layout.js';
import type { HolderTask } from './collection.test-worker.js';

const KIB = 1024;

/** A buffer of actor 2 that actor 3 has looked at; both have closed it. */
function giveUp(fake: FakeMachine, bytes: number): void {
  const maker = fake.actor(1).machine;
  const user = fake.actor(2).machine;
  const buffer = maker.alloc(bytes);
  maker.passFd(3, buffer.fd);
  buffer.close();
  const theirs = user.dmabuf(user.receiveFd().fd);
  theirs.access({ read: true }).finish();
  theirs.close();
  fake.pump();
}

const dropped = (fake: FakeMachine): [number, number] => {
  const { regionsDropped, bytesDropped } = fake.actor(0).machine.stats();
  return [regionsDropped, bytesDropped];
};

test('a region that was given up counts until all who had it have collected it', () => {
  const fake = new FakeMachine({ actors: 3 });
  giveUp(fake, 8192);
  assert.equal(dropped(fake), [1, 8192]);
  fake.actor(1).services.regions.collect();
  assert.equal(dropped(fake), [1, 8192], 'actor 3 has it still');
  fake.actor(2).services.regions.collect();
  assert.equal(dropped(fake), [0, 0]);
});

test('the collector itself ends a share, without a call', async () => {
  const fake = new FakeMachine({ actors: 3 });
  giveUp(fake, 8192);
  for (const { services } of fake.actors) services.regions.sweep();
  for (let i = 0; i < 1000 && dropped(fake)[0] > 0; i++) {
    threadMem.collect();
    await setImmediate();
  }
  assert.equal(dropped(fake), [0, 0]);
});

test('its record is not taken again before, and what is full of such records is collected', () => {
  const fake = new FakeMachine({ actors: 3, tables: { regions: 4 } });
  const { machine } = fake.actor(1);
  const seen = new Set<number>();
  for (let i = 0; i < 3; i++) {
    const buffer = machine.alloc(4096);
    seen.add(buffer.record.region);
    buffer.close();
  }
  assert.is(seen.size, 3);
  for (let i = 0; i < 20; i++) machine.alloc(4096).close();
});

test('beyond the limit an allocation collects; what others keep it waits for, and says who they are', () => {
  const fake = new FakeMachine({ actors: 3 });
  fake.words.set(HEADER.UNCOLLECTED, 64);
  for (let i = 0; i < 20; i++) {
    giveUp(fake, 16 * KIB);
    assert.ok(dropped(fake)[1] <= 64 * KIB, `${dropped(fake)[1]} bytes`);
  }
  const { regions } = fake.actor(2).services;
  const collect = regions.collect.bind(regions);
  regions.collect = () => {};
  try {
    for (let i = 0; i < 20; i++) giveUp(fake, 16 * KIB);
    throw new Error('it was not held up');
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
    assert.is(error.code, 'ENOMEM');
    assert.match(
      error.message,
      /65536 bytes in 4 regions .* await collection in actor3.*uncollected/,
    );
  }
  // Somebody else's turn comes while it waits.
  fake.whileAsleep = collect;
  giveUp(fake, 16 * KIB);
});

test('a region larger than the limit can be had once nothing awaits', () => {
  const fake = new FakeMachine({ actors: 3 });
  fake.words.set(HEADER.UNCOLLECTED, 0);
  for (let i = 0; i < 3; i++) giveUp(fake, 128 * KIB);
});

test('an option that is no number of bytes is refused', async () => {
  for (const uncollected of [-1, 0.5, NaN]) {
    try {
      await boot({ uncollected });
    } catch (error) {
      assert.instance(error, RangeError);
      continue;
    }
    throw new Error('it booted');
  }
});

const url = new URL('./collection.test-worker.js', import.meta.url);
const BYTES = 256 * KIB;
const ROUNDS = 24;

/** Runs with a worker that has had `ROUNDS` buffers of `BYTES` and has closed them. */
async function withHolder(
  machine: Machine,
  end: HolderTask['end'],
  work: () => Promise<void> | void,
): Promise<void> {
  const { workerData: token, transferList } = machine.invite(end);
  const task: HolderTask = { token, count: ROUNDS, end };
  const worker = new Worker(url, { workerData: task, transferList });
  await once(worker, 'message'); // it has joined
  const holding = once(worker, 'message');
  for (let i = 0; i < ROUNDS; i++) {
    const buffer = machine.alloc(BYTES);
    machine.passFd(token.actor, buffer.fd);
    buffer.close();
  }
  await holding;
  await work();
  await worker.terminate();
}

for (const end of ['serve', 'idle', 'die'] as const) {
  test(`a process that will ${end} does not keep others from allocating`, async () => {
    const machine = await boot({ uncollected: 8 * BYTES });
    try {
      await withHolder(machine, end, async () => {
        for (let i = 0; i < 4 * ROUNDS; i++) {
          machine.alloc(BYTES).close();
          assert.ok(machine.stats().bytesDropped <= 8 * BYTES);
          if (i % 8 === 0) await setImmediate();
        }
      });
    } finally {
      await machine.shutdown();
    }
  });
}

test('a limit of nothing lets allocate what is in use at one time', async () => {
  const machine = await boot({ uncollected: 0 });
  try {
    const held = Array.from({ length: 32 }, () => machine.alloc(BYTES));
    for (const buffer of held) buffer.close();
    assert.is(
      codeOf(() => machine.alloc(BYTES).close()),
      'no error',
    );
  } finally {
    await machine.shutdown();
  }
});

test.run();
