/**
 * The larger set of clips through the video device, queued ahead on four buffers, against ffmpeg's MD5 of every frame.
 */
import { test } from 'uvu';
import { hasClip } from './codec/test/clips.js';
import { Bench, playExactly } from './test/playback.js';

let bench: Bench;
test.before(async () => {
  bench = await Bench.boot();
});
test.after(async () => {
  await bench[Symbol.asyncDispose]();
});

for (const name of [
  'flower_h264_cbp.mp4',
  'car-detection.mp4',
  'test-25fps.vp8',
  'test-25fps.vp9',
  'vp80-00-comprehensive-001.ivf',
  'flower.webm',
  'flower_vp9.webm',
  'resolution_change_500frames-vp9.ivf',
]) {
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
