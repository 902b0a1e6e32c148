/**
 * Raw pictures as bitstream, with and without the lines of YUV4MPEG2; and as what an encoder gives.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isY4m, parseY4m, parseY4mHeader } from '../bitstream/y4m.js';
import { codecOf, openEncoder, type Decoded, type RawPicture } from './index.js';
import { tightLayout } from './planes.js';
import { UnsupportedStream } from './unsupported.js';
import { asNv12, pattern } from './test/raw-clip.js';

const W = 34;
const H = 21;
const LINE = Buffer.from(`YUV4MPEG2 W${W} H${H} F30000:1001 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n`);
const FRAME = Buffer.from('FRAME Ip\n');
const pictures = [0, 5, 9].map((shift) => pattern(W, H, shift));
const join = (...parts: readonly Uint8Array<ArrayBufferLike>[]): Uint8Array =>
  Uint8Array.from(Buffer.concat(parts));

function pixels({ pictures: [picture], fault }: Decoded): Uint8Array {
  if (fault !== undefined) throw fault;
  if (picture === undefined) throw new Error('no picture');
  const { planes, byteLength } = tightLayout('YU12', picture.width, picture.height);
  const out = new Uint8Array(byteLength);
  assert.is(picture.copyTo(out, planes), byteLength);
  return out;
}

test('a Y4M file falls into its pictures', () => {
  const file = join(LINE, ...pictures.flatMap(({ data }) => [FRAME, data]));
  assert.ok(isY4m(file));
  const { width, height, frameRate, colour, frames, truncated } = parseY4m(file);
  assert.equal([width, height, truncated], [W, H, false]);
  assert.equal(frameRate, { num: 30000, den: 1001 });
  assert.is(colour.range, 'full');
  assert.equal(
    frames.map((frame) => Uint8Array.from(frame)),
    pictures.map(({ data }) => data),
  );
  const cut = parseY4m(file.subarray(0, file.length - 1));
  assert.equal([cut.frames.length, cut.truncated], [2, true]);
});

for (const [line, pattern] of [
  ['YUV4MPEG W8 H8\n', /no Y4M stream/],
  ['YUV4MPEG2 W8 H8', /no Y4M stream/],
  ['YUV4MPEG2 W0 H8\n', /W0: a whole number/],
  ['YUV4MPEG2 W8\n', /H: a whole number/],
  ['YUV4MPEG2 W8 H8 C444\n', /C444; 8-bit 4:2:0 is accepted/],
  ['YUV4MPEG2 W8 H8 C420p10\n', /C420p10/],
  ['YUV4MPEG2 W8 H8 It\n', /interlaced/],
] as const) {
  test(`'${line.trim()}' is refused`, () => {
    assert.throws(() => parseY4mHeader(Buffer.from(line)), pattern);
  });
}

test('I420 and NV12 of a size that was told come out as they are, in I420', async () => {
  const i420 = await codecOf('YU12').open({ width: W, height: H });
  const nv12 = await codecOf('NV12').open({ width: W, height: H });
  for (const [timestamp, picture] of pictures.entries()) {
    const decoded = await i420.decode({ data: picture.data, timestamp });
    assert.is(decoded.pictures[0]?.timestamp, timestamp);
    assert.equal(pixels(decoded), picture.data);
    const { data } = asNv12(picture);
    assert.equal(pixels(await nv12.decode({ data, timestamp })), picture.data);
  }
});

test("Y4M's lines tell the size, in the header or in the first packet, and may change it", async () => {
  const codec = codecOf('YU12');
  const [first, second] = pictures;
  if (first === undefined || second === undefined) return;
  const given = await codec.open({ header: LINE });
  assert.equal(pixels(await given.decode({ data: first.data, timestamp: 0 })), first.data);
  const found = await codec.open();
  const decoded = await found.decode({ data: join(LINE, FRAME, first.data), timestamp: 0 });
  assert.equal(decoded.pictures[0]?.colour, { range: 'full', matrix: 'unspecified' });
  assert.equal(pixels(decoded), first.data);
  const next = await found.decode({ data: join(FRAME, second.data), timestamp: 1 });
  assert.equal(pixels(next), second.data);
  const line = Buffer.from('YUV4MPEG2 W2 H2\n');
  assert.equal(await found.decode({ data: line, timestamp: 2 }), {
    pictures: [],
    fault: undefined,
  });
  const small = Uint8Array.of(1, 2, 3, 4, 5, 6);
  assert.equal(pixels(await found.decode({ data: small, timestamp: 3 })), small);
  const { shown, stream } = codec.inspect(join(LINE, FRAME));
  assert.equal([shown, stream?.width, stream?.height], [true, W, H]);
  assert.is(codec.inspect(LINE).shown, false);
});

test('what has no size, or another, is a fault', async () => {
  const lost = await codecOf('YU12').open();
  const data = new Uint8Array(6);
  const { fault } = await lost.decode({ data, timestamp: 0 });
  assert.instance(fault, UnsupportedStream);
  assert.match(fault?.message ?? '', /size that nobody has told/);
  const small = await codecOf('YU12').open({ width: 2, height: 2 });
  for (const bytes of [5, 7]) {
    const wrong = await small.decode({ data: new Uint8Array(bytes), timestamp: 0 });
    assert.match(wrong.fault?.message ?? '', /^EIO.*2x2 has 6/);
  }
  const empty = await small.decode({ data: new Uint8Array(0), timestamp: 0 });
  assert.is(empty.fault?.code, 'EINVAL');
  assert.equal(pixels(await small.decode({ data, timestamp: 1 })), data);
  await small.close();
  assert.throws(() => small.drain(), /^EBADFD/);
});

for (const fourcc of ['YU12', 'NV12']) {
  test(`the encoder of ${fourcc} packs I420 and NV12, whatever their pitches`, async () => {
    const encoder = await openEncoder(fourcc, { width: W, height: H });
    const encode = async (picture: RawPicture): Promise<Uint8Array> => {
      const { packets, fault } = await encoder.encode(picture, { timestamp: 1 });
      if (fault !== undefined) throw fault;
      return packets[0]?.data ?? new Uint8Array(0);
    };
    for (const picture of pictures) {
      const wanted = fourcc === 'YU12' ? picture.data : asNv12(picture).data;
      assert.equal(await encode(picture), wanted);
      assert.equal(await encode(asNv12(picture, 7)), wanted);
    }
    const { fault } = await encoder.encode(pattern(8, 8, 0), { timestamp: 0 });
    assert.is(fault?.code, 'EINVAL');
    assert.throws(() => encoder.setBitrate(9000), /^EOPNOTSUPP/);
    await encoder.close();
    assert.throws(() => encoder.flush(), /^EBADFD/);
  });
}

test.run();
