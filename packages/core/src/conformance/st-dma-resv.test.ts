// Reservations: the kernel's self-test drivers/dma-buf/st-dma-resv.c, under its case names, for the three
// usages that exist here. The reservation of a buffer is its queue: a WRITE fence is that of
// an exclusive claim, a READ fence that of a shared one, a BOOKKEEP fence that of a job that synchronises explicitly.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { DmaBuf } from '../dmabuf/dmabuf.js';
import type { Fence } from '../sync/fence.js';
import { exclusive, shared } from '../sync/context.js';
import { FakeMachine } from '../testing/fake-machine.js';
import type { Job } from '../actor/job.js';

const USAGES = ['WRITE', 'READ'] as const;
type Usage = (typeof USAGES)[number];

interface Resv {
  readonly fake: FakeMachine;
  readonly buffer: DmaBuf;
  /** dma_resv_add_fence; `signal` ends it. */
  add(usage: Usage): { readonly fence: Fence; signal(): void };
  /** The same by a job that synchronises explicitly. */
  addExplicit(): { readonly fence: Fence; signal(): void };
  /** What a query at a usage finds: WRITE is what a reader waits for, READ what a writer waits for. */
  query(usage: Usage): { context: number; seqno: number }[];
}

function resv(): Resv {
  const fake = new FakeMachine({ actors: 2 });
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const context = machine.createContext(2);
  const jobs: Job[] = [];
  const server = fake.server(1, {
    run: (job) => {
      job.defer();
      jobs.push(job);
    },
  });
  return {
    fake,
    buffer,
    add: (usage) => {
      const use = usage === 'WRITE' ? exclusive(buffer) : shared(buffer);
      const fence = context.submit({ buffers: [use] });
      server.run();
      return { fence, signal: () => jobs.shift()?.finish() };
    },
    addExplicit: () => {
      const fence = context.submit({ buffers: [exclusive(buffer)], sync: 'explicit' });
      server.run();
      return { fence, signal: () => jobs.shift()?.finish() };
    },
    query: (usage) => {
      using file = buffer.exportSyncFile(usage === 'WRITE' ? { read: true } : { write: true });
      return file.points.map(({ context, seqno }) => ({ context, seqno }));
    },
  };
}

const isIdle = (buffer: DmaBuf, usage: Usage): boolean =>
  usage === 'WRITE'
    ? buffer.poll({ readable: true }).readable
    : buffer.poll({ writable: true }).writable;

for (const usage of USAGES) {
  test(`sanitycheck: ${usage}, an idle buffer can be claimed and let go`, () => {
    const { fake, buffer } = resv();
    const { machine } = fake.actor(0);
    const use = usage === 'WRITE' ? exclusive(buffer) : shared(buffer);
    machine.waitAll([use], 0).release();
    assert.ok(isIdle(buffer, usage));
  });

  test(`test_signaling: ${usage}, busy until the fence signals`, () => {
    const { buffer, add } = resv();
    const { signal } = add(usage);
    assert.not(isIdle(buffer, usage));
    signal();
    assert.ok(isIdle(buffer, usage));
  });

  test(`test_for_each: ${usage}, exactly one fence, of the right usage`, () => {
    const { add, query } = resv();
    const { fence, signal } = add(usage);
    const { context, seqno } = fence;
    assert.equal(query('READ'), [{ context, seqno }]);
    assert.is(query('WRITE').length, usage === 'WRITE' ? 1 : 0);
    signal();
    assert.equal(query('READ'), []);
  });

  test(`test_for_each_unlocked: ${usage}, the same again after the queue has changed`, () => {
    const { buffer, add, query } = resv();
    const { fence, signal } = add(usage);
    const { context, seqno } = fence;
    using file = buffer.exportSyncFile({ write: true });
    const before = query('READ');
    const second = add(usage); // what would make an unlocked iteration start again
    assert.is(query('READ').length, 2);
    assert.equal(before, [{ context, seqno }]);
    assert.equal(
      file.info().fences.map((f) => f.seqno),
      [seqno],
      'a snapshot stays what it was',
    );
    signal();
    assert.is(query('READ').length, 1);
    assert.is(second.fence.status, 0);
  });

  test(`test_get_fences: ${usage}, an array of one, the same fence`, () => {
    const { buffer, add } = resv();
    const { fence } = add(usage);
    using file = buffer.exportSyncFile({ read: true, write: true });
    assert.equal(
      file.points.map(({ slot, generation }) => [slot, generation]),
      [[fence.slot, fence.generation]],
    );
  });
}

/** The claims of explicit jobs, which no query is told of: debugfs lists them. */
function kept(r: Resv): { seqno: number; granted: boolean; signalled: boolean }[] {
  const { fences = [] } = r.fake.actor(0).machine.bufinfo().buffers[0] ?? {};
  const mine = fences.filter(({ usage }) => usage === 'bookkeep');
  return mine.map(({ seqno, granted, signalled }) => ({ seqno, granted, signalled }));
}

test('sanitycheck (BOOKKEEP): an idle buffer can be claimed and let go', () => {
  const r = resv();
  r.addExplicit().signal();
  assert.equal(kept(r), []);
  assert.ok(isIdle(r.buffer, 'READ'));
});

test('test_signaling (BOOKKEEP): there until the fence signals, and idle for readers and writers', () => {
  const r = resv();
  const { fence, signal } = r.addExplicit();
  assert.equal(kept(r), [{ seqno: fence.seqno, granted: true, signalled: false }]);
  assert.ok(isIdle(r.buffer, 'WRITE') && isIdle(r.buffer, 'READ'));
  signal();
  assert.equal(kept(r), []);
});

test('test_for_each (BOOKKEEP): exactly one fence, which no reader or writer is told of', () => {
  const r = resv();
  const { signal } = r.addExplicit();
  assert.is(kept(r).length, 1);
  assert.equal([r.query('WRITE'), r.query('READ')], [[], []]);
  signal();
});

test('test_for_each_unlocked (BOOKKEEP): the same again after the queue has changed', () => {
  const r = resv();
  const first = r.addExplicit();
  const second = r.add('WRITE');
  const third = r.addExplicit();
  assert.equal(
    kept(r).map(({ seqno }) => seqno),
    [third.fence.seqno, first.fence.seqno],
  );
  const { context, seqno } = second.fence;
  assert.equal(r.query('READ'), [{ context, seqno }]);
  first.signal();
  assert.is(kept(r).length, 1);
});

test('test_get_fences (BOOKKEEP): of it and a writer, the writer alone is waited for', () => {
  const r = resv();
  r.addExplicit();
  const { fence } = r.add('WRITE');
  using file = r.buffer.exportSyncFile({ read: true, write: true });
  assert.equal(
    file.points.map(({ slot }) => slot),
    [fence.slot],
  );
});

test.run();
