/** 32-bit pixels to subsampled YCbCr and to RGB565, in TypeScript. The formula is in color.ts. */
import type { Weights } from './color.js';
import { LAYOUT, type PackOp } from './ops.js';
import { clamp8 } from './pixel.js';

const HALF = 1 << 14;

/** B, G, R times three coefficients, and an offset. */
function weigh(b: number, g: number, r: number, k: Weights, offset: number): number {
  return clamp8((b * k.b + g * k.g + r * k.r + HALF + (offset << 15)) >> 15);
}

/** Rows y0..y1 of the rectangle. */
export function packRows(op: PackOp, y0: number, y1: number): void {
  const { dst, src } = op;
  const out = new Uint8Array(dst.memory);
  const bytes = new Uint8Array(src.memory);
  for (let y = y0; y < y1; y++) {
    const from = src.base + y * src.pitch;
    const to = dst.base + y * dst.pitch;
    if (dst.layout === LAYOUT.RGB565) {
      packRow565(out, to, bytes, from, op.width);
    } else if (dst.layout === LAYOUT.YUYV) {
      lumaRow(op, out, to, 2, bytes, from);
      const last = to + (op.width - 1) * 2;
      if ((op.width & 1) === 1) out[last + 2] = out[last] ?? 0;
      chromaRow(op, out, [to + 1, to + 3, 4], bytes, from, from);
    } else {
      lumaRow(op, out, to, 1, bytes, from);
      if ((y & 1) === 1) continue;
      const below = y + 1 < op.height ? from + src.pitch : from;
      const step = dst.layout === LAYOUT.PLANAR ? 1 : 2;
      const c = y >> 1;
      const place = [dst.u + c * dst.uPitch, dst.v + c * dst.vPitch, step] as const;
      chromaRow(op, out, place, bytes, from, below);
    }
  }
}

type Bytes = Uint8Array<ArrayBufferLike>;

function lumaRow(
  { width, k }: PackOp,
  out: Bytes,
  to: number,
  step: number,
  bytes: Bytes,
  from: number,
): void {
  for (let x = 0; x < width; x++) {
    const at = from + x * 4;
    const [b, g, r] = [bytes[at] ?? 0, bytes[at + 1] ?? 0, bytes[at + 2] ?? 0];
    out[to + x * step] = weigh(b, g, r, k.y, k.yo);
  }
}

/** Chroma of two rows, the same one twice where there is no other; `place` is where Cb and Cr go, and how far apart. */
function chromaRow(
  { width, k }: PackOp,
  out: Bytes,
  place: readonly [number, number, number],
  bytes: Bytes,
  upper: number,
  lower: number,
): void {
  const [u, v, step] = place;
  for (let x = 0; x < width; x += 2) {
    const right = x + 1 < width ? 4 : 0;
    const mean = (channel: number): number => {
      const [a, b] = [upper + x * 4 + channel, lower + x * 4 + channel];
      const sum =
        (bytes[a] ?? 0) + (bytes[a + right] ?? 0) + (bytes[b] ?? 0) + (bytes[b + right] ?? 0);
      return (sum + 2) >> 2;
    };
    const [b, g, r] = [mean(0), mean(1), mean(2)];
    out[u + (x >> 1) * step] = weigh(b, g, r, k.u, 128);
    out[v + (x >> 1) * step] = weigh(b, g, r, k.v, 128);
  }
}

/** The high bits of each channel. */
function packRow565(out: Bytes, to: number, bytes: Bytes, from: number, width: number): void {
  for (let x = 0; x < width; x++) {
    const at = from + x * 4;
    const [b, g, r] = [bytes[at] ?? 0, bytes[at + 1] ?? 0, bytes[at + 2] ?? 0];
    const p = ((r >> 3) << 11) | ((g >> 2) << 5) | (b >> 3);
    out[to + x * 2] = p & 255;
    out[to + x * 2 + 1] = p >> 8;
  }
}
