/**
 * JPEG decoding against the plain float DCT, for every sampling; what is missing, damaged or not done here.
 */
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codecOf, type Picture } from './index.js';
import { flatBlock, inverseDct } from './jpeg/idct.js';
import { tightLayout } from './planes.js';
import { UnsupportedStream } from './unsupported.js';
import { damage, random } from './test/clips.js';
import {
  floatInverseDct,
  floatPlane,
  randomBlocks,
  writeJpeg,
  type JpegFields,
} from './test/jpeg-writer.js';

const seed = Number(process.env['DMABUF_SEED'] ?? Date.now() % 1_000_000);
console.log(`seed ${seed} (DMABUF_SEED=${seed} repeats this run)`);

const FULL = [
  [1, 1],
  [1, 1],
  [1, 1],
] as const;
const HALF = [[2, 2], ...FULL.slice(1)] as const;

function picture(fields: Omit<JpegFields, 'blocks'>, next = random(seed)): JpegFields {
  return { ...fields, blocks: fields.sampling.map((_, i) => randomBlocks(fields, i, next)) };
}

async function decode(data: Uint8Array, header?: Uint8Array): Promise<Uint8Array> {
  const decoder = await codecOf('MJPG').open(header === undefined ? {} : { header });
  const { pictures, fault } = await decoder.decode({ data, timestamp: 7 });
  if (fault !== undefined) throw fault;
  const [found] = pictures;
  if (found === undefined) throw new Error('no picture');
  return pixels(found);
}

function pixels(found: Picture): Uint8Array {
  const { planes, byteLength } = tightLayout(found.fourcc, found.width, found.height);
  const out = new Uint8Array(byteLength);
  assert.is(found.copyTo(out, planes), byteLength);
  return out;
}

const md5 = (found: Picture): string => createHash('md5').update(pixels(found)).digest('hex');

/** What the oracle makes of a component, as a plane of `width` by `height`. */
function expected(fields: JpegFields, component: number, width: number, height: number): number[] {
  const plane = floatPlane(fields, component);
  const [h, v] = fields.sampling[component] ?? [1, 1];
  const hMax = Math.max(...fields.sampling.map((factors) => factors[0]));
  const vMax = Math.max(...fields.sampling.map((factors) => factors[1]));
  const own = [
    Math.ceil((fields.width * h) / hMax),
    Math.ceil((fields.height * v) / vMax),
  ] as const;
  const across = own[0] > width ? 2 : 1;
  const down = own[1] > height ? 2 : 1;
  return Array.from({ length: width * height }, (_, i) => {
    const x = (i % width) * across;
    const y = Math.floor(i / width) * down;
    const columns = [x, Math.min(x + across - 1, own[0] - 1)];
    const rows = [y, Math.min(y + down - 1, own[1] - 1)];
    const sum = rows.flatMap((row) =>
      columns.map((column) => plane.samples[row * plane.width + column] ?? 0),
    );
    return sum.reduce((a, b) => a + b) / sum.length;
  });
}

function compare(found: Uint8Array, fields: JpegFields): void {
  const { width, height } = fields;
  const chroma = [(width + 1) >> 1, (height + 1) >> 1] as const;
  const planes = [[width, height] as const, chroma, chroma].flatMap(([w, h], i) =>
    i < fields.sampling.length
      ? expected(fields, i, w, h)
      : Array.from({ length: w * h }, () => 128),
  );
  assert.is(found.length, planes.length);
  const worst = planes.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - (found[i] ?? 0))),
    0,
  );
  assert.ok(worst <= 1, `a sample is off by ${worst}`);
}

test('the inverse DCT is within 1 of the plain float one, and flat blocks are no case of their own', () => {
  const next = random(seed);
  const out = new Uint8ClampedArray(8 * 11);
  const flat = new Uint8ClampedArray(8 * 11);
  for (const block of randomBlocks({ width: 256, height: 256, sampling: [[1, 1]] }, 0, next)) {
    const scaled = Int32Array.from(block, (value) => 2 * value);
    inverseDct(scaled, out, 0, 11);
    assert.ok(
      scaled.every((value) => value === 0),
      'the block is cleared for the next one',
    );
    floatInverseDct(block, 2).forEach((value, i) => {
      const clamped = Math.min(255, Math.max(0, value));
      assert.ok(Math.abs(clamped - (out[(i >> 3) * 11 + (i & 7)] ?? 0)) <= 1);
    });
    const dc = new Int32Array(64);
    dc[0] = 2 * (block[0] ?? 0);
    flatBlock(dc[0], flat, 0, 11);
    inverseDct(dc, out, 0, 11);
    for (let i = 0; i < 64; i++)
      assert.is(out[(i >> 3) * 11 + (i & 7)], flat[(i >> 3) * 11 + (i & 7)]);
  }
});

const SHAPES: readonly (readonly [string, Omit<JpegFields, 'blocks'>])[] = [
  ['4:2:0', { width: 48, height: 32, sampling: HALF }],
  ['4:2:0 of an odd size', { width: 37, height: 21, sampling: HALF }],
  ['4:2:2', { width: 37, height: 21, sampling: [[2, 1], ...FULL.slice(1)] }],
  ['4:4:0', { width: 37, height: 21, sampling: [[1, 2], ...FULL.slice(1)] }],
  ['4:4:4', { width: 37, height: 21, sampling: FULL }],
  ['grey', { width: 37, height: 21, sampling: [[1, 1]] }],
  ['grey with factors', { width: 37, height: 21, sampling: [[2, 2]], apart: true }],
  ['4:2:0 with restarts', { width: 70, height: 50, sampling: HALF, restart: 3 }],
  ['4:2:0 in three scans', { width: 70, height: 50, sampling: HALF, apart: true }],
  ['three scans with restarts', { width: 70, height: 50, sampling: HALF, apart: true, restart: 2 }],
  ['no Huffman tables, as in AVI', { width: 37, height: 21, sampling: HALF, withoutTables: true }],
  ['extended sequential', { width: 16, height: 16, sampling: HALF, sof: 0xc1 }],
];

for (const [what, fields] of SHAPES) {
  test(`${what}: every sample is within 1 of the oracle`, async () => {
    const jpeg = picture(fields);
    compare(await decode(writeJpeg(jpeg)), jpeg);
  });
}

test('headers tell size, colour and that every picture is a key frame', async () => {
  const data = writeJpeg(picture({ width: 37, height: 21, sampling: HALF }));
  const { keyframe, shown, stream } = codecOf('JPEG').inspect(data);
  assert.ok(keyframe && shown);
  assert.equal(stream, {
    profile: 'JPEG baseline',
    width: 37,
    height: 21,
    codedWidth: 48,
    codedHeight: 32,
    crop: { left: 0, top: 0, width: 37, height: 21 },
    colour: { range: 'full', matrix: 'bt601' },
  });
});

test('tables that pictures leave out may be given when the decoder is opened', async () => {
  const jpeg = picture({ width: 16, height: 16, sampling: HALF });
  const data = writeJpeg(jpeg);
  const dqt = data.indexOf(0xdb) - 1;
  const without = Uint8Array.from([...data.subarray(0, dqt), ...data.subarray(dqt + 69)]);
  const header = Uint8Array.from([0xff, 0xd8, ...data.subarray(dqt, dqt + 69), 0xff, 0xd9]);
  await refused(decode(without), /^EIO.*quantisation table 0 is missing/);
  compare(await decode(without, header), jpeg);
});

async function refused(promise: Promise<unknown>, pattern: RegExp): Promise<void> {
  const message = await promise.then(
    () => 'it succeeded',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  assert.match(message, pattern);
}

const adobe = [...Buffer.from('Adobe'), 0, 100, 0, 0, 0, 0, 0];
const avi1 = [...Buffer.from('AVI1'), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const field = writeJpeg(picture({ width: 16, height: 8, sampling: HALF, extra: [[0xe0, avi1]] }));
const FOUR = [...FULL, [1, 1]] as const;
for (const [what, data, pattern] of [
  [
    'progressive',
    writeJpeg(picture({ width: 8, height: 8, sampling: FULL, sof: 0xc2 })),
    /progressive/,
  ],
  [
    'arithmetic',
    writeJpeg(picture({ width: 8, height: 8, sampling: FULL, sof: 0xc9 })),
    /arithmetic/,
  ],
  [
    '12 bits',
    writeJpeg(picture({ width: 8, height: 8, sampling: FULL, sof: 0xc1, precision: 12 })),
    /12-bit/,
  ],
  [
    'CMYK',
    writeJpeg(picture({ width: 8, height: 8, sampling: FOUR, ids: [1, 2, 3, 4] })),
    /4 components/,
  ],
  [
    'RGB by its ids',
    writeJpeg(picture({ width: 8, height: 8, sampling: FULL, ids: [82, 71, 66] })),
    /RGB/,
  ],
  [
    'RGB by Adobe',
    writeJpeg(picture({ width: 8, height: 8, sampling: FULL, extra: [[0xee, adobe]] })),
    /RGB/,
  ],
  [
    '4:1:1',
    writeJpeg(picture({ width: 32, height: 8, sampling: [[4, 1], ...FULL.slice(1)] })),
    /4x1, 1x1, 1x1/,
  ],
  ['two fields', Uint8Array.from([...field, ...field]), /interlaced/],
] as const) {
  test(`JPEG that is ${what} is refused by inspect and by decode, with what is accepted`, async () => {
    assert.throws(() => codecOf('MJPG').inspect(data), pattern);
    const decoder = await codecOf('MJPG').open();
    const { pictures, fault } = await decoder.decode({ data, timestamp: 0 });
    assert.is(pictures.length, 0);
    assert.instance(fault, UnsupportedStream);
    assert.match(fault?.message ?? '', pattern);
    assert.match(fault?.message ?? '', /accepted is baseline JPEG/);
  });
}

const sound = picture({ width: 70, height: 50, sampling: HALF, restart: 3 });
const soundData = writeJpeg(sound);
/** Where a two-byte sequence begins. */
function find(data: Uint8Array, first: number, second: number): number {
  return data.findIndex((value, i) => value === first && data[i + 1] === second);
}
function without(data: Uint8Array, at: number, count: number): Uint8Array {
  return Uint8Array.from([...data.subarray(0, at), ...data.subarray(at + count)]);
}

for (const [what, data, pattern] of [
  ['no JPEG at all', Uint8Array.of(1, 2, 3, 4), /^EIO.*does not begin with FFD8/],
  ['headers alone', soundData.subarray(0, 100), /^EIO/],
  ['cut off in its data', soundData.subarray(0, soundData.length - 300), /^EIO/],
  [
    'without a restart marker',
    without(soundData, find(soundData, 0xff, 0xd1), 2),
    /^EIO.*FFd1 is missing|left over/,
  ],
  [
    'a restart marker out of turn',
    Uint8Array.from(soundData, (v, i) => (i === find(soundData, 0xff, 0xd1) + 1 ? 0xd3 : v)),
    /^EIO.*FFd1 is missing, there is FFd3/,
  ],
  ['without its frame header', without(soundData, find(soundData, 0xff, 0xc0), 19), /^EIO/],
  [
    'of an absurd size',
    Uint8Array.from(soundData, (v, i) =>
      i >= find(soundData, 0xff, 0xc0) + 5 && i < find(soundData, 0xff, 0xc0) + 9 ? 0x3f : v,
    ),
    /^EIO.*16191x16191.*too few/,
  ],
] as const) {
  test(`a picture that is ${what} costs itself alone`, async () => {
    const decoder = await codecOf('MJPG').open();
    const bad = await decoder.decode({ data, timestamp: 0 });
    assert.is(bad.pictures.length, 0);
    assert.match(bad.fault?.message ?? '', pattern);
    const { pictures, fault } = await decoder.decode({ data: soundData, timestamp: 1 });
    assert.is(fault, undefined);
    const [found] = pictures;
    if (found === undefined) throw new Error('no picture');
    compare(pixels(found), sound);
    await decoder.close();
  });
}

test('whatever the damage, a packet gives a picture or a fault, and the next one is sound', async () => {
  const next = random(seed);
  const decoder = await codecOf('MJPG').open();
  const good = createHash('md5')
    .update(await decode(soundData))
    .digest('hex');
  let faults = 0;
  for (let i = 0; i < 400; i++) {
    const data = damage(soundData, next);
    const decoded = await decoder.decode({ data, timestamp: i });
    assert.is(decoded.pictures.length + (decoded.fault === undefined ? 0 : 1), 1);
    if (decoded.fault !== undefined) faults++;
    if (i % 20 !== 0) continue;
    const { pictures } = await decoder.decode({ data: soundData, timestamp: i });
    assert.equal(pictures.map(md5), [good]);
  }
  await decoder.close();
  assert.ok(faults > 50, `only ${faults} of 400 were noticed`);
});

test('a closed decoder says so, an empty packet is a fault', async () => {
  const decoder = await codecOf('MJPG').open();
  const { fault } = await decoder.decode({ data: new Uint8Array(0), timestamp: 0 });
  assert.is(fault?.code, 'EINVAL');
  assert.equal(await decoder.drain(), { pictures: [], fault: undefined });
  await decoder.reset();
  await decoder.close();
  await decoder.close();
  for (const call of [() => decoder.drain(), () => decoder.reset()]) assert.throws(call, /^EBADFD/);
});

test('a picture that does not fit its buffer is refused before a byte is written', async () => {
  const decoder = await codecOf('MJPG').open();
  const { pictures } = await decoder.decode({ data: soundData, timestamp: 0 });
  const { planes, byteLength } = tightLayout('YU12', 70, 50);
  const target = new Uint8Array(byteLength - 1);
  assert.throws(() => pictures[0]?.copyTo(target, planes), /^EINVAL.*plane 2/);
  assert.throws(
    () => pictures[0]?.copyTo(new Uint8Array(9999), planes.slice(0, 2)),
    /^EINVAL.*2 plane/,
  );
  assert.ok(target.every((byte) => byte === 0));
});

test.run();
