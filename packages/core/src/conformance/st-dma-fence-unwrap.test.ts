// Unwrapping and merging: the kernel's self-test drivers/dma-buf/st-dma-fence-unwrap.c, under its case
// names; and arrays of fences (dma-fence-array.c), which have no self-test of their own.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../errno.js';
import { ACTOR } from '../memory/layout.js';
import type { FenceLike } from '../sync/fence-set.js';
import type { Fence } from '../sync/fence.js';
import { codeOf } from '../testing/code-of.js';
import { MockFences } from '../testing/mock-fences.js';

const keys = (like: FenceLike | readonly Fence[]): string[] =>
  ('points' in like ? like.points : like).map((f) => `${f.context}:${f.seqno}`).toSorted();

/** Fences f0, f1, … each on a context of its own. */
function fences(mocks: MockFences, count: number): Fence[] {
  return mocks.several(count).map(({ fence }) => fence);
}

test('sanitycheck: a chain of an array of a fence', () => {
  const mocks = new MockFences();
  const { fence, signal } = mocks.make();
  const chain = mocks.machine.fenceChain(undefined, mocks.machine.fenceArray([fence]), 1);
  assert.is(chain.status, 0);
  signal();
  assert.is(chain.status, 1);
});

test('unwrap_array', () => {
  const mocks = new MockFences();
  const both = fences(mocks, 2);
  assert.equal(keys(mocks.machine.unwrap(mocks.machine.fenceArray(both))), keys(both));
});

test('unwrap_chain: the first link is a fence that is no chain', () => {
  const mocks = new MockFences();
  const [f1, f2] = fences(mocks, 2) as [Fence, Fence];
  assert.equal(keys(mocks.machine.unwrap(mocks.machine.fenceChain(f1, f2, 1))), keys([f1, f2]));
});

test('unwrap_chain_array', () => {
  const mocks = new MockFences();
  const both = fences(mocks, 2);
  const { machine } = mocks;
  const chain = machine.fenceChain(undefined, machine.fenceArray(both), 1);
  assert.equal(keys(machine.unwrap(chain)), keys(both));
  assert.is(machine.unwrap(chain, ...both, machine.merge(...both)).length, 2, 'once each');
});

test('unwrap_merge', () => {
  const mocks = new MockFences();
  const both = fences(mocks, 2);
  assert.equal(keys(mocks.machine.merge(...both)), keys(both));
});

test('unwrap_merge_duplicate', () => {
  const mocks = new MockFences();
  const [f] = fences(mocks, 1) as [Fence];
  assert.equal(keys(mocks.machine.merge(f, f)), keys([f]));
});

test('unwrap_merge_seqno', () => {
  const mocks = new MockFences();
  const context = mocks.context();
  const f1 = mocks.make(context).fence;
  const f2 = mocks.make(context).fence;
  const f3 = mocks.make().fence;
  assert.equal(keys(mocks.machine.merge(f1, f2, f3)), keys([f2, f3]), 'of one context the later');
  assert.equal(keys(mocks.machine.merge(f2, f3, f1)), keys([f2, f3]), 'in whichever order');
});

test('unwrap_merge_order', () => {
  const mocks = new MockFences();
  const { machine } = mocks;
  const [a, b] = [mocks.context(), mocks.context()];
  const f1 = mocks.make(a).fence;
  const f2 = mocks.make(b).fence;
  const f3 = mocks.make(a).fence;
  const merged = machine.merge(machine.fenceArray([f2, f3]), machine.fenceArray([f1, f2]));
  const order = merged.points.map(({ context, seqno }) => [context, seqno]);
  assert.equal(
    order,
    [f3, f2].map(({ context, seqno }) => [context, seqno]),
    'by context, then seqno',
  );
});

test('unwrap_merge_complex', () => {
  const mocks = new MockFences();
  const { machine } = mocks;
  const all = mocks.several(4);
  const [f1, f2, f3, f4] = all.map(({ fence }) => fence) as [Fence, Fence, Fence, Fence];
  const nested = machine.merge(machine.merge(f1, f2), machine.merge(f3, f4), f1, f4);
  assert.equal(keys(nested), keys([f1, f2, f3, f4]));
  all[1]?.signal();
  assert.equal(
    keys(machine.merge(nested, f2)),
    keys([f1, f3, f4]),
    'what has signalled is dropped',
  );
});

test('unwrap_merge_complex_seqno', () => {
  const mocks = new MockFences();
  const { machine } = mocks;
  const [a, b] = [mocks.context(), mocks.context()];
  const f1 = mocks.make(a);
  const f2 = mocks.make(a);
  const f3 = mocks.make(b);
  const f4 = mocks.make(b);
  const chain = machine.fenceChain(f1.fence, f3.fence, 1);
  const array = machine.fenceArray([f2.fence, f4.fence]);
  assert.equal(keys(machine.merge(chain, array)), keys([f2.fence, f4.fence]));
  f1.signal();
  f2.signal();
  assert.equal(keys(machine.merge(array, chain)), keys([f4.fence]));
});

test('merging fences that signal in any order keeps every one of them', () => {
  const { machine } = new MockFences();
  const holds = [machine.waitAll([]), machine.waitAll([])] as const;
  const merged = machine.merge(machine.fence(holds[0].fence), machine.fence(holds[1].fence));
  holds[1].release();
  assert.is(merged.status, 0, 'the earlier hold of the same context is still held');
  holds[0].release();
  assert.is(merged.status, 1);
});

test('an array signals when all of its fences have', () => {
  const mocks = new MockFences();
  const all = mocks.several(3);
  const array = mocks.machine.fenceArray(all.map(({ fence }) => fence));
  for (const { signal } of all) {
    assert.is(array.status, 0);
    assert.is(
      codeOf(() => array.wait(0)),
      'ETIME',
    );
    signal();
  }
  assert.is(array.wait(0), 1);
});

test('the error of the fence that failed first is the array’s', () => {
  const mocks = new MockFences();
  const all = mocks.several(3);
  const array = mocks.machine.fenceArray(all.map(({ fence }) => fence));
  all[2]?.signal(-errno.EIO);
  mocks.fake.advance(1);
  all[0]?.signal(-errno.ENODATA);
  assert.is(array.status, 0, 'one is still pending');
  mocks.fake.advance(1);
  all[1]?.signal();
  assert.is(array.status, -errno.EIO);
});

test('an array that signals on any takes the status of the first fence, for good', () => {
  const mocks = new MockFences();
  const all = mocks.several(3);
  const likes = all.map(({ fence }) => fence);
  const array = mocks.machine.fenceArray(likes, { any: true });
  const late = mocks.machine.fenceArray(likes, { any: true });
  assert.is(array.status, 0);
  all[1]?.signal();
  assert.is(array.status, 1);
  mocks.fake.advance(1);
  all[0]?.signal(-errno.EIO);
  assert.equal([array.status, late.status], [1, 1]);
});

test('a pending array that signals on any is no in-fence; one that has signalled is', () => {
  const mocks = new MockFences();
  const { machine } = mocks;
  const context = machine.createContext(1);
  const all = mocks.several(2);
  const array = machine.fenceArray(
    all.map(({ fence }) => fence),
    { any: true },
  );
  const dump = mocks.fake.dump();
  assert.is(
    codeOf(() => context.submit({ inFences: [array] })),
    'EINVAL',
  );
  assert.is(mocks.fake.dump(), dump);
  assert.is(
    codeOf(() => machine.waitAny([array], 0)),
    'ETIME',
  );
  all[1]?.signal(-errno.EIO);
  assert.is(machine.waitAny([array], 0), 0);
  const job = context.submit({ inFences: [array] });
  assert.is(job.status, 0);
  assert.not(Number.isNaN(job.times()?.granted));
});

test('waits for arrays and chains return when what they need has signalled', async () => {
  const mocks = new MockFences();
  const { machine } = mocks;
  const [a, b, c] = mocks.several(3);
  const of = (...mock: (typeof a)[]): Fence[] => mock.map((m) => m?.fence as Fence);
  const any = machine.fenceArray(of(a, b), { any: true });
  const chain = machine.fenceChain(machine.fenceChain(undefined, any, 1), of(c)[0] as Fence, 2);
  let turn = 0;
  mocks.fake.whileAsleep = () => {
    turn++;
    if (turn === 3) c?.signal();
    if (turn === 5) b?.signal();
  };
  assert.is(any.wait(), 1);
  assert.is(chain.wait(), 1);
  assert.is(await any.settled(), 1);
  assert.is(await chain.settled(), 1);
  assert.is(turn, 5);
});

test('settled resolves when an array, a chain or a set signals', async () => {
  const mocks = new MockFences();
  const { machine } = mocks;
  const all = mocks.several(5);
  const likes = all.map(({ fence }) => fence);
  const order = [3, 0, 4, 2, 1];
  let turn = 0;
  mocks.fake.whileAsleep = () => {
    if (turn < order.length) all[order[turn++] ?? 0]?.signal();
  };
  const any = machine.fenceArray(likes, { any: true });
  assert.is(await any.settled(), 1);
  assert.is(turn, 1);
  const chain = machine.fenceChain(likes[0], machine.fenceArray(likes.slice(1, 3)), 1);
  assert.is(await chain.settled(), 1);
  assert.is(turn, 5);
  assert.is(await machine.merge(...likes).settled(), 1);
  const set = machine.merge(...mocks.several(2).map(({ fence }) => fence));
  assert.is(
    codeOf(() => set.wait(0)),
    'ETIME',
  );
  assert.is(mocks.fake.words.load(mocks.fake.actor(0).services.kernel.actor + ACTOR.WAITING), 0);
});

test('waiting for any returns the first of several that signals, sets and containers among them', () => {
  const mocks = new MockFences();
  const { machine } = mocks;
  const all = mocks.several(6);
  const f = all.map(({ fence }) => fence);
  const waited = [
    machine.merge(...f.slice(0, 2)),
    machine.fenceArray(f.slice(2, 4), { any: true }),
    machine.fenceChain(f[4], f[5] as Fence, 1),
  ];
  assert.is(
    codeOf(() => machine.waitAny(waited, 50)),
    'ETIME',
  );
  const order = [0, 4, 3];
  mocks.fake.whileAsleep = () => all[order.shift() ?? 0]?.signal();
  assert.is(machine.waitAny(waited), 1);
  assert.equal(order, []);
  mocks.fake.whileAsleep = () => {};
  all[5]?.signal();
  assert.is(machine.waitAny(waited.toReversed(), 0), 0);
});

test('an array has one fence at least, and no container among them', () => {
  const mocks = new MockFences();
  const { machine } = mocks;
  const [f] = fences(mocks, 1) as [Fence];
  assert.is(
    codeOf(() => machine.fenceArray([])),
    'EINVAL',
  );
  assert.is(
    codeOf(() => machine.fenceArray([machine.fenceArray([f])])),
    'EINVAL',
  );
  assert.is(
    codeOf(() => machine.fenceArray([machine.fenceChain(undefined, f, 1)])),
    'EINVAL',
  );
});

test('deadlines go to all fences of an array, of a set and of a sync file', () => {
  const { machine } = new MockFences();
  const [first, second] = [machine.createTimeline(), machine.createTimeline()];
  const both = [first.createFence(1), second.createFence(1)];
  machine.fenceArray(both).setDeadline(50);
  assert.equal([first.deadline, second.deadline], [50, 50]);
  machine.merge(...both).setDeadline(40);
  assert.equal([first.deadline, second.deadline], [40, 40]);
  machine.createSyncFile(both).setDeadline(30);
  assert.equal([first.deadline, second.deadline], [30, 30]);
  machine.fenceArray(both).setDeadline(60);
  assert.equal([first.deadline, second.deadline], [30, 30], 'the earliest stands');
});

test.run();
