// dma-bufs, fds, mappings and access brackets, in one thread (design D3 to D5, D9).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError, errno } from '../errno.js';
import { BUFFER_FLAG, REGION } from '../memory/layout.js';
import { discard, exclusive, shared } from '../sync/context.js';
import { checkQueues } from '../testing/check-queues.js';
import { type FakeActor, FakeMachine } from '../testing/fake-machine.js';
import { DmaBuf } from './dmabuf.js';
import { contiguousOps, type DmaBufOps } from './ops.js';

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof DmaBufError) return error.code;
    throw error;
  }
  return 'no error';
}

/** What must be zero when nothing is in use. */
function counters(fake: FakeMachine): unknown {
  const { kernel } = fake.actor(0).services;
  const live = (table: 'buffers' | 'queues' | 'regions'): number =>
    [...kernel[table].live()].length;
  const { buffers, bytes, jobs } = fake.actor(0).machine.stats();
  return [buffers, bytes, jobs, live('buffers'), live('queues'), live('regions')];
}
const NONE = [0, 0, 0, 0, 0, 0];

/** A buffer of an exporter with ops of the test's own. */
function exported(
  actor: FakeActor,
  ops: Partial<DmaBufOps> & Pick<DmaBufOps, 'release'>,
  flags: number = BUFFER_FLAG.NEEDS_SYNC,
): DmaBuf {
  const { regions, buffers, ops: table } = actor.services;
  table[1] = { ...contiguousOps, ...ops };
  const region = regions.make(4096);
  const info = { region, offset: 0, size: 4096, exporter: 1, flags, name: 'own', priv: [11, 12] };
  return DmaBuf.fromExport(actor.services, buffers.export(info));
}

test('fds are the lowest free numbers', () => {
  const { machine } = new FakeMachine().actor(0);
  const a = machine.alloc(1);
  const b = machine.alloc(1);
  const c = a.dup();
  assert.equal([a.fd, b.fd, c.fd], [0, 1, 2]);
  b.close();
  a.close();
  assert.is(machine.alloc(1).fd, 0);
  assert.is(machine.alloc(1).fd, 1);
  assert.is(machine.alloc(1).fd, 3);
});

test('a buffer has the size that was asked for, in memory of whole pages, zeroed', () => {
  const fake = new FakeMachine();
  const buffer = fake.actor(0).machine.alloc(5000, { name: 'five' });
  assert.is(buffer.size, 5000);
  assert.is(buffer.name, 'five');
  assert.is(fake.words.getDouble(buffer.record.region + REGION.BYTES), 8192);
  using bracket = buffer.access({ read: true });
  assert.is(bracket.bytes.byteLength, 5000);
  assert.ok(bracket.bytes.every((byte) => byte === 0));
});

test('bad sizes are EINVAL, other types TypeErrors, and leave no residue', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const dump = fake.dump();
  for (const bytes of [0, -1, 1.5, NaN, Infinity, 2 ** 53]) {
    assert.is(
      codeOf(() => machine.alloc(bytes)),
      'EINVAL',
      String(bytes),
    );
  }
  const text: unknown = '4096';
  assert.throws(
    () => machine.alloc(text as number),
    (e: unknown) => e instanceof TypeError,
  );
  assert.is(fake.dump(), dump);
  assert.equal(counters(fake), NONE);
});

test('a size beyond what the host has is ENOMEM and leaves no residue', () => {
  const fake = new FakeMachine();
  const dump = fake.dump();
  assert.is(
    codeOf(() => fake.actor(0).machine.alloc(2 ** 52)),
    'ENOMEM',
  );
  assert.is(fake.dump(), dump);
});

test('closed, foreign and impossible fds are EBADF; what is no integer is a TypeError', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(1);
  buffer.close();
  assert.is(
    codeOf(() => buffer.close()),
    'EBADF',
  );
  assert.is(
    codeOf(() => buffer.dup()),
    'EBADF',
  );
  assert.is(
    codeOf(() => buffer.mmap()),
    'EBADF',
  );
  assert.is(
    codeOf(() => buffer.attach(1)),
    'EBADF',
  );
  buffer[Symbol.dispose]();
  for (const fd of [0, 1, -1, 32, 1e9])
    assert.is(
      codeOf(() => machine.dmabuf(fd)),
      'EBADF',
    );
  const open = machine.alloc(1);
  assert.is(
    codeOf(() => fake.actor(1).machine.dmabuf(open.fd)),
    'EBADF',
    'fds are per process',
  );
  for (const fd of [NaN, 0.5]) {
    assert.throws(
      () => machine.dmabuf(fd),
      (e: unknown) => e instanceof TypeError,
    );
  }
});

test('a second handle of an fd does not outlive its close', () => {
  const { machine } = new FakeMachine().actor(0);
  const first = machine.alloc(1);
  const second = machine.dmabuf(first.fd);
  first.close();
  const other = machine.alloc(8192);
  assert.is(other.fd, first.fd);
  assert.is(
    codeOf(() => second.mmap()),
    'EBADF',
  );
  assert.is(
    codeOf(() => second.close()),
    'EBADF',
  );
  assert.is(other.dup().size, 8192);
});

test('a full fd table is EMFILE, names the option, and leaks nothing', () => {
  const fake = new FakeMachine({ tables: { fds: 3 } });
  const { machine } = fake.actor(0);
  const fds = [machine.alloc(1), machine.alloc(1), machine.alloc(1)];
  const dump = fake.dump();
  assert.throws(() => machine.alloc(1), /EMFILE.*tables\.fds/);
  assert.is(
    codeOf(() => fds[0]?.dup()),
    'EMFILE',
  );
  assert.is(fake.dump(), dump);
  for (const fd of fds) fd.close();
  assert.equal(counters(fake), NONE);
});

test('a full buffer, queue or region table is an error that names the option, and leaks nothing', () => {
  for (const [table, code] of [
    ['buffers', 'ENFILE'],
    ['queues', 'ENFILE'],
    ['regions', 'ENOSPC'],
  ] as const) {
    const fake = new FakeMachine({ tables: { [table]: 2 } });
    const { machine } = fake.actor(0);
    const held = [machine.alloc(1), machine.alloc(1)];
    const dump = fake.dump();
    for (let i = 0; i < 5; i++) {
      assert.throws(() => machine.alloc(1), new RegExp(`${code}.*tables\\.${table}`));
    }
    assert.is(fake.dump(), dump, table);
    for (const buffer of held) buffer.close();
    assert.equal(counters(fake), NONE, table);
    machine.alloc(1);
  }
});

test('closing the last fd frees the buffer at once: counters, queue and region', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const copy = buffer.dup();
  buffer.close();
  assert.equal(counters(fake), [1, 4096, 0, 1, 1, 1]);
  copy.close();
  assert.equal(counters(fake), NONE);
  fake.pump();
  assert.equal(
    fake.posted.map((m) => m.type),
    ['region', 'dropped'],
  );
});

test('a mapping keeps the buffer alive until it is closed', () => {
  const fake = new FakeMachine();
  const buffer = fake.actor(0).machine.alloc(4096);
  const mapping = buffer.mmap();
  assert.is(buffer.mappings, 1);
  buffer.close();
  assert.is(fake.actor(0).machine.stats().buffers, 1);
  mapping.close();
  mapping.close();
  assert.equal(counters(fake), NONE);
});

test('an attachment keeps the buffer alive until it is detached', () => {
  const fake = new FakeMachine();
  const buffer = fake.actor(0).machine.alloc(4096);
  const attachment = buffer.attach(2);
  buffer.close();
  assert.is(fake.actor(0).machine.stats().buffers, 1);
  attachment.detach();
  attachment.detach();
  assert.equal(counters(fake), NONE);
});

test('queued jobs keep a closed buffer until the last of them is released', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const context = machine.createContext(2);
  const a = machine.alloc(4096);
  const b = machine.alloc(4096);
  const fences = [
    context.submit({ buffers: [discard(a)] }),
    context.submit({ buffers: [shared(a), shared(b)] }),
    context.submit({ buffers: [shared(a)] }),
  ];
  a.close();
  b.close();
  assert.is(machine.stats().buffers, 2);
  let ran = 0;
  const server = fake.server(1, {
    run: (job) => {
      ran += job.buffer(0).bytes.byteLength;
    },
  });
  server.run();
  assert.is(ran, 3 * 4096);
  assert.equal(
    fences.map((f) => f.status),
    [1, 1, 1],
  );
  assert.equal(counters(fake), NONE);
});

test('a job that is cancelled frees the closed buffers that it waited for', () => {
  const fake = new FakeMachine();
  const { machine, services } = fake.actor(0);
  const context = machine.createContext(2);
  const buffer = machine.alloc(4096);
  const first = context.submit({ buffers: [exclusive(buffer)] });
  const second = context.submit({ buffers: [exclusive(buffer)] });
  buffer.close();
  assert.ok(services.jobs.cancel(second.slot, -errno.ECANCELED));
  fake.server(1, { run: () => {} }).run();
  assert.equal([first.status, second.status], [1, -errno.ECANCELED]);
  assert.equal(counters(fake), NONE);
});

test('the exporter gets its release when the last holder goes, and only then', () => {
  const fake = new FakeMachine();
  const released: number[] = [];
  const release = (record: { priv(i: number): number }): void =>
    void released.push(record.priv(0), record.priv(1));
  const buffer = exported(fake.actor(0), { release });
  const copy = buffer.dup();
  buffer.close();
  assert.equal(released, []);
  copy.close();
  assert.equal(released, [11, 12]);
  assert.equal(counters(fake), NONE);
});

test('an exporter without mmap is ENODEV, protected memory EPERM, and neither leaks', () => {
  const fake = new FakeMachine();
  const release = (): void => {};
  const plain = exported(fake.actor(0), { release });
  assert.is(
    codeOf(() => plain.mmap()),
    'ENODEV',
  );
  plain.close();
  const secure = exported(fake.actor(0), { release, mmap() {} }, BUFFER_FLAG.PROTECTED);
  assert.is(
    codeOf(() => secure.access({ read: true })),
    'EPERM',
  );
  secure.close();
  const unwilling = exported(fake.actor(0), {
    release,
    mmap() {
      throw new DmaBufError('EACCES', 'mmap', 'not today');
    },
  });
  assert.is(
    codeOf(() => unwilling.mmap()),
    'EACCES',
  );
  unwilling.close();
  assert.equal(counters(fake), NONE);
});

test('a mapping outside of the buffer is EINVAL', () => {
  const { machine } = new FakeMachine().actor(0);
  const buffer = machine.alloc(4096);
  for (const range of [
    { offset: 4096 },
    { offset: -1 },
    { offset: 0, length: 4097 },
    { offset: 4000, length: 97 },
    { length: 0 },
    { length: -4 },
    { offset: 0.5, length: 1 },
    { offset: NaN },
  ]) {
    assert.is(
      codeOf(() => buffer.mmap(range)),
      'EINVAL',
      JSON.stringify(range),
    );
  }
  assert.is(buffer.mappings, 0);
  using mapping = buffer.mmap({ offset: 4000, length: 96 });
  assert.is(mapping.length, 96);
});

test('an exporter that refuses prepareAccess leaves no claim behind', () => {
  const fake = new FakeMachine();
  const buffer = exported(fake.actor(0), {
    release() {},
    mmap() {},
    prepareAccess() {
      throw new DmaBufError('EIO', 'prepare_access', 'cache controller on fire');
    },
  });
  const dump = fake.dump();
  assert.is(
    codeOf(() => buffer.access({ write: true })),
    'EIO',
  );
  assert.is(fake.actor(0).machine.stats().jobs, 0);
  assert.is(buffer.mappings, 0);
  assert.is(withoutCpuContext(fake.dump()), withoutCpuContext(dump));
  const mapping = buffer.mmap();
  const mapped = fake.dump();
  assert.is(
    codeOf(() => mapping.prepareAccess({ read: true })),
    'EIO',
  );
  assert.is(withoutCpuContext(fake.dump()), withoutCpuContext(mapped));
  mapping.close();
});

/** The context of CPU access is made once, at the first bracket, and stays. */
function withoutCpuContext(dump: string): string {
  return dump.replaceAll(/^contexts .*\n/gm, '');
}

test('an exporter that fails in finishAccess does not keep the claim', () => {
  const fake = new FakeMachine();
  const buffer = exported(fake.actor(0), {
    release() {},
    mmap() {},
    prepareAccess() {},
    finishAccess() {
      throw new DmaBufError('EIO', 'finish_access', 'flush failed');
    },
  });
  const bracket = buffer.access({ write: true });
  assert.is(
    codeOf(() => bracket.finish()),
    'EIO',
  );
  assert.is(fake.actor(0).machine.stats().jobs, 0);
  assert.is(buffer.mappings, 0);
  buffer.close();
  assert.equal(counters(fake), NONE);
});

test('an attach that is refused leaves the buffer as it was', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const dump = fake.dump();
  assert.is(
    codeOf(() => buffer.attach(2, { pool: true })),
    'EINVAL',
  );
  assert.is(
    codeOf(() => buffer.attach(7)),
    'ESRCH',
  );
  assert.is(
    codeOf(() => buffer.attach(999)),
    'ESRCH',
  );
  assert.is(fake.dump(), dump);
  const busy = exported(fake.actor(0), {
    release() {},
    attach() {
      throw new DmaBufError('EBUSY', 'attach', 'pinned elsewhere');
    },
  });
  assert.is(
    codeOf(() => busy.attach(2)),
    'EBUSY',
  );
  busy.close();
  buffer.close();
  assert.equal(counters(fake), NONE);
});

test('attach and detach are told to the exporter with the importer', () => {
  const fake = new FakeMachine();
  const told: string[] = [];
  const buffer = exported(fake.actor(0), {
    release() {},
    attach: (_record, importer) => void told.push(`attach ${importer.actor} ${importer.name}`),
    detach: (_record, importer) => void told.push(`detach ${importer.actor}`),
  });
  using _attachment = buffer.attach(2, { align: 4096 });
  assert.equal(told, ['attach 2 actor2']);
});

test('attaching hands the region to the importer: its first look needs no broker', () => {
  const fake = new FakeMachine();
  const buffer = fake.actor(0).machine.alloc(4096);
  const { region } = buffer.record;
  buffer.attach(2);
  const posted = fake.posted.length;
  fake.actor(1).services.regions.view(region, 0, 4096)[5] = 55;
  fake.pump();
  assert.is(fake.posted.length, posted);
  using bracket = buffer.access({ read: true });
  assert.is(bracket.bytes[5], 55);
});

test('an import blocks for the broker once, then it is a look-up', () => {
  const fake = new FakeMachine();
  const buffer = fake.actor(0).machine.alloc(4096);
  const { regions } = fake.actor(1).services;
  regions.view(buffer.record.region, 0, 1);
  regions.view(buffer.record.region, 0, 1);
  assert.is(fake.posted.filter((m) => m.type === 'import').length, 1);
});

test('a region slot that is used again is imported again', () => {
  const fake = new FakeMachine({ tables: { regions: 1 } });
  const { machine } = fake.actor(0);
  const { regions } = fake.actor(1).services;
  const first = machine.alloc(4096);
  const { region } = first.record;
  regions.view(region, 0, 4096)[0] = 1;
  first.close();
  const second = machine.alloc(4096);
  assert.is(second.record.region, region);
  assert.is(regions.view(region, 0, 4096)[0], 0);
});

test('a bracket waits for the queue: readers for writers, writers for all', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const server = fake.server(1, { run: (job) => void job.buffer(0).words.fill(9) });
  machine.createContext(2).submit({ buffers: [exclusive(buffer)] });
  assert.is(
    codeOf(() => buffer.access({ read: true, timeout: 0 })),
    'ETIME',
  );
  fake.whileAsleep = () => server.run();
  using bracket = buffer.access({ read: true });
  assert.is(bracket.words[0], 9);
});

test('a timeout leaves nothing queued', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const { queue } = buffer.record;
  machine.createContext(2).submit({ buffers: [shared(buffer)] });
  const dump = fake.dump();
  assert.is(
    codeOf(() => buffer.access({ write: true, timeout: 250 })),
    'ETIME',
  );
  assert.is(machine.now(), 250);
  assert.is(
    codeOf(() => buffer.access({ write: true, timeout: 0 })),
    'ETIME',
  );
  assert.is(withoutCpuContext(fake.dump()), withoutCpuContext(dump));
  assert.ok(queue > 0);
  assert.equal(checkQueues(fake.actor(0).services.kernel), []);
  buffer.access({ read: true, timeout: 0 }).finish();
});

test('jobs wait for a bracket, and go on when it is finished', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const bracket = buffer.access({ write: true });
  bracket.words[0] = 5;
  const fence = machine.createContext(2).submit({ buffers: [shared(buffer)] });
  const seen: (number | undefined)[] = [];
  const server = fake.server(1, { run: (job) => void seen.push(job.buffer(0).words[0]) });
  server.run();
  assert.equal(seen, []);
  bracket.finish();
  server.run();
  assert.equal(seen, [5]);
  assert.is(fence.status, 1);
});

test('readers share brackets', () => {
  const { machine } = new FakeMachine().actor(0);
  const buffer = machine.alloc(4096);
  using _one = buffer.access({ read: true, timeout: 0 });
  using _two = buffer.access({ read: true, timeout: 0 });
  assert.is(
    codeOf(() => buffer.access({ write: true, timeout: 0 })),
    'ETIME',
  );
});

test('sync: false claims nothing', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  machine.createContext(2).submit({ buffers: [exclusive(buffer)] });
  using bracket = buffer.access({ write: true, sync: false, timeout: 0 });
  bracket.words[1] = 1;
});

test('cache: false maintains nothing; otherwise the exporter is told range and direction', () => {
  const fake = new FakeMachine();
  const told: string[] = [];
  const buffer = exported(fake.actor(0), {
    release() {},
    mmap() {},
    prepareAccess: (_r, use) =>
      void told.push(`prepare ${use.read} ${use.write} ${use.offset} ${use.length}`),
    finishAccess: (_r, use) => void told.push(`finish ${use.read} ${use.write}`),
  });
  buffer.access({ read: true, cache: false }).finish();
  assert.equal(told, []);
  const mapping = buffer.mmap({ offset: 64, length: 128 });
  mapping.prepareAccess({ read: true }).finish();
  const bracket = mapping.prepareAccess({ write: true, discard: true });
  assert.is(bracket.bytes.byteLength, 128);
  bracket.finish();
  assert.equal(told, [
    'prepare true false 64 128',
    'finish true false',
    'prepare false true 64 128',
    'finish false true',
  ]);
});

test('unbalanced brackets are errors', () => {
  const { machine } = new FakeMachine().actor(0);
  const buffer = machine.alloc(4096);
  const mapping = buffer.mmap();
  assert.is(
    codeOf(() => mapping.prepareAccess({})),
    'EINVAL',
  );
  const bracket = mapping.prepareAccess({ read: true });
  assert.is(
    codeOf(() => mapping.close()),
    'EBUSY',
  );
  bracket.finish();
  assert.is(
    codeOf(() => bracket.finish()),
    'EINVAL',
  );
  assert.is(
    codeOf(() => bracket.bytes),
    'EINVAL',
  );
  bracket[Symbol.dispose]();
  mapping.close();
  assert.is(
    codeOf(() => mapping.prepareAccess({ read: true })),
    'EINVAL',
  );
});

test('a bracket that reads poisoned content gets its errno; one that overwrites it clears it', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  machine.createContext(2).submit({ buffers: [exclusive(buffer)] });
  const server = fake.server(1, {
    run: () => {
      throw new DmaBufError('EIO', 'test', '');
    },
  });
  server.run();
  assert.is(
    codeOf(() => buffer.access({ read: true })),
    'EIO',
  );
  assert.is(
    codeOf(() => buffer.access({ write: true })),
    'EIO',
    'a write of a part reads the rest',
  );
  assert.is(machine.stats().jobs, 0);
  buffer.access({ write: true, discard: true }).finish();
  buffer.access({ read: true }).finish();
});

test('names are at most 31 bytes; longer ones are EINVAL and change nothing', () => {
  const { machine } = new FakeMachine().actor(0);
  const buffer = machine.alloc(1, { name: 'first' });
  buffer.name = 'x'.repeat(31);
  assert.is(buffer.name, 'x'.repeat(31));
  assert.is(
    codeOf(() => (buffer.name = 'é'.repeat(16))),
    'EINVAL',
  );
  assert.is(buffer.name, 'x'.repeat(31));
  buffer.name = 'frame ü';
  assert.is(buffer.name, 'frame ü');
});

test('metadata is all zero at first and goes away with the buffer', () => {
  const fake = new FakeMachine({ tables: { buffers: 1 } });
  const { machine } = fake.actor(0);
  const first = machine.alloc(1);
  const { ino } = first.record;
  fake.words.set(first.record.pointer + 37, 640);
  assert.is(first.metadata.width, 640);
  first.close();
  const second = machine.alloc(1);
  assert.is(second.record.pointer, first.record.pointer);
  assert.is(second.metadata.width, 0);
  assert.is.not(second.record.ino, ino);
});

test('leave closes all fds, gives jobs and contexts of the process back, and is harmless twice', async () => {
  const fake = new FakeMachine({ tables: { jobs: 64, contexts: 4 } });
  const { machine, services } = fake.actor(1);
  machine.alloc(4096);
  const buffer = machine.alloc(4096);
  buffer.access({ write: true }).finish();
  const sent = fake.actor(0).machine.alloc(1);
  fake.actor(0).machine.passFd(2, sent.fd);
  sent.close();
  await machine.leave();
  await machine.leave();
  assert.equal(counters(fake), NONE);
  assert.is([...services.kernel.contexts.live()].filter((c) => !closed(fake, c)).length, 0);
  assert.is(
    codeOf(() => fake.actor(0).machine.passFd(2, 0)),
    'ESRCH',
  );
});

function closed(fake: FakeMachine, context: number): boolean {
  return (
    fake
      .actor(0)
      .services.jobs.contexts.find(fake.actor(0).services.jobs.contexts.idOf(context)) === 0
  );
}

test('buffers of the pool share its region, which stays', () => {
  const fake = new FakeMachine();
  const actor = fake.actor(0);
  const { region, memory } = fake.addPool(65536);
  actor.services.ops[1] = { ...contiguousOps, release() {}, mmap() {} };
  const at = (offset: number): DmaBuf => {
    const info = { region, offset, size: 4096, exporter: 1, flags: 0, name: '', priv: [] };
    return DmaBuf.fromExport(actor.services, actor.services.buffers.export(info));
  };
  const a = at(0);
  const b = at(4096);
  assert.ok(a.record.inPool);
  using bracket = b.access({ write: true });
  bracket.bytes[0] = 3;
  assert.is(new Uint8Array(memory.buffer)[4096], 3);
  a.attach(1, { pool: true, align: 8192 }).detach();
  assert.is(
    codeOf(() => b.attach(1, { align: 8192 })),
    'EINVAL',
  );
  a.close();
  assert.is.not(fake.words.get(region + REGION.STATE), 0);
  assert.is(fake.actor(0).machine.stats().regionsDropped, 0);
});

test.run();
