// Software timelines: IGT tests/sw_sync.c, under its case names. What the original does with fork(),
// threads and a unix socket is done with workers that join the machine, and passFd.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot } from '../actor/boot.js';
import type { Machine } from '../actor/machine.js';
import { errno } from '../errno.js';
import type { FenceLike } from '../sync/fence-set.js';
import type { SyncFile } from '../sync/sync-file.js';
import type { Timeline } from '../sync/timeline.js';
import { codeOf } from '../testing/code-of.js';
import { Peers } from '../testing/peers.js';
import { Random } from '../testing/random.js';

const roles = new URL('./sw_sync.test-roles.js', import.meta.url);
const WAIT_MS = 10_000;
let machine: Machine;

test.before(async () => {
  machine = await boot({ tables: { syncFiles: 1024, fds: 1024, actors: 40 } });
});

test.after(async () => {
  const { jobs } = machine.stats();
  await machine.shutdown();
  assert.is(jobs, 0, 'no fence is left behind');
});

/** A fence at a point as a sync file, as SW_SYNC_IOC_CREATE_FENCE gives it. */
function createFence(timeline: Timeline, point: number): SyncFile {
  return machine.createSyncFile([timeline.createFence(point)]);
}

/** SYNC_IOC_MERGE. */
function merge(...fences: readonly FenceLike[]): SyncFile {
  return machine.createSyncFile([machine.merge(...fences)]);
}

function count(file: SyncFile, status: number): number {
  return file.info().fences.filter((fence) => fence.status === status).length;
}

test('alloc_timeline', () => {
  const timeline = machine.createTimeline('alloc');
  assert.is(timeline.value, 0);
  timeline.close();
  assert.is(
    codeOf(() => timeline.increment()),
    'EBADF',
  );
});

test('alloc_fence', () => {
  const timeline = machine.createTimeline();
  const fence = createFence(timeline, 1);
  fence.close();
  timeline.close();
});

test('alloc_fence_invalid_timeline', () => {
  assert.is(
    codeOf(() => machine.timeline(-1)),
    'EBADF',
  );
  const timeline = machine.createTimeline();
  timeline.close();
  assert.is(
    codeOf(() => timeline.createFence(1)),
    'EBADF',
  );
  assert.is(
    codeOf(() => machine.timeline(timeline.fd)),
    'EBADF',
  );
});

test('alloc_merge_fence: fences, their merge and the timelines are closed in any order', () => {
  for (const order of [0, 1, 2, 3]) {
    const timelines = [machine.createTimeline(), machine.createTimeline()] as const;
    const fences = timelines.map((timeline) => createFence(timeline, 1));
    const merged = merge(...fences);
    const all = [timelines[0], ...fences, merged, timelines[1]];
    const closed = [...all.slice(order), ...all.slice(0, order)];
    for (const handle of closed) handle.close();
  }
});

test('timeline_closed: its pending fences signal with ENOENT', () => {
  const timeline = machine.createTimeline();
  const fence = createFence(timeline, 1);
  timeline.close();
  assert.is(fence.wait(0), -errno.ENOENT);
  assert.is(fence.status, -errno.ENOENT);
  fence.close();
});

test('timeline_closed_signaled: a fence that has signalled keeps its status', () => {
  const timeline = machine.createTimeline();
  const fence = createFence(timeline, 1);
  timeline.increment(1);
  timeline.close();
  assert.is(fence.wait(0), 1);
  fence.close();
});

const PRIMES = [
  2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
];

test('sync_busy', () => {
  const timeline = machine.createTimeline();
  const fence = createFence(timeline, 5);
  assert.is(
    codeOf(() => fence.wait(0)),
    'ETIME',
  );
  timeline.increment(1);
  assert.is(
    codeOf(() => fence.wait(0)),
    'ETIME',
  );
  timeline.increment(4);
  assert.is(fence.wait(0), 1);
  timeline.increment(5);
  assert.is(fence.wait(0), 1);
  fence.close();
  let point = timeline.value;
  for (const prime of PRIMES) {
    point += prime;
    const next = createFence(timeline, point);
    assert.is(
      codeOf(() => next.wait(0)),
      'ETIME',
      `+${prime}`,
    );
    timeline.increment(prime);
    assert.is(next.wait(0), 1, `+${prime}`);
    next.close();
  }
  timeline.close();
});

test('sync_busy_fork: another process, which has the timeline, increments it', async () => {
  const timeline = machine.createTimeline();
  const peers = await Peers.start(machine, roles, 1);
  machine.passFd(peers.actor(0), timeline.fd);
  const fence = createFence(timeline, 1);
  assert.is(
    codeOf(() => fence.wait(0)),
    'ETIME',
  );
  peers.play(0, 'increment', 1);
  assert.is(fence.wait(WAIT_MS), 1);
  assert.equal(peers.results(), [1]);
  fence.close();
  timeline.close();
  await peers.end();
});

test('sync_busy_fork_unixsocket: the timeline travels to a process that already runs', async () => {
  const peers = await Peers.start(machine, roles, 1);
  const timeline = machine.createTimeline();
  const fence = createFence(timeline, 1);
  peers.play(0, 'increment', 1);
  assert.is(
    codeOf(() => fence.wait(0)),
    'ETIME',
  );
  machine.passFd(peers.actor(0), timeline.fd);
  assert.is(fence.wait(WAIT_MS), 1);
  assert.equal(peers.results(), [1]);
  assert.is(timeline.value, 1);
  await peers.end();
  timeline.increment(1); // the other's close has taken nothing from ours
  fence.close();
  timeline.close();
});

test('sync_merge_invalid', () => {
  const timeline = machine.createTimeline();
  const fence = createFence(timeline, 1);
  const buffer = machine.alloc(4096);
  assert.is(
    codeOf(() => merge(fence, machine.syncFile(-1))),
    'EBADF',
  );
  assert.is(
    codeOf(() => merge(fence, machine.syncFile(timeline.fd))),
    'EINVAL',
  );
  assert.is(
    codeOf(() => merge(fence, machine.syncFile(buffer.fd))),
    'EINVAL',
  );
  fence.close();
  assert.is(
    codeOf(() => merge(fence)),
    'EBADF',
  );
  buffer.close();
  timeline.close();
});

test('sync_merge', () => {
  const timeline = machine.createTimeline();
  const fences = [1, 2, 3].map((point) => createFence(timeline, point));
  const merged = merge(...fences);
  assert.is(merged.info().fences.length, 1);
  assert.is(count(merged, 0), 1);
  for (const value of [1, 2]) {
    timeline.increment(1);
    assert.is(timeline.value, value);
    assert.is(count(merged, 0), 1, `active at ${value}`);
  }
  timeline.increment(1);
  assert.is(count(merged, 0), 0);
  assert.is(count(merged, 1), 1);
  assert.is(merged.wait(0), 1);
  for (const file of [...fences, merged]) file.close();
  timeline.close();
});

test('sync_merge_same', () => {
  const timeline = machine.createTimeline();
  const fence = createFence(timeline, 1);
  const merged = merge(fence, fence);
  assert.is(merged.info().fences.length, 1);
  assert.is(count(merged, 0), 1);
  timeline.increment(1);
  assert.is(count(fence, 1), 1);
  assert.is(merged.status, 1);
  for (const file of [fence, merged]) file.close();
  timeline.close();
});

test('sync_multi_timeline_wait', () => {
  const timelines = [0, 1, 2].map(() => machine.createTimeline());
  const fences = timelines.map((timeline) => createFence(timeline, 5));
  const merged = merge(...fences);
  timelines.forEach((timeline, done) => {
    assert.equal([count(merged, 0), count(merged, 1)], [3 - done, done]);
    assert.is(
      codeOf(() => merged.wait(0)),
      'ETIME',
    );
    timeline.increment(5);
  });
  assert.equal([count(merged, 0), count(merged, 1)], [0, 3]);
  assert.is(merged.wait(100), 1);
  for (const handle of [...fences, merged, ...timelines]) handle.close();
});

const CONSUMERS = 8;
const ROUNDS = 64; // the original: 4096

test('sync_multi_consumer', async () => {
  const timeline = machine.createTimeline();
  const buffer = machine.alloc(4096);
  const counter = buffer.access({ read: true, write: true, sync: false, cache: false });
  const { words } = counter;
  const peers = await Peers.start(machine, roles, CONSUMERS);
  peers.actors.forEach((actor, i) => {
    peers.play(i, 'consume', i, CONSUMERS, ROUNDS);
    machine.passFd(actor, timeline.fd);
    machine.passFd(actor, buffer.fd);
  });
  for (let i = 0; i < CONSUMERS * ROUNDS; i++) {
    assert.is(peers.result(peers.actor(i % CONSUMERS)), 'posted');
    words[0] = i + 1;
    timeline.increment(1);
  }
  assert.equal(
    peers.results(),
    Array.from({ length: CONSUMERS }, () => ROUNDS),
  );
  assert.is(words[0], CONSUMERS * ROUNDS);
  counter.finish();
  buffer.close();
  timeline.close();
  await peers.end();
});

test('sync_multi_consumer_producer', async () => {
  const timeline = machine.createTimeline();
  const buffer = machine.alloc(4096);
  const counter = buffer.access({ read: true, write: true, sync: false, cache: false });
  const peers = await Peers.start(machine, roles, CONSUMERS);
  peers.actors.forEach((actor, i) => {
    peers.play(i, 'consumeAndProduce', i, CONSUMERS, ROUNDS);
    machine.passFd(actor, timeline.fd);
    machine.passFd(actor, buffer.fd);
  });
  assert.equal(
    peers.results(),
    Array.from({ length: CONSUMERS }, () => ROUNDS),
  );
  assert.is(counter.words[0], CONSUMERS * ROUNDS);
  counter.finish();
  buffer.close();
  timeline.close();
  await peers.end();
});

const PRODUCERS = 5;

test('sync_multi_producer_single_consumer', async () => {
  const consumer = machine.createTimeline();
  const producers = Array.from({ length: PRODUCERS }, () => machine.createTimeline());
  const buffer = machine.alloc(4096);
  const counters = buffer.access({ read: true, write: true, sync: false, cache: false });
  const { words } = counters;
  const peers = await Peers.start(machine, roles, PRODUCERS);
  producers.forEach((timeline, i) => {
    peers.play(i, 'produce', i, ROUNDS);
    for (const fd of [timeline.fd, consumer.fd, buffer.fd]) machine.passFd(peers.actor(i), fd);
  });
  for (let round = 1; round <= ROUNDS; round++) {
    const fence = machine.merge(...producers.map((timeline) => timeline.createFence(round)));
    assert.is(fence.wait(WAIT_MS), 1);
    const sum = words.subarray(0, PRODUCERS).reduce((total, n) => total + n, 0);
    assert.is(sum, PRODUCERS * round);
    consumer.increment(1);
  }
  assert.equal(
    peers.results(),
    Array.from({ length: PRODUCERS }, () => ROUNDS),
  );
  counters.finish();
  for (const handle of [buffer, consumer, ...producers]) handle.close();
  await peers.end();
});

test('sync_expired_merge: merges of expired fences are signalled, 1,000 times', () => {
  const timeline = machine.createTimeline();
  timeline.increment(1);
  const expired = createFence(timeline, 1);
  assert.is(expired.status, 1);
  for (let i = 0; i < 1000; i++) {
    const merged = merge(expired, expired);
    assert.is(merged.wait(), 1);
    merged.close();
  }
  expired.close();
  timeline.close();
});

test('sync_random_merge: 32 timelines, 1,024 random merges', () => {
  const random = new Random();
  const timelines = Array.from({ length: 32 }, () => machine.createTimeline());
  const latest = timelines.map(() => 0);
  let merged = createFence(timelines[0] as Timeline, 0);
  for (let i = 0; i < 1024; i++) {
    const t = random.below(32);
    const point = random.below(1000) + 1;
    const fence = createFence(timelines[t] as Timeline, point);
    const next = merge(merged, fence);
    merged.close();
    fence.close();
    merged = next;
    latest[t] = Math.max(latest[t] ?? 0, point);
  }
  assert.is(merged.info().fences.length, latest.filter((point) => point > 0).length);
  timelines.forEach((timeline, t) => {
    assert.is(
      codeOf(() => merged.wait(0)),
      'ETIME',
    );
    timeline.increment(latest[t]);
  });
  assert.is(merged.wait(0), 1);
  for (const handle of [merged, ...timelines]) handle.close();
});

test.run();
