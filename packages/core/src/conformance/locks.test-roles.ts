/** The other threads of the ww-mutex and KDS cases: they claim queues, by their ids, and count. */
import { type BufferUse, exclusive, shared } from '../sync/context.js';
import type { Hold } from '../sync/holds.js';
import type { Machine } from '../actor/machine.js';
import { Random } from '../testing/random.js';

const WAIT_MS = 10_000;

/** How a claim is made: blocking, trying until it succeeds, or by callback. */
export const MODES = ['block', 'try', 'callback'] as const;

/** The words of a dma-buf that was passed here: what the queues guard. */
function guarded(machine: Machine): Uint32Array<ArrayBufferLike> {
  const buffer = machine.dmabuf(machine.receiveFd(WAIT_MS).fd);
  return buffer.access({ read: true, write: true, sync: false, cache: false }).words;
}

/** Which word a queue guards: that of its place in the table. */
function wordOf(id: number): number {
  return ((id % 2 ** 28) >> 5) & 255;
}

function claim(machine: Machine, uses: readonly BufferUse[], mode: number): Hold {
  if (MODES[mode] === 'block') return machine.waitAll(uses, WAIT_MS);
  if (MODES[mode] === 'try') return tryUntil(machine, uses);
  let hold: Hold | undefined;
  machine.asyncWaitAll(uses, (granted) => {
    hold = granted;
  });
  while (hold === undefined) machine.pump(WAIT_MS);
  return hold;
}

function tryUntil(machine: Machine, uses: readonly BufferUse[]): Hold {
  for (;;) {
    try {
      return machine.waitAll(uses, 0);
    } catch (error) {
      if (!String(error).includes('ETIME')) throw error;
    }
  }
}

/** Counts up the words of the queues that are held; returns how often somebody else was in there. */
function countUnder(
  words: Uint32Array<ArrayBufferLike>,
  indexes: readonly number[],
  self: number,
): number {
  let torn = 0;
  for (const i of indexes) {
    words[512 + i] = self;
    words[i] = (words[i] ?? 0) + 1;
  }
  for (const i of indexes) if (words[512 + i] !== self) torn++;
  return torn;
}

/** Claims all queues in the given order at once, again and again. */
export function lockAll(
  machine: Machine,
  [mode = 0, rounds = 1, ...ids]: readonly number[],
): number {
  const words = guarded(machine);
  const uses = ids.map((id) => exclusive(machine.queueById(id)));
  const indexes = ids.map(wordOf);
  let torn = 0;
  for (let i = 0; i < rounds; i++) {
    using _hold = claim(machine, uses, mode);
    torn += countUnder(words, indexes, machine.self);
  }
  return torn;
}

/** Claims subsets: `how` 0 ascending, 1 in random order, 2 one queue at a time. */
export function lockSome(
  machine: Machine,
  [how = 0, rounds = 1, seed = 1, ...ids]: readonly number[],
): readonly number[] {
  const words = guarded(machine);
  const random = new Random(seed);
  let torn = 0;
  let counted = 0;
  for (let i = 0; i < rounds; i++) {
    const count = how === 2 ? 1 : 1 + random.below(ids.length);
    let some = random.shuffled(ids).slice(0, count);
    if (how === 0) some = some.toSorted((a, b) => a - b);
    using _hold = claim(
      machine,
      some.map((id) => exclusive(machine.queueById(id))),
      0,
    );
    torn += countUnder(words, some.map(wordOf), machine.self);
    counted += count;
  }
  return [torn, counted];
}

/** Claims a queue exclusively and lets it go, as fast as it can, until the shared word 0 is set. */
export function holdAndRelease(machine: Machine, [id = 0]: readonly number[]): number {
  const words = guarded(machine);
  const uses = [exclusive(machine.queueById(id))];
  let holds = 0;
  machine.send(2, { result: 'ready' });
  while (words[0] === 0) {
    machine.waitAll(uses, WAIT_MS).release();
    holds++;
  }
  return holds;
}

/** Claims a queue and never lets it go; then asks for another, for ever. Ends when it is terminated. */
export function holdForEver(machine: Machine, [id = 0, other = 0]: readonly number[]): void {
  machine.waitAll([exclusive(machine.queueById(id))], WAIT_MS);
  machine.asyncWaitAll(
    [exclusive(machine.queueById(other)), shared(machine.queueById(id))],
    () => {},
  );
  machine.send(2, { result: 'holding' });
  machine.waitAll([exclusive(machine.queueById(other))]);
}
