/** Asking another thread to do something, and waiting until it is done: jobs beside the peers. */
import { boot, type Context, type DmaBuf, exclusive } from '@dmabuf/core';
import { enlist, recruit, type Member } from '../harness/crew.js';
import { comlinkRig, poolRig, workerpoolRig, type CalledRig } from '../harness/frame-rigs.js';
import { absent } from '../harness/peers.js';
import {
  interleave,
  latency,
  roundsFor,
  rowsOf,
  type Sample,
  type Variant,
} from '../harness/rounds.js';
import {
  type Row,
  type RunOptions,
  skippedRow,
  type Table,
  type TableResult,
} from '../harness/table.js';

const CALLS = 300;
const UNIT = 'µs';
const BARE = 'postMessage and its answer';

export const calls: Table = {
  name: 'calls',
  title: 'One call: there and back',
  method: [
    `The main thread has one thing done by one worker and waits for it, ${CALLS} times a round, one after the other; the worker sleeps in between. A frame of 4 KiB in shared memory is handed along in all of them.`,
  ],
  run,
};

async function run(options: RunOptions): Promise<TableResult> {
  const machine = await boot();
  const actor = await enlist(machine, 'worker', 'stage');
  const context = machine.createContext(actor.peer);
  const buffer = machine.alloc(4096);
  const bare = await recruit('bare', 'relay');
  const size = { name: '4 KiB', bytes: 4096 };
  const peers: readonly [string, CalledRig | undefined][] = [
    ['comlink', await comlinkRig(1, size, false)],
    ['piscina', await poolRig('piscina', 1, size)],
    ['tinypool', await poolRig('tinypool', 1, size)],
    ['workerpool', await workerpoolRig(1, size)],
  ];
  const variants: Variant[] = [
    { label: BARE, unit: UNIT, run: () => messages(bare) },
    {
      label: 'job: submit, fence.wait()',
      unit: UNIT,
      against: BARE,
      run: () => waited(context, buffer),
    },
    {
      label: 'job: submit, await fence.settled()',
      unit: UNIT,
      against: BARE,
      run: () => awaited(context, buffer),
    },
  ];
  const skipped: Row[] = [];
  for (const [name, rig] of peers) {
    if (rig === undefined) skipped.push(skippedRow(name, UNIT, absent(name)));
    else
      variants.push({
        label: name,
        unit: UNIT,
        against: BARE,
        run: async () => latency(await rig.times(CALLS)),
      });
  }
  try {
    const rounds = await interleave(variants, roundsFor(options, 12), 2);
    return { rows: [...rowsOf(variants, rounds), ...skipped], marks: [] };
  } finally {
    await bare.end();
    for (const [, rig] of peers) await rig?.end();
    await machine.shutdown();
  }
}

async function messages(member: Member): Promise<Sample> {
  member.post(new Float64Array(new SharedArrayBuffer(8)));
  const samples: number[] = [];
  for (let i = 0; i < CALLS; i++) {
    const start = performance.now();
    const answer = member.next();
    member.post(0);
    await answer;
    samples.push((performance.now() - start) * 1000);
  }
  return latency(samples);
}

function waited(context: Context, buffer: DmaBuf): Sample {
  const samples: number[] = [];
  for (let i = 0; i < CALLS; i++) {
    const start = performance.now();
    context.submit({ buffers: [exclusive(buffer)], payload: i }).wait();
    samples.push((performance.now() - start) * 1000);
  }
  return latency(samples);
}

async function awaited(context: Context, buffer: DmaBuf): Promise<Sample> {
  const samples: number[] = [];
  for (let i = 0; i < CALLS; i++) {
    const start = performance.now();
    await context.submit({ buffers: [exclusive(buffer)], payload: i }).settled();
    samples.push((performance.now() - start) * 1000);
  }
  return latency(samples);
}
