/** YUYV, P010 and RGB565 to 32-bit pixels, and 32-bit pixels to all that can be packed: both kernels against references. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_NV21,
  DRM_FORMAT_P010,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  DRM_FORMAT_YUYV,
  formatName,
  packedLayout,
} from '../fourcc.js';
import { PACKABLE } from './check.js';
import type { ColorEncoding, ColorRange } from './color.js';
import { clamp, type Matrix, matrixOf, rgbAt } from './convert-reference.test-helper.js';
import { Bench, pixelAddress, pixelAt, splitRows, type Random } from './harness.test-helper.js';
import type { Image, Rect } from './kernels.js';
import { plainKernels } from './plain.js';

const SEED = 20120315;
console.log(`seed ${SEED}`);

const ENCODINGS: readonly ColorEncoding[] = ['bt601', 'bt709'];
const RANGES: readonly ColorRange[] = ['limited', 'full'];
const RGB = [DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888];
const NEW = [DRM_FORMAT_YUYV, DRM_FORMAT_P010, DRM_FORMAT_RGB565];

const side = (random: Random): number => random.pick([1, 2, 3, 15, 16, 17, 33, random.int(1, 90)]);

test('YUYV, P010 and RGB565 become pixels as the reference says, whole, cropped and in pieces', () => {
  const bench = new Bench(SEED);
  const { random } = bench;
  for (let round = 0; round < 150; round++) {
    if (round % 10 === 0) bench.scramble();
    const src = bench.image(NEW[round % 3] ?? 0, side(random), random.int(1, 20));
    const from = random.rect(src.width, src.height);
    const dst = bench.image(random.pick(RGB), from.width + random.int(0, 9), from.height);
    const to = random.rect(dst.width, dst.height, from);
    const color = { encoding: random.pick(ENCODINGS), range: random.pick(RANGES) };
    const m = matrixOf(color.encoding, color.range);
    const rows = splitRows(random, to.height);
    bench.compare(
      `round ${round}: ${formatName(src.fourcc)} ${JSON.stringify({ src, from, to, color })}`,
      (kernels, at) => {
        for (const range of rows) kernels.convert(at(dst), to, at(src), from, color, range);
      },
      (bytes) => {
        for (let y = 0; y < to.height; y++) {
          for (let x = 0; x < to.width; x++) {
            const [r = 0, g = 0, b = 0] = rgbAt(bytes, src, m, from.x + x, from.y + y);
            bytes.set([b, g, r, 255], pixelAddress(dst, to.x + x, to.y + y));
          }
        }
      },
    );
  }
});

test('scaling them is converting the whole and scaling that', () => {
  const bench = new Bench(SEED + 1);
  const { random } = bench;
  for (let round = 0; round < 90; round++) {
    if (round % 5 === 0) bench.scramble();
    const src = bench.image(NEW[round % 3] ?? 0, side(random), random.int(1, 20));
    const from = random.rect(src.width, src.height);
    const dst = bench.image(random.pick(RGB), side(random), random.int(1, 20));
    const to = random.rect(dst.width, dst.height);
    const filter = random.pick(['nearest', 'bilinear'] as const);
    const rows = splitRows(random, to.height);
    bench.compare(
      `round ${round}: ${filter} ${JSON.stringify({ src, from, to })}`,
      (kernels, at) => {
        for (const range of rows) kernels.scale(at(dst), to, at(src), from, { filter }, range);
      },
      (bytes) => {
        const whole: Rect = { x: 0, y: 0, width: from.width, height: from.height };
        const { planes, size } = packedLayout(DRM_FORMAT_XRGB8888, from.width, from.height);
        const middle: Image = {
          ...{ memory: new ArrayBuffer(size), byteOffset: 0, byteLength: size, planes },
          ...{ fourcc: DRM_FORMAT_XRGB8888, width: from.width, height: from.height },
        };
        const here = { ...src, memory: bytes.buffer };
        plainKernels.convert(middle, whole, here, from);
        plainKernels.scale({ ...dst, memory: bytes.buffer }, to, middle, whole, { filter });
      },
    );
  }
});

/** Y, Cb and Cr of a colour, by the real-valued formula. */
function realYuv(m: Matrix, [b = 0, g = 0, r = 0]: readonly number[]): [number, number, number] {
  const y = m.kr * r + (1 - m.kr - m.kb) * g + m.kb * b;
  const cb = 128 + (m.chroma * (b - y)) / (2 * (1 - m.kb));
  const cr = 128 + (m.chroma * (r - y)) / (2 * (1 - m.kr));
  return [m.black + m.luma * y, cb, cr];
}

/** The documented integers: Q15, green takes what the others leave. */
function packedYuv(m: Matrix, [b = 0, g = 0, r = 0]: readonly number[]): [number, number, number] {
  const q = (factor: number): number => Math.round(factor * 32768);
  const sum = (whole: number, kb: number, kr: number, offset: number): number => {
    const weighed = q(kb) * b + q(kr) * r + (whole - q(kb) - q(kr)) * g;
    return clamp(Math.floor((weighed + 16384) / 32768) + offset);
  };
  return [
    sum(q(m.luma), m.kb * m.luma, m.kr * m.luma, m.black),
    sum(0, m.chroma / 2, (-m.kr * m.chroma) / (2 * (1 - m.kb)), 128),
    sum(0, (-m.kb * m.chroma) / (2 * (1 - m.kr)), m.chroma / 2, 128),
  ];
}

/** The mean of the pixels of one chroma sample; columns and rows beyond the edge are repeated. */
function meanAt(
  bytes: Uint8Array,
  src: Image,
  from: Rect,
  x: number,
  y: number,
  tall: boolean,
): number[] {
  const right = Math.min(x + 1, from.width - 1);
  const below = tall ? Math.min(y + 1, from.height - 1) : y;
  const four = [
    [x, y],
    [right, y],
    [x, below],
    [right, below],
  ].map(([px = 0, py = 0]) => pixelAt(bytes, src, from.x + px, from.y + py));
  return [0, 1, 2].map((c) => Math.floor((four.reduce((sum, p) => sum + (p[c] ?? 0), 0) + 2) / 4));
}

/** Packs one pixel, and the chroma sample that begins with it. */
function packAt(
  bytes: Uint8Array,
  dst: Image,
  to: Rect,
  src: Image,
  from: Rect,
  m: Matrix,
  x: number,
  y: number,
): void {
  const row = (plane: number, index: number): number => {
    const { offset = 0, pitch = 0 } = dst.planes[plane] ?? {};
    return dst.byteOffset + offset + index * pitch;
  };
  const [dx, dy] = [to.x + x, to.y + y];
  const pixel = pixelAt(bytes, src, from.x + x, from.y + y);
  if (dst.fourcc === DRM_FORMAT_RGB565) {
    const [b = 0, g = 0, r = 0] = pixel.map((c, i) => Math.floor(c / (i === 1 ? 4 : 8)));
    const word = r * 2048 + g * 32 + b;
    bytes.set([word % 256, Math.floor(word / 256)], row(0, dy) + 2 * dx);
    return;
  }
  const [luma] = packedYuv(m, pixel);
  const begins = x % 2 === 0;
  if (dst.fourcc === DRM_FORMAT_YUYV) {
    bytes[row(0, dy) + 2 * dx] = luma;
    if (!begins) return;
    const [, cb, cr] = packedYuv(m, meanAt(bytes, src, from, x, y, false));
    bytes[row(0, dy) + 2 * dx + 1] = cb;
    bytes[row(0, dy) + 2 * dx + 3] = cr;
    if (x === to.width - 1) bytes[row(0, dy) + 2 * dx + 2] = luma;
    return;
  }
  bytes[row(0, dy) + dx] = luma;
  if (!begins || y % 2 !== 0) return;
  const [, cb, cr] = packedYuv(m, meanAt(bytes, src, from, x, y, true));
  const [cx, cy] = [dx / 2, dy / 2];
  if (dst.fourcc === DRM_FORMAT_YUV420) {
    bytes[row(1, cy) + cx] = cb;
    bytes[row(2, cy) + cx] = cr;
  } else {
    bytes.set(dst.fourcc === DRM_FORMAT_NV21 ? [cr, cb] : [cb, cr], row(1, cy) + 2 * cx);
  }
}

/** A rectangle on the sampling grid that ends on it or on the image's edge. */
function onGrid(random: Random, image: Image): Rect {
  const { width, height } = image;
  const x = 2 * random.int(0, (width - 1) >> 1);
  const y = 2 * random.int(0, (height - 1) >> 1);
  const w = random.int(0, 1) === 1 ? width - x : Math.min(width - x, 2 * random.int(1, width));
  const h = random.int(0, 1) === 1 ? height - y : Math.min(height - y, 2 * random.int(1, height));
  return { x, y, width: w, height: h };
}

test('pixels are packed as the reference says, and no other byte is touched', () => {
  const bench = new Bench(SEED + 2);
  const { random } = bench;
  for (let round = 0; round < 200; round++) {
    if (round % 10 === 0) bench.scramble();
    const dst = bench.image(
      PACKABLE[round % PACKABLE.length] ?? 0,
      side(random),
      random.int(1, 20),
    );
    const to = onGrid(random, dst);
    const src = bench.image(
      random.pick(RGB),
      to.width + random.int(0, 5),
      to.height + random.int(0, 3),
    );
    const from = random.rect(src.width, src.height, to);
    const color = { encoding: random.pick(ENCODINGS), range: random.pick(RANGES) };
    const m = matrixOf(color.encoding, color.range);
    const rows = splitRows(random, to.height);
    bench.compare(
      `round ${round}: ${formatName(dst.fourcc)} ${JSON.stringify({ src, from, dst, to, color })}`,
      (kernels, at) => {
        for (const range of rows) kernels.pack(at(dst), to, at(src), from, color, range);
      },
      (bytes) => {
        for (let y = 0; y < to.height; y++) {
          for (let x = 0; x < to.width; x++) packAt(bytes, dst, to, src, from, m, x, y);
        }
      },
    );
  }
});

test('the integers of packing stay within 0.53 of the real-valued formula, and greys are exact', () => {
  let worst = 0;
  for (const encoding of ENCODINGS) {
    for (const range of RANGES) {
      const m = matrixOf(encoding, range);
      for (let i = 0; i < 4096; i++) {
        const pixel = [(i & 15) * 17, ((i >> 4) & 15) * 17, (i >> 8) * 17];
        const exact = realYuv(m, pixel);
        packedYuv(m, pixel).forEach((got, c) => {
          worst = Math.max(worst, Math.abs(got - clamp(exact[c] ?? NaN)));
        });
      }
      for (let grey = 0; grey < 256; grey++) {
        const [, cb, cr] = packedYuv(m, [grey, grey, grey]);
        assert.equal([cb, cr], [128, 128]);
      }
    }
  }
  assert.ok(worst < 0.53 && worst > 0.49, `error ${worst}`);
});

test('what has been packed to RGB565 comes back and packs to the same', () => {
  const bench = new Bench(SEED + 3);
  const [a, b] = [0, 1].map(() => bench.image(DRM_FORMAT_RGB565, 64, 16));
  const middle = bench.image(DRM_FORMAT_XRGB8888, 64, 16);
  if (a === undefined || b === undefined) return;
  const all = { x: 0, y: 0, width: 64, height: 16 };
  bench.wasm.convert(middle, all, a, all);
  bench.wasm.pack(b, all, middle, all);
  const bytes = new Uint8Array(bench.memory.buffer);
  for (let y = 0; y < 16; y++) {
    const [from, to] = [a, b].map((image) => {
      const at =
        image.byteOffset + (image.planes[0]?.offset ?? 0) + y * (image.planes[0]?.pitch ?? 0);
      return [...bytes.subarray(at, at + 128)];
    });
    assert.equal(from, to);
  }
});

test('what cannot be packed is refused before anything is touched', () => {
  const bench = new Bench(SEED + 4);
  const nv12 = bench.image(DRM_FORMAT_NV12, 16, 8);
  const rgb = bench.image(DRM_FORMAT_XRGB8888, 16, 8);
  const at = (x: number, y: number, width: number, height: number): Rect => ({
    x,
    y,
    width,
    height,
  });
  const all = at(0, 0, 16, 8);
  const deep = bench.image(DRM_FORMAT_P010, 16, 8);
  assert.throws(
    () => bench.wasm.pack(nv12, at(1, 0, 8, 8), rgb, at(0, 0, 8, 8)),
    /EINVAL.*cuts a 2x2/,
  );
  assert.throws(
    () => bench.wasm.pack(nv12, at(0, 0, 7, 8), rgb, at(0, 0, 7, 8)),
    /EINVAL.*cuts a 2x2/,
  );
  assert.throws(() => bench.wasm.pack(nv12, at(0, 0, 8, 8), rgb, all), /EINVAL.*differ in size/);
  assert.throws(() => bench.wasm.pack(deep, all, rgb, all), /EINVAL.*destination image is P010/);
  assert.throws(() => bench.wasm.pack(nv12, all, nv12, all), /EINVAL.*source image is NV12/);
});

test.run();
