import fc from 'fast-check';
import { PNG } from 'pngjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { adler32, encodePng, PngWriter } from './png.js';
import type { ScanoutFrame } from './scanout-frame.js';

/** A frame of arithmetic noise, in shared memory as in a real machine. */
function noise(width: number, height: number, padding: number, seed: number): ScanoutFrame {
  const stride = width + padding;
  const pages = Math.ceil((stride * height * 4) / 65536);
  const memory = new WebAssembly.Memory({ shared: true, initial: pages, maximum: pages });
  const pixels = new Uint32Array(memory.buffer, 0, stride * height);
  let state = seed;
  for (let i = 0; i < pixels.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    pixels[i] = state ^ (state >>> 15);
  }
  return { width, height, pitch: stride * 4, pixels };
}

/** Asserts that a decoder of somebody else's sees these pixels. */
function assertDecodes(bytes: Uint8Array, frame: ScanoutFrame, alpha: boolean): void {
  const png = PNG.sync.read(Buffer.from(bytes));
  assert.is(png.width, frame.width);
  assert.is(png.height, frame.height);
  for (let y = 0; y < frame.height; y++) {
    for (let x = 0; x < frame.width; x++) {
      const pixel = frame.pixels[(y * frame.pitch) / 4 + x] ?? 0;
      const expected = ((pixel << 8) | (alpha ? pixel >>> 24 : 255)) >>> 0;
      const actual = png.data.readUInt32BE((y * frame.width + x) * 4);
      if (actual !== expected) assert.is(actual, expected, `pixel ${x},${y}`);
    }
  }
}

test('frames of any size, pitch and content decode to the same pixels', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 70 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 0, max: 9 }),
      fc.nat(),
      fc.boolean(),
      fc.constantFrom(0, 1, 6),
      (width, height, padding, seed, alpha, level) => {
        const frame = noise(width, height, padding, seed);
        assertDecodes(encodePng(frame, { alpha, level }), frame, alpha);
      },
    ),
  );
});

test('a picture of several strips, the last one short, is one valid stream', () => {
  const frame = noise(1021, 503, 3, 1);
  const chunks: Uint8Array[] = [];
  const png = new PngWriter(frame.width, frame.height, (bytes) => chunks.push(bytes));
  for (let y = 0; y < frame.height; y++) png.row(frame.pixels, (y * frame.pitch) / 4);
  const beforeEnd = chunks.length;
  png.end();
  assert.ok(beforeEnd >= 7, 'rows were written as they came');
  assertDecodes(Buffer.concat(chunks), frame, false);
});

test('too few and too many rows are refused', () => {
  const pixels = new Uint32Array(4);
  const png = new PngWriter(4, 2, () => undefined);
  assert.throws(() => png.end(), RangeError);
  png.row(pixels, 0);
  png.row(pixels, 0);
  assert.throws(() => png.row(pixels, 0), RangeError);
});

test('a frame that does not fit into its memory is refused', () => {
  const pixels = new Uint32Array(99);
  assert.throws(() => encodePng({ width: 10, height: 10, pitch: 40, pixels }), RangeError);
  assert.throws(() => encodePng({ width: 10, height: 2, pitch: 36, pixels }), RangeError);
  assert.throws(() => encodePng({ width: 10, height: 2, pitch: 42, pixels }), RangeError);
});

test('adler32 gives the published values and can be continued', () => {
  assert.is(adler32(new Uint8Array(0)), 1);
  assert.is(adler32(Buffer.from('Wikipedia')), 0x11e60398);
  const ones = new Uint8Array(1_000_000).fill(255);
  assert.is(adler32(ones.subarray(400_001), adler32(ones.subarray(0, 400_001))), adler32(ones));
  let [low, high] = [1n, 0n];
  for (const byte of ones) {
    low += BigInt(byte);
    high += low;
  }
  assert.is(BigInt(adler32(ones)), ((high % 65521n) << 16n) | (low % 65521n));
});

test.run();
