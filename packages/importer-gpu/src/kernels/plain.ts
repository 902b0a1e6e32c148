/**
 * The kernels in TypeScript, for memory that wasm cannot reach (system-heap buffers), and the
 * yardstick that the SIMD ones must match byte for byte. Pixels are read and written as 32-bit
 * words; rows that are not word-aligned pass through a private line. Little-endian hosts.
 */
import { makeFront } from './front.js';
import type { Kernels } from './kernels.js';
import { OPAQUE, word } from './pixel.js';
import { convertRow } from './plain-convert.js';
import { packRows } from './plain-pack.js';
import { drawTriangle } from './plain-triangle.js';
import type { BlendOp, KernelOps, ScaleOp, Span } from './ops.js';
import { bilinearPosition, nearestIndex } from './scale-map.js';

/** Rows of 32-bit pixels, of which one at a time is open: `words[at]` is its first pixel. */
class Lines {
  readonly words: Uint32Array<ArrayBufferLike>;
  at = 0;
  readonly #bytes: Uint8Array<ArrayBufferLike>;
  readonly #span: Span;
  /** The private line's bytes, where rows are not word-aligned. */
  readonly #line: Uint8Array | undefined;

  constructor(span: Span, width: number) {
    this.#span = span;
    this.#bytes = new Uint8Array(span.memory);
    if (((span.base | span.pitch) & 3) === 0) {
      // From the first pixel on, so that indices stay small in a pool of 4 GiB.
      const length = Math.floor((span.memory.byteLength - span.base) / 4);
      this.words = new Uint32Array(span.memory, span.base, length);
    } else {
      const line = new Uint32Array(width);
      this.words = line;
      this.#line = new Uint8Array(line.buffer);
    }
  }

  /** Opens a row that is to be overwritten as a whole. */
  open(row: number): void {
    if (this.#line === undefined) this.at = (row * this.#span.pitch) >>> 2;
  }

  /** Opens a row with its present pixels. */
  read(row: number): void {
    const line = this.#line;
    if (line === undefined) return this.open(row);
    const start = this.#span.base + row * this.#span.pitch;
    line.set(this.#bytes.subarray(start, start + line.length));
  }

  /** Writes the open row back. */
  write(row: number): void {
    if (this.#line !== undefined)
      this.#bytes.set(this.#line, this.#span.base + row * this.#span.pitch);
  }
}

/** The rows of a scaling's source as words, converted where they are YCbCr. */
function sourceRows(
  op: ScaleOp,
): (row: number) => { words: Uint32Array<ArrayBufferLike>; at: number } {
  const { packed } = op;
  if (packed === undefined) {
    const lines = new Lines(op.src, op.sourceWidth);
    return (row) => {
      lines.read(row);
      return lines;
    };
  }
  const words = new Uint32Array(op.sourceWidth);
  const bytes = new Uint8Array(packed.src.memory);
  const line = { words, at: 0 };
  return (row) => {
    convertRow(words, 0, bytes, packed.src, row, op.sourceWidth, packed.k);
    return line;
  };
}

function scaleNearest(op: ScaleOp, y0: number, y1: number): void {
  const out = new Lines(op.dst, op.width);
  const source = sourceRows(op);
  const columns = Int32Array.from({ length: op.width }, (_, x) => nearestIndex(x, op.stepX));
  for (let y = y0; y < y1; y++) {
    const { words, at } = source(nearestIndex(y, op.stepY));
    out.open(y);
    const { words: pixels, at: start } = out;
    for (let x = 0; x < op.width; x++) {
      pixels[start + x] = (words[at + (columns[x] ?? 0)] ?? 0) | op.orMask;
    }
    out.write(y);
  }
}

/** Across: four sums (256-f)*p0 + f*p1 a pixel. */
function across(
  sums: Uint16Array,
  source: { words: Uint32Array<ArrayBufferLike>; at: number },
  positions: Int32Array,
  last: number,
): void {
  const { words, at } = source;
  for (let x = 0; x < positions.length; x++) {
    const p = positions[x] ?? 0;
    const ix = p >> 16;
    const f = (p >> 8) & 255;
    const a = words[at + ix] ?? 0;
    const b = words[at + (ix < last ? ix + 1 : ix)] ?? 0;
    const i = x * 4;
    sums[i] = (256 - f) * (a & 255) + f * (b & 255);
    sums[i + 1] = (256 - f) * ((a >>> 8) & 255) + f * ((b >>> 8) & 255);
    sums[i + 2] = (256 - f) * ((a >>> 16) & 255) + f * ((b >>> 16) & 255);
    sums[i + 3] = (256 - f) * (a >>> 24) + f * (b >>> 24);
  }
}

/** Down: the final mix of two rows of sums into the open row of `out`. */
function down(
  out: Lines,
  upper: Uint16Array,
  lower: Uint16Array,
  f: number,
  width: number,
  orMask: number,
): void {
  const { words, at } = out;
  const e = 256 - f;
  const mix = (i: number): number => (e * (upper[i] ?? 0) + f * (lower[i] ?? 0) + 32768) >> 16;
  for (let x = 0; x < width; x++) {
    const i = x * 4;
    words[at + x] = mix(i) | (mix(i + 1) << 8) | (mix(i + 2) << 16) | (mix(i + 3) << 24) | orMask;
  }
}

function scaleBilinear(op: ScaleOp, y0: number, y1: number): void {
  const out = new Lines(op.dst, op.width);
  const source = sourceRows(op);
  const positions = Int32Array.from({ length: op.width }, (_, x) =>
    bilinearPosition(x, op.stepX, op.sourceWidth),
  );
  let upper = { row: -1, sums: new Uint16Array(op.width * 4) };
  let lower = { row: -1, sums: new Uint16Array(op.width * 4) };
  const want = (held: { row: number; readonly sums: Uint16Array }, row: number): void => {
    if (held.row === row) return;
    across(held.sums, source(row), positions, op.sourceWidth - 1);
    held.row = row;
  };
  for (let y = y0; y < y1; y++) {
    const p = bilinearPosition(y, op.stepY, op.sourceHeight);
    const iy = p >> 16;
    const f = (p >> 8) & 255;
    if (upper.row !== iy) [upper, lower] = [lower, upper];
    want(upper, iy);
    if (f > 0) want(lower, iy + 1);
    out.open(y);
    down(out, upper.sums, f > 0 ? lower.sums : upper.sums, f, op.width, op.orMask);
    out.write(y);
  }
}

/** round(x / 255) for x in 0..65025. */
function div255(x: number): number {
  const t = x + 128;
  return (t + (t >> 8)) >> 8;
}

/** One pixel, straight alpha `a` already times the plane's. */
function overCoverage(s: number, d: number, a: number): number {
  const e = 255 - a;
  return (
    OPAQUE |
    (div255(a * ((s >>> 16) & 255) + e * ((d >>> 16) & 255)) << 16) |
    (div255(a * ((s >>> 8) & 255) + e * ((d >>> 8) & 255)) << 8) |
    div255(a * (s & 255) + e * (d & 255))
  );
}

/** One pixel, premultiplied; colour above its alpha saturates. */
function overPremultiplied(s: number, d: number, a: number, alpha: number): number {
  const e = 255 - a;
  const r = div255(alpha * ((s >>> 16) & 255)) + div255(e * ((d >>> 16) & 255));
  const g = div255(alpha * ((s >>> 8) & 255)) + div255(e * ((d >>> 8) & 255));
  const b = div255(alpha * (s & 255)) + div255(e * (d & 255));
  return word(r, g, b);
}

export const plainOps: KernelOps = {
  convert(dst, src, width, k, y0, y1) {
    const out = new Lines(dst, width);
    const bytes = new Uint8Array(src.memory);
    for (let y = y0; y < y1; y++) {
      out.open(y);
      convertRow(out.words, out.at, bytes, src, y, width, k);
      out.write(y);
    }
  },

  pack: packRows,

  triangle: drawTriangle,

  scale(op, y0, y1) {
    if (op.bilinear) scaleBilinear(op, y0, y1);
    else scaleNearest(op, y0, y1);
  },

  blend({ dst, src, width, coverage, alpha, orMask }: BlendOp, y0, y1) {
    const out = new Lines(dst, width);
    const source = new Lines(src, width);
    for (let y = y0; y < y1; y++) {
      out.read(y);
      source.read(y);
      const { words, at } = out;
      const { words: sources, at: from } = source;
      for (let x = 0; x < width; x++) {
        const s = (sources[from + x] ?? 0) | orMask;
        const d = words[at + x] ?? 0;
        const a = div255((s >>> 24) * alpha);
        words[at + x] = coverage ? overCoverage(s, d, a) : overPremultiplied(s, d, a, alpha);
      }
      out.write(y);
    }
  },

  fill(dst, width, pixel, y0, y1) {
    const out = new Lines(dst, width);
    for (let y = y0; y < y1; y++) {
      out.open(y);
      out.words.fill(pixel, out.at, out.at + width);
      out.write(y);
    }
  },

  copy(dst, src, bytes, orMask, y0, y1) {
    if (orMask !== 0) return copyOpaque(dst, src, bytes >>> 2, orMask, y0, y1);
    const to = new Uint8Array(dst.memory);
    const from = new Uint8Array(src.memory);
    // As memmove: from the end when the destination lies behind the source.
    const backwards = dst.base > src.base;
    for (let i = y0; i < y1; i++) {
      const y = backwards ? y0 + y1 - 1 - i : i;
      const start = src.base + y * src.pitch;
      to.set(from.subarray(start, start + bytes), dst.base + y * dst.pitch);
    }
  },
};

function copyOpaque(
  dst: Span,
  src: Span,
  width: number,
  orMask: number,
  y0: number,
  y1: number,
): void {
  const out = new Lines(dst, width);
  const source = new Lines(src, width);
  for (let y = y0; y < y1; y++) {
    out.open(y);
    source.read(y);
    const { words, at } = out;
    const { words: sources, at: from } = source;
    for (let x = 0; x < width; x++) words[at + x] = (sources[from + x] ?? 0) | orMask;
    out.write(y);
  }
}

/** Works on every image, wherever it lies. */
export const plainKernels: Kernels = makeFront(
  'plain',
  () => true,
  () => plainOps,
);
