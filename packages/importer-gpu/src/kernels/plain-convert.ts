/** One row of a format that is not 32-bit pixels as such pixels, in TypeScript. The formula is in color.ts. */
import type { Coefficients } from './color.js';
import { LAYOUT, type PackedSpan } from './ops.js';
import { OPAQUE, word } from './pixel.js';

type Bytes = Uint8Array<ArrayBufferLike>;

/** Where samples of a row are, and how fine they are. */
interface Samples {
  /** Byte index of luma `x`, of a pair's Cb and Cr, and how far apart those are. */
  readonly luma: number;
  readonly lumaStep: number;
  readonly cb: number;
  readonly cr: number;
  readonly chromaStep: number;
  /** 10-bit samples on top of 16-bit words. */
  readonly deep: boolean;
}

/** Converts one row of `width` pixels into words[at...], the two of each chroma sample at once. */
export function convertRow(
  words: Uint32Array<ArrayBufferLike>,
  at: number,
  bytes: Bytes,
  src: PackedSpan,
  row: number,
  width: number,
  k: Coefficients,
): void {
  const start = src.base + row * src.pitch;
  if (src.layout === LAYOUT.RGB565) return expandRow(words, at, bytes, start, width);
  const { luma, lumaStep, cb, cr, chromaStep, deep } = samplesOf(src, row, start);
  const { shift, half, bias, yo, read } = depthOf(deep, k);
  let [u, v] = [cb, cr];
  // An odd first column is the second of its pair.
  for (let x = -src.xOdd; x < width; x += 2) {
    const b = read(bytes, u) - bias;
    const r = read(bytes, v) - bias;
    u += chromaStep;
    v += chromaStep;
    const rv = k.crv * r + half;
    const guv = k.cgu * b + k.cgv * r + half;
    const bu = k.cbu * b + half;
    for (const i of [x, x + 1]) {
      if (i < 0 || i >= width) continue;
      const l = k.cy * (read(bytes, luma + i * lumaStep) - yo);
      words[at + i] = word((l + rv) >> shift, (l + guv) >> shift, (l + bu) >> shift);
    }
  }
}

/** Single pixels of a rectangle, by column and row: what {@link convertRow} makes of them. */
export function pixelsOf(src: PackedSpan, k: Coefficients): (x: number, y: number) => number {
  const bytes = new Uint8Array(src.memory);
  if (src.layout === LAYOUT.RGB565) {
    return (x, y) => expand(bytes, src.base + y * src.pitch + x * 2);
  }
  const { shift, half, bias, yo, read } = depthOf(src.layout === LAYOUT.P010, k);
  const first = samplesOf(src, 0, src.base);
  // The last even row and the last odd one: a filter goes to and fro between two.
  const [even, odd] = [
    { row: 0, samples: first },
    { row: -1, samples: first },
  ];
  return (x, y) => {
    const held = (y & 1) === 0 ? even : odd;
    if (held.row !== y) {
      held.row = y;
      held.samples = samplesOf(src, y, src.base + y * src.pitch);
    }
    const { luma, lumaStep, cb, cr, chromaStep } = held.samples;
    const pair = ((x + src.xOdd) >> 1) * chromaStep;
    const b = read(bytes, cb + pair) - bias;
    const r = read(bytes, cr + pair) - bias;
    const l = k.cy * (read(bytes, luma + x * lumaStep) - yo) + half;
    const green = l + k.cgu * b + k.cgv * r;
    return word((l + k.crv * r) >> shift, green >> shift, (l + k.cbu * b) >> shift);
  };
}

/** What is different for samples of ten bits. */
function depthOf(deep: boolean, k: Coefficients) {
  return deep
    ? { shift: 15, half: 1 << 14, bias: 512, yo: k.yo * 4, read: tenBits }
    : { shift: 13, half: 1 << 12, bias: 128, yo: k.yo, read: eightBits };
}

function samplesOf(src: PackedSpan, row: number, start: number): Samples {
  const { layout, u, v, uPitch, vPitch, xOdd } = src;
  if (layout === LAYOUT.YUYV) {
    // The base is that of the pair, which an odd first column is the second of.
    const luma = start + xOdd * 2;
    const pair = { cb: start + 1, cr: start + 3, chromaStep: 4 };
    return { luma, lumaStep: 2, ...pair, deep: false };
  }
  const chroma = (row + src.yOdd) >> 1;
  const cb = u + chroma * uPitch;
  const cr = v + chroma * vPitch;
  if (layout === LAYOUT.P010) {
    return { luma: start, lumaStep: 2, cb, cr: cb + 2, chromaStep: 4, deep: true };
  }
  const chromaStep = layout === LAYOUT.PLANAR ? 1 : 2;
  return { luma: start, lumaStep: 1, cb, cr, chromaStep, deep: false };
}

function eightBits(bytes: Bytes, at: number): number {
  return bytes[at] ?? 0;
}

function tenBits(bytes: Bytes, at: number): number {
  return ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)) >> 6;
}

function expandRow(
  words: Uint32Array<ArrayBufferLike>,
  at: number,
  bytes: Bytes,
  start: number,
  width: number,
): void {
  for (let x = 0; x < width; x++) words[at + x] = expand(bytes, start + x * 2);
}

/** RGB565: the high bits of each channel are repeated below it. */
function expand(bytes: Bytes, at: number): number {
  const p = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
  const r = p >> 11;
  const g = (p >> 5) & 63;
  const b = p & 31;
  const red = (r << 3) | (r >> 2);
  const green = (g << 2) | (g >> 4);
  return OPAQUE | (red << 16) | (green << 8) | (b << 3) | (b >> 2);
}
