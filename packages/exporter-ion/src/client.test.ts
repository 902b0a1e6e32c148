/**
 * Clients and their handles, beyond what libion's tests ask: import, what closing gives back, flags, custom calls.
 */
import { BUFFER_FLAG } from '@dmabuf/core/driver';
import { boot } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ion, IonClient, ION_FLAG, udmabuf } from './index.js';
import { heapNamed, HEAPS, MIB, PAGE, refused } from './machine.test-support.js';

const machine = await boot({ pool: 32 * MIB, drivers: [ion(HEAPS)] });
test.after(() => machine.shutdown());

test('import of the same buffer gives the same handle, and each reference needs its free', () => {
  using client = IonClient.open(machine);
  const handle = client.allocHandle({ size: PAGE });
  using fd = handle.share();
  assert.is(client.import(fd), handle);
  assert.is(client.import(fd.fd), handle);
  assert.is(handle.refs, 3);
  using other = IonClient.open(machine, { name: 'other' });
  const foreign = other.import(fd);
  assert.is.not(foreign, handle);
  for (let i = 0; i < 3; i++) client.free(handle.id);
  refused('EINVAL', /no handle 1/, () => client.free(handle.id));
  assert.is(foreign.size, PAGE);
});

test('closing a client frees its handles and fds, but not what others hold', () => {
  using client = IonClient.open(machine);
  const other = IonClient.open(machine, { name: 'camera' });
  const kept = client.import(other.alloc({ size: MIB, heaps: 'carveout' }));
  other.allocHandle({ size: MIB, heaps: 'carveout' });
  other.alloc({ size: MIB, heaps: 'carveout' });
  assert.is(heapNamed(client, 'carveout').buffers, 3);
  other.close();
  other.close();
  assert.is(heapNamed(client, 'carveout').buffers, 1);
  const [holder] = heapNamed(client, 'carveout').holders;
  assert.equal(holder, { client: 'camera', actor: 2, bytes: MIB, buffers: 1, orphaned: true });
  assert.match(client.debugfs(), /orphaned allocations[^\n]*\ncamera +2 main +1048576\n/);
  refused('EBADF', /'camera' is closed/, () => other.alloc({ size: PAGE }));
  kept.free();
  assert.is(heapNamed(client, 'carveout').buffers, 0);
});

test('only buffers that ask for both flags have their cache lines looked after', () => {
  using client = IonClient.open(machine);
  const flag = (flags: number): number => client.alloc({ size: PAGE, flags }).record.flags;
  assert.is(flag(ION_FLAG.CACHED | ION_FLAG.CACHED_NEEDS_SYNC), BUFFER_FLAG.NEEDS_SYNC);
  for (const flags of [0, ION_FLAG.CACHED, ION_FLAG.CACHED_NEEDS_SYNC]) assert.is(flag(flags), 0);
});

test('heapOf names the heap that a buffer came from', () => {
  using client = IonClient.open(machine);
  for (const { name } of client.heapQuery()) {
    using buffer = client.alloc({ size: PAGE, heaps: name });
    assert.equal([client.heapOf(buffer), client.heapOf(buffer.fd)], [name, name]);
  }
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  using wrapped = udmabuf(machine).create({ memory });
  assert.is(client.heapOf(wrapped), 'udmabuf');
  using foreign = machine.alloc(PAGE);
  refused('EINVAL', /not allocated by ION/, () => client.heapOf(foreign));
});

test('a custom call without a handler is ENOTTY', () => {
  using client = IonClient.open(machine);
  refused('ENOTTY', /system.*call 3/, () => client.custom('system', 3));
  refused('ENODEV', /'nix'/, () => client.custom('nix', 3));
});

test.run();
