/** What one call costs the application that flips pages: no thread waits for another in it. */
import { boot, type Machine } from '@dmabuf/core';
import {
  AtomicRequest,
  Display,
  DRM_FORMAT_XRGB8888,
  DRM_MODE_ATOMIC_TEST_ONLY,
  type Framebuffer,
  kms,
} from '@dmabuf/importer-kms';
import { keep } from '../harness/keep.js';
import { interleave, roundsFor, rowsOf, type Sample, type Variant } from '../harness/rounds.js';
import { stopwatch } from '../harness/stopwatch.js';
import type { RunOptions, Table, TableResult } from '../harness/table.js';

const SIZE = 64;
const MODE = `${SIZE}x${SIZE}@240`;
const CALLS = 60;
const UNIT = 'µs';

export const displayCalls: Table = {
  name: 'display-calls',
  title: 'Page flips and atomic commits: what a call costs',
  method: [
    `A display of ${MODE}, two framebuffers in turn. ${CALLS} calls a round, timed together; what they queued is shown before the next round begins. queueCommit moves one plane, with FB_ID, CRTC_ID and its rectangles in the request; TEST_ONLY checks the same and does nothing.`,
  ],
  run,
};

async function run(options: RunOptions): Promise<TableResult> {
  const machine = await boot({ drivers: [kms({ mode: MODE })] });
  try {
    const display = Display.open(machine);
    const variants = variantsOf(display, [
      framebuffer(machine, display),
      framebuffer(machine, display),
    ]);
    return { rows: rowsOf(variants, await interleave(variants, roundsFor(options, 8))), marks: [] };
  } finally {
    await machine.shutdown();
  }
}

function variantsOf(display: Display, fbs: readonly [Framebuffer, Framebuffer]): Variant[] {
  const turn = (i: number): Framebuffer => fbs[i % 2 === 0 ? 0 : 1];
  display.setMode(MODE, fbs[0]);
  const flip = (i: number): { wait(): unknown } => display.queueFlip({ fb: turn(i) });
  const requests = [request(display, fbs[0]), request(display, fbs[1])] as const;
  const commit = (i: number): { wait(): unknown } | undefined =>
    display.queueCommit(requests[i % 2 === 0 ? 0 : 1])?.fence;
  const test = (i: number): undefined => {
    display.commit(requests[i % 2 === 0 ? 0 : 1], { flags: DRM_MODE_ATOMIC_TEST_ONLY });
  };
  return [
    { label: 'queueFlip', unit: UNIT, run: () => timed(flip) },
    { label: 'queueCommit of one plane', unit: UNIT, run: () => timed(commit) },
    { label: 'commit, TEST_ONLY', unit: UNIT, run: () => timed(test) },
  ];
}

/** µs a call; waits for the last of what was queued. */
function timed(call: (i: number) => { wait(): unknown } | undefined): Sample {
  let last: { wait(): unknown } | undefined;
  const took = stopwatch();
  for (let i = 0; i < CALLS; i++) last = call(i);
  const value = (took() * 1000) / CALLS;
  last?.wait();
  return { value };
}

function request({ objects }: Display, { id }: Framebuffer): AtomicRequest {
  return new AtomicRequest().set(objects.primary, {
    ...{ FB_ID: id, CRTC_ID: objects.crtc.id },
    ...{ CRTC_X: 0, CRTC_Y: 0, CRTC_W: SIZE, CRTC_H: SIZE },
    ...{ SRC_X: 0, SRC_Y: 0, SRC_W: SIZE << 16, SRC_H: SIZE << 16 },
  });
}

function framebuffer(machine: Machine, display: Display): Framebuffer {
  const buffer = keep(machine.alloc(SIZE * SIZE * 4));
  const shape = { buffer, width: SIZE, height: SIZE, fourcc: DRM_FORMAT_XRGB8888 };
  return display.addFramebuffer({ ...shape, pitches: [SIZE * 4] });
}
