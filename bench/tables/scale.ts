/** What a larger machine would do: counters of a job, and the model of docs/SCALE.md made of them. */
import { countAccesses } from '../harness/access-counts.js';
import { boot, type Machine } from '@dmabuf/core';
import { Member, recruit } from '../harness/crew.js';
import { cores, pin } from '../harness/pin.js';
import {
  find,
  interleave,
  latency,
  roundsFor,
  rowsOf,
  type Sample,
  type Variant,
} from '../harness/rounds.js';
import type { Row, RunOptions, Table, TableResult } from '../harness/table.js';

const JOBS = 20_000;
const TURNS = 20_000;
const HOLD_ONE = 'holds on own buffers: one core';
const HOLD_TWO = 'holds on own buffers: two cores';
const DEVICE_ONE = 'device loops on own buffers: one core';
const DEVICE_TWO = 'device loops on own buffers: two cores';
const TRANSFER = 'a line of cache from core to core';

export const scale: Table = {
  name: 'scale',
  title: 'What a job shares, and what more cores would do',
  method: [
    'Counters: accesses to kernel memory of one job on two buffers, by what they touch, counted by the accessor on a machine without workers. "Global" are the words that all actors share, whatever their buffers.',
    'One and two cores: as the table on disjoint buffers. A line from core to core: two pinned threads that pass one word to and fro without sleeping, median of one way.',
    'Model: n cores do n times what one does, until the global words are written all the time; that is, no more jobs a second than 1 ÷ (holds of global locks a job × the time that one takes). A hold of a global lock moves up to 32 slots and takes two transfers (lock and list), and 4 ns a slot.',
  ],
  run,
};

async function run(options: RunOptions): Promise<TableResult> {
  const machine = await boot({ spin: 0 });
  const pair = [await recruit('ping', 'bare'), await recruit('pong', 'bare')] as const;
  try {
    pair.forEach(({ thread }, i) => pin(thread, i % cores));
    const variants: Variant[] = [];
    for (const [role, one, two] of [
      ['holdLoop', HOLD_ONE, HOLD_TWO],
      ['serveLoop', DEVICE_ONE, DEVICE_TWO],
    ] as const) {
      const members = [await looper(machine, role, 0), await looper(machine, role, 1)];
      variants.push(
        { label: one, unit: 'jobs/s', run: async () => rateOf(members.slice(0, 1)) },
        { label: two, unit: 'jobs/s', against: one, run: async () => rateOf(members) },
      );
    }
    variants.push({ label: TRANSFER, unit: 'ns', run: async () => transfer(pair) });
    const rows = rowsOf(variants, await interleave(variants, roundsFor(options, 10), 2));
    rows.push(...(await modelled(rows)));
    return { rows, marks: [] };
  } finally {
    for (const member of pair) await member.end();
    await machine.shutdown();
  }
}

async function modelled(rows: readonly Row[]): Promise<Row[]> {
  const out: Row[] = [];
  const line = find(rows, TRANSFER).value;
  for (const [what, title, one] of [
    ['hold', 'a hold', HOLD_ONE],
    ['device', 'a device’s job', DEVICE_ONE],
  ] as const) {
    const counts = await countAccesses(what, 2);
    for (const [name, text] of Object.entries(NAMES)) {
      out.push(plain(`${title}: ${text}`, 'a job', counts[name as keyof typeof NAMES]));
    }
    const alone = find(rows, one).value;
    const most = 1e9 / (counts.globalHolds * (2 * line + 32 * 4));
    for (const n of [1, 2, 16, 64]) {
      const rate = Math.min(n * alone, most);
      out.push(plain(`${title}: ${n} cores, by the model`, 'jobs/s', rate));
    }
    if (Number.isFinite(most)) out.push(plain(`${title}: at most`, 'jobs/s', most));
  }
  return out;
}

const NAMES = {
  globalWrites: 'writes of global words',
  globalReads: 'reads of global words',
  globalHolds: 'holds of global locks',
  recordWrites: 'atomic writes of records',
  atomics: 'Atomics',
  plain: 'plain accesses',
  locks: 'locks of queues and contexts',
} as const;

function plain(label: string, unit: string, value: number): Row {
  return { label, unit, value: { value, spread: 0 } };
}

async function looper(machine: Machine, role: string, core: number): Promise<Member> {
  const name = `${role} ${core}`;
  const { workerData: token, transferList } = machine.invite(name);
  const url = new URL('../workers/actor.js', import.meta.url);
  const member = new Member(url, name, { token, role, options: {} }, transferList);
  await member.started();
  pin(member.thread, core % cores);
  return member;
}

async function rateOf(members: readonly Member[]): Promise<Sample> {
  const rates = await Promise.all(
    members.map(async (member) => {
      const answer = member.next();
      member.post({ count: JOBS });
      return (JOBS / Number(await answer)) * 1000;
    }),
  );
  return { value: rates.reduce((sum, rate) => sum + rate, 0) };
}

/** ns that a written word takes to be seen on the other core, the look at the clock included. */
async function transfer(pair: readonly [Member, Member]): Promise<Sample> {
  const words = new Int32Array(new SharedArrayBuffer(1024));
  const stamps = new Float64Array(new SharedArrayBuffer(8));
  const ends = pair.map(async (member, end) => {
    member.post({ do: 'hop', words, stamps, end, hops: TURNS, spin: true });
    return member.next();
  });
  const samples = (await Promise.all(ends)).flatMap((part) =>
    part instanceof Float64Array ? [...part] : [],
  );
  return { value: latency(samples).value * 1000 };
}
