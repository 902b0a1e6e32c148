/** A GPU whose worker dies in mid-run ends the program with a clear error, not with a hang. */
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { clipPath, runPlayer } from './run-player.test-helper.js';

const MORTAL = fileURLToPath(new URL('./mortal-gpu.test-helper.js', import.meta.url));

for (const how of ['throw', 'exit']) {
  for (const more of [[], ['--block-main'], ['--depth', '2'], ['--relay']]) {
    test(`a GPU that dies by ${how} ends the run and is named ${more.join(' ')}`, async () => {
      const args = ['--input', clipPath('dog-h264-tiny.mp4'), '--speed', 'max', ...more];
      const run = await runPlayer(args, { module: MORTAL, env: { DEATH: how } });
      const ended = Date.now();
      assert.is(run.code, 1, run.stdout + run.stderr);
      assert.match(run.stderr, /^video-player: EOWNERDEAD: owner died, .*'gpu0' died/m);
      const died = Number(/died at (\d+)/.exec(run.stdout)?.[1]);
      // The promise is a second; a figure for people, since a busy machine is no failure.
      console.log(`ended ${ended - died} ms after the death`);
    });
  }
}

test.run();
