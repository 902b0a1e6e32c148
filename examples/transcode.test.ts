import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('transcode writes every picture, and what comes back is close to what was encoded', () => {
  const [clip = '', file = '', psnr = '', lost] = linesOf('transcode');
  assert.is(clip, 'dog-h264-tiny.mp4: 60 pictures of 320x180');
  const [, path = '', bytes] = /^(.*): 60 pictures of 160x90, VP80, (\d+) bytes$/.exec(file) ?? [];
  rmSync(dirname(path), { recursive: true });
  // Two seconds at 144 kbit/s, which rate control may miss by a half.
  assert.ok(Number(bytes) > 18_000 && Number(bytes) < 54_000, file);
  const [, decibel] = /^PSNR ([\d.]+) dB/.exec(psnr) ?? [];
  assert.ok(Number(decibel) > 38, psnr);
  assert.is(lost, 'lost on the way: 0');
});

test.run();
