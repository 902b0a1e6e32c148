/**
 * Decoded pictures of the larger set of clips against ffmpeg's, frame by frame.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeClip, frameMd5s, hasClip } from './test/clips.js';

const CLIPS = [
  'flower_h264_cbp.mp4',
  'car-detection.mp4',
  'test-25fps.vp8',
  'test-25fps.vp9',
  'vp80-00-comprehensive-001.ivf',
  'flower.webm',
  'flower_vp9.webm',
  'flower_mjpeg.avi',
];

for (const name of CLIPS) {
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

const CHANGING = 'resolution_change_500frames-vp9.ivf';
const title = `every frame of ${CHANGING} equals ffmpeg's, and its sizes come with the pictures`;
if (hasClip(CHANGING)) {
  test(title, async () => {
    const { md5s, sizes } = await decodeClip(CHANGING);
    assert.equal(md5s, frameMd5s(CHANGING));
    assert.equal(sizes, ['640x360', '426x240', '640x360', '854x480', '1280x720']);
  });
} else test.skip(title, () => {});

test.run();
