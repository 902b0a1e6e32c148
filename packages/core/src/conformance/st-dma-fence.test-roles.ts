/** The other threads of the dma-fence self-tests. */
import type { Machine } from '../actor/machine.js';
import type { FenceChain } from '../sync/fence-chain.js';
import type { Timeline } from '../sync/timeline.js';
import { Random } from '../testing/random.js';

const WAIT_MS = 10_000;

/** Signals points 1, 2, … of a timeline, each when the other side has made its fence and says so. */
export function signalEach(machine: Machine, [rounds = 1]: readonly number[]): number {
  const signals = machine.timeline(machine.receiveFd(WAIT_MS).fd);
  const turns = machine.timeline(machine.receiveFd(WAIT_MS).fd);
  for (let round = 1; round <= rounds; round++) {
    turns.createFence(round).wait(WAIT_MS);
    signals.increment(1);
  }
  signals.close();
  turns.close();
  return rounds;
}

/** Adds a callback to each fence that the other side is about to signal; counts how many it saw. */
export function watchEach(machine: Machine, [rounds = 1]: readonly number[]): readonly number[] {
  const signals = machine.timeline(machine.receiveFd(WAIT_MS).fd);
  const turns = machine.timeline(machine.receiveFd(WAIT_MS).fd);
  let early = 0;
  let seen = 0;
  for (let round = 1; round <= rounds; round++) {
    const fence = signals.createFence(round);
    turns.increment(1);
    try {
      fence.addCallback(() => seen++);
      while (seen + early < round) machine.pump(WAIT_MS);
    } catch {
      early++; // ENOENT: it had signalled before the callback was added
    }
    if (fence.status !== 1) return [-1, round];
  }
  signals.close();
  turns.close();
  return [seen, early];
}

/** Waits for the tail of a chain over the points 1 of `links` timelines. */
export function waitForTail(machine: Machine, [links = 1]: readonly number[]): number {
  const lines = Array.from({ length: links }, () =>
    machine.timeline(machine.receiveFd(WAIT_MS).fd),
  );
  const tail = chainOf(machine, lines).at(-1);
  machine.send(2, { result: 'waiting' });
  const status = tail?.wait(WAIT_MS) ?? 0;
  close(lines);
  return status;
}

/** Searches a chain over the points 1 of `links` timelines and signals them at random, in turns. */
export function searchAndSignal(
  machine: Machine,
  [links = 1, seed = 1]: readonly number[],
): readonly number[] {
  const lines = Array.from({ length: links }, () =>
    machine.timeline(machine.receiveFd(WAIT_MS).fd),
  );
  const random = new Random(seed);
  const chains = chainOf(machine, lines);
  const tail = chains.at(-1) as FenceChain;
  machine.send(2, { result: 'ready' });
  let searches = 0;
  let wrong = 0;
  for (let left = links; left > 0;) {
    for (let i = 0; i < 20; i++) {
      wrong += isRight(chains, tail, random.below(links) + 1) ? 0 : 1;
      searches++;
    }
    const line = lines[random.below(links)] as Timeline;
    if (line.value > 0) continue;
    line.increment(1);
    left--;
  }
  close(lines);
  return [searches, wrong];
}

/** A chain over the points 1 of timelines, link i with seqno i + 1. */
export function chainOf(machine: Machine, lines: readonly Timeline[]): FenceChain[] {
  const chains: FenceChain[] = [];
  for (const [i, line] of lines.entries()) {
    chains.push(machine.fenceChain(chains.at(-1), line.createFence(1), i + 1));
  }
  return chains;
}

/** Whether a search gives nothing, or a link that is not beyond the seqno, or the link itself. */
export function isRight(chains: readonly FenceChain[], tail: FenceChain, seqno: number): boolean {
  const found = tail.findSeqno(seqno);
  if (found === undefined) return true;
  const at = chains.findIndex((chain) => chain === found) + 1;
  return at > 0 && at <= seqno && (at < seqno || chains[at - 1]?.findSeqno(seqno) === found);
}

function close(lines: readonly Timeline[]): void {
  for (const line of lines) line.close();
}
