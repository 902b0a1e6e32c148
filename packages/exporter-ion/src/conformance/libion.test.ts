/**
 * libion's own tests, of clients with handles, for each heap; those of devices and of processes that end are in
 * libion-device and libion-exit.
 */
import { totalmem } from 'node:os';
import { boot, type DmaBuf } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ion, IonClient, ION_FLAG, ION_HEAP_TYPE } from '../index.js';
import {
  fill,
  heapNamed,
  HEAPS,
  isAll,
  MAPPABLE,
  MIB,
  PAGE,
  refused,
} from '../machine.test-support.js';

const SIZES = [PAGE, 16 * PAGE, MIB, 2 * MIB];
const CACHED = ION_FLAG.CACHED;
const NEEDS_SYNC = ION_FLAG.CACHED | ION_FLAG.CACHED_NEEDS_SYNC;

const machine = await boot({ pool: 32 * MIB, drivers: [ion(HEAPS)] });
test.after(() => machine.shutdown());

/** A test with a client of its own, after which no heap has a buffer left. */
function ionTest(work: (client: IonClient) => void): () => void {
  return () => {
    {
      using client = IonClient.open(machine);
      work(client);
    }
    using after = IonClient.open(machine);
    assert.equal(
      after.stats().map(({ buffers }) => buffers),
      HEAPS.heaps?.map(() => 0),
    );
  };
}

test('InvalidValues.ion_close: a client that is closed takes no call, but may be closed again', () => {
  const client = IonClient.open(machine, { name: 'gone' });
  client.close();
  client.close();
  refused('EBADF', /'gone' is closed/, () => client.alloc({ size: PAGE }));
  refused('EBADF', /'gone' is closed/, () => client.handle(1));
});

/** What both kinds of allocation refuse. */
function invalid(
  alloc: (options: { size: number; align?: number; heaps?: number }) => unknown,
): void {
  refused('ENODEV', /mask 0x0/, () => alloc({ size: PAGE, heaps: 0 }));
  refused('ENODEV', /mask 0x80000000/, () => alloc({ size: PAGE, heaps: 1 << 31 }));
  for (const { id = -1 } of [{ id: 0 }, { id: 1 }, { id: 2 }, { id: 4 }, { id: 8 }]) {
    const heaps = 1 << id;
    for (const size of [0, -1, 1.5, NaN]) {
      refused('EINVAL', /bytes/, () => alloc({ size, heaps }));
    }
    for (const align of [0, 3, -1, 2 ** 40]) {
      refused('EINVAL', /alignment/, () => alloc({ size: PAGE, align, heaps }));
    }
  }
}

test(
  'InvalidValues.ion_alloc: no heap of the mask is ENODEV, sizes and alignments are EINVAL',
  ionTest((client) => invalid((options) => client.allocHandle(options))),
);

test(
  'InvalidValues.ion_alloc_fd: the same of an fd; flags and names, too',
  ionTest((client) => {
    invalid((options) => client.alloc(options));
    refused('ENODEV', /'nix'/, () => client.alloc({ size: PAGE, heaps: ['nix'] }));
    refused('EINVAL', /0x8/, () => client.alloc({ size: PAGE, flags: 8 }));
    refused('EINVAL', /longer/, () => client.alloc({ size: PAGE, name: 'x'.repeat(32) }));
  }),
);

test(
  'InvalidValues.ion_free: no handle of this client is EINVAL',
  ionTest((client) => {
    const handle = client.allocHandle({ size: PAGE });
    for (const id of [0, -1, handle.id + 1]) {
      refused('EINVAL', new RegExp(`handle ${id}`), () => client.free(id));
    }
    using other = IonClient.open(machine);
    other.allocHandle({ size: PAGE });
    refused('EINVAL', /another client/, () => other.free(handle));
  }),
);

test(
  'InvalidValues.ion_map: no handle, no length and a bad offset are EINVAL',
  ionTest((client) => {
    refused('EINVAL', /handle 7/, () => client.handle(7).map());
    const handle = client.allocHandle({ size: PAGE });
    for (const range of [{ length: 0 }, { offset: -1 }, { length: PAGE + 1 }, { offset: PAGE }]) {
      refused('EINVAL', /not inside/, () => handle.map(range));
    }
  }),
);

test(
  'InvalidValues.ion_share: no handle is EINVAL',
  ionTest((client) => {
    for (const id of [0, -1, 7]) {
      refused('EINVAL', new RegExp(`handle ${id}`), () => client.handle(id).share());
    }
  }),
);

/** What import and sync refuse of fds. */
function badFds(client: IonClient, call: (source: DmaBuf | number) => unknown): void {
  refused('EBADF', /fd -1/, () => call(-1));
  refused('EBADF', /fd 99/, () => call(99));
  using foreign = machine.alloc(PAGE);
  refused('EINVAL', /not allocated by ION/, () => call(foreign));
  refused('EINVAL', /not allocated by ION/, () => call(foreign.fd));
  assert.is(client.allocated, 0);
}

test(
  'InvalidValues.ion_import: no fd is EBADF, one of no ION buffer EINVAL',
  ionTest((client) => badFds(client, (source) => client.import(source))),
);

test(
  'InvalidValues.ion_sync_fd: no fd is EBADF, one of no ION buffer EINVAL',
  ionTest((client) => badFds(client, (source) => client.sync(source))),
);

/** A handle that was valid once. */
const former = (client: IonClient): ReturnType<IonClient['allocHandle']> => {
  const handle = client.allocHandle({ size: PAGE });
  client.free(handle);
  return handle;
};

test(
  'FormerlyValidHandle.free: EINVAL, by the handle and by its number',
  ionTest((client) => {
    const handle = former(client);
    refused('EINVAL', /freed/, () => client.free(handle));
    refused('EINVAL', /freed/, () => client.free(handle.id));
    refused('EINVAL', /freed/, () => handle.free());
  }),
);

test(
  'FormerlyValidHandle.map: EINVAL',
  ionTest((client) => refused('EINVAL', /freed/, () => former(client).map())),
);

test(
  'FormerlyValidHandle.share: EINVAL',
  ionTest((client) => refused('EINVAL', /freed/, () => former(client).share())),
);

/** Allocates and frees each size from each heap, protected memory included. */
function allocateAll(client: IonClient, flags: number): void {
  for (const heaps of [...MAPPABLE, 'protected']) {
    for (const size of SIZES) {
      const handle = client.allocHandle({ size, heaps, flags });
      assert.is(handle.size, size);
      client.free(handle);
      assert.is(heapNamed(client, heaps).buffers, 0);
    }
  }
}

test(
  'Allocate.Allocate: every heap serves 4 KiB to 2 MiB',
  ionTest((client) => allocateAll(client, 0)),
);
test(
  'Allocate.AllocateCached: the same, cached',
  ionTest((client) => allocateAll(client, CACHED)),
);
test(
  'Allocate.AllocateCachedNeedsSync: the same, cached with maintenance by the user',
  ionTest((client) => allocateAll(client, ION_FLAG.CACHED_NEEDS_SYNC)),
);

test(
  'Allocate.RepeatedAllocate: 1024 times from every heap',
  ionTest((client) => {
    for (const heaps of MAPPABLE) {
      const before = heapNamed(client, heaps).allocations;
      for (let i = 0; i < 1024; i++) client.free(client.allocHandle({ size: 16 * PAGE, heaps }));
      assert.is(heapNamed(client, heaps).allocations - before, 1024);
    }
  }),
);

test(
  'Allocate.Zeroed: what a new client gets holds nothing of 16 buffers of the old one',
  ionTest((client) => {
    for (const heaps of MAPPABLE) {
      {
        using old = IonClient.open(machine);
        for (let i = 0; i < 16; i++) fill(old.alloc({ size: PAGE, heaps }), 0xaaaaaaaa);
      }
      assert.ok(isAll(client.alloc({ size: 64 * PAGE, heaps }), 0), heaps);
    }
  }),
);

test(
  'Allocate.Large: more than a heap can have is ENOMEM, and says what was free',
  ionTest((client) => {
    const huge = 3 * 1024 * MIB;
    const carveout = /carveout' \(id 2\).*12 MiB of 12 MiB are free/;
    refused('ENOMEM', carveout, () => client.alloc({ size: huge, heaps: 'carveout' }));
    refused('ENOMEM', /cma' \(id 4\)/, () => client.alloc({ size: huge, heaps: 'cma' }));
    const half = /system' \(id 0\).*half of the host/;
    refused('ENOMEM', half, () => client.alloc({ size: totalmem(), heaps: 'system' }));
    const order = /system-contig.*one buffer may have 4 MiB/;
    refused('ENOMEM', order, () => client.alloc({ size: huge, heaps: 'system-contig' }));
    assert.is(heapNamed(client, 'carveout').failures, 1);
  }),
);

test(
  'SystemHeap.Presence: there is one, and a query names it',
  ionTest((client) => {
    const system = client.heapQuery().find(({ type }) => type === 'system');
    assert.equal(system, { name: 'system', type: 'system', id: ION_HEAP_TYPE.SYSTEM });
    assert.equal(
      client.heapQuery().map(({ id }) => id),
      [0, 1, 2, 4, 8],
    );
  }),
);

test(
  'SystemHeap.Allocate: it serves zeroed pages',
  ionTest((client) => {
    const buffer = client.alloc({ size: PAGE, heaps: 1 << ION_HEAP_TYPE.SYSTEM });
    assert.not(buffer.record.inPool);
    assert.ok(isAll(buffer, 0));
  }),
);

test(
  'Map.MapHandle: a mapping stays writable after its handle is freed',
  ionTest((client) => {
    for (const heaps of MAPPABLE) {
      for (const size of SIZES) {
        const handle = client.allocHandle({ size, heaps });
        using mapping = handle.map();
        client.free(handle);
        using bracket = mapping.prepareAccess({ write: true, discard: true });
        bracket.words.fill(0xaaaaaaaa);
        assert.is(bracket.words.at(-1), 0xaaaaaaaa);
        assert.is(heapNamed(client, heaps).buffers, 1);
      }
    }
  }),
);

/** Maps fds, closes them, and writes all of each mapping. */
function mapFds(client: IonClient, flags: number): void {
  for (const heaps of MAPPABLE) {
    for (const size of SIZES) {
      const buffer = client.alloc({ size, heaps, flags });
      using mapping = buffer.mmap();
      buffer.close();
      using bracket = mapping.prepareAccess({ write: true, discard: true });
      bracket.words.fill(0xaaaaaaaa);
      assert.is(bracket.words.at(-1), 0xaaaaaaaa);
    }
  }
}

test(
  'Map.MapFd: a mapping stays writable after its fd is closed',
  ionTest((client) => mapFds(client, 0)),
);
test(
  'Map.MapCached: the same, cached',
  ionTest((client) => mapFds(client, CACHED)),
);
test(
  'Map.MapCachedNeedsSync: the same, cached with maintenance by the user',
  ionTest((client) => mapFds(client, NEEDS_SYNC)),
);

test(
  'Map.MapOffset: a mapping of one page at the offset of page 1 shows page 1',
  ionTest((client) => {
    for (const heaps of MAPPABLE) {
      using buffer = client.alloc({ size: 2 * PAGE, heaps });
      {
        using bracket = buffer.access({ write: true });
        bracket.words.fill(0xaaaaaaaa, PAGE / 4);
      }
      using second = buffer.mmap({ offset: PAGE, length: PAGE });
      using bracket = second.prepareAccess({ read: true });
      assert.is(bracket.bytes.length, PAGE);
      assert.equal([bracket.bytes[0], bracket.bytes[PAGE - 1]], [0xaa, 0xaa]);
    }
  }),
);

test.run();
