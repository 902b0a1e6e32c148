/** Src-over: plain and wasm against the documented formula, and that against the real one. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DRM_FORMAT_ARGB8888, DRM_FORMAT_XRGB8888 } from '../fourcc.js';
import { Bench, pixelAddress, pixelAt, splitRows } from './harness.test-helper.js';
import type { BlendMode, Image } from './kernels.js';

const SEED = 19840701;
console.log(`seed ${SEED}`);

const MODES: readonly BlendMode[] = ['premultiplied', 'coverage', 'none'];

/** x / 255 rounded to the nearest: there are no ties. */
const div = (x: number): number => Math.round(x / 255);

function over(mode: BlendMode, s: number, alpha: number, d: number, plane: number): number {
  const own = mode === 'none' ? 255 : alpha;
  const a = div(own * plane);
  if (mode === 'premultiplied') return Math.min(255, div(plane * s) + div((255 - a) * d));
  return div(a * s + (255 - a) * d);
}

function real(mode: BlendMode, s: number, alpha: number, d: number, plane: number): number {
  const a = ((mode === 'none' ? 255 : alpha) / 255) * (plane / 255);
  const factor = mode === 'premultiplied' ? plane / 255 : a;
  return Math.min(255, s * factor + (1 - a) * d);
}

test('plain and wasm equal the reference in every mode, and touch no other byte', () => {
  const bench = new Bench(SEED);
  const { random } = bench;
  for (let round = 0; round < 160; round++) {
    if (round % 10 === 0) bench.scramble();
    const src = bench.image(
      random.pick([DRM_FORMAT_ARGB8888, DRM_FORMAT_ARGB8888, DRM_FORMAT_XRGB8888]),
      random.pick([1, 2, 3, 4, 7, 8, 9, random.int(1, 100)]),
      random.int(1, 12),
    );
    const from = random.rect(src.width, src.height);
    const dst = bench.image(
      DRM_FORMAT_XRGB8888,
      from.width + random.int(0, 9),
      from.height + random.int(0, 3),
    );
    const to = random.rect(dst.width, dst.height, from);
    const mode = random.pick(MODES);
    const alpha = random.pick([0, 1, 127, 254, 255, 255, random.int(0, 255)]);
    const rows = splitRows(random, to.height);
    bench.compare(
      `round ${round}: ${mode} ${alpha} ${JSON.stringify({ src, from, to })}`,
      (kernels, at) => {
        for (const range of rows) kernels.blend(at(dst), to, at(src), from, { mode, alpha }, range);
      },
      (bytes) => {
        const solid = src.fourcc === DRM_FORMAT_XRGB8888;
        for (let y = 0; y < to.height; y++) {
          for (let x = 0; x < to.width; x++) {
            const [sb = 0, sg = 0, sr = 0, sa = 0] = pixelAt(bytes, src, from.x + x, from.y + y);
            const d = pixelAt(bytes, dst, to.x + x, to.y + y);
            const mixed = [sb, sg, sr].map((s, c) =>
              over(mode, s, solid ? 255 : sa, d[c] ?? 0, alpha),
            );
            bytes.set([...mixed, 255], pixelAddress(dst, to.x + x, to.y + y));
          }
        }
      },
    );
  }
});

test('every colour, alpha and background of one plane alpha is within the stated bound', () => {
  const bench = new Bench(SEED + 1);
  const src = bench.image(DRM_FORMAT_ARGB8888, 256, 1);
  const dst = bench.image(DRM_FORMAT_XRGB8888, 256, 1);
  const row = { x: 0, y: 0, width: 256, height: 1 };
  const bytes = new Uint8Array(bench.memory.buffer);
  for (const mode of MODES) {
    for (const plane of [255, 200, 3]) {
      const bound = plane === 255 ? 0.5 : 1.5;
      for (let alpha = 0; alpha < 256; alpha += 5) {
        for (let d = 0; d < 256; d += 15) {
          const colour = (x: number): number => (mode === 'premultiplied' ? Math.min(x, alpha) : x);
          for (let x = 0; x < 256; x++) {
            bytes.set([colour(x), 0, 0, alpha], pixelAddress(src, x, 0));
            bytes.set([d, 0, 0, 0], pixelAddress(dst, x, 0));
          }
          bench.wasm.blend(dst, row, src, row, { mode, alpha: plane });
          for (let x = 0; x < 256; x++) {
            const got = bytes[pixelAddress(dst, x, 0)] ?? 0;
            const error = Math.abs(got - real(mode, colour(x), alpha, d, plane));
            assert.ok(
              error <= bound + 1e-9,
              `${mode} S ${x} A ${alpha} D ${d} P ${plane}: off by ${error}`,
            );
          }
        }
      }
    }
  }
});

test('clear, solid and saturating sources', () => {
  const bench = new Bench(SEED + 2);
  const src = bench.image(DRM_FORMAT_ARGB8888, 11, 1);
  const dst = bench.image(DRM_FORMAT_XRGB8888, 11, 1);
  const row = { x: 0, y: 0, width: 11, height: 1 };
  const bytes = new Uint8Array(bench.memory.buffer);
  const put = (image: Image, pixel: number[]): void => {
    for (let x = 0; x < 11; x++) bytes.set(pixel, pixelAddress(image, x, 0));
  };
  const run = (pixel: number[], under: number[], mode: BlendMode): void => {
    put(src, pixel);
    put(dst, under);
    bench.wasm.blend(dst, row, src, row, { mode });
  };
  const expect = (pixel: number[]): void => {
    for (let x = 0; x < 11; x++) assert.equal(pixelAt(bytes, dst, x, 0), pixel);
  };
  run([0, 0, 0, 0], [1, 2, 3, 4], 'premultiplied');
  expect([1, 2, 3, 255]);
  run([9, 8, 7, 0], [1, 2, 3, 4], 'coverage');
  expect([1, 2, 3, 255]);
  run([9, 8, 7, 255], [1, 2, 3, 4], 'premultiplied');
  expect([9, 8, 7, 255]);
  run([200, 10, 0, 0], [100, 2, 3, 4], 'premultiplied');
  expect([255, 12, 3, 255]);
  run([200, 10, 0, 0], [100, 2, 3, 4], 'none');
  expect([200, 10, 0, 255]);
});

test.run();
