/** The trace of a run: who did what on which thread, and that nobody stood in the middle. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { clipPath, runPlayer, withFolder } from './run-player.test-helper.js';

interface Event {
  readonly name: string;
  readonly ph: string;
  readonly ts: number;
  readonly tid: number;
  readonly args?: { readonly name?: string; readonly status?: number };
}

/** A handler's run on its thread, µs. */
interface Run {
  readonly tid: number;
  readonly begin: number;
  readonly end: number;
}

async function traceOf(...args: string[]): Promise<readonly Event[]> {
  let events: readonly Event[] = [];
  await withFolder(async (folder) => {
    const file = join(folder, 't.json');
    const clip = ['--input', clipPath('dog-h264-tiny.mp4'), '--mode', '320x180@60'];
    const { code, stderr } = await runPlayer([...clip, '--trace', file, ...args]);
    assert.is(code, 0, stderr);
    const trace = JSON.parse(readFileSync(file, 'utf8')) as {
      readonly traceEvents: readonly Event[];
      readonly otherData: { readonly recordsLost: number };
    };
    assert.is(trace.otherData.recordsLost, 0);
    events = trace.traceEvents;
  });
  return events;
}

function threadOf(events: readonly Event[], name: string): number {
  const found = events.find((e) => e.ph === 'M' && e.args?.name?.endsWith(` ${name}`) === true);
  if (found === undefined) throw new Error(`no thread ${name} in the trace`);
  return found.tid;
}

/** The last run of a job: a deferred one has others before. */
function runOf(events: readonly Event[], job: string): Run {
  const begin = events.findLast((e) => e.ph === 'B' && e.name === job);
  const end = events.find((e) => e.ph === 'E' && e.name === job && e.ts >= (begin?.ts ?? 0));
  if (begin === undefined || end === undefined) throw new Error(`job '${job}' never ran`);
  return { tid: begin.tid, begin: begin.ts, end: end.ts };
}

/** The three stages of frame `n`, from 0. */
function stagesOf(events: readonly Event[], n: number): { decode: Run; render: Run; flip: Event } {
  const flip = events.find((e) => e.name === `flip ${n}`);
  if (flip === undefined) throw new Error(`frame ${n} was never shown`);
  return {
    decode: runOf(events, `video0 bitstream ${n + 1}`),
    render: runOf(events, `render ${n + 1}`),
    flip,
  };
}

const FRAMES = 60;

test('each frame is decoded, rendered and flipped on three threads, in this order', async () => {
  const events = await traceOf('--speed', 'max');
  const [video, gpu, card] = ['video0', 'gpu0', 'card0'].map((name) => threadOf(events, name));
  for (let n = 0; n < FRAMES; n++) {
    const { decode, render, flip } = stagesOf(events, n);
    assert.equal([decode.tid, render.tid, flip.tid], [video, gpu, card], `frame ${n}`);
    assert.ok(decode.end <= render.begin, `frame ${n} was rendered before it was decoded`);
    assert.ok(render.end <= flip.ts, `frame ${n} was flipped before it was rendered`);
  }
});

test('later frames are decoded while earlier ones are rendered', async () => {
  const events = await traceOf('--speed', 'max', '--mode', '1280x720@60');
  const stages = Array.from({ length: FRAMES }, (_, n) => stagesOf(events, n));
  const overlaps = stages.filter(({ render }, n) =>
    stages
      .slice(n + 1)
      .some(({ decode }) => decode.begin < render.end && decode.end > render.begin),
  );
  assert.ok(overlaps.length > 0, 'no two stages ever ran at one time');
});

for (const blocked of [[], ['--block-main']]) {
  test(`between the last submit and the end nothing happens on the main thread ${blocked.join('')}`, async () => {
    const events = await traceOf('--frames', '20', ...blocked);
    const main = threadOf(events, 'main');
    const last = events.find((e) => e.name === 'flip 19');
    if (last === undefined) throw new Error('the last frame was not shown');
    const own = events.filter((e) => e.tid === main && e.ph !== 'M');
    const submitted = Math.max(...own.filter((e) => e.name === 'card0 20').map((e) => e.ts));
    assert.ok(submitted < last.ts);
    const between = own.filter((e) => e.ts > submitted && e.ts < last.ts);
    assert.equal(between, []);
  });
}

test('a relayed run has the main thread in every hand-off', async () => {
  const events = await traceOf('--speed', 'max', '--relay');
  const main = threadOf(events, 'main');
  const wakes = events.filter((e) => e.tid === main && e.name === 'wake');
  assert.ok(wakes.length > FRAMES, `${wakes.length} wake-ups`);
});

test.run();
