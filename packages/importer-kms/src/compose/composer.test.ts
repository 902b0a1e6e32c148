/** SIMD and plain composition give the same bytes, and those of the formulas, pixel by pixel. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMATS,
  DRM_FORMAT_NV12,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  formatInfo,
  frameLayout,
} from '../fourcc.js';
import { planeOff, type PlaneState } from '../plane-state.js';
import { Composer, type Source } from './composer.js';
import { yuvCoefficients } from './ops.js';
import { blendPixel, expandPixel } from './plain.js';

/** A framebuffer of noise, rich in extremes. */
function noise(fourcc: number, width: number, height: number, seed: number, align: number): Source {
  const info = formatInfo(fourcc);
  if (info === undefined) throw new Error('format');
  const { pitches, offsets, size } = frameLayout(info, width, height, align);
  let state = seed | 1;
  const bytes = new Uint8Array(size).map((_, i) => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + i;
    const kind = (i >> 4) & 3;
    return kind === 0 ? 0 : kind === 1 ? 255 : state >>> 11;
  });
  return { bytes, fourcc, width, height, pitches, offsets };
}

/** A pixel of a framebuffer as 32 bits, by the definition of its format. */
function pixelOf(source: Source, state: PlaneState, x: number, y: number): number {
  const { bytes, fourcc, pitches, offsets } = source;
  const at = (plane: number, row: number): number =>
    (offsets[plane] ?? 0) + row * (pitches[plane] ?? 0);
  const byte = (i: number): number => bytes[i] ?? 0;
  if (fourcc === DRM_FORMAT_RGB565) {
    const i = at(0, y) + x * 2;
    return expandPixel(byte(i) | (byte(i + 1) << 8));
  }
  if (fourcc === DRM_FORMAT_NV12 || fourcc === DRM_FORMAT_YUV420) {
    const nv12 = fourcc === DRM_FORMAT_NV12;
    const [cx, cy] = [x >> 1, y >> 1];
    const cb = byte(nv12 ? at(1, cy) + cx * 2 : at(1, cy) + cx) - 128;
    const cr = byte(nv12 ? at(1, cy) + cx * 2 + 1 : at(2, cy) + cx) - 128;
    const [yo, ky, crv, cgu, cgv, cbu] = yuvCoefficients(state.encoding, state.range);
    const l = (byte(at(0, y) + x) - yo) * ky + 4096;
    const channel = (sum: number): number => Math.min(255, Math.max(0, sum >> 13));
    const [r, g, b] = [
      channel(l + cr * crv),
      channel(l + cb * cgu + cr * cgv),
      channel(l + cb * cbu),
    ];
    return ((0xff << 24) | (r << 16) | (g << 8) | b) >>> 0;
  }
  const i = at(0, y) + x * 4;
  const word = (byte(i) | (byte(i + 1) << 8) | (byte(i + 2) << 16) | (byte(i + 3) << 24)) >>> 0;
  return fourcc === DRM_FORMAT_XRGB8888 ? (word | 0xff000000) >>> 0 : word;
}

/** The whole composition again, one output pixel at a time, with whole numbers of any size. */
function reference(
  width: number,
  height: number,
  layers: readonly { source: Source; state: PlaneState }[],
): Uint32Array {
  const out = new Uint32Array(width * height).fill(0xff000000);
  const find = (k: number, start: number, size: number, count: number, limit: number): number => {
    const offset = ((2n * BigInt(k) + 1n) * BigInt(size)) / (2n * BigInt(count));
    return Math.min(limit - 1, Number((BigInt(start) + offset) / 65536n));
  };
  for (const { source, state } of layers) {
    const { crtcX, crtcY, crtcW, crtcH } = state;
    const alpha = Math.round((state.alpha * 255) / 65535);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (x < crtcX || x >= crtcX + crtcW || y < crtcY || y >= crtcY + crtcH) continue;
        if (state.srcW === 0 || state.srcH === 0) continue;
        const sx = find(x - crtcX, state.srcX, state.srcW, crtcW, source.width);
        const sy = find(y - crtcY, state.srcY, state.srcH, crtcH, source.height);
        let s = pixelOf(source, state, sx, sy);
        if (state.blend === 0) s = (s | 0xff000000) >>> 0;
        const i = y * width + x;
        out[i] = blendPixel(s, out[i] ?? 0, state.blend !== 1, alpha);
      }
    }
  }
  return out;
}

const layer = fc
  .record({
    fourcc: fc.constantFrom(...DRM_FORMATS.map((info) => info.fourcc)),
    width: fc.integer({ min: 1, max: 37 }),
    height: fc.integer({ min: 1, max: 19 }),
    align: fc.constantFrom(2, 4, 32),
    seed: fc.integer(),
    place: fc.record({
      crtcX: fc.integer({ min: -30, max: 50 }),
      crtcY: fc.integer({ min: -20, max: 30 }),
      crtcW: fc.integer({ min: 0, max: 80 }),
      crtcH: fc.integer({ min: 0, max: 40 }),
    }),
    unscaled: fc.boolean(),
    crop: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 }),
    looks: fc.record({
      alpha: fc.oneof(fc.constantFrom(0, 0xffff), fc.nat(0xffff)),
      blend: fc.nat(2),
      encoding: fc.nat(1),
      range: fc.nat(1),
    }),
  })
  .map(({ fourcc, width, height, align, seed, place, unscaled, crop, looks }) => {
    const [a = 0, b = 0, c = 0, d = 0] = crop;
    const srcX = Math.floor(a * width * 65536);
    const srcY = Math.floor(b * height * 65536);
    const cropped = {
      srcX,
      srcY,
      srcW: Math.floor(c * (width * 65536 - srcX)),
      srcH: Math.floor(d * (height * 65536 - srcY)),
    };
    const whole = { srcX: 0, srcY: 0, srcW: width << 16, srcH: height << 16 };
    const size = unscaled ? { ...whole, crtcW: width, crtcH: height } : cropped;
    const state: PlaneState = { ...planeOff(0), fb: 1, ...place, ...looks, ...size };
    return { source: noise(fourcc, width, height, seed, align), state };
  });

const wasm = new Composer();
const plain = new Composer(true);

function composed(
  composer: Composer,
  width: number,
  height: number,
  layers: readonly { source: Source; state: PlaneState }[],
): Uint32Array {
  composer.clear(width, height);
  for (const { source, state } of layers) composer.draw(source, state);
  return composer.pixels;
}

test('any planes of any format, scaled, cropped, clipped and blended, are exact to the pixel', () => {
  fc.assert(
    fc.property(fc.array(layer, { maxLength: 4 }), (layers) => {
      const [width, height] = [53, 29];
      const expected = reference(width, height, layers);
      assert.equal(composed(plain, width, height, layers), expected, 'plain');
      assert.equal(composed(wasm, width, height, layers), expected, 'wasm');
    }),
    { numRuns: 400 },
  );
});

test('every pair of alphas and every blend mode, at the ends of every channel', () => {
  const source = noise(DRM_FORMAT_ARGB8888, 256, 1, 7, 4);
  const words = new Uint32Array(source.bytes.buffer);
  const below = noise(DRM_FORMAT_XRGB8888, 256, 1, 9, 4);
  const size = { crtcW: 256, crtcH: 1, srcW: 256 << 16, srcH: 1 << 16 };
  for (let i = 0; i < 256; i++) words[i] = ((i << 24) | ((i * 37) & 0xffffff)) >>> 0;
  for (let blend = 0; blend < 3; blend++) {
    for (let alpha = 0; alpha < 256; alpha++) {
      const state = { ...planeOff(1), fb: 1, ...size, alpha: alpha * 257, blend };
      const layers = [
        { source: below, state: { ...planeOff(0), fb: 2, ...size } },
        { source, state },
      ];
      assert.equal(composed(wasm, 256, 1, layers), reference(256, 1, layers), `${blend} ${alpha}`);
    }
  }
});

test('a frame of full size is grown into, and a smaller one after it is clean', () => {
  wasm.clear(1920, 1080);
  assert.is(wasm.pixels.length, 1920 * 1080);
  const red = noise(DRM_FORMAT_XRGB8888, 1920, 1080, 3, 4);
  const full = { crtcW: 1920, crtcH: 1080, srcW: 1920 << 16, srcH: 1080 << 16 };
  wasm.draw(red, { ...planeOff(0), fb: 1, ...full });
  const last = ((new Uint32Array(red.bytes.buffer).at(-1) ?? 0) | 0xff000000) >>> 0;
  assert.is(wasm.pixels.at(-1), last);
  wasm.clear(64, 64);
  assert.ok(wasm.pixels.every((pixel) => pixel === 0xff000000));
});

test('a framebuffer that is not inside its memory is EINVAL', () => {
  const source = noise(DRM_FORMAT_NV12, 16, 16, 1, 4);
  wasm.clear(64, 64);
  const state = { ...planeOff(0), fb: 1, crtcW: 16, crtcH: 16, srcW: 16 << 16, srcH: 16 << 16 };
  wasm.draw(source, state);
  const short = { ...source, bytes: source.bytes.subarray(1) };
  assert.throws(() => wasm.draw(short, state), /EINVAL.*plane 1 of the framebuffer ends at/);
  assert.throws(() => wasm.draw({ ...source, fourcc: 1 }, state), /EINVAL/);
});

test('white, black and grey of limited and full range come out as they are', () => {
  for (const encoding of [0, 1]) {
    const source = noise(DRM_FORMAT_YUV420, 2, 2, 1, 2);
    const at = { crtcW: 2, crtcH: 2, srcW: 2 << 16, srcH: 2 << 16 };
    for (const [range, levels] of [
      [0, [16, 235]],
      [1, [0, 255]],
    ] as const) {
      source.bytes.fill(128);
      source.bytes[0] = levels[0];
      source.bytes[1] = levels[1];
      wasm.clear(2, 2);
      wasm.draw(source, { ...planeOff(0), fb: 1, ...at, encoding, range });
      assert.equal([...wasm.pixels.subarray(0, 2)], [0xff000000, 0xffffffff]);
    }
  }
});

test.run();
