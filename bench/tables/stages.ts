/** Frames through two to six stages, of three sizes: jobs beside the same by hand. */
import { BareRig, FRAMES, framesAhead, JobRig, SIZES } from '../harness/frame-rigs.js';
import { interleave, roundsFor, rowsOf, type Variant } from '../harness/rounds.js';
import type { Row, RunOptions, Table, TableResult } from '../harness/table.js';

const UNIT = 'frames/s';
const SHAPES = [
  ['720p', 3],
  ['720p', 6],
  ['1080p', 3],
  ['1080p', 6],
  ['4K', 2],
  ['4K', 3],
  ['4K', 6],
] as const;
const ROUNDS = 20;
/** Compilers are through with the code of a stage after some 20,000 jobs. */
const WARM_UP = 40;

export const stages: Table = {
  name: 'stages',
  title: 'Frames through two to six stages',
  method: [
    `As the table on 4K frames, 3,000 ÷ stages frames a round, ${FRAMES} in flight: jobs queued ahead, beside SharedArrayBuffers and Atomics by hand. Each shape by itself, after ${WARM_UP} rounds unmeasured, which is when the compiler is through with them. Latency of a frame from the first stage to the last is about ${FRAMES} ÷ the rate, as that many are always under way. One stage would hand nothing on.`,
  ],
  run,
};

async function run(options: RunOptions): Promise<TableResult> {
  const rows: Row[] = [];
  for (const [name, count] of SHAPES) rows.push(...(await rowsOfShape(options, name, count)));
  return { rows, marks: [] };
}

/** One shape by itself: rigs of others would sleep beside it. */
async function rowsOfShape(
  options: RunOptions,
  name: keyof typeof SIZES,
  count: number,
): Promise<readonly Row[]> {
  const jobs = await JobRig.make(count, SIZES[name]);
  const bare = await BareRig.make(count, SIZES[name]);
  const what = `${name}, ${count} stages`;
  const against = `${what}, by hand`;
  const frames = framesAhead(count);
  const variants: readonly Variant[] = [
    { label: against, unit: UNIT, run: () => bare.byHand(frames) },
    { label: `${what}, jobs`, unit: UNIT, against, run: () => jobs.run(frames) },
  ];
  try {
    return rowsOf(variants, await interleave(variants, roundsFor(options, ROUNDS), WARM_UP));
  } finally {
    await jobs.end();
    await bare.end();
  }
}
