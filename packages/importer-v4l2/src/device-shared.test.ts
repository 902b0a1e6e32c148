/**
 * The larger set of clips through the video device, queued ahead on four buffers, against ffmpeg's MD5 of every frame.
 */
import { test } from 'uvu';
import { CHANGING_CLIP, hasClip, STEADY_CLIPS } from './codec/test/clips.js';
import { Bench, playExactly } from './test/playback.js';

let bench: Bench;
test.before(async () => {
  bench = await Bench.boot();
});
test.after(async () => {
  await bench[Symbol.asyncDispose]();
});

for (const name of [...STEADY_CLIPS, CHANGING_CLIP]) {
  const title = `every frame of ${name}, queued ahead on 4 buffers, equals ffmpeg's`;
  if (!hasClip(name)) {
    test.skip(title, () => {});
    continue;
  }
  test(title, async () => {
    await playExactly(bench, name);
  });
}

test.run();
