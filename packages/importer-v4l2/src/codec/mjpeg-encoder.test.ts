/**
 * JPEG encoding against the plain float DCT, coefficient by coefficient, and against what it was given.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codecOf, openEncoder, type EncoderOptions, type RawPicture } from './index.js';
import { JPEG_DQT, JPEG_RST0, nextSegment, parseQuant } from '../bitstream/jpeg.js';
import { qualitySteps } from './jpeg/encoder.js';
import { divisors, forwardDct, quantise } from './jpeg/fdct.js';
import { CHROMA_STEPS, LUMA_STEPS, ZIGZAG } from './jpeg/tables.js';
import { random } from './test/clips.js';
import { floatForwardDct } from './test/jpeg-writer.js';
import { asNv12, decodeAll, encodeAll, pattern, rawClip, roundTrip } from './test/raw-clip.js';

const seed = Number(process.env['DMABUF_SEED'] ?? Date.now() % 1_000_000);
console.log(`seed ${seed} (DMABUF_SEED=${seed} repeats this run)`);

async function encode(
  picture: RawPicture,
  options: Partial<EncoderOptions> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { width, height } = picture;
  const encoder = await openEncoder('MJPG', { ...options, width, height });
  const { packets, fault } = await encoder.encode(picture, { timestamp: 5 });
  await encoder.close();
  if (fault !== undefined) throw fault;
  const [packet] = packets;
  if (packet === undefined) throw new Error('no packet');
  assert.equal([packet.timestamp, packet.key], [5, true]);
  return packet.data;
}

async function psnr(picture: RawPicture, options: Partial<EncoderOptions>): Promise<number> {
  return (await roundTrip('MJPG', [picture], options)).psnr;
}

test('coefficients are those of the plain DCT, rounded: none is off by more than a half', () => {
  const next = random(seed);
  const values = new Int32Array(64);
  for (let n = 0; n < 300; n++) {
    const steps = qualitySteps(
      n % 2 === 0 ? LUMA_STEPS : CHROMA_STEPS,
      1 + Math.floor(next() * 100),
    );
    const flat = next() < 0.2;
    const base = Math.floor(next() * 256);
    const samples = Array.from({ length: 64 }, () => (flat ? base : Math.floor(next() * 256)));
    const block = Float64Array.from(samples, (sample) => sample - 128);
    forwardDct(block);
    const last = quantise(block, divisors(steps), values);
    const oracle = floatForwardDct(samples);
    ZIGZAG.forEach((i, k) => {
      const wanted = (oracle[i] ?? 0) / (steps[i] ?? 1);
      assert.ok(Math.abs((values[k] ?? 0) - wanted) < 0.5 + 1e-9, `${values[k]} for ${wanted}`);
      if (k > last) assert.is(values[k], 0);
    });
    assert.ok(last === 0 || values[last] !== 0);
  }
});

test('qualities scale the tables as libjpeg does', () => {
  assert.equal([...qualitySteps(LUMA_STEPS, 50)], [...LUMA_STEPS]);
  assert.ok(qualitySteps(CHROMA_STEPS, 100).every((step) => step === 1));
  assert.equal([...qualitySteps(LUMA_STEPS, 75).subarray(0, 4)], [8, 6, 5, 8]);
  assert.equal([...qualitySteps(LUMA_STEPS, 1).subarray(0, 2)], [255, 255]);
});

test('a round trip at quality 100 loses next to nothing, lower ones lose more and take less', async () => {
  const [picture] = await rawClip('dog-h264-tiny.mp4', 1);
  if (picture === undefined) throw new Error('no picture');
  const found: [number, number][] = [];
  for (const quality of [100, 90, 75, 40, 10]) {
    const { length } = await encode(picture, { quality });
    const decibel = await psnr(picture, { quality });
    found.push([length, decibel]);
    console.log(`quality ${quality}: ${decibel.toFixed(1)} dB in ${length} bytes`);
  }
  assert.ok((found[0]?.[1] ?? 0) > 55, `${found[0]?.[1]} dB at quality 100`);
  assert.ok((found[2]?.[1] ?? 0) > 36, `${found[2]?.[1]} dB at quality 75`);
  for (let i = 1; i < found.length; i++) {
    assert.ok((found[i]?.[0] ?? 0) < (found[i - 1]?.[0] ?? 0));
    assert.ok((found[i]?.[1] ?? 0) < (found[i - 1]?.[1] ?? 0));
  }
});

for (const [width, height] of [
  [1, 1],
  [16, 16],
  [17, 33],
  [70, 50],
] as const) {
  test(`${width}x${height}: the picture comes back, from NV12 the same as from I420`, async () => {
    const picture = pattern(width, height, 3);
    const data = await encode(picture, { quality: 95 });
    assert.equal(data, await encode(asNv12(picture, 5), { quality: 95 }));
    const { stream } = codecOf('MJPG').inspect(data);
    assert.equal([stream?.width, stream?.height], [width, height]);
    assert.ok((await psnr(picture, { quality: 95 })) > 30);
  });
}

test('restart markers stand after as many MCUs as asked for, and change no picture', async () => {
  const picture = pattern(160, 96, 1);
  const plain = await encode(picture);
  const data = await encode(picture, { restartInterval: 4 });
  const markers: number[] = [];
  for (let i = 0; i + 1 < data.length; i++) {
    const marker = data[i + 1] ?? 0;
    if (data[i] === 0xff && marker >= JPEG_RST0 && marker < JPEG_RST0 + 8) markers.push(marker & 7);
  }
  assert.equal(markers, [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5]);
  const packets = [plain, data].map((bytes, i) => ({ data: bytes, timestamp: i, key: true }));
  const decoded = await decodeAll('MJPG', packets);
  assert.equal(decoded.get(0), decoded.get(1));
});

test('setQuality changes the tables from the next picture on', async () => {
  const picture = pattern(64, 48, 0);
  const encoder = await openEncoder('JPEG', { width: 64, height: 48, quality: 90 });
  const [before] = await encodeAll(encoder, [picture]);
  encoder.setQuality(20);
  const [after] = await encodeAll(encoder, [picture]);
  const stepsOf = (data: Uint8Array | undefined): number[] => {
    for (let at = 0; data !== undefined;) {
      const segment = nextSegment(data, at);
      if (segment === undefined) break;
      if (segment.marker === JPEG_DQT) return [...(parseQuant(data, segment)[0]?.steps ?? [])];
      at = segment.end;
    }
    return [];
  };
  const inOrder = (quality: number): number[] => {
    const steps = qualitySteps(LUMA_STEPS, quality);
    return [...ZIGZAG].map((i) => steps[i] ?? 0);
  };
  assert.equal(stepsOf(before?.data), inOrder(90));
  assert.equal(stepsOf(after?.data), inOrder(20));
  assert.throws(() => encoder.setQuality(0), /^EINVAL.*quality is 0/);
  assert.throws(() => encoder.setBitrate(1000), /^EOPNOTSUPP.*setQuality/);
  await encoder.close();
});

test('samples of limited range are stretched where the colour says so', async () => {
  const picture = pattern(16, 16, 0);
  picture.data.fill(235, 0, 256).fill(16, 0, 64).fill(240, 256, 320).fill(128, 320);
  const colour = { range: 'limited', matrix: 'bt601' } as const;
  const data = await encode(picture, { quality: 100, colour });
  const decoded = (await decodeAll('MJPG', [{ data, timestamp: 0, key: true }])).get(0);
  const near = (at: number, wanted: number): void => {
    const found = decoded?.[at] ?? -1;
    assert.ok(Math.abs(found - wanted) <= 2, `sample ${at} is ${found}, not ${wanted}`);
  };
  near(0, 0);
  near(255, 255);
  near(256, 255);
  near(320, 128);
});

test('what is no picture of its size and format is refused, and a closed encoder says so', async () => {
  const encoder = await openEncoder('MJPG', { width: 16, height: 16 });
  const { fault } = await encoder.encode(pattern(8, 8, 0), { timestamp: 0 });
  assert.match(fault?.message ?? '', /^EINVAL.*8x8.*16x16/);
  assert.equal(await encoder.flush(), { packets: [], fault: undefined });
  await encoder.close();
  await encoder.close();
  assert.throws(() => encoder.flush(), /^EBADFD/);
  const refused = await openEncoder('MJPG', { width: 8, height: 8, restartInterval: -1 }).then(
    () => 'opened',
    (error: unknown) => String(error),
  );
  assert.match(refused, /EINVAL.*restartInterval is -1/);
});

test.run();
