/**
 * udmabuf beyond the kernel's selftest: the memory is the caller's before, meanwhile and afterwards; limits; lists;
 * another process.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { boot, exclusive, shared } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ion, udmabuf } from './index.js';
import { MIB, PAGE, refused } from './machine.test-support.js';
import { PATTERN, patternAt, type Seen, users } from './users.test-support.js';

const options = { udmabuf: { sizeLimit: MIB, listLimit: 8, pieces: 8 } };
const machine = await boot({ drivers: [ion(options), users], tables: { regions: 6 } });
const device = machine.createContext(machine.device('/dev/lists').actor);
const door = udmabuf(machine);
test.after(() => machine.shutdown());

/** A shared array buffer, as existing code has one. */
const sharedBytes = (bytes: number): ArrayBufferLike =>
  (
    new WebAssembly.Memory({ initial: bytes >> 16, maximum: bytes >> 16, shared: true }) as {
      readonly buffer: ArrayBufferLike;
    }
  ).buffer;
const memory = sharedBytes(MIB);
const bytes = new Uint8Array(memory);

function left(): void {
  assert.equal([machine.stats().buffers, door.bytes, machine.stats().regionsDropped], [0, 0, 0]);
}

test("a device works on the caller's memory itself, and the memory outlives the buffer as it is", () => {
  bytes.fill(9, 0, 4 * PAGE);
  const buffer = door.create({ memory, offset: PAGE, size: 2 * PAGE, name: 'frame' });
  assert.is(buffer.record.name, 'frame');
  device.submit({ buffers: [exclusive(buffer)], payload: PATTERN }).wait(20_000);
  assert.equal([bytes[PAGE - 1], bytes[3 * PAGE]], [9, 9], 'its neighbours');
  assert.ok(bytes.subarray(PAGE, 3 * PAGE).every((byte, i) => byte === patternAt(i)));
  {
    using bracket = buffer.access({ read: true, write: true });
    assert.is(bracket.bytes[1], patternAt(1));
    bracket.bytes[1] = 77;
  }
  assert.is(bytes[PAGE + 1], 77);
  buffer.close();
  left();
  assert.equal([bytes[PAGE + 1], bytes[PAGE + 2]], [77, patternAt(2)], 'it was not zeroed');
});

test('by default it is all of the memory', () => {
  using buffer = door.create({ memory });
  assert.is(buffer.size, MIB);
});

test('ranges outside the memory, of nothing, or above the limits are EINVAL and leave nothing', () => {
  const bad: [RegExp, () => unknown][] = [
    [
      /bytes 1044480 to 1052672 of a memory/,
      () => door.create({ memory, offset: MIB - PAGE, size: 2 * PAGE }),
    ],
    [/no bytes/, () => door.create({ memory, size: 0 })],
    [/no bytes/, () => door.create({ memory, offset: MIB })],
    [/size of -4096/, () => door.create({ memory, offset: MIB + PAGE })],
    [/offset of -4096/, () => door.create({ memory, offset: -PAGE, size: PAGE })],
    [/offset of NaN/, () => door.create({ memory, offset: NaN, size: PAGE })],
    [
      /2 MiB; the limit is 1 MiB.*udmabuf.sizeLimit/,
      () => door.create({ memory: sharedBytes(2 * MIB) }),
    ],
    [/list of 0 ranges; give 1 to 8/, () => door.createList({ memory, list: [] })],
    [/longer than 31/, () => door.create({ memory, name: 'x'.repeat(32) })],
    [
      /list of 9 ranges/,
      () =>
        door.createList({
          memory,
          list: Array.from({ length: 9 }, (_, i) => ({ offset: i * PAGE, size: PAGE })),
        }),
    ],
  ];
  for (const [text, call] of bad) refused('EINVAL', text, call);
  left();
});

test('ranges that follow each other are one piece, which the CPU maps', () => {
  const list = [0, 1, 2].map((i) => ({ offset: (4 + i) * PAGE, size: PAGE }));
  using buffer = door.createList({ memory, list });
  using bracket = buffer.access({ write: true });
  bracket.bytes.fill(5);
  assert.ok(bytes.subarray(4 * PAGE, 7 * PAGE).every((byte) => byte === 5));
});

test('a list keeps its order, whatever that of the memory, and the same range may be in it twice', () => {
  bytes.fill(1, 0, PAGE);
  bytes.fill(2, 2 * PAGE, 3 * PAGE);
  const list = [2, 0, 2].map((i) => ({ offset: i * PAGE, size: PAGE }));
  using buffer = door.createList({ memory, list });
  device.submit({ buffers: [shared(buffer)] }).wait(20_000);
  assert.equal((machine.ioctl(device.target, 'seen') as Seen).ends, [2, 2, 1, 1, 2, 2]);
});

test('full tables are told by the option to raise, and nothing is left of the call', () => {
  const apart = (count: number): { offset: number; size: number }[] =>
    Array.from({ length: count }, (_, i) => ({ offset: 2 * i * PAGE, size: PAGE }));
  {
    using first = door.createList({ memory, list: apart(5) });
    refused('ENOSPC', /4 pieces, 3 of 8 are free.*udmabuf.pieces/, () =>
      door.createList({ memory, list: apart(4) }),
    );
    door.createList({ memory, list: apart(3) }).close();
    assert.is(first.size, 5 * PAGE);
  }
  left();
  const held = Array.from({ length: 6 }, () => door.create({ memory, size: PAGE }));
  refused('ENOSPC', /tables.regions/, () => door.create({ memory, size: PAGE }));
  assert.is(door.bytes, 6 * PAGE);
  for (const buffer of held) buffer.close();
  left();
});

test('another process that is passed the fd has the same memory', async () => {
  const url = new URL('./coherency-worker.test-support.js', import.meta.url);
  const { workerData, transferList } = machine.invite('other');
  const worker = new Worker(url, { workerData, transferList });
  const ended = once(worker, 'exit');
  await once(worker, 'message'); // it has joined
  const buffer = door.create({ memory, offset: 16 * PAGE, size: PAGE });
  machine.passFd(workerData.actor, buffer.fd);
  buffer.close();
  const tell = (order: string): unknown => {
    machine.send(workerData.actor, order);
    return machine.receive(20_000).value;
  };
  tell('write 42');
  assert.is(bytes[16 * PAGE], 42);
  bytes[16 * PAGE] = 43;
  assert.is(tell('read'), 43);
  machine.send(workerData.actor, 'end');
  assert.is((await ended)[0], 0);
  while (machine.stats().buffers > 0) await new Promise(setImmediate);
  left();
});

test.run();
