/** Ctrl-C: a clean stop with exit code 130, and files that are complete up to a whole frame. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { splitY4m } from './expected.test-helper.js';
import { clipPath, type Run, runPlayer, withFolder } from './run-player.test-helper.js';

/** Plays in realtime and interrupts once the first status line is there. */
async function interrupted(signal: NodeJS.Signals, ...args: string[]): Promise<Run> {
  let sent = false;
  return runPlayer(['--input', clipPath('dog-h264.mp4'), ...args], {
    watch(child, stdout) {
      if (sent || !/frame\s+\d+\/180/.test(stdout)) return;
      sent = true;
      child.kill(signal);
    },
  });
}

// Windows has no signals: kill() ends the process there and then.
if (process.platform === 'win32') console.log('# skip: there are no signals on Windows');

function here(name: string, run: () => Promise<void>): void {
  if (process.platform === 'win32') test.skip(name, run);
  else test(name, run);
}

here('an interrupt ends with code 130, a summary, and a recording of whole frames', async () => {
  await withFolder(async (folder) => {
    const out = join(folder, 'x.y4m');
    const run = await interrupted('SIGINT', '--mode', '320x180@60', '--out', out);
    assert.is(run.code, 130, run.stderr);
    assert.is(run.stderr, '');
    assert.match(run.stdout, /^interrupted .*dog-h264/m);
    const { frames } = splitY4m(readFileSync(out));
    assert.ok(frames.length > 0 && frames.length < 180, `${frames.length} frames`);
    assert.match(run.stdout, `recorded: ${frames.length} frames`);
    assert.equal(readdirSync(folder), ['x.y4m']);
  });
});

here('an interrupt during a relayed run, or one with a feeder, is as clean', async () => {
  for (const how of [['--relay'], ['--depth', '3']]) {
    const run = await interrupted('SIGINT', ...how);
    assert.is(run.code, 130, run.stderr);
    assert.is(run.stderr, '');
  }
});

here('SIGTERM is heeded the same way, with its own code', async () => {
  const run = await interrupted('SIGTERM');
  assert.is(run.code, 143, run.stderr);
});

here('with the main thread blocked an interrupt simply ends the process', async () => {
  await withFolder(async (folder) => {
    const out = join(folder, 'x.y4m');
    const run = await interrupted('SIGINT', '--block-main', '--out', out);
    assert.is(run.signal, 'SIGINT');
    assert.not(existsSync(out));
  });
});

test.run();
