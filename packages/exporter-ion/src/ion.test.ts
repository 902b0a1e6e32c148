/**
 * ION in a machine: the allocator cases of libion, libdmabufheap and the kernel's dmabuf-heaps
 * selftest that are about one process; then what this package adds.
 */
import { totalmem } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import {
  boot,
  type BootOptions,
  type DmaBuf,
  DmaBufError,
  type ErrnoCode,
  type Machine,
  shared,
} from '@dmabuf/core';
import { BUFFER_FLAG } from '@dmabuf/core/driver';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dmaHeap, ion, IonClient, ION_FLAG, type HeapStats, type IonOptions } from './index.js';

const MIB = 1 << 20;
const PAGE = 4096;
const HEAPS: IonOptions = {
  heaps: [
    { type: 'system' },
    { type: 'system-contig', size: 8 * MIB },
    { type: 'carveout' },
    { type: 'cma', size: 8 * MIB },
    { type: 'protected', size: 4 * MIB, devices: ['ion'] },
  ],
};
const MAPPABLE = ['system', 'system-contig', 'carveout', 'cma'] as const;

/** Runs with a machine and a client, which are gone afterwards. */
async function withIon(
  options: IonOptions,
  work: (client: IonClient, machine: Machine) => void | Promise<void>,
  more: BootOptions = {},
): Promise<void> {
  const machine = await boot({ pool: 32 * MIB, ...more, drivers: [ion(options)] });
  try {
    using client = IonClient.open(machine);
    await work(client, machine);
  } finally {
    await machine.shutdown();
  }
}

function refused(code: ErrnoCode, text: RegExp, work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
    assert.is(error.code, code, error.message);
    assert.match(error.message, text);
    return;
  }
  throw new Error(`not refused with ${code}`);
}

function heapNamed(client: IonClient, name: string): HeapStats {
  const heap = client.stats().find((stats) => stats.name === name);
  if (heap === undefined) throw new Error(`no heap ${name}`);
  return heap;
}

function fill(buffer: DmaBuf, value: number): void {
  using bracket = buffer.access({ write: true, discard: true });
  bracket.words.fill(value);
}

function isAll(buffer: DmaBuf, value: number): boolean {
  using bracket = buffer.access({ read: true });
  return bracket.words.every((word) => word === value);
}

const dmabufHeaps = suite('dmabuf-heaps');

dmabufHeaps('alloc_and_import: memory that the CPU wrote can be attached to a device', () =>
  withIon(HEAPS, (_, machine) => {
    for (const name of MAPPABLE) {
      using buffer = dmaHeap(machine, name).alloc(MIB);
      fill(buffer, 0x5a5a5a5a);
      using attachment = buffer.attach(machine.device('/dev/ion').actor);
      assert.is(attachment.importer.name, 'ion');
      assert.ok(isAll(buffer, 0x5a5a5a5a));
    }
  }),
);

dmabufHeaps(
  'alloc_zeroed: 32 buffers that are written, freed and allocated again are all zero',
  () =>
    withIon(HEAPS, (_, machine) => {
      for (const [name, size] of MAPPABLE.flatMap(
        (name) =>
          [
            [name, PAGE],
            [name, MIB / 4],
          ] as const,
      )) {
        const heap = dmaHeap(machine, name);
        const buffers = Array.from({ length: 32 }, () => heap.alloc(size));
        for (const buffer of buffers) fill(buffer, 0xffffffff);
        for (const buffer of buffers) buffer.close();
        const again = Array.from({ length: 32 }, () => heap.alloc(size));
        assert.ok(
          again.every((buffer) => isAll(buffer, 0)),
          `${name} ${size}`,
        );
        for (const buffer of again) buffer.close();
      }
    }),
);

dmabufHeaps('alloc_compat: an argument with more fields than are known is taken', () =>
  withIon(HEAPS, (_, machine) => {
    const options = { heapFlags: 0, somethingNew: 1 };
    using buffer = dmaHeap(machine, '/dev/dma_heap/system').alloc(PAGE, options);
    assert.is(buffer.size, PAGE);
  }),
);

dmabufHeaps('alloc_errors: an unknown heap, heap flags and unknown fd flags are refused', () =>
  withIon(HEAPS, (_, machine) => {
    refused('ENOENT', /system, .*carveout/, () => dmaHeap(machine, 'sytsem'));
    const heap = dmaHeap(machine, 'system');
    refused('EINVAL', /0x111111/, () => heap.alloc(PAGE, { heapFlags: 0x111111 }));
    refused('EINVAL', /fd flags/, () => heap.alloc(PAGE, { fdFlags: 0o4 }));
    refused('EINVAL', /0 bytes/, () => heap.alloc(0));
  }),
);

dmabufHeaps.run();

const libion = suite('libion');

libion('InvalidValues: no mask and no match are ENODEV, sizes, alignment and flags EINVAL', () =>
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
  }),
);

libion('import and sync of a buffer that is not of ION are EINVAL', () =>
  withIon(HEAPS, (client, machine) => {
    using foreign = machine.alloc(PAGE);
    refused('EINVAL', /not allocated by ION/, () => client.import(foreign));
    refused('EINVAL', /not allocated by ION/, () => client.sync(foreign.fd));
  }),
);

libion('FormerlyValidHandle: free twice, share and map after free are EINVAL', () =>
  withIon(HEAPS, (client) => {
    const handle = client.allocHandle({ size: PAGE });
    client.free(handle);
    refused('EINVAL', /freed/, () => client.free(handle));
    refused('EINVAL', /freed/, () => handle.free());
    refused('EINVAL', /freed/, () => handle.share());
    refused('EINVAL', /freed/, () => handle.map());
  }),
);

libion('Allocate: every heap serves 4 KiB to 2 MiB with each caching flag', () =>
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
  }),
);

libion('RepeatedAllocate: 1024 times, from every heap', () =>
  withIon(HEAPS, (client) => {
    for (const heaps of MAPPABLE) {
      for (let i = 0; i < 1024; i++) client.alloc({ size: 64 * 1024, heaps }).close();
      assert.is(heapNamed(client, heaps).allocations, 1024);
      assert.is(heapNamed(client, heaps).buffers, 0);
    }
  }),
);

libion('Large: more than a heap can have is ENOMEM, and says what was free', () =>
  withIon(HEAPS, (client) => {
    const carveout = /carveout' \(id 2\).*12 MiB of 12 MiB are free/;
    refused('ENOMEM', carveout, () => client.alloc({ size: 3 * 1024 * MIB, heaps: 'carveout' }));
    const half = /system' \(id 0\).*half of the host/;
    refused('ENOMEM', half, () => client.alloc({ size: totalmem(), heaps: 'system' }));
    const order = /system-contig.*one buffer may have 4 MiB/;
    refused('ENOMEM', order, () => client.alloc({ size: 5 * MIB, heaps: 'system-contig' }));
    assert.is(heapNamed(client, 'carveout').failures, 1);
  }),
);

libion('Zeroed: what a new client gets holds nothing of the old one', () =>
  withIon(HEAPS, (client, machine) => {
    for (const heaps of MAPPABLE) {
      {
        using old = IonClient.open(machine);
        for (let i = 0; i < 16; i++) fill(old.alloc({ size: PAGE, heaps }), 0xaaaaaaaa);
      }
      assert.ok(isAll(client.alloc({ size: 64 * PAGE, heaps }), 0), heaps);
    }
  }),
);

libion('Map: a mapping stays writable after its handle is freed and its fd closed', () =>
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
  }),
);

libion('MapOffset: a mapping of page 1 shows page 1', () =>
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
  }),
);

libion('import of the same buffer gives the same handle, and each reference needs its free', () =>
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
  }),
);

libion('closing a client frees its handles and fds, but not what others hold', () =>
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
  }),
);

libion('CachedNeedsSync: only buffers that ask for it have their cache lines looked after', () =>
  withIon(HEAPS, (client) => {
    const flag = (flags: number): number => client.alloc({ size: PAGE, flags }).record.flags;
    assert.is(flag(ION_FLAG.CACHED | ION_FLAG.CACHED_NEEDS_SYNC), BUFFER_FLAG.NEEDS_SYNC);
    for (const flags of [0, ION_FLAG.CACHED, ION_FLAG.CACHED_NEEDS_SYNC]) assert.is(flag(flags), 0);
  }),
);

libion('a custom call without a handler is ENOTTY', () =>
  withIon(HEAPS, (client) => {
    refused('ENOTTY', /system.*call 3/, () => client.custom('system', 3));
    refused('ENODEV', /'nix'/, () => client.custom('nix', 3));
  }),
);

libion('heapQuery lists the heaps by id', () =>
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
  }),
);

libion.run();

const ours = suite('ion');

ours('for: chooses the system heap unless an importer reaches the pool only', () =>
  withIon(HEAPS, (client, machine) => {
    assert.not(client.alloc({ size: PAGE }).record.inPool);
    assert.not(client.alloc({ size: PAGE, for: [{}, { align: MIB }] }).record.inPool);
    const pooled = client.alloc({ size: PAGE, for: [{ align: MIB }, { pool: true }] });
    assert.ok(pooled.record.inPool);
    assert.is(pooled.record.offset % MIB, 0);
    pooled.attach(machine.device('/dev/ion').actor, { pool: true, align: MIB }).detach();
    const none = /no heap 'system' that all the importers reach/;
    refused('ENODEV', none, () =>
      client.alloc({ size: 1, heaps: 'system', for: [{ pool: true }] }),
    );
  }),
);

ours(
  'a mask is walked from the highest id, names in their order, each falling back to the next',
  () =>
    withIon(HEAPS, (client) => {
      const heapOf = (buffer: DmaBuf): string =>
        client.heapQuery()[buffer.record.priv(0)]?.name ?? '';
      assert.is(heapOf(client.alloc({ size: PAGE, heaps: 0b10111 })), 'cma');
      assert.is(heapOf(client.alloc({ size: PAGE, heaps: ['carveout', 'cma'] })), 'carveout');
      const big = { size: 10 * MIB };
      assert.is(heapOf(client.alloc({ ...big, heaps: 0b10101 })), 'carveout');
      assert.is(heapOf(client.alloc({ ...big, heaps: 0b10101 })), 'system');
      refused('ENOMEM', /cma' \(id 4\).*; heap 'carveout' \(id 2\)/, () =>
        client.alloc({ ...big, heaps: 0b10100 }),
      );
    }),
);

ours('without a pool its heaps are ENODEV, and a fall-back still serves', () =>
  withIon(
    {},
    (client) => {
      refused('ENODEV', /boot with `pool/, () => client.alloc({ size: 1, for: [{ pool: true }] }));
      assert.not(client.alloc({ size: 1, heaps: ['carveout', 'system'] }).record.inPool);
      assert.is(client.stats().length, 2);
    },
    { pool: 0 },
  ),
);

ours('protected memory is not mapped, and only devices that its heap names attach', () =>
  withIon(HEAPS, (client, machine) => {
    using buffer = client.alloc({ size: PAGE, heaps: 'protected' });
    refused('EPERM', /protected/, () => buffer.mmap());
    refused('EPERM', /main may not attach.*may: ion/, () => buffer.attach(machine.self));
    buffer.attach(machine.device('/dev/ion').actor).detach();
  }),
);

ours('chunk memory is a scatter list: devices map it, the CPU and jobs do not', () => {
  const heaps = [{ type: 'chunk', size: MIB, chunk: 16 * PAGE }];
  return withIon({ heaps }, (client, machine) => {
    const [first, second, third] = Array.from({ length: 3 }, () =>
      client.alloc({ size: 16 * PAGE, heaps: 'chunk' }),
    );
    second?.close();
    using buffer = client.alloc({ size: 40 * PAGE + 1, heaps: 'chunk' });
    const actor = machine.device('/dev/ion').actor;
    using attachment = buffer.attach(actor);
    const { sg } = attachment.map();
    assert.equal(
      sg.map(({ length }) => length),
      [16 * PAGE, 16 * PAGE, 8 * PAGE + 1],
    );
    const places = [first, third].map((other) => other?.attach(actor).map().sg[0]?.offset);
    const offsets = sg.map(({ offset }) => offset);
    assert.ok(offsets.every((offset) => offset % (16 * PAGE) === 0 && !places.includes(offset)));
    attachment.unmap();
    refused('ENODEV', /mmap|mapping/, () => buffer.mmap());
    refused('EINVAL', /scatter list/, () => machine.driver('ion').vmap(buffer));
    const context = machine.createContext(actor);
    refused('ENOMEM', /no memory/, () => context.submit({ buffers: [shared(buffer)] }));
    context.close();
    const reach = [{ contiguous: true }];
    refused('ENODEV', /reach/, () => client.alloc({ size: PAGE, heaps: 'chunk', for: reach }));
    refused('EINVAL', /aligns to its chunks/, () =>
      client.alloc({ size: PAGE, heaps: 'chunk', align: 32 * PAGE }),
    );
    refused('ENOMEM', /in chunks of 64 KiB/, () => client.alloc({ size: MIB, heaps: 'chunk' }));
  });
});

ours('the heap thread zeroes what was freed, and allocations then find clean memory', () =>
  withIon({}, async (client) => {
    const buffer = client.alloc({ size: 20 * MIB, heaps: 'carveout' });
    fill(buffer, 0xffffffff);
    buffer.close();
    while (heapNamed(client, 'carveout').deferred > 0) await setImmediate();
    assert.is(heapNamed(client, 'carveout').zeroedInBackground, 20 * MIB);
    assert.ok(isAll(client.alloc({ size: 32 * MIB, heaps: 'carveout' }), 0));
    assert.is(heapNamed(client, 'carveout').zeroedInAlloc, 0);
  }),
);

ours('a heap that does not defer leaves its dirty memory to the next owner to zero', () =>
  withIon({ heaps: [{ type: 'carveout', defer: false }] }, (client) => {
    const buffer = client.alloc({ size: 32 * MIB, heaps: 'carveout' });
    fill(buffer, 0xffffffff);
    buffer.close();
    assert.is(heapNamed(client, 'carveout').deferred, 32 * MIB);
    using again = client.alloc({ size: 32 * MIB, heaps: 'carveout' });
    assert.ok(isAll(again, 0));
    assert.is(heapNamed(client, 'carveout').zeroedInAlloc, 32 * MIB);
    again.close();
    client.drain();
    assert.is(heapNamed(client, 'carveout').deferred, 0);
  }),
);

ours('a quota is kept per client', () =>
  withIon({ quota: 3 * MIB }, (client, machine) => {
    const first = client.alloc({ size: 2 * MIB });
    refused('ENOMEM', /quota of 3145728 bytes/, () => client.alloc({ size: 2 * MIB }));
    using rich = IonClient.open(machine, { quota: Infinity });
    rich.alloc({ size: 8 * MIB });
    first.close();
    client.alloc({ size: 2 * MIB });
    assert.is(client.allocated, 2 * MIB);
  }),
);

ours('a system heap with a size is ENOMEM when that is used up', () =>
  withIon({ heaps: [{ type: 'system', size: 2 * MIB }] }, (client) => {
    const first = client.alloc({ size: MIB + 1 });
    refused('ENOMEM', /1020 KiB of its 2 MiB are free/, () => client.alloc({ size: MIB }));
    first.close();
    client.alloc({ size: 2 * MIB });
  }),
);

ours('fragmentation is shown, and gone when the holes join', () =>
  withIon({}, (client) => {
    const parts = Array.from({ length: 8 }, () =>
      client.alloc({ size: 4 * MIB, heaps: 'carveout' }),
    );
    parts.forEach((part, i) => i % 2 === 0 && part.close());
    const { free, largest, holes, fragmentation } = heapNamed(client, 'carveout');
    assert.equal([free, largest, holes, fragmentation], [16 * MIB, 4 * MIB, 4, 0.75]);
    refused('ENOMEM', /in 4 pieces, the largest 4 MiB/, () =>
      client.alloc({ size: 5 * MIB, heaps: 'carveout' }),
    );
    for (const part of parts) part[Symbol.dispose]();
    assert.is(heapNamed(client, 'carveout').fragmentation, 0);
  }),
);

ours('a full fd table, buffer table or record table leaves no residue in the heap', async () => {
  const cases = [
    { code: 'EMFILE', options: {}, tables: { fds: 4 }, text: /tables.fds/ },
    { code: 'ENFILE', options: {}, tables: { buffers: 4 }, text: /tables.buffers/ },
    { code: 'ENOSPC', options: { buffers: 4 }, tables: {}, text: /buffers/ },
  ] as const;
  for (const { code, options, tables, text } of cases) {
    await withIon(
      options,
      (client) => {
        const held = Array.from({ length: 4 }, () =>
          client.alloc({ size: MIB, heaps: 'carveout' }),
        );
        for (let i = 0; i < 10; i++) {
          refused(code, text, () => client.alloc({ size: MIB, heaps: 'carveout' }));
        }
        assert.is(heapNamed(client, 'carveout').allocated, 4 * MIB);
        for (const buffer of held) buffer.close();
        const { allocated, buffers, holes, free } = heapNamed(client, 'carveout');
        assert.equal([allocated, buffers, holes, free], [0, 0, 1, 32 * MIB]);
      },
      { tables },
    );
  }
});

ours('all clients open is EMFILE', () =>
  withIon({ clients: 2 }, (_, machine) => {
    using second = IonClient.open(machine);
    refused('EMFILE', /`clients`/, () => IonClient.open(machine));
    second.close();
    IonClient.open(machine).close();
  }),
);

ours('a heap type of the user is served by the driver module that knows it', () => {
  const module = new URL('./custom-driver.test-support.js', import.meta.url).href;
  const heaps = [{ type: 'system' }, { type: 'tiles', id: 20, size: MIB, inPool: true }];
  return withIon({ module, heaps }, (client) => {
    using buffer = client.alloc({ size: 1, heaps: 1 << 20 });
    assert.is(buffer.record.offset % 65536, 0);
    assert.is(heapNamed(client, 'tiles').allocated, 65536);
    assert.is(client.custom('tiles', 1, 65537), 2);
    refused('ENOTTY', /call 2/, () => client.custom('tiles', 2));
  });
});

ours('a pool larger than the page maps gets larger pages', () =>
  withIon({ pages: 1024 }, (client) => {
    using one = client.alloc({ size: 1, heaps: 'carveout' });
    assert.is(one.size, 1);
    assert.is(heapNamed(client, 'carveout').allocated, 32 * 1024);
    assert.is(heapNamed(client, 'carveout').total, 32 * MIB);
  }),
);

ours('heaps that want more than the pool has do not boot', async () => {
  const drivers = [ion({ heaps: [{ type: 'carveout', size: 2 * MIB }] })];
  try {
    await boot({ drivers, pool: MIB });
  } catch (error) {
    assert.match(String(error), /the heaps want 2 MiB of a pool of 1 MiB/);
    return;
  }
  throw new Error('it booted');
});

ours.run();
