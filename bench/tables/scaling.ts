/** How the rate of jobs changes with what a job is, how many wait, and who takes part. */
import { availableParallelism } from 'node:os';
import {
  boot,
  type Context,
  discard,
  type DmaBuf,
  exclusive,
  type Machine,
  shared,
} from '@dmabuf/core';
import { type Actor, enlist, Member } from '../harness/crew.js';
import { FRAMES } from '../harness/frame-rigs.js';
import { keep } from '../harness/keep.js';
import { interleave, roundsFor, rowsOf, type Sample, type Variant } from '../harness/rounds.js';
import { stopwatch } from '../harness/stopwatch.js';
import type { Row, RunOptions, Table, TableResult } from '../harness/table.js';

const UNIT = 'jobs/s';
const JOBS = 10_000;
const FANNED = 1000;

export const scaling: Table = {
  name: 'scaling',
  title: 'Jobs a second, by buffers, queued jobs, actors and readers',
  method: [
    'Buffers a job: public waitAll and release, one thread.',
    'Queued jobs: so many wait behind a hold on one buffer, are then let go and run by the device loop of the same thread; the figure is jobs queued, granted, run and released a second, queueing included. Small batches are repeated to 10,000 jobs.',
    `Actors: so many workers, each with two buffers of its own, submit to themselves; jobs a second of all together. This machine has ${availableParallelism()} cores.`,
    `Readers: frames a second when one worker writes a frame and so many others read it, ${FRAMES} frames in flight, all queued ahead.`,
  ],
  run,
};

async function run(options: RunOptions): Promise<TableResult> {
  const machine = await boot({ tables: { jobs: 131_072, actors: 32, payloadBytes: 16 } });
  try {
    const rows: Row[] = [];
    const measure = async (variants: Variant[], rounds: number): Promise<void> => {
      rows.push(...rowsOf(variants, await interleave(variants, roundsFor(options, rounds), 1)));
    };
    await measure(
      compared([1, 2, 4, 8, 16], 'buffers a job', (n) => holds(machine, n)),
      8,
    );
    await measure(
      compared([10, 100, 1000, 10_000, 100_000], 'jobs queued', (n) => batch(machine, n)),
      4,
    );
    const members = await loopers(machine, 12);
    await measure(
      compared([1, 2, 4, 8, 12], 'actors', (n) => () => together(members.slice(0, n))),
      5,
    );
    for (const member of members) await member.end();
    const fan = await FanOut.make(machine, 8);
    await measure(
      compared([1, 2, 4, 8], 'readers of each frame', (n) => () => fan.run(n), 'frames/s'),
      5,
    );
    return { rows, marks: [] };
  } finally {
    await machine.shutdown();
  }
}

/** One variant for each size, all compared with the first. */
function compared(
  sizes: readonly number[],
  what: string,
  make: (size: number) => () => Sample | Promise<Sample>,
  unit: string = UNIT,
): Variant[] {
  const label = (size: number): string => `${size.toLocaleString('en')} ${what}`;
  const first = label(sizes[0] ?? 0);
  return sizes.map((size, i) => ({
    label: label(size),
    unit,
    ...(i > 0 && { against: first }),
    run: make(size),
  }));
}

function holds(machine: Machine, count: number): () => Sample {
  const uses = Array.from({ length: count }, () => exclusive(keep(machine.alloc(4096))));
  return () => {
    const took = stopwatch();
    for (let i = 0; i < JOBS; i++) machine.waitAll(uses).release();
    return { value: (JOBS / took()) * 1000 };
  };
}

class Enough extends Error {}

/** Queues `count` jobs on one buffer behind a hold, lets them go, and runs them here. */
function batch(machine: Machine, count: number): () => Sample {
  const uses = [discard(keep(machine.alloc(4096)))];
  const context = machine.createContext(machine.self, `batch ${count}`);
  const times = Math.max(1, JOBS / count);
  return () => {
    const took = stopwatch();
    for (let i = 0; i < times; i++) {
      const gate = machine.waitAll(uses);
      for (let j = 0; j < count; j++) context.submit({ buffers: uses });
      gate.release();
      serve(machine, count);
    }
    return { value: ((times * count) / took()) * 1000 };
  };
}

function serve(machine: Machine, count: number): void {
  let left = count;
  try {
    machine.serve({
      run() {
        if (--left === 0) throw new Enough();
      },
    });
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  }
}

async function loopers(machine: Machine, count: number): Promise<Member[]> {
  const url = new URL('../workers/actor.js', import.meta.url);
  const members: Member[] = [];
  for (let i = 0; i < count; i++) {
    const { workerData: token, transferList } = machine.invite(`loop ${i}`);
    const data = { token, role: 'serveLoop', options: {} };
    members.push(await new Member(url, `loop ${i}`, data, transferList).started());
  }
  return members;
}

async function together(members: readonly Member[]): Promise<Sample> {
  const start = performance.now();
  const answers = members.map((member) => {
    const answer = member.next();
    member.post({ count: JOBS });
    return answer;
  });
  await Promise.all(answers);
  return { value: ((members.length * JOBS) / (performance.now() - start)) * 1000 };
}

/** One writer, many readers, on a handful of frames. */
class FanOut {
  readonly #machine: Machine;
  readonly #contexts: readonly Context[];
  readonly #buffers: readonly DmaBuf[];

  static async make(machine: Machine, readers: number): Promise<FanOut> {
    const actors: Actor[] = [];
    for (let i = 0; i <= readers; i++) actors.push(await enlist(machine, `fan ${i}`, 'stage'));
    return new FanOut(machine, actors);
  }

  private constructor(machine: Machine, actors: readonly Actor[]) {
    this.#machine = machine;
    this.#contexts = actors.map(({ peer }) => machine.createContext(peer));
    this.#buffers = Array.from({ length: FRAMES }, () => machine.alloc(4096));
  }

  async run(readers: number): Promise<Sample> {
    const gate = this.#machine.waitAll(this.#buffers.map((buffer) => discard(buffer)));
    const [writer, ...others] = this.#contexts;
    for (let frame = 0; frame < FANNED; frame++) {
      const buffer = this.#buffers[frame % FRAMES];
      if (buffer === undefined) break;
      writer?.submit({ buffers: [discard(buffer)] });
      for (const reader of others.slice(0, readers)) reader.submit({ buffers: [shared(buffer)] });
    }
    // The next writer of each buffer comes after all its readers.
    const last = writer?.submit({ buffers: this.#buffers.map((buffer) => discard(buffer)) });
    const start = performance.now();
    gate.release();
    await last?.settled();
    return { value: (FANNED / (performance.now() - start)) * 1000 };
  }
}
