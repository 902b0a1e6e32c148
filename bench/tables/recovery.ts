/** What a death costs those who live: how long its recovery takes. */
import { deadActors } from '../harness/internals.js';
import { figure, interleave, latency, roundsFor, rowsOf, type Variant } from '../harness/rounds.js';
import {
  judged,
  type Row,
  type RunOptions,
  type Table,
  type TableResult,
} from '../harness/table.js';

const JOBS = 16_384;
const QUEUED = 200;
const BUFFERS = 32;
const DEATHS = 20;
const MARK_MS = 2;

export const recovery: Table = {
  name: 'recovery',
  title: 'Recovery from a death',
  method: [
    `Kernel memory with ${JOBS.toLocaleString('en')} jobs. Each of the dead had ${QUEUED} jobs queued over ${BUFFERS} buffers of its own, two claims each, all fds open, and held the lock of one queue. From the first step of its recovery to the last, in one thread; ${DEATHS} deaths a round, warm, as a reaper is that has warmed itself up. The first one of all is cold code.`,
  ],
  run,
};

async function run(options: RunOptions): Promise<TableResult> {
  const die = await deadActors({ jobs: JOBS, queued: QUEUED, buffers: BUFFERS });
  const first = figure([die()]);
  const variant: Variant = {
    label: 'recovery of one death',
    unit: 'ms',
    run: () => latency(Array.from({ length: DEATHS }, die)),
  };
  const rows: Row[] = rowsOf([variant], await interleave([variant], roundsFor(options, 12), 3));
  if (first !== undefined) rows.push({ label: 'the first one', unit: 'ms', value: first });
  const p50 = rows[0]?.value?.value ?? NaN;
  const mark = {
    what: `recovery from a death, ${JOBS.toLocaleString('en')}-job table`,
    reach: `p50 ≤ ${MARK_MS} ms`,
    got: `${p50.toFixed(2)} ms`,
  };
  return {
    rows,
    marks: [judged(mark, p50 <= MARK_MS, 'on a busy machine the scan of the table is slower')],
  };
}
