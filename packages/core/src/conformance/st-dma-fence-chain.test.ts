// Chains of fences: the kernel's self-test drivers/dma-buf/st-dma-fence-chain.c, under its case names.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Machine } from '../actor/machine.js';
import { errno } from '../errno.js';
import type { FenceChain } from '../sync/fence-chain.js';
import type { FenceLike } from '../sync/fence-set.js';
import type { Timeline } from '../sync/timeline.js';
import { codeOf } from '../testing/code-of.js';
import { type MockFence, MockFences } from '../testing/mock-fences.js';
import { type Peers, withPeers } from '../testing/peers.js';
import { Random } from '../testing/random.js';
import { chainOf, isRight } from './st-dma-fence.test-roles.js';

const roles = new URL('./st-dma-fence.test-roles.js', import.meta.url);
const LINKS = 64;

interface Chains {
  readonly machine: Machine;
  readonly fences: readonly MockFence[];
  readonly chains: readonly FenceChain[];
  readonly tail: FenceChain;
}

/** fence_chains_init. */
function fenceChains(count: number, seqno: (i: number) => number): Chains {
  const mocks = new MockFences();
  const fences = mocks.several(count);
  const chains = link(
    mocks.machine,
    fences.map(({ fence }) => fence),
    seqno,
  );
  return { machine: mocks.machine, fences, chains, tail: chains.at(-1) as FenceChain };
}

function link(
  machine: Machine,
  fences: readonly FenceLike[],
  seqno: (i: number) => number,
): FenceChain[] {
  const chains: FenceChain[] = [];
  fences.forEach((fence, i) => chains.push(machine.fenceChain(chains.at(-1), fence, seqno(i))));
  return chains;
}

/** Identity, without printing the whole machine that hangs on a fence when it fails. */
function same(found: FenceLike | undefined, expected: FenceLike | undefined, what?: string): void {
  assert.ok(found === expected, what ?? 'another link was found');
}

const inc = (i: number): number => i + 1;

test('sanitycheck', () => {
  const mocks = new MockFences();
  const { fence, signal } = mocks.make();
  const chain = mocks.machine.fenceChain(undefined, fence, 1);
  assert.is(chain.status, 0);
  signal();
  assert.is(chain.status, 1);
});

test('find_seqno', () => {
  const { chains, tail } = fenceChains(LINKS, inc);
  same(tail.findSeqno(0), tail);
  chains.forEach((chain, i) => {
    same(tail.findSeqno(i + 1), chain);
    same(chain.findSeqno(i + 1), chain, 'itself');
    assert.is(
      codeOf(() => chain.findSeqno(i + 2)),
      'EINVAL',
      'a future one',
    );
    same(chain.findSeqno(i), i === 0 ? chain : chains[i - 1], 'the one before');
  });
});

test('find_signaled', () => {
  const { chains, tail, fences } = fenceChains(2, inc);
  fences[0]?.signal();
  const found = tail.findSeqno(1);
  assert.ok(found === undefined || found === chains[0]);
});

test('find_out_of_order', () => {
  const { chains, tail, fences } = fenceChains(3, inc);
  fences[1]?.signal();
  same(tail.findSeqno(2), chains[0], 'fence 1 is still to be waited for');
});

test('find_gap', () => {
  const { chains, tail } = fenceChains(LINKS, (i) => 2 * i + 2);
  chains.forEach((chain, i) => {
    same(tail.findSeqno(2 * i + 1), chain);
    same(chain.findSeqno(2 * i + 2), chain);
  });
});

/** A machine with a timeline for each link, the fds of all of them passed to peer 0. */
async function withPeer(
  role: string,
  args: readonly number[],
  act: (machine: Machine, lines: readonly Timeline[], peers: Peers) => void,
): Promise<void> {
  const play = (peers: Peers, machine: Machine): void => {
    const lines = Array.from({ length: LINKS }, () => machine.createTimeline());
    peers.play(0, role, ...args);
    for (const line of lines) machine.passFd(peers.actor(0), line.fd);
    act(machine, lines, peers);
    for (const line of lines) line.close();
  };
  await withPeers(roles, 1, play, { tables: { timelines: 128, contexts: 256 } });
}

test('find_race: two threads search while one signals, never an error or a wrong link', async () => {
  const random = new Random();
  await withPeer('searchAndSignal', [LINKS, random.seed], (machine, lines, peers) => {
    const chains = chainOf(machine, lines);
    const tail = chains.at(-1) as FenceChain;
    assert.is(peers.result(peers.actor(0)), 'ready');
    let searches = 0;
    for (; tail.status === 0; searches++) {
      const seqno = random.below(LINKS) + 1;
      assert.ok(isRight(chains, tail, seqno), `seqno ${seqno}`);
    }
    const [[theirs, wrong]] = peers.results() as [[number, number]];
    console.log(`# ${searches} and ${theirs} searches`);
    assert.is(wrong, 0);
  });
});

test('signal_forward', () => {
  const { fences, chains } = fenceChains(LINKS, inc);
  fences.forEach(({ signal }, i) => {
    signal();
    assert.ok(chains[i]?.signalled, `chain ${i}`);
    if (i + 1 < LINKS) assert.not(chains[i + 1]?.signalled, `chain ${i + 1}`);
  });
});

test('signal_backward', () => {
  const { fences, chains } = fenceChains(LINKS, inc);
  for (let i = LINKS - 1; i >= 0; i--) {
    fences[i]?.signal();
    if (i > 0) assert.not(chains[i]?.signalled, `chain ${i}`);
  }
  chains.forEach((chain, i) => assert.ok(chain.signalled, `chain ${i}`));
});

async function waitInOrder(order: readonly number[]): Promise<void> {
  await withPeer('waitForTail', [LINKS], (_machine, lines, peers) => {
    assert.is(peers.result(peers.actor(0)), 'waiting');
    for (const i of order) lines[i]?.increment(1);
    assert.equal(peers.results(), [1]);
  });
}

const FORWARD = Array.from({ length: LINKS }, (_, i) => i);

test('wait_forward: 64 links, the original 4,096', async () => {
  await waitInOrder(FORWARD);
});

test('wait_backward: 64 links, the original 4,096', async () => {
  await waitInOrder(FORWARD.toReversed());
});

test('wait_random: 64 links, the original 4,096', async () => {
  await waitInOrder(new Random().shuffled(FORWARD));
});

// Not among the kernel's cases: what linux.md says of chains beside them.
test('a lower seqno starts a new context, and keeps the order of the links', () => {
  const { tail, machine, fences } = fenceChains(2, inc);
  const extra = machine.fenceChain(tail, fences[0]?.fence as FenceLike, 1);
  assert.is.not(extra.context, tail.context);
  assert.is(extra.seqno, 2, 'never lower than what it follows');
  same(extra.findSeqno(1), extra);
  assert.is(extra.status, 0);
});

test('the error of the oldest link that failed is the status, also when its link was let go', () => {
  const { tail, fences } = fenceChains(3, inc);
  fences[1]?.signal(-errno.EIO);
  assert.is(tail.status, 0);
  fences[0]?.signal(-errno.ENODATA);
  same(tail.findSeqno(1), undefined);
  fences[2]?.signal();
  assert.is(tail.status, -errno.ENODATA);
  assert.is(tail.points.length, 1, 'a job that waits for it fails with it');
});

test('a chain that begins with a fence comes to it when its links have signalled', () => {
  const mocks = new MockFences();
  const { machine } = mocks;
  const [first, second, third] = mocks.several(3) as [MockFence, MockFence, MockFence];
  const link = machine.fenceChain(first.fence, second.fence, 5);
  const tail = machine.fenceChain(link, third.fence, 6);
  same(tail.findSeqno(3), link);
  second.signal();
  same(tail.findSeqno(3), first.fence);
  first.signal();
  same(tail.findSeqno(5), undefined);
  assert.is(tail.status, 0);
});

test('deadlines go to the fences of all links', () => {
  const mocks = new MockFences();
  const timeline = mocks.machine.createTimeline();
  const first = mocks.machine.fenceChain(undefined, timeline.createFence(1), 1);
  const chain = mocks.machine.fenceChain(first, mocks.make().fence, 2);
  assert.is(
    codeOf(() => timeline.deadline),
    'ENOENT',
  );
  chain.setDeadline(40);
  assert.is(timeline.deadline, 40);
});

test('a chain as in-fence holds a job back until its last link signals', () => {
  const { machine, tail, fences } = fenceChains(12, inc);
  const context = machine.createContext(1);
  const job = context.submit({ inFences: [tail] });
  for (const { signal } of fences) {
    assert.ok(Number.isNaN(job.times()?.granted));
    signal();
  }
  assert.not(Number.isNaN(job.times()?.granted));
});

test('a chain is no fence of a link, and seqnos are positive integers', () => {
  const { machine, tail } = fenceChains(1, inc);
  assert.is(
    codeOf(() => machine.fenceChain(undefined, tail, 2)),
    'EINVAL',
  );
  for (const seqno of [0, -1, 1.5, NaN]) {
    assert.is(
      codeOf(() => machine.fenceChain(tail, { points: [] }, seqno)),
      'EINVAL',
    );
  }
});

test.run();
