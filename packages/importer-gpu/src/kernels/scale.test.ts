/** Scaling: plain and wasm against four taps a pixel, written from the formula in the docs. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_NV21,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  packedLayout,
} from '../fourcc.js';
import {
  Bench,
  pixelAddress,
  pixelAt,
  splitRows,
  type Random,
  sharedMemory,
} from './harness.test-helper.js';
import type { Image, Rect } from './kernels.js';
import { plainKernels } from './plain.js';
import { scaleScratchBytes } from './scale-map.js';
import { wasmKernels } from './wasm.js';

const SEED = 19521210;
console.log(`seed ${SEED}`);

/** The two source indices and the second one's weight (of 256) for a destination index. */
function taps(i: number, s: number, d: number): [number, number, number] {
  const step = Math.floor((s * 65536) / d);
  const p = Math.min(Math.max(i * step + Math.floor(step / 2) - 32768, 0), (s - 1) * 65536);
  const first = Math.floor(p / 65536);
  return [first, Math.min(first + 1, s - 1), Math.floor((p % 65536) / 256)];
}

function bilinear(
  bytes: Uint8Array,
  src: Image,
  from: Rect,
  to: Rect,
  x: number,
  y: number,
): number[] {
  const [x0, x1, fx] = taps(x, from.width, to.width);
  const [y0, y1, fy] = taps(y, from.height, to.height);
  const at = (ix: number, iy: number): number[] => pixelAt(bytes, src, from.x + ix, from.y + iy);
  const [p00, p01, p10, p11] = [at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1)];
  return [0, 1, 2, 3].map((c) => {
    const top = (256 - fx) * (p00[c] ?? 0) + fx * (p01[c] ?? 0);
    const bottom = (256 - fx) * (p10[c] ?? 0) + fx * (p11[c] ?? 0);
    return Math.floor(((256 - fy) * top + fy * bottom + 32768) / 65536);
  });
}

function nearest(
  bytes: Uint8Array,
  src: Image,
  from: Rect,
  to: Rect,
  x: number,
  y: number,
): number[] {
  const index = (i: number, s: number, d: number): number => {
    const step = Math.floor((s * 65536) / d);
    return Math.floor((i * step + Math.floor(step / 2)) / 65536);
  };
  const ix = index(x, from.width, to.width);
  return pixelAt(bytes, src, from.x + ix, from.y + index(y, from.height, to.height));
}

function referenceScale(
  bytes: Uint8Array,
  dst: Image,
  to: Rect,
  src: Image,
  from: Rect,
  filter: string,
): void {
  const opaque = dst.fourcc === DRM_FORMAT_XRGB8888 || src.fourcc === DRM_FORMAT_XRGB8888;
  const sample = filter === 'nearest' ? nearest : bilinear;
  for (let y = 0; y < to.height; y++) {
    for (let x = 0; x < to.width; x++) {
      const pixel = sample(bytes, src, from, to, x, y);
      if (opaque) pixel[3] = 255;
      bytes.set(pixel, pixelAddress(dst, to.x + x, to.y + y));
    }
  }
}

const size = (random: Random): number => random.pick([1, 2, 3, 4, 5, 8, 31, random.int(1, 90)]);

test('two pixels to four: 0, 100 become 0, 25, 75, 100', () => {
  const bench = new Bench(2);
  const src = bench.image(DRM_FORMAT_ARGB8888, 2, 1);
  const dst = bench.image(DRM_FORMAT_ARGB8888, 4, 1);
  const bytes = new Uint8Array(bench.memory.buffer);
  bytes.set([0, 0, 0, 0, 100, 100, 100, 100], pixelAddress(src, 0, 0));
  const whole = (image: Image): Rect => ({ x: 0, y: 0, width: image.width, height: image.height });
  bench.wasm.scale(dst, whole(dst), src, whole(src), { filter: 'bilinear' });
  assert.equal(
    [0, 1, 2, 3].map((x) => bytes[pixelAddress(dst, x, 0)]),
    [0, 25, 75, 100],
  );
  bench.wasm.scale(dst, whole(dst), src, whole(src), { filter: 'nearest' });
  assert.equal(
    [0, 1, 2, 3].map((x) => bytes[pixelAddress(dst, x, 0)]),
    [0, 0, 100, 100],
  );
});

test('plain and wasm equal the reference up and down, whole and cropped, and touch no other byte', () => {
  const bench = new Bench(SEED);
  const { random } = bench;
  const formats = [DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888];
  for (let round = 0; round < 160; round++) {
    if (round % 10 === 0) bench.scramble();
    const src = bench.image(random.pick(formats), size(random), size(random));
    const dst = bench.image(random.pick(formats), size(random), size(random));
    const from = random.rect(src.width, src.height);
    const to = random.rect(dst.width, dst.height);
    const filter = random.pick(['nearest', 'bilinear'] as const);
    const rows = splitRows(random, to.height);
    bench.compare(
      `round ${round}: ${filter} ${JSON.stringify({ src, from, to })}`,
      (kernels, at) => {
        for (const range of rows) kernels.scale(at(dst), to, at(src), from, { filter }, range);
      },
      (bytes) => referenceScale(bytes, dst, to, src, from, filter),
    );
  }
});

test('a fused YCbCr source gives what converting it whole and scaling that gives', () => {
  const bench = new Bench(SEED + 1);
  const { random } = bench;
  const formats = [DRM_FORMAT_YUV420, DRM_FORMAT_NV12, DRM_FORMAT_NV21];
  for (let round = 0; round < 120; round++) {
    if (round % 5 === 0) bench.scramble();
    const src = bench.image(random.pick(formats), size(random), size(random));
    const dst = bench.image(DRM_FORMAT_XRGB8888, size(random), size(random));
    const converted = bench.image(DRM_FORMAT_XRGB8888, src.width, src.height);
    const whole = { x: 0, y: 0, width: src.width, height: src.height };
    const from = random.rect(src.width, src.height);
    const to = random.rect(dst.width, dst.height);
    const filter = random.pick(['nearest', 'bilinear'] as const);
    const color = { encoding: random.pick(['bt601', 'bt709'] as const), range: 'limited' as const };
    const rows = splitRows(random, to.height);
    bench.compare(
      `round ${round}: ${filter} ${JSON.stringify({ src, from, to })}`,
      (kernels, at) => {
        kernels.convert(at(converted), whole, at(src), whole, color);
        for (const range of rows)
          kernels.scale(at(dst), to, at(src), from, { filter, color }, range);
      },
      (bytes) => {
        const on = (image: Image): Image => ({ ...image, memory: bytes.buffer });
        plainKernels.convert(on(converted), whole, on(src), whole, color);
        referenceScale(bytes, dst, to, converted, from, filter);
      },
    );
  }
});

test('wasm scaling keeps within the scratch that scaleScratchBytes asks for', () => {
  const memory = sharedMemory(4);
  const bytes = new Uint8Array(memory.buffer);
  const image = (fourcc: number, byteOffset: number, width: number, height: number): Image => {
    const { planes, size: byteLength } = packedLayout(fourcc, width, height);
    return { memory: memory.buffer, byteOffset, byteLength, fourcc, width, height, planes };
  };
  for (const [sw, dw] of [
    [1, 7],
    [33, 50],
    [50, 33],
    [97, 5],
  ] as const) {
    for (const filter of ['nearest', 'bilinear'] as const) {
      const src = image(DRM_FORMAT_NV12, 0, sw, 9);
      const dst = image(DRM_FORMAT_XRGB8888, 65536, dw, 11);
      const start = 131072;
      const length = scaleScratchBytes(sw, dw, filter === 'bilinear');
      bytes.fill(0xa5, start - 64);
      const kernels = wasmKernels(memory, {
        scratch: { byteOffset: start, byteLength: length + 15 },
      });
      const whole = (of: Image): Rect => ({ x: 0, y: 0, width: of.width, height: of.height });
      kernels.scale(dst, whole(dst), src, whole(src), { filter });
      assert.ok(bytes.subarray(start - 64, start).every((byte) => byte === 0xa5));
      assert.ok(bytes.subarray(start, start + length).some((byte) => byte !== 0xa5));
      assert.ok(
        bytes.subarray(start + length).every((byte) => byte === 0xa5),
        `${sw} to ${dw}, ${filter}`,
      );
    }
  }
});

test('bilinear stays near the real-valued mapping of pixel centres', () => {
  const bench = new Bench(SEED + 2);
  const src = bench.image(DRM_FORMAT_ARGB8888, 64, 36);
  const bytes = new Uint8Array(bench.memory.buffer);
  // A plane of known slope: its interpolation is itself, so errors of position show as values.
  for (let y = 0; y < 36; y++) {
    for (let x = 0; x < 64; x++)
      bytes.fill(2 * x + 3 * y, pixelAddress(src, x, y), pixelAddress(src, x, y) + 4);
  }
  const from = { x: 0, y: 0, width: 64, height: 36 };
  for (const [width, height] of [
    [96, 54],
    [97, 101],
    [63, 35],
    [40, 20],
  ] as const) {
    const dst = bench.image(DRM_FORMAT_ARGB8888, width, height);
    bench.wasm.scale(dst, { x: 0, y: 0, width, height }, src, from, { filter: 'bilinear' });
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const u = Math.min(Math.max(((x + 0.5) * 64) / width - 0.5, 0), 63);
        const v = Math.min(Math.max(((y + 0.5) * 36) / height - 0.5, 0), 35);
        const error = Math.abs((bytes[pixelAddress(dst, x, y)] ?? 0) - (2 * u + 3 * v));
        const bound = 0.5 + 2 * (1 / 256 + width / 65536) + 3 * (1 / 256 + height / 65536);
        assert.ok(error <= bound, `${width}x${height} at ${x},${y}: off by ${error}`);
      }
    }
  }
});

test.run();
