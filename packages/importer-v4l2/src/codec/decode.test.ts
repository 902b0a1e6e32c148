/**
 * Decoded pictures against ffmpeg's, frame by frame; several decoders side by side; seeks.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codecOf } from './index.js';
import { clipPath, decodeClip, feed, frameMd5s, loadClip, pictureMd5 } from './test/clips.js';

for (const name of ['dog-h264-tiny.mp4', 'dog-vp9-tiny.webm', 'dog-vp8.webm']) {
  test(`every frame of ${name} equals ffmpeg's`, async () => {
    const { md5s } = await decodeClip(name);
    assert.equal(md5s, frameMd5s(name));
  });
}

for (const name of ['dog-h264-tiny.mp4', 'dog-vp9-tiny.webm']) {
  test(`two decoders of ${name} in one thread do not disturb each other`, async () => {
    const clip = await loadClip(name);
    const codec = codecOf(clip.fourcc);
    const [a, b] = [await codec.open(), await codec.open()];
    const lag = 7;
    const found: [string[], string[]] = [[], []];
    for (let i = 0; i < clip.packets.length + lag; i++) {
      await feed(a, clip.packets.slice(i, i + 1), ({ pictures }) => {
        found[0].push(...pictures.map(pictureMd5));
      });
      await feed(b, clip.packets.slice(Math.max(0, i - lag), Math.max(0, i - lag + 1)), (d) => {
        if (i >= lag) found[1].push(...d.pictures.map(pictureMd5));
      });
    }
    await a.close();
    await b.close();
    assert.equal(found[0], frameMd5s(name));
    assert.equal(found[1].slice(-30), frameMd5s(name).slice(-30));
  });

  test(`after a seek in ${name} decoding goes on at the next key frame`, async () => {
    const clip = await loadClip(name);
    const codec = codecOf(clip.fourcc);
    const keys = clip.packets.filter(({ data }) => codec.inspect(data).keyframe);
    assert.ok(keys.length > 1, 'the clip needs two key frames');
    const key = keys.at(-1)?.timestamp ?? 0;
    const decoder = await codec.open();
    await feed(decoder, clip.packets.slice(0, 5), () => {});
    await decoder.reset();
    const found = new Map<number, string>();
    let refused = 0;
    await feed(decoder, clip.packets.slice(key - 3), ({ pictures, fault }) => {
      if (fault?.code === 'EIO') refused++;
      for (const picture of pictures) found.set(picture.timestamp, pictureMd5(picture));
    });
    const expected = frameMd5s(name);
    assert.is(refused, 3);
    assert.equal(
      [...found.keys()],
      clip.packets.slice(key).map((p) => p.timestamp),
    );
    for (const [timestamp, md5] of found) assert.is(md5, expected[timestamp]);
    await decoder.reset();
    await feed(decoder, clip.packets.slice(0, 3), ({ pictures }, { timestamp }) => {
      assert.equal(pictures.map(pictureMd5), [expected[timestamp]]);
    });
    await decoder.close();
  });

  test(`a closed decoder of ${name} says so`, async () => {
    const clip = await loadClip(name);
    const decoder = await codecOf(clip.fourcc).open();
    await decoder.close();
    await decoder.close();
    for (const call of [
      () => decoder.decode({ data: new Uint8Array(1), timestamp: 0 }),
      () => decoder.drain(),
      () => decoder.reset(),
    ]) {
      assert.throws(call, /^EBADFD/);
    }
  });

  test(`an empty packet is a fault of ${name}'s decoder, not the end of its stream`, async () => {
    const clip = await loadClip(name);
    const decoder = await codecOf(clip.fourcc).open();
    const expected = frameMd5s(name);
    await feed(decoder, clip.packets.slice(0, 1), ({ pictures }) => {
      assert.equal(pictures.map(pictureMd5), expected.slice(0, 1));
    });
    await feed(decoder, [{ data: new Uint8Array(0), timestamp: 99 }], ({ pictures, fault }) => {
      assert.is(pictures.length, 0);
      assert.is(fault?.code, 'EINVAL');
    });
    await feed(decoder, clip.packets.slice(0, 2), ({ pictures }, { timestamp }) => {
      assert.equal(pictures.map(pictureMd5), [expected[timestamp]]);
    });
    await decoder.close();
  });
}

test('the clips of the project state their size and colour in their first packet', async () => {
  for (const [name, width, height] of [
    ['dog-h264-tiny.mp4', 320, 180],
    ['dog-vp9-tiny.webm', 320, 180],
  ] as const) {
    const clip = await loadClip(name);
    const first = clip.packets[0];
    if (first === undefined) throw new Error(`${clipPath(name)} is empty`);
    const info = codecOf(clip.fourcc).inspect(first.data);
    assert.ok(info.keyframe && info.shown);
    assert.is(info.stream?.width, width);
    assert.is(info.stream?.height, height);
    assert.equal(info.stream?.colour, { range: 'limited', matrix: 'bt709' });
  }
});

test.run();
