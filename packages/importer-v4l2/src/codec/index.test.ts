/**
 * The registry: what is offered, and that refusals name what was found and what is accepted.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { joinNalUnits } from '../bitstream/annexb.js';
import { writePps, writeSlice, writeSps } from '../bitstream/test/bit-writer.js';
import type { Decoded } from './codec.js';
import { codecOf, codecOfString, codecs, listedCodecs, UnsupportedStream } from './index.js';
import { hasClip, loadClip } from './test/clips.js';

async function faultOf(packet: Uint8Array): Promise<Decoded['fault']> {
  const decoder = await codecOf('H264').open();
  const { pictures, fault } = await decoder.decode({ data: packet, timestamp: 0 });
  assert.is(pictures.length, 0);
  await decoder.close();
  return fault;
}

/** Whether the optional package of AV1 is here. */
const hasAv1 = codecOf('AV01').probe().available;

test('H.264, VP8, VP9, JPEG and raw pictures are listed and here', () => {
  assert.equal(
    listedCodecs()
      .filter(({ optional }) => optional !== true)
      .map(({ fourcc }) => fourcc),
    ['H264', 'VP80', 'VP90', 'MJPG', 'JPEG', 'YU12', 'NV12'],
  );
  for (const codec of codecs) assert.is(codecOf(codec.fourcc), codec);
  for (const codec of listedCodecs()) assert.equal(codec.probe(), { available: true });
});

test('a foreign format is refused by name, with what is accepted', () => {
  assert.throws(
    () => codecOf('VC1G'),
    /^EINVAL.*VC-1 \('VC1G'\).*H\.264 Baseline.*VP8.*VP9 profile 0/,
  );
  assert.throws(() => codecOf('XYZ1'), /the format 'XYZ1'/);
});

test('an optional codec is listed only where its package is installed', async () => {
  assert.is(
    listedCodecs().some(({ fourcc }) => fourcc === 'AV01'),
    hasAv1,
  );
  if (hasAv1) return;
  const error: unknown = await codecOf('AV01')
    .open()
    .catch((reason: unknown) => reason);
  assert.match(String(error), /ENOENT.*npm install @libav\.js\/variant-av1-opus@6\.10\.9, or/);
});

test('a codec string tells the codec and its profile', () => {
  assert.is(codecOfString('avc1.42c01f').fourcc, 'H264');
  assert.is(codecOfString('avc1.42801f').fourcc, 'H264');
  assert.is(codecOfString('avc1.4d800d').fourcc, 'H264'); // Main that promises Baseline
  assert.is(codecOfString('vp8').fourcc, 'VP80');
  assert.is(codecOfString('mjpeg').fourcc, 'MJPG');
  assert.is(codecOfString('vp09.00.31.08').fourcc, 'VP90');
  assert.throws(() => codecOfString('avc1.64001f'), /^EINVAL.*High \(profile_idc 100\).*accepted/);
  assert.throws(() => codecOfString('avc1.4d400d'), /Main \(profile_idc 77\)/);
  assert.throws(() => codecOfString('vp09.02.10.10'), /VP9 profile 2/);
  assert.is(codecOfString('av01.0.04M.08').fourcc, 'AV01');
  assert.throws(() => codecOfString('av01.1.04M.08'), /^EINVAL.*AV1 profile 1/);
  assert.throws(() => codecOfString('hvc1.1.6.L93'), /^EINVAL.*H\.265, which only peers decode/);
  assert.throws(() => codecOfString('theora'), /the format 'theora'/);
});

const slice = writeSlice(0, 2, true);
for (const [what, packet, pattern] of [
  ['High profile', [writeSps({ profile: 100 }), writePps(), slice], /High \(profile_idc 100\)/],
  ['Main profile', [writeSps({ profile: 77, constraints: 0x40 }), writePps(), slice], /Main/],
  ['Extended profile', [writeSps({ profile: 88, constraints: 0 }), writePps(), slice], /Extended/],
  ['4:2:2', [writeSps({ profile: 122 }), writePps(), slice], /High 4:2:2/],
  ['interlaced', [writeSps({ frameMbsOnly: false }), writePps(), slice], /interlaced/],
  ['CABAC', [writeSps(), writePps(true), slice], /CABAC/],
  ['B slices', [writeSps(), writePps(), writeSlice(0, 1, false)], /B slices/],
  ['too large', [writeSps({ widthMbs: 512, heightMbs: 512 }), writePps(), slice], /8192x8192/],
] as const) {
  test(`H.264 with ${what} is refused by inspect and by decode, before it reaches the decoder`, async () => {
    const bytes = joinNalUnits(packet);
    assert.throws(() => codecOf('H264').inspect(bytes), pattern);
    const fault = await faultOf(bytes);
    assert.instance(fault, UnsupportedStream);
    assert.is(fault?.code, 'EINVAL');
    assert.match(fault?.message ?? '', pattern);
    assert.match(fault?.message ?? '', /accepted is H\.264 Baseline and Constrained Baseline/);
  });
}

test('an MP4 sample that was not converted is told apart from damage', async () => {
  const fault = await faultOf(Uint8Array.of(0, 0, 0, 9, 0x65, 1, 2, 3));
  assert.match(fault?.message ?? '', /no start code: Annex B is needed/);
});

test('VP9 of another profile is refused by inspect', () => {
  // frame marker 2, profile 2, a shown key frame, sync code, 10 bits
  const packet = Uint8Array.of(0b1001_0010, 0x49, 0x83, 0x42, 0x40, 0, 0, 0, 0, 0, 0);
  assert.throws(
    () => codecOf('VP90').inspect(packet),
    /^EINVAL.*VP9 profile 2.*accepted is VP9 profile 0/,
  );
});

for (const [name, pattern] of [
  ['flower.mp4', /High \(profile_idc 100\)/],
  ['test-25fps.h264', /Main \(profile_idc 77\)/],
] as const) {
  const title = `${name} is refused for its profile, packet by packet, without a crash`;
  if (!hasClip(name)) {
    test.skip(title, () => {});
    continue;
  }
  test(title, async () => {
    const { packets } = await loadClip(name);
    const decoder = await codecOf('H264').open();
    let first: string | undefined;
    for (const packet of packets) {
      const { pictures, fault } = await decoder.decode(packet);
      assert.is(pictures.length, 0);
      first ??= fault?.message;
    }
    await decoder.close();
    assert.match(first ?? '', pattern);
  });
}

test.run();
