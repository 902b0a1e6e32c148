/** What single calls cost, and booting, memory, idling: design section 5. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import {
  boot,
  type DmaBuf,
  type DriverSpec,
  exclusive,
  type JoinToken,
  type Machine,
} from '@dmabuf/core';
import { ion } from '@dmabuf/exporter-ion';
import { gpu } from '@dmabuf/importer-gpu';
import { kms } from '@dmabuf/importer-kms';
import { v4l2 } from '@dmabuf/importer-v4l2';
import { Member } from '../harness/crew.js';
import { recordSizes } from '../harness/internals.js';
import { keep } from '../harness/keep.js';
import {
  find,
  interleave,
  latency,
  roundsFor,
  rowsOf,
  type Sample,
  type Variant,
} from '../harness/rounds.js';
import { median } from '../harness/stats.js';
import { stopwatch } from '../harness/stopwatch.js';
import {
  judged,
  type Mark,
  type Row,
  type RunOptions,
  type Table,
  type TableResult,
} from '../harness/table.js';

const CALLS = 20_000;
const IMPORTS = 40;
/** The reaper's worker starts a second after the machine; what it compiles late is done by then, too. */
const SETTLE_MS = 4000;
const IDLE_SECONDS = 5;
const BOOT = 'boot of a machine with four devices';
const IDLE = 'CPU time of four devices while idle';

export const costs: Table = {
  name: 'costs',
  title: 'Single calls, boot, memory, idling',
  method: [
    `Imports: ${IMPORTS} fds a round of buffers whose memory the importing worker has never seen, passed as it receives; one look is mmap, a bracket without synchronisation, its bytes, and finish. Each is timed on its own, in code that has hardly run; "in a loop" is what the same costs once it has, with finish.`,
    `Brackets and waits: ${CALLS.toLocaleString('en')} a round in one thread.`,
    'Boot: v4l2, gpu and kms, which are four device workers (codec, GPU, CRTC, writeback) beside the broker, from the call until all serve, and the same with ion, whose heap thread is a fifth; beside it, the bare start of as many empty workers. Every worker loads the bundles of core and of all drivers anew.',
    `Idle: both machines left alone for ${SETTLE_MS / 1000} s, then measured for ${IDLE_SECONDS} s, of which the median is taken; CPU time of the whole process, of which one core is 100 %.`,
  ],
  run,
};

const FOUR = (): readonly DriverSpec[] => [v4l2(), gpu(), kms()];
const FIVE = (): readonly DriverSpec[] => [ion(), ...FOUR()];

async function run(options: RunOptions): Promise<TableResult> {
  // First, for what a process has done before goes on in it: its garbage is collected, its code optimised.
  const idle: IdleSamples = { four: await idling(FOUR), five: await idling(FIVE) };
  const machine = await boot();
  const importer = await startImporter(machine);
  const variants: Variant[] = [
    {
      label: 'import of an fd by a new actor',
      unit: 'µs',
      run: () => imports(machine, importer, 'first'),
    },
    {
      label: 'import of the same fd again',
      unit: 'µs',
      run: () => imports(machine, importer, 'again'),
    },
    { label: 'the same in a loop', unit: 'µs', run: looks(machine) },
    { label: 'bracket: prepareAccess(write), finish', unit: 'µs', run: brackets(machine, true) },
    { label: 'bracket, cache maintenance alone', unit: 'µs', run: brackets(machine, false) },
    { label: 'waitAll of one buffer, release', unit: 'µs', run: hold(machine) },
    { label: 'wait for a fence that has signalled', unit: 'µs', run: signalled(machine) },
  ];
  try {
    const rows = rowsOf(variants, await interleave(variants, roundsFor(options, 12), 2));
    await importer.member.end();
    rows.push(...(await bootRows(options, idle)), ...(await memoryRows()));
    return { rows, marks: marksOf(rows) };
  } finally {
    await machine.shutdown();
  }
}

interface IdleSamples {
  readonly four: Sample;
  readonly five: Sample;
}
interface Importer {
  readonly member: Member;
  readonly actor: number;
}

async function startImporter(machine: Machine): Promise<Importer> {
  const { workerData, transferList } = machine.invite('importer');
  const token: JoinToken = workerData;
  const url = new URL('../workers/actor.js', import.meta.url);
  const data = { token, role: 'importLoop', options: {} };
  const member = await new Member(url, 'importer', data, transferList).started();
  return { member, actor: token.actor };
}

async function imports(
  machine: Machine,
  importer: Importer,
  which: 'first' | 'again',
): Promise<Sample> {
  const { member, actor } = importer;
  const buffers: DmaBuf[] = Array.from({ length: IMPORTS }, () => machine.alloc(65_536));
  const answer = member.next();
  member.post({ count: 0, fds: IMPORTS });
  for (const { fd } of buffers) machine.passFd(actor, fd);
  const times = await answer;
  for (const buffer of buffers) buffer.close();
  const list: unknown =
    typeof times === 'object' && times !== null ? Reflect.get(times, which) : [];
  return latency(Array.isArray(list) ? list.map(Number) : []);
}

/** µs a call, over many. */
function each(count: number, call: () => void): Sample {
  const took = stopwatch();
  for (let i = 0; i < count; i++) call();
  return { value: (took() * 1000) / count };
}

function looks(machine: Machine): () => Sample {
  const { fd } = keep(machine.alloc(4096));
  const use = { read: true, sync: false, cache: false };
  return () =>
    each(CALLS, () => {
      const bracket = machine.dmabuf(fd).access(use);
      if (bracket.bytes.length !== 4096) throw new RangeError('not the buffer');
      bracket.finish();
    });
}

function brackets(machine: Machine, sync: boolean): () => Sample {
  const mapping = keep(keep(machine.alloc(4096)).mmap());
  const use = { write: true, sync };
  return () => each(CALLS, () => mapping.prepareAccess(use).finish());
}

function hold(machine: Machine): () => Sample {
  const uses = [exclusive(keep(machine.alloc(4096)))];
  return () => each(CALLS, () => machine.waitAll(uses).release());
}

function signalled(machine: Machine): () => Sample {
  const point = machine.waitAll([exclusive(keep(machine.alloc(4096)))]);
  point.release();
  const fence = machine.fence(point.fence);
  return () => each(CALLS, () => fence.wait());
}

async function bootRows(options: RunOptions, idle: IdleSamples): Promise<Row[]> {
  const down: Sample[] = [];
  const rss: Sample[] = [];
  const boots = async (drivers: () => readonly DriverSpec[]): Promise<Sample> => {
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const machine = await boot({ drivers: drivers() });
    const value = performance.now() - start;
    if (drivers === FIVE) rss.push({ value: (process.memoryUsage().rss - before) / 2 ** 20 });
    await sleep(500);
    const end = performance.now();
    await machine.shutdown();
    if (drivers === FIVE) down.push({ value: performance.now() - end });
    return { value };
  };
  const against = 'start of six empty workers';
  const variants: Variant[] = [
    { label: against, unit: 'ms', run: emptyWorkers },
    { label: BOOT, unit: 'ms', against, run: () => boots(FOUR) },
    { label: 'boot with the heap thread, too', unit: 'ms', against, run: () => boots(FIVE) },
  ];
  const rounds = new Map(await interleave(variants, roundsFor(options, 5), 1));
  const more = [
    ['its shutdown', 'ms', down.slice(1)],
    ['memory of its workers, resident', 'MiB', rss.slice(1)],
    [IDLE, '% of a core', [idle.four]],
    ['the same with the heap thread', '% of a core', [idle.five]],
  ] as const;
  for (const [label, , samples] of more) rounds.set(label, samples);
  const others = more.map(([label, unit]): Variant => ({ label, unit, run: emptyWorkers }));
  return rowsOf([...variants, ...others], rounds);
}

/** CPU time of a machine that nobody uses. */
async function idling(drivers: () => readonly DriverSpec[]): Promise<Sample> {
  const machine = await boot({ drivers: drivers() });
  await sleep(SETTLE_MS);
  const seconds: number[] = [];
  for (let i = 0; i < IDLE_SECONDS; i++) {
    const from = performance.now();
    const cpu = process.cpuUsage();
    await sleep(1000);
    const { user, system } = process.cpuUsage(cpu);
    seconds.push((user + system) / 10 / (performance.now() - from));
  }
  await machine.shutdown();
  return { value: median(seconds) };
}

async function emptyWorkers(): Promise<Sample> {
  const start = performance.now();
  const workers = Array.from({ length: 6 }, () => new Worker('', { eval: true }));
  await Promise.all(
    workers.map(
      (worker) =>
        new Promise((resolve) => {
          worker.once('online', resolve);
        }),
    ),
  );
  const value = performance.now() - start;
  await Promise.all(workers.map((worker) => worker.terminate()));
  return { value };
}

async function memoryRows(): Promise<Row[]> {
  const { job, payload, queue, buffer, total } = await recordSizes();
  const row = (label: string, words: number, note?: string): Row => ({
    label,
    unit: 'bytes',
    value: { value: words * 4, spread: 0 },
    ...(note !== undefined && { note }),
  });
  return [
    row('record of a job', job),
    row('payload slot of a job', payload, 'beside the record; tables.payloadBytes'),
    row('record of a queue', queue),
    row('record of a buffer', buffer, 'and its queue'),
    row(
      'kernel memory, default tables',
      total,
      'mostly trace rings; pages are touched as they are used',
    ),
  ];
}

function marksOf(rows: readonly Row[]): Mark[] {
  const first = find(rows, 'import of an fd by a new actor');
  const again = find(rows, 'import of the same fd again');
  const looped = find(rows, 'the same in a loop');
  const booted = find(rows, BOOT);
  const idle = find(rows, IDLE);
  const [job, queue, buffer] = ['job', 'queue', 'buffer'].map(
    (name) => find(rows, `record of a ${name}`).value,
  );
  const bytes = { job: job ?? NaN, queue: queue ?? NaN, buffer: (buffer ?? NaN) + (queue ?? NaN) };
  return [
    judged(
      {
        what: 'import of an fd by a new actor; again',
        reach: '≤ 200 µs; ≤ 2 µs',
        got: `p50 ${first.value.toFixed(0)} µs (p99 ${first.p99.toFixed(0)}); p50 ${again.value.toFixed(1)} µs, ${looped.value.toFixed(1)} µs in a loop`,
      },
      first.value <= 200 && again.value <= 2,
      'the second look needs no region any more; what is left is making the handle, the mapping with its record in the table of holders, and the bracket: some sixty short calls, which take several times as long in code that has hardly run, as here, as in a loop. A mapping that is kept costs its bracket alone, see below.',
    ),
    judged(
      {
        what: 'boot of a machine with four devices',
        reach: '≤ 250 ms',
        got: `${booted.value.toFixed(0)} ms, ${booted.ratio.toFixed(1)} × the start of as many empty workers`,
      },
      booted.value <= 250,
      'it is processor time: six workers (broker, reaper, four devices) each start, and load the bundles of core and of all drivers.',
    ),
    judged(
      {
        what: 'idle machine, four actors',
        reach: '≤ 0.5 % of a core',
        got: `${idle.value.toFixed(2)} %, with the broker and the reaper`,
      },
      idle.value <= 0.5,
      'every sleeper wakes now and then to look whether the machine still lives: an idle one every 400 ms.',
    ),
    {
      what: 'control memory',
      reach: '≤ 256 B a job, ≤ 128 B a queue, ≤ 512 B a buffer in all',
      got: `${bytes.job} B, ${bytes.queue} B, ${bytes.buffer} B (a job's payload slot is counted apart)`,
      reached: bytes.job <= 256 && bytes.queue <= 128 && bytes.buffer <= 512,
    },
  ];
}
