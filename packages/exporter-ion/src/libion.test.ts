/**
 * libion's own tests (system/core/libion/tests), for each heap; its Exit cases are in exit.test.ts.
 */
import { totalmem } from 'node:os';
import { BUFFER_FLAG } from '@dmabuf/core/driver';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { IonClient, ION_FLAG } from './index.js';
import {
  fill,
  heapNamed,
  HEAPS,
  isAll,
  MAPPABLE,
  MIB,
  PAGE,
  refused,
  withIon,
} from './machine.test-support.js';

test('InvalidValues: no mask and no match are ENODEV, sizes, alignment and flags EINVAL', () =>
  withIon(HEAPS, (client) => {
    refused('ENODEV', /mask 0x0/, () => client.alloc({ size: PAGE, heaps: 0 }));
    refused('ENODEV', /mask 0x80000000/, () => client.alloc({ size: PAGE, heaps: 1 << 31 }));
    refused('ENODEV', /'nix'/, () => client.alloc({ size: PAGE, heaps: ['nix'] }));
    for (const size of [0, -1, 1.5, NaN]) refused('EINVAL', /bytes/, () => client.alloc({ size }));
    for (const align of [0, 3, -4096, 2 ** 40]) {
      refused('EINVAL', /alignment/, () => client.alloc({ size: PAGE, align }));
    }
    refused('EINVAL', /0x8/, () => client.alloc({ size: PAGE, flags: 8 }));
    refused('EINVAL', /longer/, () => client.alloc({ size: PAGE, name: 'x'.repeat(32) }));
    refused('EBADF', /fd 99/, () => client.import(99));
    refused('EINVAL', /handle 7/, () => client.handle(7));
    refused('EINVAL', /handle 7/, () => client.free(7));
    refused('EBADF', /fd 99/, () => client.sync(99));
    assert.is(heapNamed(client, 'system').buffers, 0);
  }));

test('import and sync of a buffer that is not of ION are EINVAL', () =>
  withIon(HEAPS, (client, machine) => {
    using foreign = machine.alloc(PAGE);
    refused('EINVAL', /not allocated by ION/, () => client.import(foreign));
    refused('EINVAL', /not allocated by ION/, () => client.sync(foreign.fd));
  }));

test('FormerlyValidHandle: free twice, share and map after free are EINVAL', () =>
  withIon(HEAPS, (client) => {
    const handle = client.allocHandle({ size: PAGE });
    client.free(handle);
    refused('EINVAL', /freed/, () => client.free(handle));
    refused('EINVAL', /freed/, () => handle.free());
    refused('EINVAL', /freed/, () => handle.share());
    refused('EINVAL', /freed/, () => handle.map());
  }));

test('Allocate: every heap serves 4 KiB to 2 MiB with each caching flag', () =>
  withIon(HEAPS, (client) => {
    for (const heap of [...MAPPABLE, 'protected']) {
      for (const size of [PAGE, 16 * PAGE, MIB, 2 * MIB]) {
        for (const flags of [0, ION_FLAG.CACHED, ION_FLAG.CACHED | ION_FLAG.CACHED_NEEDS_SYNC]) {
          using buffer = client.alloc({ size, heaps: heap, flags });
          assert.is(buffer.size, size);
        }
      }
      assert.is(heapNamed(client, heap).buffers, 0);
    }
  }));

test('RepeatedAllocate: 1024 times, from every heap', () =>
  withIon(HEAPS, (client) => {
    for (const heaps of MAPPABLE) {
      for (let i = 0; i < 1024; i++) client.alloc({ size: 64 * 1024, heaps }).close();
      assert.is(heapNamed(client, heaps).allocations, 1024);
      assert.is(heapNamed(client, heaps).buffers, 0);
    }
  }));

test('Large: more than a heap can have is ENOMEM, and says what was free', () =>
  withIon(HEAPS, (client) => {
    const carveout = /carveout' \(id 2\).*12 MiB of 12 MiB are free/;
    refused('ENOMEM', carveout, () => client.alloc({ size: 3 * 1024 * MIB, heaps: 'carveout' }));
    const half = /system' \(id 0\).*half of the host/;
    refused('ENOMEM', half, () => client.alloc({ size: totalmem(), heaps: 'system' }));
    const order = /system-contig.*one buffer may have 4 MiB/;
    refused('ENOMEM', order, () => client.alloc({ size: 5 * MIB, heaps: 'system-contig' }));
    assert.is(heapNamed(client, 'carveout').failures, 1);
  }));

test('Zeroed: what a new client gets holds nothing of the old one', () =>
  withIon(HEAPS, (client, machine) => {
    for (const heaps of MAPPABLE) {
      {
        using old = IonClient.open(machine);
        for (let i = 0; i < 16; i++) fill(old.alloc({ size: PAGE, heaps }), 0xaaaaaaaa);
      }
      assert.ok(isAll(client.alloc({ size: 64 * PAGE, heaps }), 0), heaps);
    }
  }));

test('Map: a mapping stays writable after its handle is freed and its fd closed', () =>
  withIon(HEAPS, (client) => {
    for (const heaps of MAPPABLE) {
      const handle = client.allocHandle({ size: 2 * PAGE, heaps });
      const shared = handle.share();
      const mapping = handle.map();
      handle.free();
      shared.close();
      {
        using bracket = mapping.prepareAccess({ write: true });
        bracket.words.fill(0xaaaaaaaa);
        assert.is(bracket.words.at(-1), 0xaaaaaaaa);
      }
      assert.is(heapNamed(client, heaps).buffers, 1);
      mapping.close();
      assert.is(heapNamed(client, heaps).buffers, 0);
    }
  }));

test('MapOffset: a mapping of page 1 shows page 1', () =>
  withIon(HEAPS, (client) => {
    using handle = client.allocHandle({ size: 2 * PAGE, heaps: 'carveout' });
    {
      using mapping = handle.map();
      using bracket = mapping.prepareAccess({ write: true });
      bracket.words.fill(0xaaaaaaaa, PAGE / 4);
    }
    using second = handle.map({ offset: PAGE, length: PAGE });
    using bracket = second.prepareAccess({ read: true });
    assert.is(bracket.bytes.length, PAGE);
    assert.ok(bracket.words.every((word) => word === 0xaaaaaaaa));
  }));

test('import of the same buffer gives the same handle, and each reference needs its free', () =>
  withIon(HEAPS, (client, machine) => {
    const handle = client.allocHandle({ size: PAGE });
    using fd = handle.share();
    assert.is(client.import(fd), handle);
    assert.is(client.import(fd.fd), handle);
    assert.is(handle.refs, 3);
    using other = IonClient.open(machine, { name: 'other' });
    const foreign = other.import(fd);
    assert.is.not(foreign, handle);
    refused('EINVAL', /another client/, () => other.free(handle));
    for (let i = 0; i < 3; i++) client.free(handle.id);
    refused('EINVAL', /no handle 1/, () => client.free(handle.id));
    assert.is(foreign.size, PAGE);
  }));

test('closing a client frees its handles and fds, but not what others hold', () =>
  withIon(HEAPS, (client, machine) => {
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
  }));

test('CachedNeedsSync: only buffers that ask for it have their cache lines looked after', () =>
  withIon(HEAPS, (client) => {
    const flag = (flags: number): number => client.alloc({ size: PAGE, flags }).record.flags;
    assert.is(flag(ION_FLAG.CACHED | ION_FLAG.CACHED_NEEDS_SYNC), BUFFER_FLAG.NEEDS_SYNC);
    for (const flags of [0, ION_FLAG.CACHED, ION_FLAG.CACHED_NEEDS_SYNC]) assert.is(flag(flags), 0);
  }));

test('a custom call without a handler is ENOTTY', () =>
  withIon(HEAPS, (client) => {
    refused('ENOTTY', /system.*call 3/, () => client.custom('system', 3));
    refused('ENODEV', /'nix'/, () => client.custom('nix', 3));
  }));

test('heapQuery lists the heaps by id', () =>
  withIon(HEAPS, (client) => {
    assert.equal(
      client.heapQuery().map(({ id, name }) => [id, name]),
      [
        [0, 'system'],
        [1, 'system-contig'],
        [2, 'carveout'],
        [4, 'cma'],
        [8, 'protected'],
      ],
    );
  }));

test.run();
