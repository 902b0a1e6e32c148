// Full tables of fds and buffers, and memory gone: a clear error, nothing lost, and service when room returns.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError, type ErrnoCode } from '../errno.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';
import type { DmaBuf } from './dmabuf.js';
import { TestExporter } from './exporter.test-helper.js';

/** Takes until it is refused, twice; checks the errno, the option that the text names, and that nothing is left. */
function exhaust<T>(fake: FakeMachine, code: ErrnoCode, names: RegExp, take: () => T): T[] {
  const taken: T[] = [];
  for (;;) {
    const before = fake.dump();
    try {
      taken.push(take());
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      assert.is(error.code, code, error.message);
      assert.match(error.message, names);
      assert.is(fake.dump(), before, 'a refused call leaves no residue');
      assert.is(codeOf(take), code, 'and goes on being refused');
      return taken;
    }
    assert.ok(taken.length < 1000, 'it never fills');
  }
}

const closeAll = (all: readonly { close(): void }[]): void => {
  for (const one of all) one.close();
};

test('fds: EMFILE, by alloc and by dup; what is open goes on working', () => {
  const fake = new FakeMachine({ tables: { fds: 8 } });
  const { machine } = fake.actor(0);
  const all = exhaust(fake, 'EMFILE', /tables\.fds/, () => machine.alloc(4096));
  assert.is(all.length, 8);
  assert.is(
    codeOf(() => all[0]?.dup()),
    'EMFILE',
  );
  all[0]?.access({ write: true }).finish();
  all.pop()?.close();
  all.push(machine.alloc(4096));
  closeAll(all);
  assert.is(machine.bufinfo().buffers.length, 0);
});

test('fds of a receiver: what was sent waits until there is one', () => {
  const fake = new FakeMachine({ tables: { fds: 4 } });
  const [{ machine: from }, { machine: to, id }] = [fake.actor(0), fake.actor(1)];
  const full = exhaust(fake, 'EMFILE', /tables\.fds/, () => to.alloc(4096));
  const sent = from.alloc(4096, { name: 'sent' });
  from.passFd(id, sent.fd, 'kept');
  sent.close();
  assert.is(
    codeOf(() => to.receiveFd(0)),
    'EMFILE',
  );
  assert.is(
    codeOf(() => to.receiveFd(0)),
    'EMFILE',
  );
  full.pop()?.close();
  const { fd, tag } = to.receiveFd(0);
  assert.equal([to.dmabuf(fd).name, tag], ['sent', 'kept']);
});

test('buffers: ENFILE', () => {
  const fake = new FakeMachine({ tables: { buffers: 6, fds: 32 } });
  const { machine } = fake.actor(0);
  const all = exhaust(fake, 'ENFILE', /tables\.buffers/, () => machine.alloc(4096));
  all.pop()?.close();
  all.push(machine.alloc(4096));
  closeAll(all);
  assert.is(machine.bufinfo().buffers.length, 0);
});

test('queues: ENFILE', () => {
  const fake = new FakeMachine({ tables: { queues: 5 } });
  const { machine } = fake.actor(0);
  const all = exhaust(fake, 'ENFILE', /tables\.queues/, () =>
    machine.alloc(4096, { deferred: true }),
  );
  all.pop()?.close();
  all.push(machine.alloc(4096, { deferred: true }));
  closeAll(all);
});

test('regions: ENOSPC, at alloc or at the first use of a deferred buffer', () => {
  const fake = new FakeMachine({ tables: { regions: 5 } });
  const { machine } = fake.actor(0);
  const late = machine.alloc(4096, { deferred: true });
  const all = exhaust(fake, 'ENOSPC', /tables\.regions/, () => machine.alloc(4096));
  assert.is(
    codeOf(() => late.mmap()),
    'ENOSPC',
  );
  assert.is(late.mappings, 0);
  all.pop()?.close();
  late.access({ write: true }).finish();
});

test('holders: ENFILE, of mappings, attachments, vmaps and brackets', () => {
  const fake = new FakeMachine({ tables: { holders: 6 } });
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const all = exhaust(fake, 'ENFILE', /tables\.holders/, () => buffer.mmap());
  assert.is(
    codeOf(() => buffer.attach(1)),
    'ENFILE',
  );
  assert.is(
    codeOf(() => buffer.access({ read: true })),
    'ENFILE',
  );
  assert.is(buffer.mappings, all.length);
  all.pop()?.close();
  buffer.access({ read: true }).finish();
  buffer.attach(1).detach();
  closeAll(all);
  assert.is(buffer.mappings, 0);
});

test('host memory: ENOMEM, and smaller ones are had as before', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const before = fake.dump();
  assert.is(
    codeOf(() => machine.alloc(2 ** 52)),
    'ENOMEM',
  );
  assert.is(fake.dump(), before);
  const late: DmaBuf = machine.alloc(2 ** 52, { deferred: true });
  assert.is(
    codeOf(() => late.mmap()),
    'ENOMEM',
  );
  assert.is(
    codeOf(() => late.access({ write: true })),
    'ENOMEM',
  );
  assert.is(late.mappings, 0);
  late.close();
  machine.alloc(4096).access({ write: true }).finish();
});

test.run();
