/** Two workers that never name the same buffer: design section 5, "disjoint buffers". */
import { boot, type Machine } from '@dmabuf/core';
import { Member } from '../harness/crew.js';
import { canPin, pin } from '../harness/pin.js';
import {
  find,
  interleave,
  roundsFor,
  rowsOf,
  type Sample,
  type Variant,
} from '../harness/rounds.js';
import type { Mark, Row, RunOptions, Table, TableResult } from '../harness/table.js';

const JOBS = 30_000;
const UNIT = 'jobs/s';

export const disjoint: Table = {
  name: 'disjoint',
  title: 'Two workers on disjoint buffers',
  method: [
    `Workers that joined one machine, each pinned to a core of its own, each with two buffers of its own. One round: each alone, then both at once. A job is a public waitAll and release, or a submit to itself through the device loop.`,
    'The ratio is what both do together ÷ the mean of each alone: 2.00 is perfect. Time in which a worker was ready to run and other processes had its core is left out.',
  ],
  run,
};

async function run(options: RunOptions): Promise<TableResult> {
  const machine = await boot();
  try {
    const variants: Variant[] = [];
    for (const [role, label] of [
      ['holdLoop', 'waitAll, release'],
      ['serveLoop', 'submit, device loop'],
    ] as const) {
      const pair = [await looper(machine, role, 0), await looper(machine, role, 1)] as const;
      variants.push(
        { label: `${label}: one worker`, unit: UNIT, run: () => alone(pair) },
        {
          label: `${label}: two workers`,
          unit: UNIT,
          against: `${label}: one worker`,
          run: () => together(pair),
        },
      );
    }
    const rounds = await interleave(variants, roundsFor(options, 12), 3);
    const rows = rowsOf(variants, rounds);
    return { rows, marks: [markOf(rows)] };
  } finally {
    await machine.shutdown();
  }
}

/** A worker that does rounds of jobs when it is told. It joins, but does not serve. */
async function looper(machine: Machine, role: string, core: number): Promise<Member> {
  const name = `${role} ${core}`;
  const { workerData: token, transferList } = machine.invite(name);
  const url = new URL('../workers/actor.js', import.meta.url);
  const member = new Member(url, name, { token, role, options: {} }, transferList);
  await member.started();
  pin(member.thread, core);
  return member;
}

/** A worker's jobs a second. */
async function order(member: Member): Promise<number> {
  const answer = member.next();
  member.post({ count: JOBS });
  return (JOBS / Number(await answer)) * 1000;
}

async function alone([first, second]: readonly [Member, Member]): Promise<Sample> {
  return { value: ((await order(first)) + (await order(second))) / 2 };
}

async function together(pair: readonly [Member, Member]): Promise<Sample> {
  const rates = await Promise.all(pair.map(order));
  return { value: rates.reduce((sum, rate) => sum + rate, 0) };
}

function markOf(rows: readonly Row[]): Mark {
  const holds = find(rows, 'waitAll, release: two workers').ratio;
  const served = find(rows, 'submit, device loop: two workers').ratio;
  return {
    what: 'two workers on disjoint buffers, pinned to different cores',
    reach: '≥ 1.8 × one worker',
    got: `${holds.toFixed(2)} × (holds), ${served.toFixed(2)} × (device loop)`,
    reached: canPin ? holds >= 1.8 && served >= 1.8 : undefined,
  };
}
