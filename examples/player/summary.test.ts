/** The texts of the player: nothing lost, nothing wider than a terminal. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Outcome, statusLine, summaryText } from './summary.js';

const RUN: Outcome = {
  decoded: 178,
  damaged: 2,
  rendered: 178,
  shown: 170,
  dropped: 8,
  failed: 2,
  name: 'clip.mp4',
  codec: 'H.264',
  size: '1280x720',
  mode: '1920x1080@59.94',
  speed: 'realtime',
  frames: 180,
  interrupted: false,
  missedVblanks: 3,
  lateness: { p50: 0.03, p99: 1.25 },
  firstFlip: 1000,
  lastFlip: 7000,
  bytesFromDecoder: 178 * 1000,
  bytesBetween: 0,
  needed: { wakeups: 2, turns: 5, times: 5 },
  relay: false,
  depth: 180,
  recording: undefined,
};

test('a summary has every figure, in lines that fit', () => {
  const text = summaryText(RUN);
  const counts = 'decoded 178, rendered 178, shown 170, dropped 8, damaged 2 of 180';
  assert.match(text, counts);
  assert.match(text, 'vblanks missed: 3; flip lateness p50 0.03 ms, p99 1.25 ms');
  assert.match(text, 'first flip to last: 6.000 s, 28.2 fps');
  assert.match(text, 'one copy per frame, 1000 bytes each');
  assert.match(text, /last flip: 5 times\n {2}\(2 kernel wake-ups, 5 event-loop turns\)/);
  assert.ok(text.split('\n').every((line) => line.length <= 80));
});

test('a run that showed nothing divides by nothing', () => {
  const text = summaryText({
    ...RUN,
    decoded: 0,
    shown: 0,
    firstFlip: 0,
    lastFlip: 0,
    bytesFromDecoder: 0,
  });
  assert.not.match(text, /NaN|Infinity/);
});

test('a recording says what is in the file', () => {
  const of = (file: string): string =>
    summaryText({ ...RUN, recording: { file, taken: 170, missed: 1 } });
  assert.match(of('x.y4m'), 'recorded: 170 frames in x.y4m, 1 not recorded');
  assert.match(of('x.png'), 'recorded: the last of 170 frames in x.png');
  assert.match(of('x-%04d.png'), 'recorded: 170 frames in x-%04d.png');
});

test('a status line has its place in the clip, its rate, and what went wrong', () => {
  assert.is(
    statusLine({ ...RUN, dropped: 0, damaged: 0, failed: 0, shown: 9 }, 180, 29.97, 12),
    'frame   9/180  30.0 fps  queued 12',
  );
  assert.match(statusLine(RUN, 180, 30, 0), /^frame 180\/180 .* dropped 8 {2}damaged 2$/);
});

test.run();
