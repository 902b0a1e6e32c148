/**
 * What this package adds: choice of heaps, protected and chunk memory, the heap thread, quotas, residue.
 */
import { setImmediate } from 'node:timers/promises';
import { boot, type DmaBuf } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ion, IonClient } from './index.js';
import {
  fill,
  heapNamed,
  HEAPS,
  isAll,
  MIB,
  PAGE,
  refused,
  withIon,
} from './machine.test-support.js';

test('for: chooses the system heap unless an importer reaches the pool only', () =>
  withIon(HEAPS, (client, machine) => {
    assert.not(client.alloc({ size: PAGE }).record.inPool);
    assert.not(client.alloc({ size: PAGE, for: [{}, { align: MIB }] }).record.inPool);
    const pooled = client.alloc({ size: PAGE, for: [{ align: MIB }, { pool: true }] });
    assert.ok(pooled.record.inPool);
    assert.is(pooled.record.offset % MIB, 0);
    pooled.attach(machine.device('/dev/ion').actor, { pool: true, align: MIB }).detach();
    const none = /no heap 'system' that all of `for` can use: .*for\[0\] reaches the pool only/;
    refused('ENODEV', none, () =>
      client.alloc({ size: 1, heaps: 'system', for: [{ pool: true }] }),
    );
  }));

test('a mask is walked from the highest id, names in their order, each falling back to the next', () =>
  withIon(HEAPS, (client) => {
    const heapOf = (buffer: DmaBuf): string => client.heapOf(buffer);
    assert.is(heapOf(client.alloc({ size: PAGE, heaps: 0b10111 })), 'cma');
    assert.is(heapOf(client.alloc({ size: PAGE, heaps: ['carveout', 'cma'] })), 'carveout');
    const big = { size: 10 * MIB };
    assert.is(heapOf(client.alloc({ ...big, heaps: 0b10101 })), 'carveout');
    assert.is(heapOf(client.alloc({ ...big, heaps: 0b10101 })), 'system');
    refused('ENOMEM', /cma' \(id 4\).*; heap 'carveout' \(id 2\)/, () =>
      client.alloc({ ...big, heaps: 0b10100 }),
    );
  }));

test('without a pool its heaps are ENODEV, and a fall-back still serves', () =>
  withIon(
    {},
    (client) => {
      refused('ENODEV', /boot with `pool/, () => client.alloc({ size: 1, for: [{ pool: true }] }));
      assert.not(client.alloc({ size: 1, heaps: ['carveout', 'system'] }).record.inPool);
      assert.is(client.stats().length, 2);
    },
    { pool: 0 },
  ));

test('protected memory is not mapped, and only devices that its heap names attach', () =>
  withIon(HEAPS, (client, machine) => {
    using buffer = client.alloc({ size: PAGE, heaps: 'protected' });
    refused('EPERM', /protected/, () => buffer.mmap());
    refused('EPERM', /main does not declare.*is for ion/, () => buffer.attach(machine.self));
    buffer.attach(machine.device('/dev/ion').actor).detach();
  }));

test('chunk memory is a scatter list: devices map it, the CPU does not', () => {
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
    const reach = [{ contiguous: true }];
    refused('ENODEV', /for\[0\] needs memory in one piece/, () =>
      client.alloc({ size: PAGE, heaps: 'chunk', for: reach }),
    );
    refused('EINVAL', /aligns to its chunks/, () =>
      client.alloc({ size: PAGE, heaps: 'chunk', align: 32 * PAGE }),
    );
    refused('ENOMEM', /in chunks of 64 KiB/, () => client.alloc({ size: MIB, heaps: 'chunk' }));
  });
});

test('the heap thread zeroes what was freed, and allocations then find clean memory', () =>
  withIon({}, async (client) => {
    const buffer = client.alloc({ size: 20 * MIB, heaps: 'carveout' });
    fill(buffer, 0xffffffff);
    buffer.close();
    while (heapNamed(client, 'carveout').deferred > 0) await setImmediate();
    assert.is(heapNamed(client, 'carveout').zeroedInBackground, 20 * MIB);
    assert.ok(isAll(client.alloc({ size: 32 * MIB, heaps: 'carveout' }), 0));
    assert.is(heapNamed(client, 'carveout').zeroedInAlloc, 0);
  }));

test('a heap that does not defer leaves its dirty memory to the next owner to zero', () =>
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
  }));

test('a quota is kept per client', () =>
  withIon({ quota: 3 * MIB }, (client, machine) => {
    const first = client.alloc({ size: 2 * MIB });
    refused('ENOMEM', /quota of 3145728 bytes/, () => client.alloc({ size: 2 * MIB }));
    using rich = IonClient.open(machine, { quota: Infinity });
    rich.alloc({ size: 8 * MIB });
    first.close();
    client.alloc({ size: 2 * MIB });
    assert.is(client.allocated, 2 * MIB);
  }));

test('a system heap with a size is ENOMEM when that is used up', () =>
  withIon({ heaps: [{ type: 'system', size: 2 * MIB }] }, (client) => {
    const first = client.alloc({ size: MIB + 1 });
    refused('ENOMEM', /1020 KiB of its 2 MiB are free/, () => client.alloc({ size: MIB }));
    first.close();
    client.alloc({ size: 2 * MIB });
  }));

test('fragmentation is shown, and gone when the holes join', () =>
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
  }));

test('a full fd table, buffer table or record table leaves no residue in the heap', async () => {
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

test('all clients open is EMFILE', () =>
  withIon({ clients: 2 }, (_, machine) => {
    using second = IonClient.open(machine);
    refused('EMFILE', /`clients`/, () => IonClient.open(machine));
    second.close();
    IonClient.open(machine).close();
  }));

test('a heap type of the user is served by the driver module that knows it', () => {
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

test('a pool larger than the page maps gets larger pages', () =>
  withIon({ pages: 1024 }, (client) => {
    using one = client.alloc({ size: 1, heaps: 'carveout' });
    assert.is(one.size, 1);
    assert.is(heapNamed(client, 'carveout').allocated, 32 * 1024);
    assert.is(heapNamed(client, 'carveout').total, 32 * MIB);
  }));

test('heaps that want more than the pool has do not boot', async () => {
  const drivers = [ion({ heaps: [{ type: 'carveout', size: 2 * MIB }] })];
  try {
    await boot({ drivers, pool: MIB });
  } catch (error) {
    assert.match(String(error), /the heaps want 2 MiB of a pool of 1 MiB/);
    return;
  }
  throw new Error('it booted');
});

test.run();
