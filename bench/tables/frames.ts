/** A 4K frame through three stages, against the alternatives: design section 5. */
import {
  BareRig,
  comlinkRig,
  FRAMES,
  framesAhead,
  JobRig,
  poolRig,
  type Rig,
  type RingBuf,
  SIZES,
  workerpoolRig,
} from '../harness/frame-rigs.js';
import { absent, peer } from '../harness/peers.js';
import {
  find,
  interleave,
  roundsFor,
  rowsOf,
  type Sample,
  type Variant,
} from '../harness/rounds.js';
import {
  judged,
  type Row,
  type RunOptions,
  skippedRow,
  type Table,
  type TableResult,
} from '../harness/table.js';

const STAGES = 3;
const COUNT = framesAhead(STAGES);
const UNIT = 'frames/s';
const JOBS = 'jobs, queued ahead';
const HAND = 'SharedArrayBuffer and Atomics by hand';
const CLONE = 'postMessage, structured clone';

export const frames: Table = {
  name: 'frames',
  title: '4K RGBA frames through three workers that touch little of them',
  method: [
    `${FRAMES} frames of 33 MB in flight; each stage writes (the last reads) sixteen words of each.`,
    '"jobs, queued ahead": all frames queued before the first starts, the time from the first start to the last fence; "fed": queued by the main thread while they run, in the time. By hand: one counter word a stage, Atomics.wait and notify. postMessage: workers joined in a ring by MessagePorts, the main thread out of it.',
    'Comlink, piscina, tinypool, workerpool: the main thread calls each stage of each frame; with frames in SharedArrayBuffers (the best case, no copies) unless it says moved. ringbuf.js: rings of frame numbers between the workers, with Atomics.wait bells added by hand.',
  ],
  run,
};

async function run(options: RunOptions): Promise<TableResult> {
  const size = SIZES['4K'];
  const jobs = await JobRig.make(STAGES, size);
  const early = await JobRig.make(STAGES, size, true);
  const bare = await BareRig.make(STAGES, size);
  const rings = await peer<RingBuf>('ringbuf.js');
  const called: readonly [string, string, Rig | undefined][] = [
    ['Comlink, shared frames', 'comlink', await comlinkRig(STAGES, size, false)],
    ['Comlink, frames moved', 'comlink', await comlinkRig(STAGES, size, true)],
    ['piscina, shared frames', 'piscina', await poolRig('piscina', STAGES, size)],
    ['tinypool, shared frames', 'tinypool', await poolRig('tinypool', STAGES, size)],
    ['workerpool, shared frames', 'workerpool', await workerpoolRig(STAGES, size)],
  ];
  try {
    const skipped: Row[] = [];
    const variants: Variant[] = [];
    const add = (label: string, run: () => Promise<Sample>): void => {
      const against = label === HAND ? {} : { against: HAND };
      variants.push({ label, unit: UNIT, ...against, run });
    };
    add(HAND, () => bare.byHand(COUNT));
    add(JOBS, () => jobs.run(COUNT));
    add('jobs, handed over early', () => early.run(COUNT));
    add('jobs, fed', () => jobs.runFed(COUNT));
    if (rings === undefined) skipped.push(skippedRow('ringbuf.js', UNIT, absent('ringbuf.js')));
    else add('ringbuf.js', () => bare.byRings(rings, COUNT));
    add('postMessage, SharedArrayBuffer', () => bare.byPorts(COUNT, 'shared'));
    add('postMessage, transfer', () => bare.byPorts(COUNT, 'transfer'));
    for (const [label, name, rig] of called) {
      if (rig === undefined) skipped.push(skippedRow(label, UNIT, absent(name)));
      else add(label, () => rig.run(400));
    }
    add(CLONE, () => bare.byPorts(12, 'clone'));
    const rounds = await interleave(variants, roundsFor(options, 10), 3);
    const rows = [...rowsOf(variants, rounds), ...skipped];
    return { rows, marks: marksOf(rows, jobs.bytesCopied) };
  } finally {
    await jobs.end();
    await early.end();
    await bare.end();
    for (const [, , rig] of called) await rig?.end();
  }
}

function marksOf(rows: readonly Row[], copied: number): TableResult['marks'] {
  const { value, ratio } = find(rows, JOBS);
  const early = find(rows, 'jobs, handed over early').ratio;
  const clone = value / find(rows, CLONE).value;
  return [
    judged(
      {
        what: '4K frame through 3 stages that touch little of it',
        reach:
          '0 bytes copied; ≥ 0.9 × hand-written SharedArrayBuffer + Atomics; ≥ 20 × structured clone',
        got: `${copied} bytes copied; ${ratio.toFixed(2)} × (handed over early ${early.toFixed(2)} ×); ${clone.toFixed(0)} × structured clone`,
      },
      copied === 0 && Math.max(ratio, early) >= 0.9 && clone >= 20,
      'a job costs 1 to 2.5 µs of a thread where the hand-written stage costs a tenth of a µs, and with four frames in flight each stage runs dry every fourth frame and sleeps (0.27 wake-ups a job, counted). Frames of any real work hide both. Looking for work in a short loop before sleeping was tried: with more threads than free cores it cost half of the rate and more.',
    ),
  ];
}
