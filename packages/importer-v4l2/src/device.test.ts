/**
 * The video device end to end: clips queued ahead on four buffers and read by a second process,
 * against ffmpeg's MD5 of every frame; what is refused.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { frameMd5s, hasClip, loadClip } from './codec/test/clips.js';
import { VideoDevice } from './index.js';
import { Bench, md5sOf, play, playExactly } from './test/playback.js';

let bench: Bench;
test.before(async () => {
  bench = await Bench.boot();
});
test.after(async () => {
  await bench[Symbol.asyncDispose]();
});

for (const name of [
  'dog-h264-tiny.mp4',
  'dog-vp9-tiny.webm',
  'dog-h264.mp4',
  'dog-vp8.webm',
  'dog-vp9.webm',
]) {
  test(`every frame of ${name}, queued ahead on 4 buffers, equals ffmpeg's`, async () => {
    await playExactly(bench, name);
  });
}

test('a clip plays on one CAPTURE buffer, too', async () => {
  const name = 'dog-h264-tiny.mp4';
  assert.equal(md5sOf(await play(bench, await loadClip(name), 1)), frameMd5s(name));
});

for (const [name, pattern] of [
  ['flower.mp4', /^EINVAL.*High \(profile_idc 100\).*accepted is H\.264 Baseline/],
  ['test-25fps.h264', /^EINVAL.*Main \(profile_idc 77\)/],
] as const) {
  const title = `${name} is refused by the profile in its header, and by its first packet`;
  if (!hasClip(name)) {
    test.skip(title, () => {});
    continue;
  }
  test(title, async () => {
    const { packets } = await loadClip(name);
    const data = packets[0]?.data ?? new Uint8Array(0);
    using video = VideoDevice.open(bench.machine);
    const output = { fourcc: 'H264', header: data };
    assert.throws(() => video.setFormat({ output }), pattern);
    assert.is(video.getFormat().output, undefined);
    video.setFormat({ output: { fourcc: 'H264' } });
    const buffer = bench.machine.alloc(data.length);
    const capture = bench.machine.alloc(1 << 20);
    using access = buffer.access({ write: true, discard: true });
    access.bytes.set(data);
    access.finish();
    const bitstream = { buffer, offset: 0, size: data.length };
    const fence = video.queueDecode({ bitstream, timestamp: 0, capture });
    assert.is(await fence.settled(), -22);
    assert.throws(() => video.queueDecode({ bitstream, timestamp: 1, capture }), pattern);
    buffer.close();
    capture.close();
  });
}

test('VC-1 is refused by name, with what is accepted', () => {
  using video = VideoDevice.open(bench.machine);
  assert.throws(
    () => video.setFormat({ output: { fourcc: 'VC1G' } }),
    /^EINVAL.*VC-1 \('VC1G'\); accepted: H\.264 Baseline.*VP8; VP9.*baseline JPEG/,
  );
});

test.run();
