/** Whole runs: what the summary says of them, and that the main thread is not needed. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { clipPath, countsOf, runPlayer, withFolder } from './run-player.test-helper.js';

const TINY = ['--input', clipPath('dog-h264-tiny.mp4'), '--mode', '320x180@60'];
const ALL_60 = {
  decoded: 60,
  rendered: 60,
  shown: 60,
  dropped: 0,
  damaged: 0,
  between: 0,
  needed: 0,
};

test('a clip that is queued ahead runs without the main thread, and nothing is copied', async () => {
  const run = await runPlayer([...TINY, '--speed', 'max']);
  assert.is(run.code, 0, run.stderr);
  assert.equal(countsOf(run), ALL_60);
  assert.match(run.stdout, /one copy per frame, 86400 bytes each/);
});

test('with the main thread blocked all along the summary counts the same', async () => {
  for (const more of [[], ['--depth', '3']]) {
    const free = await runPlayer([...TINY, '--speed', 'max', ...more]);
    const blocked = await runPlayer([...TINY, '--speed', 'max', '--block-main', ...more]);
    assert.is(blocked.code, 0, blocked.stderr);
    assert.equal(countsOf(blocked), countsOf(free));
    assert.equal(countsOf(blocked), ALL_60);
  }
});

test('at any depth the feeder shows every frame, and the main thread is left alone', async () => {
  for (const depth of ['1', '59', '1000']) {
    const run = await runPlayer([...TINY, '--speed', 'max', '--depth', depth]);
    assert.is(run.code, 0, run.stderr);
    assert.equal(countsOf(run), ALL_60, `depth ${depth}`);
  }
});

test('in realtime every frame is shown or dropped, and the last one is on screen at the end', async () => {
  const run = await runPlayer([...TINY, '--frames', '20']);
  assert.is(run.code, 0, run.stderr);
  const { decoded, shown, dropped, damaged, needed } = countsOf(run);
  assert.is(decoded, 20);
  assert.is(shown + dropped, 20);
  assert.is(damaged, 0);
  assert.is(needed, 0);
  assert.match(run.stdout, /flip lateness p50 [\d.]+ ms, p99 [\d.]+ ms/);
});

test('a relayed run needs the main thread for its hand-offs', async () => {
  const run = await runPlayer([...TINY, '--speed', 'max', '--relay']);
  assert.is(run.code, 0, run.stderr);
  const { needed, ...rest } = countsOf(run);
  assert.ok(needed > 60, `needed ${needed} times`);
  assert.equal({ ...rest, needed: 0 }, ALL_60);
});

test('VP8 and VP9 play like H.264', async () => {
  for (const name of ['dog-vp8.webm', 'dog-vp9.webm']) {
    const run = await runPlayer(['--input', clipPath(name), '--speed', 'max', '--frames', '6']);
    assert.is(run.code, 0, run.stderr);
    assert.is(countsOf(run).shown, 6);
  }
});

test('files are named from where npm was called', async () => {
  await withFolder(async (folder) => {
    const env = { INIT_CWD: dirname(clipPath('x')) };
    const run = await runPlayer(
      ['--input', 'dog-h264-tiny.mp4', '--frames', '2', '--trace', join(folder, 't.json')],
      {
        cwd: folder,
        env,
      },
    );
    assert.is(run.code, 0, run.stderr);
    assert.ok(existsSync(join(folder, 't.json')));
  });
});

test('--help says what there is and plays nothing', async () => {
  const run = await runPlayer(['--help']);
  assert.is(run.code, 0);
  assert.match(run.stdout, /--subtitle TEXT/);
  assert.not.match(run.stdout, /frames: decoded/);
});

test.run();
