/**
 * Decoded pictures of the larger set of clips against ffmpeg's, frame by frame.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CHANGING_CLIP, decodeClip, frameMd5s, hasClip, STEADY_CLIPS } from './test/clips.js';

for (const name of STEADY_CLIPS) {
  const title = `every frame of ${name} equals ffmpeg's`;
  if (!hasClip(name)) {
    test.skip(title, () => {});
    continue;
  }
  test(title, async () => {
    const { md5s } = await decodeClip(name);
    assert.equal(md5s, frameMd5s(name));
  });
}

const title = `every frame of ${CHANGING_CLIP} equals ffmpeg's, and its sizes come with the pictures`;
if (hasClip(CHANGING_CLIP)) {
  test(title, async () => {
    const { md5s, sizes } = await decodeClip(CHANGING_CLIP);
    assert.equal(md5s, frameMd5s(CHANGING_CLIP));
    assert.equal(sizes, ['640x360', '426x240', '640x360', '854x480', '1280x720']);
  });
} else test.skip(title, () => {});

test.run();
