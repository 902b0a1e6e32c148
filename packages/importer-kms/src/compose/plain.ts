/**
 * The composer's row operations in plain TypeScript: what they mean, to the bit.
 *
 * A pixel is 0xAARRGGBB. With S, A the source's colour and alpha, P the plane's alpha (0 to 255), D what
 * is there, div(x) = (x + 128 + (x + 128 >> 8)) >> 8 (x / 255, rounded) and a = div(A·P), each channel is
 * - coverage: `div(a·S + (255 − a)·D)`,
 * - pre-multiplied: `min(255, div(P·S) + div((255 − a)·D))`,
 * and what is written is opaque.
 */
import type { RowOps } from './ops.js';

const { imul } = Math;

function div255(x: number): number {
  const t = x + 128;
  return (t + (t >> 8)) >> 8;
}

function clamp8(value: number): number {
  return Math.min(255, Math.max(0, value));
}

/** One pixel over another. */
export function blendPixel(s: number, d: number, coverage: boolean, alpha: number): number {
  const a = div255((s >>> 24) * alpha);
  let out = 0xff;
  for (let shift = 16; shift >= 0; shift -= 8) {
    const sc = (s >>> shift) & 255;
    const dc = (d >>> shift) & 255;
    const value = coverage
      ? div255(a * sc + (255 - a) * dc)
      : Math.min(255, div255(alpha * sc) + div255((255 - a) * dc));
    out = (out << 8) | value;
  }
  return out >>> 0;
}

/** A pixel of 5:6:5, as vkms expands it: the upper bits are repeated below. */
export function expandPixel(p: number): number {
  const r = p >>> 11;
  const g = (p >>> 5) & 0x3f;
  const b = p & 0x1f;
  const red = (r << 3) | (r >>> 2);
  const green = (g << 2) | (g >>> 4);
  return (0xff000000 | (red << 16) | (green << 8) | (b << 3) | (b >>> 2)) >>> 0;
}

/** Operations on rows in `memory`. */
export function plainOps(memory: ArrayBufferLike): RowOps {
  const u8 = new Uint8Array(memory);
  const u16 = new Uint16Array(memory);
  const u32 = new Uint32Array(memory);
  const byte = (at: number): number => u8[at] ?? 0;
  const word = (at: number): number => u32[at >> 2] ?? 0;
  return {
    blend(dst, src, n, coverage, alpha, orMask) {
      for (let i = 0; i < n * 4; i += 4) {
        const s = (word(src + i) | orMask) >>> 0;
        u32[(dst + i) >> 2] = blendPixel(s, word(dst + i), coverage !== 0, alpha);
      }
    },
    expand565(dst, src, n) {
      for (let i = 0; i < n; i++) u32[(dst >> 2) + i] = expandPixel(u16[(src >> 1) + i] ?? 0);
    },
    gather(dst, src, map, n) {
      for (let i = 0; i < n; i++) u32[(dst >> 2) + i] = word(src + word(map + i * 4) * 4);
    },
    yuv(dst, y, u, v, step, xOdd, n, yo, cy, crv, cgu, cgv, cbu) {
      for (let i = 0; i < n; i++) {
        const c = ((i + xOdd) >> 1) * step;
        const l = imul(byte(y + i) - yo, cy) + 4096;
        const cb = byte(u + c) - 128;
        const cr = byte(v + c) - 128;
        const r = clamp8((l + imul(cr, crv)) >> 13);
        const g = clamp8((l + imul(cb, cgu) + imul(cr, cgv)) >> 13);
        const b = clamp8((l + imul(cb, cbu)) >> 13);
        u32[(dst >> 2) + i] = 0xff000000 | (r << 16) | (g << 8) | b;
      }
    },
  };
}
