/** Frames through two to six stages, of three sizes: jobs beside the same by hand. */
import { BareRig, FRAMES, framesAhead, JobRig, SIZES } from '../harness/frame-rigs.js';
import { interleave, roundsFor, rowsOf, type Variant } from '../harness/rounds.js';
import type { RunOptions, Table, TableResult } from '../harness/table.js';

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

export const stages: Table = {
  name: 'stages',
  title: 'Frames through two to six stages',
  method: [
    `As the table on 4K frames, 3,000 ÷ stages frames a round, ${FRAMES} in flight: jobs queued ahead, beside SharedArrayBuffers and Atomics by hand. Latency of a frame from the first stage to the last is about ${FRAMES} ÷ the rate, as that many are always under way. One stage would hand nothing on.`,
  ],
  run,
};

async function run(options: RunOptions): Promise<TableResult> {
  const variants: Variant[] = [];
  const ends: (() => Promise<void>)[] = [];
  for (const [name, count] of SHAPES) {
    const jobs = await JobRig.make(count, SIZES[name]);
    const bare = await BareRig.make(count, SIZES[name]);
    ends.push(
      () => jobs.end(),
      () => bare.end(),
    );
    const what = `${name}, ${count} stage${count > 1 ? 's' : ''}`;
    const against = `${what}, by hand`;
    variants.push(
      { label: against, unit: UNIT, run: () => bare.byHand(framesAhead(count)) },
      { label: `${what}, jobs`, unit: UNIT, against, run: () => jobs.run(framesAhead(count)) },
    );
  }
  try {
    return {
      rows: rowsOf(variants, await interleave(variants, roundsFor(options, 10), 3)),
      marks: [],
    };
  } finally {
    for (const end of ends) await end();
  }
}
