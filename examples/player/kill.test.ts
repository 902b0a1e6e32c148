/** A device whose worker dies in mid-run comes back, and the clip plays on; the summary counts what was lost. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { clipPath, countsOf, runPlayer } from './run-player.test-helper.js';

/** Frames between two key frames of the sample clip, which has one a second. */
const KEY_INTERVAL = 30;
/** Played as fast as it goes, a clip has no frame that comes too late: what is lost died. */
const MAX = ['--input', clipPath('dog-h264.mp4'), '--frames', '120', '--speed', 'max'];

for (const device of ['gpu', 'display', 'codec']) {
  test(`a ${device} that is killed comes back and loses no more than it must`, async () => {
    const run = await runPlayer([...MAX, '--kill', `${device}@300ms`]);
    assert.is(run.code, 0, run.stdout + run.stderr);
    assert.match(run.stdout, new RegExp(`^${device} dies$`, 'm'));
    const { shown, damaged } = countsOf(run);
    const lost = 120 - shown;
    console.log(`# ${device}: ${lost} of 120 frames lost`);
    const most = device === 'codec' ? KEY_INTERVAL + 1 : 1;
    assert.ok(lost <= most, `${lost} frames lost, ${damaged} damaged:\n${run.stdout}`);
  });
}

for (const more of [['--block-main'], ['--relay']]) {
  test(`all three die, some twice, and the clip ends ${more.join(' ')}`, async () => {
    const kills = ['gpu@200ms', 'codec@300ms', 'display@400ms', 'gpu@500ms', 'display@500ms'];
    const args = [...MAX, ...more, ...kills.flatMap((kill) => ['--kill', kill])];
    const run = await runPlayer(args);
    assert.is(run.code, 0, run.stdout + run.stderr);
    const { shown } = countsOf(run);
    assert.ok(shown >= 120 - KEY_INTERVAL - 5, run.stdout);
  });
}

test('in realtime too every frame is shown, dropped, or lost to the death', async () => {
  const args = ['--input', clipPath('dog-h264.mp4'), '--frames', '75'];
  const run = await runPlayer([...args, '--kill', 'display@500ms', '--kill', 'gpu@1s']);
  assert.is(run.code, 0, run.stdout + run.stderr);
  const { shown, dropped } = countsOf(run);
  assert.ok(shown + dropped >= 73, run.stdout);
  assert.ok(shown > 30, run.stdout);
});

for (const kill of ['gpu@x', 'cpu@1s']) {
  test(`--kill ${kill} is refused`, async () => {
    const run = await runPlayer(['--kill', kill]);
    assert.is(run.code, 2);
    assert.match(run.stderr, /--kill must be codec, gpu or display/);
  });
}

test.run();
