/** The queue core on one thread: design section 5, "add + grant + complete". */
import { boot, discard, exclusive, type Machine } from '@dmabuf/core';
import { type Core, makeCore } from '../harness/internals.js';
import { keep } from '../harness/keep.js';
import {
  find,
  interleave,
  roundsFor,
  rowsOf,
  type Sample,
  type Variant,
} from '../harness/rounds.js';
import { stopwatch } from '../harness/stopwatch.js';
import {
  judged,
  type Row,
  type RunOptions,
  type Table,
  type TableResult,
} from '../harness/table.js';

const JOBS = 20_000;
const BARE = '24 bare Atomics and 4 clock reads';
const CORE = 'core: add, claim, complete, release';
const HOLD = 'public: waitAll, release';
const SERVE = 'public: submit, run by the device loop, released';

export const queue: Table = {
  name: 'queue',
  title: 'A job on two idle buffers, one thread',
  method: [
    'One thread adds a job that claims two idle buffers exclusively, is granted at once, completes and releases it; all four timestamps on, tracing off.',
    'The first row is the floor: the 24 Atomics calls that the design allows a job (spread over eight cache lines), and its four clock reads. The second row uses modules inside core (Jobs), since no public call does this and nothing else; the others are public calls.',
    'Atomics per job are counted by the counting accessor of kernel memory (CountedWords), in the same code.',
  ],
  run,
};

async function run(options: RunOptions): Promise<TableResult> {
  const core = await makeCore(false);
  const machine = await boot();
  try {
    const variants: Variant[] = [
      { label: BARE, unit: 'jobs/s', run: floor },
      { label: CORE, unit: 'jobs/s', against: BARE, run: coreJobs(core) },
      { label: HOLD, unit: 'jobs/s', against: BARE, run: holds(machine) },
      { label: SERVE, unit: 'jobs/s', against: BARE, run: served(machine) },
    ];
    const rounds = await interleave(variants, roundsFor(options, 20), 3);
    const rows = rowsOf(variants, rounds);
    const { atomics, plain } = await count();
    rows.push(
      counted('Atomics a job (core)', atomics),
      counted('plain accesses a job (core)', plain),
    );
    return { rows, marks: marksOf(rows, atomics) };
  } finally {
    await machine.shutdown();
  }
}

function marksOf(rows: readonly Row[], atomics: number): TableResult['marks'] {
  const { value } = find(rows, CORE);
  return [
    judged(
      {
        what: 'add + grant + complete a job on 2 idle buffers, one thread, timestamps on',
        reach: '≥ 1,000,000 /s; ≤ 24 Atomics a job',
        got: `${Math.round(value).toLocaleString('en')} /s; ${atomics} Atomics`,
      },
      value >= 1e6 && atomics <= 24,
      'look at the floor above: where 24 bare Atomics and the clock alone do not reach twice the mark, the machine was too busy or too slow for it. A profile is flat: no function has a tenth of the time.',
    ),
  ];
}

function counted(label: string, value: number): Row {
  return { label, unit: 'calls', value: { value, spread: 0 } };
}

function rate(count: number, took: () => number): Sample {
  return { value: (count / took()) * 1000 };
}

const words = new Int32Array(new SharedArrayBuffer(1024));
function floor(): Sample {
  const took = stopwatch();
  let clock = 0;
  for (let i = 0; i < JOBS; i++) {
    for (let at = 0; at < 256; at += 32) {
      Atomics.compareExchange(words, at, 0, 1);
      Atomics.exchange(words, at, 0);
      Atomics.load(words, at);
    }
    for (let j = 0; j < 4; j++) clock += performance.now();
  }
  if (clock === 0) throw new Error('the clock stands still');
  return rate(JOBS, took);
}

/** One job of core's own, through its whole life. */
function oneJob(core: Core): () => void {
  const context = core.createContext();
  // LINK_FLAG.EXCLUSIVE is 1; the low bits of a queue's pointer are free for it.
  const claims = [core.alloc(4096), core.alloc(4096)].map(
    (buffer) => keep(buffer).record.queue | 1,
  );
  const spec = { context, claims, inFences: [], flags: 0, startAt: 0, limit: 0, payload: 1 };
  const ready: number[] = [];
  return () => {
    const { slot } = core.jobs.add(spec);
    ready.length = 0;
    core.jobs.ready.take(core.self, ready);
    if (!core.jobs.claim(slot)) throw new Error('a job on idle buffers was not granted at once');
    core.jobs.complete(slot, 0);
    core.jobs.release(slot);
  };
}

function coreJobs(core: Core): () => Sample {
  const job = oneJob(core);
  return () => {
    const took = stopwatch();
    for (let i = 0; i < JOBS; i++) job();
    return rate(JOBS, took);
  };
}

async function count(): Promise<{ atomics: number; plain: number }> {
  const core = await makeCore(true);
  const job = oneJob(core);
  for (let i = 0; i < 100; i++) job();
  core.words.reset?.();
  for (let i = 0; i < 1000; i++) job();
  const { atomics = NaN, plain = NaN } = core.words;
  return { atomics: atomics / 1000, plain: plain / 1000 };
}

function holds(machine: Machine): () => Sample {
  const uses = [machine.alloc(4096), machine.alloc(4096)].map((buffer) => exclusive(keep(buffer)));
  return () => {
    const took = stopwatch();
    for (let i = 0; i < JOBS; i++) machine.waitAll(uses).release();
    return rate(JOBS, took);
  };
}

class Enough extends Error {}

function served(machine: Machine): () => Sample {
  const context = machine.createContext(machine.self, 'self');
  // The last job ends the loop by an exception, which fails it: its successors must not read.
  const buffers = [machine.alloc(4096), machine.alloc(4096)].map((buffer) => discard(keep(buffer)));
  const job = { buffers, payload: 1 };
  return () => {
    let left = JOBS;
    const took = stopwatch();
    context.submit(job);
    try {
      machine.serve({
        run() {
          if (--left === 0) throw new Enough();
          context.submit(job);
        },
      });
    } catch (error) {
      if (!(error instanceof Enough)) throw error;
    }
    return rate(JOBS, took);
  };
}
