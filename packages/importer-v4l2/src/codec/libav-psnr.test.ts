/**
 * VP8 and VP9 encoders: quality against ffmpeg's libvpx at the same bitrate.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { rawClip, roundTrip } from './test/raw-clip.js';

/**
 * What Debian 12's ffmpeg 5.1.9 reaches with all 60 pictures of examples/media/dog-h264-tiny.mp4 at
 * 200 kbit/s, the psnr filter's "average". `realtime`: -b:v 200k -g 60 -threads 1 -deadline realtime
 * -lag-in-frames 0 -auto-alt-ref 0, -cpu-used 4 (VP8) or 8 (VP9); `good`: -b:v 200k -g 60 alone.
 */
const REFERENCE = [
  ['VP80', 'realtime', 47.1, 51_536],
  ['VP80', 'good', 47.75, 53_621],
  ['VP90', 'realtime', 48.25, 49_701],
  ['VP90', 'good', 50.26, 52_185],
] as const;

for (const [fourcc, deadline, psnr, bytes] of REFERENCE) {
  test(`${fourcc} (${deadline}) comes within 1 dB of ffmpeg's libvpx at the same bitrate`, async () => {
    const clip = await rawClip('dog-h264-tiny.mp4');
    const found = await roundTrip(fourcc, clip, { bitrate: 200_000, gop: 60, deadline });
    console.log(
      `${fourcc} ${deadline}: ${found.psnr.toFixed(2)} dB in ${found.bytes} bytes; ` +
        `ffmpeg ${psnr} dB in ${bytes}`,
    );
    assert.is(found.pictures, 60);
    assert.ok(found.keys <= 2, 'libvpx may put one of its own where the scene changes');
    assert.ok(found.psnr >= psnr - 1, `${found.psnr} dB`);
    assert.ok(Math.abs(found.bytes - bytes) < bytes / 10, `${found.bytes} bytes`);
  });
}

test.run();
