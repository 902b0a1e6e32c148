/**
 * Who is going to use a buffer: `for` chooses the heap that all of them can reach, and devices then do their jobs
 * on what they got, scatter lists and protected memory included.
 */
import { boot, exclusive, type Machine, shared } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ion, IonClient, type IonOptions } from './index.js';
import { MIB, PAGE, refused } from './machine.test-support.js';
import { type Seen, users } from './users.test-support.js';

const CHUNK = 16 * PAGE;
const HEAPS: IonOptions['heaps'] = [
  { type: 'system' },
  { type: 'carveout' },
  { type: 'chunk', size: 4 * MIB, chunk: CHUNK },
  { type: 'protected', size: MIB },
  { type: 'protected', name: 'named', id: 9, size: MIB, devices: ['plain', 'main'] },
];
const machine = await boot({ pool: 16 * MIB, drivers: [ion({ heaps: HEAPS }), users] });
const client = IonClient.open(machine);
test.after(() => machine.shutdown());

function chosen(options: Parameters<IonClient['alloc']>[0]): string {
  using buffer = client.alloc(options);
  return client.heapOf(buffer);
}

const contextOf = (path: string): ReturnType<Machine['createContext']> =>
  machine.createContext(machine.device(path).actor);

test('for: the first heap that all the named devices can reach is chosen, and aligned for all', () => {
  assert.is(chosen({ size: PAGE, for: ['/dev/plain', '/dev/lists'] }), 'system');
  assert.is(chosen({ size: PAGE, for: ['/dev/plain', '/dev/pooled'] }), 'carveout');
  assert.is(chosen({ size: PAGE, heaps: ['chunk', 'carveout'], for: ['/dev/lists'] }), 'chunk');
  assert.is(chosen({ size: PAGE, heaps: ['chunk', 'carveout'], for: ['/dev/plain'] }), 'carveout');
  assert.is(chosen({ size: PAGE, heaps: ['protected'], for: ['/dev/vault'] }), 'protected');
  assert.is(chosen({ size: PAGE, heaps: ['protected', 'named'], for: ['/dev/plain'] }), 'named');
  using filler = client.alloc({ size: PAGE, heaps: 'carveout' });
  using aligned = client.alloc({ size: PAGE, for: ['/dev/pooled', { align: PAGE }] });
  assert.is(aligned.record.offset % 65536, 0);
  assert.ok(filler.record.inPool);
});

test('for: what no heap can give all of them is ENODEV, and says who is in the way of which heap', () => {
  const mine = { name: 'my encoder', align: 1 << 20 };
  const text =
    /no heap 'system' or 'chunk' that all of `for` can use: heap 'system' \(id 0\): pooled reaches the pool only; heap 'chunk' \(id 3\): my encoder needs an alignment of 1 MiB, its pieces are of 64 KiB/;
  refused('ENODEV', text, () =>
    client.alloc({ size: 1, heaps: ['system', 'chunk'], for: ['/dev/pooled', mine] }),
  );
  refused('ENODEV', /named.*protected, which vault does not declare/, () =>
    client.alloc({ size: 1, heaps: 'named', for: ['/dev/vault'] }),
  );
  refused('ENODEV', /protected, which plain does not declare/, () =>
    client.alloc({ size: 1, heaps: 'protected', for: ['/dev/plain'] }),
  );
});

test('for: an unknown device is ENOENT, a malformed reach EINVAL', () => {
  refused('ENOENT', /no device '\/dev\/nix'.*\/dev\/vault/, () =>
    client.alloc({ size: 1, for: ['/dev/nix'] }),
  );
  refused('EINVAL', /for\[0\].align of 3/, () => client.alloc({ size: 1, for: [{ align: 3 }] }));
});

test('a job on chunk memory gets its pieces, and the next one finds there what it wrote', () => {
  const context = contextOf('/dev/lists');
  using first = client.alloc({ size: CHUNK, heaps: 'chunk' });
  using gap = client.alloc({ size: CHUNK, heaps: 'chunk' });
  gap.close();
  using buffer = client.alloc({ size: 2 * CHUNK + 100, heaps: 'chunk' });
  const seen = (): Seen => machine.ioctl(context.target, 'seen') as Seen;
  const write = context.submit({ buffers: [exclusive(buffer)] });
  context.submit({ buffers: [exclusive(first)] });
  context.submit({ buffers: [shared(buffer)] }).wait(10_000);
  assert.is(write.status, 1);
  const { lengths, ends } = seen();
  assert.equal({ lengths, ends }, { lengths: [CHUNK, CHUNK, 100], ends: [1, 1, 2, 2, 3, 3] });
  refused('EINVAL', /plain needs memory in one piece, buffer \d+ is in 3/, () =>
    contextOf('/dev/plain').submit({ buffers: [shared(buffer)] }),
  );
  context.close();
});

test('protected memory takes jobs of the devices that declare it, or that its heap names', () => {
  using secret = client.alloc({ size: PAGE, heaps: 'protected' });
  using named = client.alloc({ size: PAGE, heaps: 'named' });
  const vault = contextOf('/dev/vault');
  const plain = contextOf('/dev/plain');
  assert.is(vault.submit({ buffers: [exclusive(secret)] }).wait(10_000), 1);
  assert.equal((machine.ioctl(vault.target, 'seen') as Seen).ends, [1, 1]);
  assert.is(plain.submit({ buffers: [exclusive(named)] }).wait(10_000), 1);
  refused('EPERM', /is protected, and plain does not.*'protected' \(id 8\) is for devices/, () =>
    plain.submit({ buffers: [exclusive(secret)] }),
  );
  refused('EPERM', /and vault does not.*'named' \(id 9\) is for plain, main/, () =>
    vault.submit({ buffers: [exclusive(named)] }),
  );
  refused('EPERM', /and main does not/, () =>
    machine.createContext(machine.self).submit({ buffers: [exclusive(secret)] }),
  );
});

test('a process of a name that a heap permits is no device, and gets nothing', () => {
  using named = client.alloc({ size: PAGE, heaps: 'named' });
  assert.is(machine.name, 'main');
  refused('EPERM', /and main does not/, () => named.attach(machine.self));
});

test.run();
