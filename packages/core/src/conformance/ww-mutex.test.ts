// Deadlock avoidance: the kernel's kernel/locking/test-ww_mutex.c, under its case names. Tickets, back-off
// and -EDEADLK do not exist here: a set is named and added as a whole (design D6), so the cases
// assert what the tickets are for: exclusion, and that whoever asks in whatever order gets its turn.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot } from '../actor/boot.js';
import type { Machine } from '../actor/machine.js';
import { exclusive } from '../sync/context.js';
import type { Queue } from '../sync/queue-object.js';
import { codeOf } from '../testing/code-of.js';
import { Peers } from '../testing/peers.js';
import { Random } from '../testing/random.js';
import { MODES } from './locks.test-roles.js';

const roles = new URL('./locks.test-roles.js', import.meta.url);
const PEERS = 3;
let machine: Machine;
let peers: Peers;

test.before(async () => {
  machine = await boot({ tables: { queues: 4096 } });
  peers = await Peers.start(machine, roles, PEERS);
});

test.after(async () => {
  await peers.end();
  const { jobs } = machine.stats();
  await machine.shutdown();
  assert.is(jobs, 0);
});

/** Has peers play a role on a buffer of counters; the results, and the sum of the counters. */
function race(
  role: string,
  args: (peer: number) => readonly number[],
): { results: unknown[]; sum: number } {
  const buffer = machine.alloc(4096);
  for (let i = 0; i < PEERS; i++) {
    peers.play(i, role, ...args(i));
    machine.passFd(peers.actor(i), buffer.fd);
  }
  const results = peers.results();
  const bracket = buffer.access({ read: true });
  const sum = bracket.words.subarray(0, 512).reduce((total, n) => total + n, 0);
  bracket.finish();
  buffer.close();
  return { results, sum };
}

const several = (count: number): Queue[] =>
  Array.from({ length: count }, () => machine.createQueue());
const close = (queues: readonly Queue[]): void => queues.forEach((queue) => queue.close());

MODES.forEach((mode, i) => {
  test(`mutex: threads exclude each other, mode ${mode}`, () => {
    const queues = several(1);
    const { results, sum } = race('lockAll', () => [i, 200, ...queues.map((q) => q.id)]);
    assert.equal(results, [0, 0, 0]);
    assert.is(sum, PEERS * 200);
    close(queues);
  });
});

test('aa: the same lock again in one set is refused, and a try while it is held fails', () => {
  const [queue] = several(1) as [Queue];
  const hold = machine.waitAll([exclusive(queue)]);
  assert.is(
    codeOf(() => machine.waitAll([exclusive(queue), exclusive(queue)])),
    'EINVAL',
  );
  assert.is(
    codeOf(() => machine.waitAll([exclusive(queue)], 0)),
    'ETIME',
  );
  hold.release();
  machine.waitAll([exclusive(queue)], 0).release();
  queue.close();
});

test('abba: two locks in opposite orders, all finish with no back-off', () => {
  const queues = several(2);
  const ids = queues.map((q) => q.id);
  const { results, sum } = race('lockAll', (i) => [
    0,
    300,
    ...(i % 2 === 0 ? ids : ids.toReversed()),
  ]);
  assert.equal(results, [0, 0, 0]);
  assert.is(sum, PEERS * 300 * 2);
  close(queues);
});

for (let length = 2; length <= PEERS; length++) {
  test(`cycle: each of ${length} threads takes a lock and the next one`, () => {
    const queues = several(length);
    const id = (i: number): number => queues[i % length]?.id ?? 0;
    const { results, sum } = race('lockAll', (i) => [0, 300, id(i), id(i + 1)]);
    assert.equal(results, [0, 0, 0]);
    assert.is(sum, PEERS * 300 * 2);
    close(queues);
  });
}

/** Random subsets of the locks, `how` as the role has it. */
function stress(how: number, locks: number): void {
  const random = new Random();
  const queues = several(locks);
  // A message names 24 queues at most: each thread gets some of them.
  const some = (): number[] => random.shuffled(queues.map((q) => q.id)).slice(0, 24);
  const { results, sum } = race('lockSome', () => [how, 150, random.below(2 ** 30), ...some()]);
  const torn = results.reduce((total: number, r) => total + (r as [number])[0], 0);
  const counted = results.reduce((total: number, r) => total + ((r as number[])[1] ?? 0), 0);
  assert.is(torn, 0);
  assert.is(sum, counted, 'no count is lost');
  close(queues);
}

for (const locks of [16, 256]) {
  test(`stress_inorder: ${locks} locks, ${PEERS} threads`, () => {
    stress(0, locks);
  });

  test(`stress_reorder: ${locks} locks, ${PEERS} threads`, () => {
    stress(1, locks);
  });

  test(`stress_one: ${locks} locks, ${PEERS} threads`, () => {
    stress(2, locks);
  });
}

test.run();
