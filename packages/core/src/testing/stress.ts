/**
 * Stress: one thread of several that add random jobs over random sets of buffers and, being
 * each other's devices, run them. A job writes a pattern of its own into all that it holds
 * exclusively and looks whether what it holds keeps its pattern: a torn one is a breach of exclusion.
 */
import type { Job } from '../actor/job.js';
import type { Machine } from '../actor/machine.js';
import { discard, exclusive, shared, type BufferUse } from '../sync/context.js';
import type { Fence } from '../sync/fence.js';
import { DmaBufError } from '../errno.js';

export interface StressOptions {
  readonly seed: number;
  readonly jobs: number;
  readonly buffers: number;
  /** Names of all workers, this one's among them. */
  readonly peers: readonly string[];
  /** Actor id of whoever started them: is told when all of a worker's jobs are done. */
  readonly main: number;
}

/** What ends a worker's serving: any ioctl, when all are done. */
const STOP = 'stop serving';

/** What a worker found. */
export interface StressResult {
  readonly added: number;
  readonly ran: number;
  readonly torn: number;
  readonly unordered: number;
  readonly failed: number;
}

/** A small generator (mulberry32): the same seed gives the same sequence. */
export function random(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Receives the buffers and the ids of the contexts, then serves and submits until all of its jobs and all others' are done. */
export async function stress(machine: Machine, options: StressOptions): Promise<StressResult> {
  const pick = random(options.seed);
  const buffers = Array.from({ length: options.buffers }, () =>
    machine.dmabuf(machine.receiveFd(20_000).fd),
  );
  const contextIds = machine.receive(20_000).value as number[];
  let [added, ran, torn, unordered] = [0, 0, 0, 0];
  const last = new Map<number, number>();
  const run = (job: Job): void => {
    ran++;
    if (job.seqno <= (last.get(job.context) ?? 0)) unordered++;
    last.set(job.context, job.seqno);
    if (!intact(job, ran)) torn++;
    if (pick(300) === 0) throw new DmaBufError('EIO', 'stress', 'on purpose');
  };
  const ioctl = (): never => {
    throw new Error(STOP);
  };
  const serving = machine.serveAsync({ run, ioctl }).catch((error: unknown) => {
    if (!(error instanceof Error) || error.message !== STOP) throw error;
  });
  // All workers submit to the same contexts, one for each of them.
  for (const peer of options.peers) await machine.peer(peer);
  const contexts = contextIds.map((id) => machine.contextById(id));
  const fences: Fence[] = [];
  while (added < options.jobs) {
    const uses = randomUses(pick, buffers.length).map(([i, how]): BufferUse => {
      const buffer = buffers[i];
      if (buffer === undefined) throw new RangeError('no such buffer');
      return how === 0 ? exclusive(buffer) : how < 3 ? discard(buffer) : shared(buffer);
    });
    const context = contexts[pick(contexts.length)];
    const inFences =
      fences.length > 0 && pick(4) === 0 ? [fences[pick(fences.length)] as Fence] : [];
    const onError = pick(2) === 0 ? 'run' : 'cancel';
    const fence = context?.submit({ buffers: uses, inFences, onError, payload: added });
    if (fence !== undefined) fences.push(fence);
    added++;
    if (added % 64 !== 0) continue;
    await fences.at(-1)?.settled();
    fences.splice(0, 32);
  }
  let failed = 0;
  for (const fence of fences) if ((await fence.settled()) < 0) failed++;
  machine.send(options.main, 'done');
  await serving;
  return { added, ran, torn, unordered, failed };
}

/** One to four buffers, each once, with a use: 0 exclusive, 1 and 2 discard, else shared. */
function randomUses(pick: (below: number) => number, count: number): [number, number][] {
  const uses = new Map<number, number>();
  for (let n = 1 + pick(4); n > 0; n--) uses.set(pick(count), pick(5));
  return [...uses];
}

/** Writes and checks: word 0 and the last word of a buffer always agree while nobody else writes. */
function intact(job: Job, stamp: number): boolean {
  let good = true;
  const mark = (job.context << 16) ^ job.seqno ^ stamp;
  for (const buffer of job.buffers) {
    const { words } = buffer;
    if (buffer.exclusive) words.fill(mark);
  }
  for (const buffer of job.buffers) {
    const { words } = buffer;
    const [first] = words;
    for (let i = 0; i < words.length; i += 61) if (words[i] !== first) good = false;
    if (buffer.exclusive && first !== mark >>> 0) good = false;
  }
  return good;
}

export interface CountOptions {
  readonly seed: number;
  readonly rounds: number;
  /** Names the two buffers in the other order. */
  readonly swapped: boolean;
}

/**
 * Claims two buffers again and again, mostly to read, so that two workers are in the queues at the same
 * time; when it has them exclusively it adds 1 to a word in each without any atomic operation. Now
 * and then it only tries. Returns how often it had them exclusively.
 */
export function count(machine: Machine, options: CountOptions): number {
  const pick = random(options.seed);
  const [a, b] = [0, 1].map(() => machine.dmabuf(machine.receiveFd(20_000).fd));
  if (a === undefined || b === undefined) throw new RangeError('two buffers were to come');
  const views = [a, b].map((buffer) => {
    const mapping = buffer.mmap();
    return mapping.prepareAccess({ write: true, sync: false, cache: false }).words;
  });
  const order = options.swapped ? [b, a] : [a, b];
  const [readers, writers] = [order.map(shared), order.map(exclusive)];
  let held = 0;
  for (let round = 0; round < options.rounds; round++) {
    try {
      const writes = pick(32) === 0;
      const hold = machine.waitAll(writes ? writers : readers, pick(4) === 0 ? 0 : Infinity);
      if (writes) for (const words of views) words[0] = (words[0] ?? 0) + 1;
      if (writes) held++;
      hold.release();
    } catch (error) {
      if (!(error instanceof DmaBufError) || error.code !== 'ETIME') throw error;
    }
  }
  machine.send(machine.receive(20_000).from, 'done');
  return held;
}
