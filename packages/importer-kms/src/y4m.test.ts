import { DmaBufError } from '@dmabuf/core';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readY4m, Y4mEncoder, Y4M_MATRICES, type Y4mMatrix } from './y4m.js';

const MATRICES: readonly Y4mMatrix[] = ['BT709', 'BT601'];
const WEIGHTS: Readonly<Record<Y4mMatrix, readonly [kr: number, kb: number]>> = {
  BT709: [0.2126, 0.0722],
  BT601: [0.299, 0.114],
};

/** The standard's own formula, in real numbers. */
function ideal(rgb: number, matrix: Y4mMatrix): readonly [number, number, number] {
  const [kr, kb] = WEIGHTS[matrix];
  const [r, g, b] = [(rgb >>> 16) & 255, (rgb >>> 8) & 255, rgb & 255];
  const y = kr * r + (1 - kr - kb) * g + kb * b;
  const cb = (b - y) / (2 * (1 - kb));
  const cr = (r - y) / (2 * (1 - kr));
  return [16 + (y * 219) / 255, 128 + (cb * 224) / 255, 128 + (cr * 224) / 255];
}

function encodePixels(pixels: Uint32Array, matrix: Y4mMatrix): Uint8Array {
  const width = pixels.length;
  const encoder = new Y4mEncoder({ width, height: 1, rate: [60, 1], matrix });
  const bytes = encoder.frame({ width, height: 1, pitch: width * 4, pixels });
  return bytes.subarray('FRAME\n'.length);
}

test('colours are those of the standard, within the rounding of one half and the coefficients', () => {
  const pixels = new Uint32Array(17 ** 3);
  for (let i = 0; i < pixels.length; i++) {
    const level = (n: number): number => Math.min(255, (n % 17) * 16);
    pixels[i] = (level(i) << 16) | (level(Math.floor(i / 17)) << 8) | level(Math.floor(i / 289));
  }
  for (const matrix of MATRICES) {
    const planes = encodePixels(pixels, matrix);
    for (const [i, rgb] of pixels.entries()) {
      for (const [plane, value] of ideal(rgb, matrix).entries()) {
        const coded = planes[plane * pixels.length + i] ?? 0;
        assert.ok(
          Math.abs(coded - value) < 0.51,
          `${matrix} ${rgb.toString(16)}: ${coded}, ${value}`,
        );
      }
    }
  }
});

test('greys have no colour, black is 16 and white is 235, and the top byte is ignored', () => {
  const greys = Uint32Array.from({ length: 256 }, (_, v) => (v * 0x010101) | ((v & 1) << 31));
  for (const matrix of MATRICES) {
    const { y, cb, cr } = Y4M_MATRICES[matrix];
    assert.is(y[0] + y[1] + y[2], 56_284);
    assert.is(cb[0] + cb[1] + cb[2], 0);
    assert.is(cr[0] + cr[1] + cr[2], 0);
    const planes = encodePixels(greys, matrix);
    assert.is(planes[0], 16);
    assert.is(planes[255], 235);
    assert.ok(planes.subarray(256).every((chroma) => chroma === 128));
  }
});

test('saturated colours stay within the limited range', () => {
  const corners = Uint32Array.of(0xff0000, 0xff00, 0xff, 0xffff00, 0xff00ff, 0xffff, 0, 0xffffff);
  for (const matrix of MATRICES) {
    const planes = encodePixels(corners, matrix);
    const [luma, chroma] = [planes.subarray(0, 8), planes.subarray(8)];
    assert.ok(luma.every((value) => value >= 16 && value <= 235));
    assert.is(Math.max(...chroma), 240);
    assert.is(Math.min(...chroma), 16);
  }
});

test('every frame is what the stated integer formula gives, over padded rows', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 5 }),
      fc.constantFrom(...MATRICES),
      fc.integer({ min: 1, max: 0xffff }),
      (width, height, padding, matrix, seed) => {
        const stride = width + padding;
        const pixels = Uint32Array.from({ length: stride * height }, (_, i) =>
          Math.imul(i + seed, 0x9e3779b1),
        );
        const encoder = new Y4mEncoder({ width, height, rate: [25, 1], matrix });
        const frame = { width, height, pitch: stride * 4, pixels };
        const file = readY4m(Buffer.concat([encoder.header, encoder.frame(frame)]));
        const { y, cb, cr } = Y4M_MATRICES[matrix];
        const expected = [y, cb, cr].flatMap((k, plane) =>
          Array.from({ length: width * height }, (_, i) => {
            const rgb = pixels[Math.floor(i / width) * stride + (i % width)] ?? 0;
            const sum =
              k[0] * ((rgb >>> 16) & 255) + k[1] * ((rgb >>> 8) & 255) + k[2] * (rgb & 255);
            return Math.floor(sum / 65536 + (plane === 0 ? 16 : 128) + 0.5);
          }),
        );
        assert.equal([...(file.frames[0] ?? [])], expected);
      },
    ),
  );
});

test('the header states size, reduced rate, 4:4:4, range and matrix, and reads back', () => {
  const encoder = new Y4mEncoder({ width: 1280, height: 720, rate: [59_940, 1000] });
  const text = Buffer.from(encoder.header).toString();
  assert.is(text, 'YUV4MPEG2 W1280 H720 F2997:50 Ip A1:1 C444 XCOLORRANGE=LIMITED XMATRIX=BT709\n');
  const file = readY4m(encoder.header);
  assert.equal(file.rate, [2997, 50]);
  assert.equal(file.comments, ['COLORRANGE=LIMITED', 'MATRIX=BT709']);
  assert.is(file.chroma, '444');
  assert.is(file.frames.length, 0);
});

test('a frame of another size is EINVAL, a rate that is no fraction a RangeError', () => {
  const encoder = new Y4mEncoder({ width: 4, height: 4, rate: [60, 1] });
  const frame = { width: 4, height: 2, pitch: 16, pixels: new Uint32Array(16) };
  assert.throws(
    () => encoder.frame(frame),
    (error: unknown) => error instanceof DmaBufError && /4x2 .* 4x4/.test(error.message),
  );
  assert.throws(() => new Y4mEncoder({ width: 4, height: 4, rate: [59.94, 1] }), RangeError);
  assert.throws(() => new Y4mEncoder({ width: 4, height: 4, rate: [0, 1] }), RangeError);
});

test('the reader takes 4:2:0 files and frame parameters, and refuses what is cut short', () => {
  const frame = Buffer.alloc(9 + 2 * 4, 7);
  const whole = Buffer.concat([Buffer.from('YUV4MPEG2 W3 H3 F30:1\nFRAME Ip\n'), frame]);
  assert.is(readY4m(whole).frames[0]?.length, 17);
  assert.is(readY4m(whole).chroma, '420jpeg');
  const refused = (bytes: Uint8Array, why: RegExp): void =>
    assert.throws(
      () => readY4m(bytes),
      (error: unknown) =>
        error instanceof DmaBufError && error.code === 'EINVAL' && why.test(error.message),
    );
  refused(whole.subarray(0, whole.length - 1), /frame 0 has 16 of 17 bytes/);
  refused(Buffer.concat([whole, Buffer.from('GARBAGE\n')]), /"GARBAGE" is not FRAME/);
  refused(Buffer.from('RIFF....\n'), /begins with "RIFF\.\.\.\."/);
  refused(Buffer.from('YUV4MPEG2 W3 H3 C422\nFRAME\n'), /C422/);
  refused(Buffer.from('YUV4MPEG2 F30:1\n'), /no picture size/);
});

test.run();
