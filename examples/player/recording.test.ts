/**
 * What was on screen, frame for frame: the Y4M that a run records against an independent computation
 * of the same frames, at the clip's own size and on other screens.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { codecOf } from '@dmabuf/importer-v4l2';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readClip } from './clip.js';
import { decode, onScreen, splitY4m, toRgb, toY4m } from './expected.test-helper.js';
import { clipPath, countsOf, runPlayer, withFolder } from './run-player.test-helper.js';

const LIKE_THIS = ['--speed', 'max', '--subtitle', ''];

/** Plays a clip on a screen, and compares every frame of the recording. */
async function compare(
  name: string,
  mode: string,
  frames: number,
  ...more: string[]
): Promise<void> {
  const [width = 0, height = 0] = mode.split(/[x@]/).map(Number);
  const screen = { width, height };
  const clip = await readClip(clipPath(name), frames);
  const pictures = await decode(codecOf(clip.fourcc), clip.header, clip.packets);
  await withFolder(async (folder) => {
    const out = join(folder, 'x.y4m');
    const args = [
      '--input',
      clipPath(name),
      '--mode',
      mode,
      '--frames',
      String(frames),
      '--out',
      out,
    ];
    const run = await runPlayer([...args, ...LIKE_THIS, ...more]);
    assert.is(run.code, 0, run.stderr);
    assert.is(run.stderr, '');
    const { header, frames: recorded } = splitY4m(readFileSync(out));
    assert.match(header, `YUV4MPEG2 W${width} H${height} F30:1 `);
    assert.match(header, /C444 .*XCOLORRANGE=LIMITED XMATRIX=BT709/);
    assert.is(recorded.length, frames);
    assert.is(countsOf(run).shown, frames);
    for (const [i, picture] of pictures.entries()) {
      if (picture === undefined) throw new Error(`frame ${i} did not decode`);
      const expected = toY4m(onScreen(toRgb(picture), picture, screen));
      const found = recorded[i];
      assert.is(
        found === undefined ? -1 : Buffer.compare(found, expected),
        0,
        `frame ${i} differs`,
      );
    }
  });
}

test('at its own size, H.264 is shown frame for frame as it was decoded', async () => {
  await compare('dog-h264-tiny.mp4', '320x180@60', 60);
});

test('at its own size, VP9 is shown frame for frame as it was decoded', async () => {
  await compare('dog-vp9-tiny.webm', '320x180@60', 30);
});

test('on a larger screen of its shape it is scaled as documented', async () => {
  await compare('dog-h264-tiny.mp4', '1920x1080@60', 1);
});

test('on a screen of another shape there are black bars around it', async () => {
  await compare('dog-h264-tiny.mp4', '400x300@60', 3);
  await compare('dog-h264-tiny.mp4', '210x90@60', 3);
});

test('with two frames under way, fed by the feeder, the pictures are the same', async () => {
  await compare('dog-h264-tiny.mp4', '320x180@60', 30, '--depth', '2');
});

test('relayed through the main thread, the pictures are the same', async () => {
  await compare('dog-h264-tiny.mp4', '320x180@60', 30, '--relay');
});

/** Records some frames of the tiny clip with a subtitle. */
async function record(mode: string, frames: number, subtitle: string): Promise<Uint8Array[]> {
  let recorded: Uint8Array[] = [];
  await withFolder(async (folder) => {
    const out = join(folder, 'x.y4m');
    const clip = ['--input', clipPath('dog-h264-tiny.mp4'), '--frames', String(frames)];
    const how = ['--mode', mode, '--speed', 'max', '--subtitle', subtitle];
    const run = await runPlayer([...clip, ...how, '--out', out]);
    assert.is(run.code, 0, run.stderr);
    recorded = splitY4m(readFileSync(out)).frames;
  });
  return recorded;
}

test('the subtitle covers its box and nothing else', async () => {
  const plain = await record('320x180@60', 5, '');
  const titled = await record('320x180@60', 5, 'HELLO');
  for (const [i, frame] of titled.entries()) {
    const rows = new Set<number>();
    for (let at = 0; at < 320 * 180; at++) {
      if (frame[at] !== plain[i]?.[at]) rows.add(Math.floor(at / 320));
    }
    // 12 rows of the font, a 30th of the screen above its edge.
    assert.equal(
      [...rows].sort((a, b) => a - b),
      Array.from({ length: 12 }, (_, y) => 162 + y),
    );
  }
});

test.run();
