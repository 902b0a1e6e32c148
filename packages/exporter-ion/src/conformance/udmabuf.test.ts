/**
 * The kernel's selftest of udmabuf. A shared wasm memory stands for the memfd; what "mapped" is of a list whose pieces
 * lie apart is a device's mapping, for the CPU can map one piece only.
 */
import { boot, type DmaBuf, shared } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ion, type SharedMemory, udmabuf } from '../index.js';
import { PAGE, refused } from '../machine.test-support.js';
import { type Seen, users } from '../users.test-support.js';

interface WasmMemory {
  readonly buffer: ArrayBufferLike;
}

const NUM_PAGES = 4;
const HUGE = 2 << 20;
const machine = await boot({ drivers: [ion(), users] });
const device = machine.createContext(machine.device('/dev/lists').actor);
test.after(() => machine.shutdown());

const wasm = (bytes: number): WasmMemory => {
  const pages = Math.ceil(bytes / 65536);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
};
const memory = wasm(65536);

const create = (offset: number, size: number, of: SharedMemory = memory): DmaBuf =>
  udmabuf(machine).create({ memory: of, offset, size });

function left(): void {
  assert.equal([machine.stats().buffers, udmabuf(machine).bytes], [0, 0]);
}

/** First and last byte of each piece, as a device sees them. */
function ends(buffer: DmaBuf): number[] {
  device.submit({ buffers: [shared(buffer)] }).wait(20_000);
  return (machine.ioctl(device.target, 'seen') as Seen).ends;
}

test('test-1: an offset of half a page is refused', () => {
  refused('EINVAL', /offset of 2048; .*page size, 4096/, () => create(PAGE / 2, PAGE));
  left();
});

test('test-2: a size of half a page is refused', () => {
  refused('EINVAL', /size of 2048; .*page size, 4096/, () => create(0, PAGE / 2));
  left();
});

test('test-3: what is no memory that can be shared is refused', () => {
  const text = /shared array buffer and a WebAssembly.Memory/;
  refused('EBADFD', text, () => create(0, PAGE, new ArrayBuffer(PAGE)));
  refused('EBADFD', text, () => create(0, PAGE, new Uint8Array(wasm(PAGE).buffer)));
  const own = new WebAssembly.Memory({ initial: 1 }) as WasmMemory;
  refused('EBADFD', text, () => create(0, PAGE, own));
  refused('EBADFD', /memory is number/, () => create(0, PAGE, 0 as never));
  refused('EBADFD', /memory is null/, () => create(0, PAGE, null as never));
  left();
});

test('test-4: whole pages of shared memory make a buffer', () => {
  {
    using buffer = create(0, NUM_PAGES * PAGE);
    assert.is(buffer.size, NUM_PAGES * PAGE);
    assert.is(udmabuf(machine).bytes, NUM_PAGES * PAGE);
  }
  left();
});

/** Every second chunk of a memory, as the selftest lists them; what is written there is seen in the buffer. */
function chunks(chunk: number, writeFirst: 'after creating' | 'after mapping'): void {
  const apart = wasm(8 * chunk);
  const bytes = new Uint8Array(apart.buffer);
  const list = [0, 2, 4, 6].map((i) => ({ offset: i * chunk, size: chunk }));
  using buffer = udmabuf(machine).createList({ memory: apart, list });
  assert.is(buffer.size, 4 * chunk);
  using attachment = buffer.attach(device.target);
  if (writeFirst === 'after mapping') {
    const { sg } = attachment.map();
    assert.equal(
      sg.map(({ offset, length }) => ({ offset, size: length })),
      list,
    );
  }
  list.forEach(({ offset, size }, i) => bytes.fill(i + 1, offset, offset + size));
  assert.equal(ends(buffer), [1, 1, 2, 2, 3, 3, 4, 4]);
  list.forEach(({ offset, size }, i) => bytes.fill(0xa0 + i, offset, offset + size));
  assert.equal(ends(buffer), [0xa0, 0xa0, 0xa1, 0xa1, 0xa2, 0xa2, 0xa3, 0xa3]);
  refused('ENODEV', /mapping/, () => buffer.mmap());
}

test('test-5: of a list of chunks, what is written to the memory afterwards is in the buffer', () =>
  chunks(PAGE, 'after creating'));
test('test-6: the same of chunks of 2 MiB', () => chunks(HUGE, 'after creating'));
test('test-7: the same of a buffer that was made and mapped before the first write', () =>
  chunks(HUGE, 'after mapping'));

test('nothing of it is left', left);

test.run();
