/** What other people's jobs cost: design section 5, "10,000 jobs queued elsewhere, 1,000 readers". */
import { boot, exclusive, type Machine, shared } from '@dmabuf/core';
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
import type { RunOptions, Table, TableResult } from '../harness/table.js';

const JOBS = 20_000;
const ELSEWHERE = 10_000;
const READERS = 1_000;
const UNIT = 'jobs/s';

export const load: Table = {
  name: 'load',
  title: 'The same job while others wait',
  method: [
    `A job is a public waitAll and release on two buffers, one thread. ${ELSEWHERE.toLocaleString('en')} jobs elsewhere: queued behind a writer on other buffers of the same machine. ${READERS.toLocaleString('en')} readers: that many granted shared jobs stand on the buffer that the job reads too.`,
    'The ratio is the cost (time a job) against the idle machine; each kind of load has an idle machine of its own beside it, with tables of the same size.',
  ],
  run,
};

async function run(options: RunOptions): Promise<TableResult> {
  const tables = { jobs: 16_384 };
  const idle = await boot({ tables });
  const queued = await boot({ tables });
  const read = await boot({ tables });
  try {
    const hot = keep(read.alloc(4096));
    fillElsewhere(queued);
    const context = read.createContext(read.self, 'readers');
    for (let i = 0; i < READERS; i++) context.submit({ buffers: [shared(hot)] });
    const variants: Variant[] = [
      { label: 'idle, two written', unit: UNIT, run: writer(idle) },
      {
        label: `${ELSEWHERE} jobs queued elsewhere, two written`,
        unit: UNIT,
        against: 'idle, two written',
        run: writer(queued),
      },
      { label: 'idle, two read', unit: UNIT, run: reader(idle, keep(idle.alloc(4096))) },
      {
        label: `${READERS} readers granted, two read`,
        unit: UNIT,
        against: 'idle, two read',
        run: reader(read, hot),
      },
    ];
    const rounds = await interleave(variants, roundsFor(options, 20), 3);
    const rows = rowsOf(variants, rounds);
    const elsewhere = 1 / find(rows, `${ELSEWHERE} jobs queued elsewhere, two written`).ratio;
    const readers = 1 / find(rows, `${READERS} readers granted, two read`).ratio;
    const got = `${elsewhere.toFixed(2)} × with jobs elsewhere, ${readers.toFixed(2)} × with readers`;
    return {
      rows,
      marks: [
        {
          what: 'the same with 10,000 jobs queued elsewhere, or 1,000 readers granted on the buffer',
          reach: '≤ 1.1 × the idle cost',
          got,
          reached: elsewhere <= 1.1 && readers <= 1.1,
        },
      ],
    };
  } finally {
    for (const machine of [idle, queued, read]) await machine.shutdown();
  }
}

/** Jobs that stand behind a hold of this thread's, on eight buffers. */
function fillElsewhere(machine: Machine): void {
  const buffers = Array.from({ length: 8 }, () => exclusive(keep(machine.alloc(4096))));
  keep(machine.waitAll(buffers));
  const context = machine.createContext(machine.self, 'elsewhere');
  for (let i = 0; i < ELSEWHERE; i++) {
    const buffer = buffers[i % buffers.length];
    if (buffer !== undefined) context.submit({ buffers: [buffer] });
  }
}

function writer(machine: Machine): () => Sample {
  const uses = [machine.alloc(4096), machine.alloc(4096)].map((buffer) => exclusive(keep(buffer)));
  return () => rate(machine, uses);
}

function reader(machine: Machine, hot: ReturnType<Machine['alloc']>): () => Sample {
  const uses = [shared(hot), shared(keep(machine.alloc(4096)))];
  return () => rate(machine, uses);
}

function rate(machine: Machine, uses: Parameters<Machine['waitAll']>[0]): Sample {
  const took = stopwatch();
  for (let i = 0; i < JOBS; i++) machine.waitAll(uses).release();
  return { value: (JOBS / took()) * 1000 };
}
