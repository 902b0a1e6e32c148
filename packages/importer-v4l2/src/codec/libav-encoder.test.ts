/**
 * VP8 and VP9 encoders: key frames, rate changes, drain, refusals.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LibAv } from './libav-api.js';
import { loadLibAv } from './libav-api.js';
import { LibAvEncoder, VP8_ENCODER } from './libav-encoder.js';
import { openEncoder, type EncodedPacket } from './index.js';
import { asNv12, decodeAll, encodeAll, pattern } from './test/raw-clip.js';

const W = 96;
const H = 64;
const pictures = Array.from({ length: 12 }, (_, i) => pattern(W, H, i));
const keysOf = (packets: readonly EncodedPacket[]): number[] =>
  packets.filter(({ key }) => key).map(({ timestamp }) => timestamp);

for (const fourcc of ['VP80', 'VP90']) {
  test(`${fourcc}: every picture gives its packet at once, key frames come by gop and by force`, async () => {
    const encoder = await openEncoder(fourcc, { width: W, height: H, gop: 8 });
    assert.is(encoder.mode, 'sync');
    assert.is(encoder.delay, 0);
    const packets = await encodeAll(encoder, pictures, new Set([3]));
    assert.equal(
      packets.map(({ timestamp }) => timestamp),
      pictures.map((_, i) => i * 10),
    );
    assert.equal(keysOf(packets).slice(0, 2), [0, 30]);
    await encoder.close();
    assert.is((await decodeAll(fourcc, packets)).size, pictures.length);
  });

  test(`${fourcc}: setBitrate begins anew with a key frame and changes the rate`, async () => {
    const encoder = await openEncoder(fourcc, { width: W, height: H, bitrate: 40_000, gop: 1000 });
    const many = Array.from({ length: 60 }, (_, i) => pattern(W, H, i * 7));
    const low = await encodeAll(encoder, many);
    encoder.setBitrate(400_000);
    const high = await encodeAll(encoder, many);
    await encoder.close();
    assert.equal(keysOf(low), [0]);
    assert.equal(keysOf(high), [0]);
    const size = (packets: readonly EncodedPacket[]): number =>
      packets.reduce((sum, { data }) => sum + data.length, 0);
    assert.ok(size(high) > 2 * size(low), `${size(low)} bytes, then ${size(high)}`);
  });

  test(`${fourcc}: setBitrate loses no picture that is held back`, async () => {
    const encoder = await openEncoder(fourcc, { width: W, height: H, deadline: 'good' });
    const packets: EncodedPacket[] = [];
    for (const [i, picture] of pictures.entries()) {
      if (i === 6) encoder.setBitrate(300_000);
      packets.push(...(await encoder.encode(picture, { timestamp: i * 10 })).packets);
    }
    packets.push(...(await encoder.flush()).packets);
    await encoder.close();
    assert.equal(
      [...(await decodeAll(fourcc, packets)).keys()],
      [...pictures.keys()].map((i) => i * 10),
    );
    assert.equal(keysOf(packets), [0, 60]);
  });

  test(`${fourcc}: NV12 with padded rows and I420 give the same packets, odd sizes too`, async () => {
    const odd = Array.from({ length: 3 }, (_, i) => pattern(33, 21, i));
    const options = { width: 33, height: 21 };
    const a = await openEncoder(fourcc, options);
    const b = await openEncoder(fourcc, options);
    const planar = await encodeAll(a, odd);
    const semi = await encodeAll(
      b,
      odd.map((picture) => asNv12(picture, 6)),
    );
    await a.close();
    await b.close();
    assert.equal(semi, planar);
    assert.is((await decodeAll(fourcc, planar)).get(20)?.length, 33 * 21 + 2 * 17 * 11);
  });
}

test('a picture of another size, format or layout is refused and costs nothing', async () => {
  const encoder = await openEncoder('VP80', { width: W, height: H });
  const [first = pattern(W, H, 0)] = pictures;
  const fault = async (change: object): Promise<string> => {
    const encoded = await encoder.encode({ ...first, ...change }, { timestamp: 0 });
    assert.equal(encoded.packets, []);
    assert.is(encoded.fault?.code, 'EINVAL');
    return encoded.fault?.message ?? '';
  };
  assert.match(await fault({ width: 48 }), /48x64; the encoder was opened for 96x64/);
  assert.match(await fault({ planes: [] }), /0 plane layouts; 'YU12' has 3/);
  assert.match(await fault({ data: first.data.subarray(1) }), /plane 2 .* of 9215/);
  assert.is((await encodeAll(encoder, pictures)).length, pictures.length);
  await encoder.close();
  await encoder.close();
  assert.throws(() => encoder.encode(first, { timestamp: 0 }), /^EBADFD.*VP8 encoder is closed/);
  assert.throws(() => encoder.setBitrate(1_000_000), /^EBADFD/);
});

test('options and formats that cannot be are refused by name', async () => {
  const refused = async (fourcc: string, options: object): Promise<string> => {
    try {
      await openEncoder(fourcc, { width: W, height: H, ...options });
      return 'opened';
    } catch (error) {
      return String(error);
    }
  };
  assert.match(await refused('HEVC', {}), /EINVAL.*no encoder here makes 'HEVC'; there are VP8/);
  assert.match(await refused('VP80', { width: 0 }), /EINVAL.*width is 0/);
  assert.match(await refused('VP80', { bitrate: -1 }), /bitrate \(bit\/s\) is -1/);
  assert.match(await refused('VP90', { gop: 0.5 }), /gop is 0.5/);
  assert.match(await refused('VP90', { frameRate: { num: 0, den: 1 } }), /frameRate\.num is 0/);
  assert.match(await refused('VP90', { deadline: 'best' }), /deadline is 'best'/);
});

test('after a trap a new instance goes on with a key frame', async () => {
  let trap = false;
  const load = async (): Promise<LibAv> => {
    const libav = await loadLibAv('VP8');
    return new Proxy(libav, {
      get: (target, name) => {
        if (trap && name === 'avcodec_send_frame_sync') {
          trap = false;
          throw new WebAssembly.RuntimeError('unreachable');
        }
        const found: unknown = Reflect.get(target, name);
        return found;
      },
    });
  };
  const encoder = await LibAvEncoder.open(VP8_ENCODER, load, { width: W, height: H });
  const [first = pattern(W, H, 0)] = pictures;
  assert.is((await encoder.encode(first, { timestamp: 0 })).packets.length, 1);
  trap = true;
  const lost = await encoder.encode(first, { timestamp: 10 });
  assert.match(lost.fault?.message ?? '', /^EIO.*libvpx trapped \(unreachable\)/);
  const { packets } = await encoder.encode(first, { timestamp: 20 });
  assert.equal(keysOf(packets), [20]);
  encoder.close();
});

test.run();
