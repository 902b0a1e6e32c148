// Fences: the kernel's self-test drivers/dma-buf/st-dma-fence.c, under its case names.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../errno.js';
import { codeOf } from '../testing/code-of.js';
import { MockFences } from '../testing/mock-fences.js';
import { withPeers } from '../testing/peers.js';

const roles = new URL('./st-dma-fence.test-roles.js', import.meta.url);

test('sanitycheck: a fence can be made, waited for with a callback, signalled and dropped', () => {
  const mocks = new MockFences();
  const before = mocks.machine.stats().jobs;
  const { fence, signal } = mocks.make();
  const callback = fence.addCallback(() => {});
  assert.ok(callback.remove());
  signal();
  assert.is(mocks.machine.stats().jobs, before);
});

test('test_signaling', () => {
  const { fence, signal } = new MockFences().make();
  assert.not(fence.signalled);
  signal();
  assert.ok(fence.signalled);
  assert.is(
    codeOf(() => signal()),
    'EALREADY',
    'the kernel: EINVAL',
  );
  assert.is(fence.status, 1);
});

test('test_add_callback', () => {
  const mocks = new MockFences();
  const { fence, signal } = mocks.make();
  const seen: number[] = [];
  for (const n of [1, 2, 3]) fence.addCallback(() => seen.push(n));
  mocks.machine.pump();
  assert.equal(seen, []);
  signal();
  mocks.machine.pump();
  assert.equal(seen, [1, 2, 3], 'in the order of registration');
});

test('test_late_add_callback', () => {
  const mocks = new MockFences();
  const { fence, signal } = mocks.make();
  signal();
  let runs = 0;
  assert.is(
    codeOf(() => fence.addCallback(() => runs++)),
    'ENOENT',
  );
  mocks.machine.pump();
  assert.is(runs, 0);
});

test('test_rm_callback', () => {
  const mocks = new MockFences();
  const { fence, signal } = mocks.make();
  let runs = 0;
  const callback = fence.addCallback(() => runs++);
  assert.ok(callback.remove());
  assert.not(callback.remove());
  signal();
  mocks.machine.pump();
  assert.is(runs, 0);
});

test('test_late_rm_callback', () => {
  const mocks = new MockFences();
  const { fence, signal } = mocks.make();
  let runs = 0;
  const callback = fence.addCallback(() => runs++);
  signal();
  mocks.machine.pump();
  assert.not(callback.remove());
  assert.is(runs, 1);
});

test('test_status', () => {
  const { fence, signal } = new MockFences().make();
  assert.is(fence.status, 0);
  signal();
  assert.is(fence.status, 1);
});

test('test_error', () => {
  const { fence, signal } = new MockFences().make();
  assert.is(fence.status, 0);
  assert.is(fence.error, undefined);
  signal(-errno.EIO);
  assert.is(fence.status, -errno.EIO);
  assert.is(fence.error, 'EIO');
  assert.is(fence.wait(0), -errno.EIO);
});

test('test_wait', () => {
  const { fence, signal } = new MockFences().make();
  assert.is(
    codeOf(() => fence.wait(0)),
    'ETIME',
  );
  signal();
  assert.is(fence.wait(0), 1);
});

test('test_wait_timeout: runs out on a pending fence, and not on one that is signalled in time', () => {
  const mocks = new MockFences();
  const { fence, signal } = mocks.make();
  const start = mocks.machine.now();
  assert.is(
    codeOf(() => fence.wait(1000)),
    'ETIME',
  );
  assert.ok(mocks.machine.now() >= start + 1000);
  mocks.fake.whileAsleep = () => {
    if (!fence.signalled && mocks.machine.now() >= start + 1500) signal();
  };
  assert.is(fence.wait(1000), 1);
  assert.ok(mocks.machine.now() < start + 2000);
  assert.throws(() => fence.wait(-1), TypeError);
});

test('test_stub: 64 fences that were signalled before anybody looked', () => {
  const mocks = new MockFences();
  const timeline = mocks.machine.createTimeline();
  for (let i = 0; i < 64; i++) assert.is(timeline.createFence(0).status, 1, `fence ${i}`);
  assert.is(mocks.machine.merge().status, 1, 'the merge of nothing');
  timeline.close();
});

const RACES = 300;

test('race_signal_callback: whoever wins, the signal is seen', async () => {
  await withPeers(roles, 2, (peers, machine) => {
    const signals = machine.createTimeline();
    const turns = machine.createTimeline();
    for (const [i, role] of ['watchEach', 'signalEach'].entries()) {
      peers.play(i, role, RACES);
      machine.passFd(peers.actor(i), signals.fd);
      machine.passFd(peers.actor(i), turns.fd);
    }
    const [watched] = peers.results();
    const [seen, early] = watched as [number, number];
    console.log(`# callback before signal ${seen}, after ${early}`);
    assert.is(seen + early, RACES);
    signals.close();
    turns.close();
  });
});

test.run();
