/** Damaged streams play on: each frame that a decoder cannot vouch for is counted and never shown. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codecOf } from '@dmabuf/importer-v4l2';
import { ALL_FORMATS, EncodedPacketSink, FilePathSource, Input } from 'mediabunny';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readClip } from './clip.js';
import { decode, onScreen, splitY4m, toRgb, toY4m } from './expected.test-helper.js';
import { clipPath, countsOf, runPlayer, withFolder } from './run-player.test-helper.js';

/** A repeatable generator of numbers in [0, 1): mulberry32. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A copy of a clip in which bytes of a fifth of the packets, but not the first, are overwritten. */
async function damagedCopy(name: string, folder: string, seed: number): Promise<string> {
  const bytes = readFileSync(clipPath(name));
  const next = random(seed);
  const input = new Input({ formats: ALL_FORMATS, source: new FilePathSource(clipPath(name)) });
  const track = await input.getPrimaryVideoTrack();
  if (track === null) throw new Error(`no video in ${name}`);
  let first = true;
  for await (const { data } of new EncodedPacketSink(track).packets()) {
    const hit = !first && next() < 0.2;
    first = false;
    if (!hit) continue;
    const at = bytes.indexOf(data);
    if (at < 0) throw new Error('a packet does not stand in the file in one piece');
    for (let i = 0; i < 12; i++)
      bytes[at + Math.floor(next() * data.length)] = Math.floor(next() * 256);
  }
  input.dispose();
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

for (const [name, seed, mode] of [
  ['dog-h264-tiny.mp4', 7, '320x180@60'],
  // With bars around the picture a framebuffer is not overwritten by the picture alone.
  ['dog-h264-tiny.mp4', 8, '240x180@60'],
  ['dog-vp9-tiny.webm', 9, '320x180@60'],
] as const) {
  test(`${name} with damage of seed ${seed} shows its good frames and counts the others`, async () => {
    console.log(`seed ${seed}`);
    await withFolder(async (folder) => {
      const file = await damagedCopy(name, folder, seed);
      const clip = await readClip(file);
      const pictures = await decode(codecOf(clip.fourcc), clip.header, clip.packets);
      const good = pictures.filter((picture) => picture !== undefined);
      assert.ok(good.length > 0 && good.length < pictures.length, 'the damage does nothing');
      const out = join(folder, 'x.y4m');
      const [width = 0, height = 0] = mode.split(/[x@]/).map(Number);
      const args = ['--input', file, '--mode', mode, '--speed', 'max', '--subtitle', ''];
      const run = await runPlayer([...args, '--out', out]);
      assert.is(run.code, 0, run.stderr);
      const { decoded, shown, damaged } = countsOf(run);
      assert.equal(
        { decoded, shown, damaged },
        {
          decoded: good.length,
          shown: good.length,
          damaged: pictures.length - good.length,
        },
      );
      const { frames } = splitY4m(readFileSync(out));
      assert.is(frames.length, good.length);
      for (const [i, picture] of good.entries()) {
        const found = frames[i] ?? new Uint8Array();
        const expected = toY4m(onScreen(toRgb(picture), picture, { width, height }));
        assert.is(Buffer.compare(found, expected), 0, `good frame ${i} differs`);
      }
    });
  });
}

test.run();
