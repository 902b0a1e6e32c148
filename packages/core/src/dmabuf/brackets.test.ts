// Access brackets: ranges, cache lines, several buffers at once, nesting (design D9; the 2012 thread).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '../errno.js';
import { BUFFER_FLAG } from '../memory/layout.js';
import { discard, exclusive, shared } from '../sync/context.js';
import { checkQueues } from '../testing/check-queues.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';
import type { BufferCounters } from './bufinfo.js';
import type { DmaBuf } from './dmabuf.js';
import { TestExporter, withoutContexts, wrong } from './exporter.test-helper.js';

function countersOf(fake: FakeMachine, buffer: DmaBuf): BufferCounters {
  const info = fake
    .actor(0)
    .machine.bufinfo()
    .buffers.find(({ ino }) => ino === buffer.record.ino);
  if (info === undefined) throw new Error('the buffer is gone');
  return info.counters;
}

const accessOps = (exporter: TestExporter): string[] =>
  exporter.take().filter((call) => call.includes('Access'));

test('a range is in bytes of the mapping, its view is exactly that', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const mapping = buffer.mmap({ offset: 1024, length: 1024 });
  using all = buffer.access({ read: true });
  all.bytes[1024 + 100] = 42;
  using part = mapping.prepareAccess({ read: true, offset: 100, length: 28 });
  assert.is(part.bytes.byteLength, 28);
  assert.is(part.bytes[0], 42);
  assert.is(part.words.length, 7);
});

test('maintenance covers whole 64-byte lines of memory', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const mapping = buffer.mmap();
  const cases: [offset: number, length: number, told: string, lines: number][] = [
    [0, 1, '0 64', 1],
    [63, 1, '0 64', 1],
    [63, 2, '0 128', 2],
    [64, 64, '64 64', 1],
    [100, 200, '64 256', 4],
    [4095, 1, '4032 64', 1],
    [0, 4096, '0 4096', 64],
  ];
  let lines = 0;
  for (const [offset, length, told, expected] of cases) {
    mapping.prepareAccess({ read: true, offset, length }).finish();
    assert.equal(accessOps(exporter), [`prepareAccess r ${told}`, `finishAccess r ${told}`]);
    lines += expected;
    assert.is(countersOf(fake, buffer).cacheLines, lines, `${offset} ${length}`);
  }
});

test('a buffer that does not start on a line shares its first and last with others', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const { region } = fake.addPool(65536);
  const { services } = fake.actor(0);
  const at = { region, offset: 36, size: 100, exporter: 1, flags: BUFFER_FLAG.NEEDS_SYNC };
  const pointer = services.buffers.export({ ...at, name: '', priv: [] });
  const record = services.buffers.record(pointer);
  const spec = { record, read: true, write: false, discard: false, offset: 30, length: 10 };
  const [access] = services.access.prepare([spec], { timeout: 0, sync: true, cache: true }, 'test');
  if (access === undefined) throw new Error('not prepared');
  services.access.finish(access, true);
  assert.equal(exporter.told, ['prepareAccess r 28 64', 'finishAccess r 28 64']);
  const whole = { ...spec, offset: 0, length: 100 };
  for (const part of services.access.prepare(
    [whole],
    { timeout: 0, sync: true, cache: true },
    'test',
  )) {
    services.access.finish(part, true);
    assert.is(part.lines, 3);
  }
  assert.equal(exporter.take().at(-1), 'finishAccess r 0 100');
});

test('coherent memory costs no op call, no line and no flush', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export(0, { flags: 0 });
  const mapping = buffer.mmap();
  const { opCalls } = countersOf(fake, buffer);
  for (let i = 0; i < 5; i++) {
    using bracket = mapping.prepareAccess({ read: true, write: true });
    bracket.words[i] = i;
  }
  assert.equal(accessOps(exporter), []);
  assert.equal(countersOf(fake, buffer), {
    prepares: 5,
    finishes: 5,
    mmaps: 1,
    opCalls,
    cacheLines: 0,
    flushes: 0,
  });
});

test('the system heap is coherent: 100 frames cost no line and no flush', () => {
  const fake = new FakeMachine();
  const buffer = fake.actor(0).machine.alloc(4096);
  for (let i = 0; i < 100; i++) {
    using bracket = buffer.access({ write: true });
    bracket.words[0] = i;
  }
  const { prepares, opCalls, cacheLines, flushes } = countersOf(fake, buffer);
  assert.equal(
    [prepares, opCalls, cacheLines, flushes],
    [100, 100, 0, 0],
    'op calls are the mmaps',
  );
});

test('a frame that no CPU brackets costs nothing at all', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const context = fake.actor(0).machine.createContext(2);
  for (let i = 0; i < 10; i++) {
    context.submit({ buffers: [discard(buffer)] });
    context.submit({ buffers: [shared(buffer)] });
  }
  fake.server(1, { run: (job) => void job.buffer(0).words.length }).run();
  assert.equal(countersOf(fake, buffer), {
    prepares: 0,
    finishes: 0,
    mmaps: 0,
    opCalls: 0,
    cacheLines: 0,
    flushes: 0,
  });
  assert.equal(exporter.told, []);
});

test('a read-only finish flushes nothing', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  using mapping = buffer.mmap();
  const bracket = mapping.prepareAccess({ read: true });
  assert.is(bracket.bytes[0], 0);
  bracket.finish();
  const { cacheLines, flushes } = countersOf(fake, buffer);
  assert.equal([cacheLines, flushes], [64, 0]);
  assert.equal(accessOps(exporter), ['prepareAccess r 0 4096', 'finishAccess r 0 4096']);
});

test('a write bracket whose bytes nobody looked at flushes nothing', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  using mapping = buffer.mmap();
  mapping.prepareAccess({ write: true, discard: true }).finish();
  const { cacheLines, flushes } = countersOf(fake, buffer);
  assert.equal([cacheLines, flushes], [0, 0]);
  assert.equal(accessOps(exporter), ['prepareAccess w 0 4096', 'finishAccess - 0 4096']);
});

test('a write flushes its range once; overwriting whole lines reads none of them', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  using mapping = buffer.mmap();
  {
    using bracket = mapping.prepareAccess({ write: true, discard: true, offset: 128, length: 64 });
    bracket.words[0] = 1;
  }
  assert.equal(accessOps(exporter), ['prepareAccess w 128 64', 'finishAccess w 128 64']);
  assert.equal([countersOf(fake, buffer).cacheLines, countersOf(fake, buffer).flushes], [1, 1]);
  {
    using bracket = mapping.prepareAccess({ write: true, discard: true, offset: 130, length: 4 });
    bracket.bytes[0] = 1;
  }
  assert.equal(
    accessOps(exporter),
    ['prepareAccess rw 128 64', 'finishAccess rw 128 64'],
    'part of a line',
  );
  assert.equal([countersOf(fake, buffer).cacheLines, countersOf(fake, buffer).flushes], [3, 2]);
});

test('sync and cache are separate', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  using mapping = buffer.mmap();
  const { machine } = fake.actor(0);
  machine.createContext(2).submit({ buffers: [exclusive(buffer)] });
  mapping.prepareAccess({ write: true, sync: false }).finish();
  assert.is(accessOps(exporter).length, 2, 'caches without a claim');
  assert.is(machine.stats().jobs, 1);
  fake.server(1, { run() {} }).run();
  const bracket = mapping.prepareAccess({ write: true, cache: false });
  assert.is(machine.stats().jobs, 1, 'a claim without caches');
  bracket.finish();
  assert.equal(accessOps(exporter), []);
  const { prepares, finishes } = countersOf(fake, buffer);
  assert.equal([prepares, finishes], [2, 2]);
});

test('a part that is overwritten does not make the rest of a failed frame sound', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  using mapping = buffer.mmap();
  machine.createContext(2).submit({ buffers: [exclusive(buffer)] });
  fake
    .server(1, {
      run() {
        throw new DmaBufError('EIO', 'test', '');
      },
    })
    .run();
  const half = { write: true, discard: true, length: 2048 };
  assert.is(
    codeOf(() => mapping.prepareAccess(half)),
    'EIO',
  );
  mapping.prepareAccess({ write: true, discard: true }).finish();
  mapping.prepareAccess(half).finish();
});

test('several buffers are prepared as one step and finished together', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const { machine } = fake.actor(0);
  const [a, b, c] = [exporter.export(), exporter.export(), exporter.export()];
  const parts = [
    { mapping: a.mmap(), write: true, discard: true },
    { mapping: b.mmap(), read: true, offset: 64, length: 32 },
    { mapping: c.mmap(), read: true, write: true },
  ];
  exporter.take();
  const set = machine.prepareAccess(parts);
  assert.is(machine.stats().jobs, 1, 'one claim for all');
  assert.equal(
    [0, 1, 2].map((i) => set.bytes(i).byteLength),
    [4096, 32, 4096],
  );
  set.bytes(0)[7] = 77;
  assert.is(
    codeOf(() => set.bytes(3)),
    'EINVAL',
  );
  const readers = machine.createContext(2).submit({ buffers: [shared(a), shared(c)] });
  const server = fake.server(1, { run: (job) => assert.is(job.buffer(0).bytes[7], 77) });
  server.run();
  assert.is(readers.status, 0);
  set.finish();
  server.run();
  assert.is(readers.status, 1);
  assert.equal(accessOps(exporter), [
    'prepareAccess w 0 4096',
    'prepareAccess r 64 64',
    'prepareAccess rw 0 4096',
    'finishAccess w 0 4096',
    'finishAccess r 64 64',
    'finishAccess rw 0 4096',
  ]);
  assert.is(
    codeOf(() => set.finish()),
    'EINVAL',
  );
  assert.is(machine.stats().jobs, 0);
  set[Symbol.dispose]();
});

test('parts of a set may be finished one by one; the claims end with the last', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const [a, b] = [machine.alloc(64), machine.alloc(64)];
  const set = machine.prepareAccess([
    { mapping: a.mmap(), read: true },
    { mapping: b.mmap(), read: true },
  ]);
  set.brackets[0]?.finish();
  assert.is(machine.stats().jobs, 1);
  assert.is(
    codeOf(() => set.bytes(0)),
    'EINVAL',
  );
  assert.is(set.bytes(1).length, 64);
  set[Symbol.dispose]();
  assert.is(machine.stats().jobs, 0);
});

test('all or none: one buffer that is busy, refused or named twice leaves the others alone', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const { machine, services } = fake.actor(0);
  const [a, b] = [exporter.export(), exporter.export()];
  const other = exporter.export();
  const [ma, mb, mo] = [a.mmap(), b.mmap(), other.mmap()];
  const parts = [
    { mapping: ma, write: true },
    { mapping: mb, write: true },
  ];
  machine.createContext(2).submit({ buffers: [shared(b)] });
  exporter.take();
  const dump = withoutContexts(fake);
  assert.is(
    codeOf(() => machine.prepareAccess(parts, { timeout: 0 })),
    'ETIME',
  );
  assert.is(
    codeOf(() => machine.prepareAccess([...parts, { mapping: ma, read: true }])),
    'EINVAL',
  );
  assert.is(
    codeOf(() => machine.prepareAccess([])),
    'EINVAL',
  );
  assert.is(
    codeOf(() => machine.prepareAccess([{ mapping: ma }])),
    'EINVAL',
  );
  assert.equal(exporter.take(), []);
  assert.is(withoutContexts(fake), dump);
  fake.server(1, { run() {} }).run();
  let calls = 0;
  const table = services.ops[1];
  if (table === undefined) throw new Error('no exporter');
  services.ops[1] = {
    ...table,
    prepareAccess(buffer, use) {
      if (++calls === 3) throw new DmaBufError('EIO', 'test', '');
      table.prepareAccess?.(buffer, use);
    },
  };
  const idle = withoutContexts(fake);
  assert.is(
    codeOf(() => machine.prepareAccess([...parts, { mapping: mo, read: true }])),
    'EIO',
  );
  assert.equal(
    exporter.take(),
    [
      'prepareAccess rw 0 4096',
      'prepareAccess rw 0 4096',
      'finishAccess r 0 4096',
      'finishAccess r 0 4096',
    ],
    'what was prepared is finished, with nothing to write back',
  );
  assert.is(withoutContexts(fake), idle);
  assert.equal(checkQueues(services.kernel), []);
  for (const mapping of [ma, mb, mo]) mapping.close();
});

test('a range outside of the mapping is EINVAL, a wrong type a TypeError; no residue', () => {
  const fake = new FakeMachine();
  const buffer = new TestExporter(fake).export();
  const mapping = buffer.mmap({ offset: 1024, length: 1024 });
  const { machine } = fake.actor(0);
  const dump = fake.dump();
  for (const range of [
    { offset: 1024 },
    { offset: -1, length: 1 },
    { length: 0 },
    { length: 1025 },
    { offset: 1000, length: 25 },
    { offset: 0.5, length: 1 },
    { offset: NaN },
  ]) {
    const what = JSON.stringify(range);
    assert.is(
      codeOf(() => mapping.prepareAccess({ read: true, ...range })),
      'EINVAL',
      what,
    );
    assert.is(
      codeOf(() => machine.prepareAccess([{ mapping, read: true, ...range }])),
      'EINVAL',
      what,
    );
  }
  for (const options of [
    undefined,
    'read',
    { read: 1 },
    { read: true, offset: '0' },
    { read: true, timeout: '1' },
    { read: true, timeout: -1 },
    { read: true, sync: 0 },
  ]) {
    assertType(() => mapping.prepareAccess(wrong(options)));
    assertType(() => buffer.access(wrong(options)));
  }
  assertType(() => machine.prepareAccess(wrong({ mapping })));
  assertType(() => machine.prepareAccess([wrong({ mapping: buffer, read: true })]));
  assertType(() => machine.prepareAccess([{ mapping, read: true }], { timeout: wrong('5') }));
  assertType(() => buffer.mmap(wrong(5)));
  assertType(() => buffer.mmap({ offset: wrong('0') }));
  assert.is(fake.dump(), dump);
});

test('a second read bracket of a thread shares its claim: a writer between cannot stop it', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const first = buffer.access({ read: true });
  const writer = machine.createContext(2).submit({ buffers: [exclusive(buffer)] });
  const second = buffer.access({ read: true }); // would stand behind the writer, which waits for `first`
  const server = fake.server(1, { run() {} });
  first.finish();
  server.run();
  assert.is(writer.status, 0, 'the second still reads');
  second.finish();
  server.run();
  assert.is(writer.status, 1);
});

test('a thread that would wait for its own bracket for ever gets EDEADLK at once', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const other = machine.alloc(4096);
  using mapping = buffer.mmap();
  using second = other.mmap();
  for (const held of [{ read: true }, { write: true }]) {
    const bracket = buffer.access(held);
    const dump = fake.dump();
    assert.is(
      codeOf(() => buffer.access({ write: true })),
      'EDEADLK',
    );
    assert.is(
      codeOf(() => mapping.prepareAccess({ read: true, write: true })),
      'EDEADLK',
    );
    const both = [
      { mapping: second, read: true },
      { mapping, write: true },
    ];
    assert.is(
      codeOf(() => machine.prepareAccess(both)),
      'EDEADLK',
    );
    if (held.write === true)
      assert.is(
        codeOf(() => buffer.access({ read: true })),
        'EDEADLK',
      );
    assert.is(fake.dump(), dump);
    assert.is(
      codeOf(() => buffer.access({ write: true, timeout: 0 })),
      'ETIME',
      'a try may fail as any',
    );
    buffer.access({ write: true, sync: false }).finish();
    bracket.finish();
  }
  buffer.access({ write: true }).finish();
});

test('a set shares the claims that its thread has, and takes the rest', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const [a, b] = [machine.alloc(64), machine.alloc(64)];
  const first = a.access({ read: true });
  const set = machine.prepareAccess([
    { mapping: a.mmap(), read: true },
    { mapping: b.mmap(), write: true },
  ]);
  assert.is(machine.stats().jobs, 2);
  first.finish();
  assert.is(machine.stats().jobs, 2, 'the set still reads');
  assert.is(
    codeOf(() => a.access({ write: true })),
    'EDEADLK',
  );
  set.finish();
  assert.is(machine.stats().jobs, 0);
});

test('a failing finish ends the claim, the bracket and the mapping of access()', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const [a, b] = [exporter.export(), exporter.export()];
  const { machine } = fake.actor(0);
  const set = machine.prepareAccess([
    { mapping: a.mmap(), write: true },
    { mapping: b.mmap(), write: true },
  ]);
  exporter.refusals.set('finishAccess', 'EIO');
  assert.is(
    codeOf(() => set.finish()),
    'EIO',
  );
  assert.is(
    codeOf(() => buffer(exporter).access({ read: true }).finish()),
    'EIO',
  );
  assert.is(machine.stats().jobs, 0);
  assert.is(a.mappings, 1);
});

const buffer = (exporter: TestExporter): DmaBuf => exporter.export();

function assertType(call: () => unknown): void {
  assert.throws(
    call,
    (error: unknown) => error instanceof TypeError && !(error instanceof DmaBufError),
  );
}

test.run();
