/** Fill, clear and copy: any format, any alignment, overlap, tiles. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_P010,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  DRM_FORMAT_YUYV,
  formatInfo,
} from '../fourcc.js';
import { Bench, pixelAddress, pixelAt, splitRows } from './harness.test-helper.js';
import type { Image, Rect } from './kernels.js';

const SEED = 4711;
console.log(`seed ${SEED}`);

const RGB = [DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888];

test('fill writes its rectangle and nothing else', () => {
  const bench = new Bench(SEED);
  const { random } = bench;
  for (let round = 0; round < 80; round++) {
    if (round % 10 === 0) bench.scramble();
    const dst = bench.image(random.pick(RGB), random.int(1, 70), random.int(1, 20));
    const to = random.rect(dst.width, dst.height);
    const pixel = random.int(0, 0xffffffff);
    const rows = splitRows(random, to.height);
    bench.compare(
      `round ${round}`,
      (kernels, at) => {
        for (const range of rows) kernels.fill(at(dst), to, pixel, range);
      },
      (bytes) => {
        const alpha = dst.fourcc === DRM_FORMAT_XRGB8888 ? 255 : pixel >>> 24;
        for (let y = 0; y < to.height; y++) {
          for (let x = 0; x < to.width; x++) {
            bytes.set(
              [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255, alpha],
              pixelAddress(dst, to.x + x, to.y + y),
            );
          }
        }
      },
    );
  }
});

test('clear is opaque black or transparent', () => {
  const bench = new Bench(SEED);
  const bytes = new Uint8Array(bench.memory.buffer);
  for (const [fourcc, alpha] of [
    [DRM_FORMAT_XRGB8888, 255],
    [DRM_FORMAT_ARGB8888, 0],
  ] as const) {
    const dst = bench.image(fourcc, 5, 3);
    bench.wasm.clear(dst);
    for (let y = 0; y < 3; y++) {
      for (let x = 0; x < 5; x++) assert.equal(pixelAt(bytes, dst, x, y), [0, 0, 0, alpha]);
    }
  }
});

test('copy between XRGB8888 and ARGB8888 is opaque, between like formats verbatim', () => {
  const bench = new Bench(SEED + 1);
  const { random } = bench;
  for (let round = 0; round < 80; round++) {
    if (round % 10 === 0) bench.scramble();
    const src = bench.image(random.pick(RGB), random.int(1, 50), random.int(1, 20));
    const from = random.rect(src.width, src.height);
    const dst = bench.image(
      random.pick(RGB),
      from.width + random.int(0, 9),
      from.height + random.int(0, 4),
    );
    const to = random.rect(dst.width, dst.height, from);
    const rows = splitRows(random, to.height);
    bench.compare(
      `round ${round}`,
      (kernels, at) => {
        for (const range of rows) kernels.copy(at(dst), to, at(src), from, range);
      },
      (bytes) => {
        for (let y = 0; y < to.height; y++) {
          for (let x = 0; x < to.width; x++) {
            const pixel = pixelAt(bytes, src, from.x + x, from.y + y);
            if (src.fourcc !== dst.fourcc) pixel[3] = 255;
            bytes.set(pixel, pixelAddress(dst, to.x + x, to.y + y));
          }
        }
      },
    );
  }
});

test('copy moves every plane of a subsampled format, in tiles too', () => {
  const bench = new Bench(SEED + 2);
  const { random } = bench;
  const formats = [
    DRM_FORMAT_YUV420,
    DRM_FORMAT_NV12,
    DRM_FORMAT_P010,
    DRM_FORMAT_YUYV,
    DRM_FORMAT_RGB565,
  ];
  for (let round = 0; round < 80; round++) {
    if (round % 10 === 0) bench.scramble();
    const fourcc = random.pick(formats);
    const info = formatInfo(fourcc);
    if (info === undefined) throw new Error('unknown format');
    const [width, height] = [random.int(3, 41), random.int(3, 21)];
    const src = bench.image(fourcc, width, height);
    const dst = bench.image(fourcc, width, height);
    // The far corner, which may be odd, or an even rectangle to another even place.
    const x = 2 * random.int(0, (width - 1) >> 1);
    const y = 2 * random.int(0, (height - 1) >> 1);
    const corner = random.int(0, 1) === 0;
    const from: Rect = corner
      ? { x, y, width: width - x, height: height - y }
      : { x: 0, y: 0, width: 2, height: 2 };
    const to = corner
      ? from
      : { x: Math.min(x, width - 2) & ~1, y: Math.min(y, height - 2) & ~1, width: 2, height: 2 };
    const rows = splitRows(random, to.height);
    bench.compare(
      `round ${round}: ${info.name} ${JSON.stringify({ from, to })}`,
      (kernels, at) => {
        for (const range of rows) kernels.copy(at(dst), to, at(src), from, range);
      },
      (bytes) => {
        info.planes.forEach(({ hsub, vsub, bytes: cell }, i) => {
          const address = (image: Image, rect: Rect, bx: number, by: number): number => {
            const { offset = 0, pitch = 0 } = image.planes[i] ?? {};
            return (
              image.byteOffset + offset + (rect.y / vsub + by) * pitch + (rect.x / hsub + bx) * cell
            );
          };
          for (let by = 0; by < Math.ceil(to.height / vsub); by++) {
            for (let bx = 0; bx < Math.ceil(to.width / hsub); bx++) {
              const start = address(src, from, bx, by);
              bytes.copyWithin(address(dst, to, bx, by), start, start + cell);
            }
          }
        });
      },
    );
  }
});

test('a copy inside one image may overlap in any direction', () => {
  const bench = new Bench(SEED + 3);
  const { random } = bench;
  for (let round = 0; round < 40; round++) {
    if (round % 10 === 0) bench.scramble();
    const image = bench.image(DRM_FORMAT_ARGB8888, random.int(4, 40), random.int(4, 20));
    const from = random.rect(image.width, image.height);
    const to = random.rect(image.width, image.height, from);
    bench.compare(
      `round ${round}: ${JSON.stringify({ from, to })}`,
      (kernels, at) => kernels.copy(at(image), to, at(image), from),
      (bytes) => {
        const before = bytes.slice();
        for (let y = 0; y < to.height; y++) {
          for (let x = 0; x < to.width; x++) {
            bytes.set(
              pixelAt(before, image, from.x + x, from.y + y),
              pixelAddress(image, to.x + x, to.y + y),
            );
          }
        }
      },
    );
  }
});

test.run();
