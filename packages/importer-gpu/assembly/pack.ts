// 32-bit pixels to subsampled YCbCr and to RGB565: Q15 coefficients, chroma of the mean of its pixels (see
// src/kernels/color.ts and kernels.ts). Alpha is ignored. `kind` is LAYOUT of src/kernels/ops.ts.

// @ts-ignore: decorator
@inline
const HALF: i32 = 1 << 14;

// @ts-ignore: decorator
@inline
function clamp8(v: i32): u32 {
  return v < 0 ? 0 : v > 255 ? 255 : v;
}

/** B, G, R of one pixel times three coefficients, and an offset. */
// @ts-ignore: decorator
@inline
function weigh(b: i32, g: i32, r: i32, kb: i32, kg: i32, kr: i32, offset: i32): u32 {
  return clamp8((b * kb + g * kg + r * kr + HALF + (offset << 15)) >> 15);
}

/** The same for four pixels, each four i16 (B, G, R, A) in two vectors; `k` is kb, kg, kr, 0 twice. */
// @ts-ignore: decorator
@inline
function weigh4(p01: v128, p23: v128, k: v128, offset: v128): v128 {
  const a = i32x4.dot_i16x8_s(p01, k);
  const b = i32x4.dot_i16x8_s(p23, k);
  const sum = i32x4.add(v128.shuffle<i32>(a, b, 0, 2, 4, 6), v128.shuffle<i32>(a, b, 1, 3, 5, 7));
  return i32x4.shr_s(i32x4.add(sum, offset), 15);
}

// @ts-ignore: decorator
@inline
function coefficients(kb: i32, kg: i32, kr: i32): v128 {
  return i16x8(<i16>kb, <i16>kg, <i16>kr, 0, <i16>kb, <i16>kg, <i16>kr, 0);
}

// @ts-ignore: decorator
@inline
function rounding(offset: i32): v128 {
  return i32x4.splat(HALF + (offset << 15));
}

/** Lumas of a row, `step` bytes apart (1, or 2 in YUYV). */
function lumaRow(dst: usize, step: i32, src: usize, n: i32, yo: i32, kb: i32, kg: i32, kr: i32): void {
  const k = coefficients(kb, kg, kr);
  const round = rounding(yo);
  if (step == 1) {
    for (; n >= 8; n -= 8) {
      const a = v128.load(src);
      const b = v128.load(src, 16);
      const lo = weigh4(i16x8.extend_low_i8x16_u(a), i16x8.extend_high_i8x16_u(a), k, round);
      const hi = weigh4(i16x8.extend_low_i8x16_u(b), i16x8.extend_high_i8x16_u(b), k, round);
      const words = i16x8.narrow_i32x4_s(lo, hi);
      v128.store64_lane(dst, i8x16.narrow_i16x8_u(words, words), 0);
      dst += 8;
      src += 32;
    }
  }
  for (; n > 0; n--) {
    store<u8>(dst, weigh(load<u8>(src), load<u8>(src, 1), load<u8>(src, 2), kb, kg, kr, yo));
    dst += step;
    src += 4;
  }
}

/** The mean of four bytes, two of each row. */
// @ts-ignore: decorator
@inline
function mean(a: usize, b: usize, right: usize): i32 {
  return (<i32>load<u8>(a) + <i32>load<u8>(a + right) + <i32>load<u8>(b) + <i32>load<u8>(b + right) + 2) >> 2;
}

/**
 * Chroma of two rows (the same one twice at the lower edge, and in YUYV). Samples are `step` bytes apart; the last one
 * of an odd width has one column.
 */
function chromaRow(
  u: usize, v: usize, step: i32, a: usize, b: usize, n: i32,
  ub: i32, ug: i32, ur: i32, vb: i32, vg: i32, vr: i32,
): void {
  const ku = coefficients(ub, ug, ur);
  const kv = coefficients(vb, vg, vr);
  const round = rounding(128);
  const two = i16x8.splat(2);
  if (step != 4) {
    for (; n >= 8; n -= 8) {
      const m01 = means(v128.load(a), v128.load(b), two);
      const m23 = means(v128.load(a, 16), v128.load(b, 16), two);
      const cb = weigh4(m01, m23, ku, round);
      const cr = weigh4(m01, m23, kv, round);
      const words = i16x8.narrow_i32x4_s(cb, cr);
      const bytes = i8x16.narrow_i16x8_u(words, words); // cb x 4, cr x 4
      if (step == 1) {
        v128.store32_lane(u, bytes, 0);
        v128.store32_lane(v, bytes, 1);
      } else if (u < v) {
        v128.store64_lane(u, v128.shuffle<i8>(bytes, bytes, 0, 4, 1, 5, 2, 6, 3, 7, 0, 0, 0, 0, 0, 0, 0, 0), 0);
      } else {
        v128.store64_lane(v, v128.shuffle<i8>(bytes, bytes, 4, 0, 5, 1, 6, 2, 7, 3, 0, 0, 0, 0, 0, 0, 0, 0), 0);
      }
      u += 4 * step;
      v += 4 * step;
      a += 32;
      b += 32;
    }
  }
  for (; n > 0; n -= 2) {
    const right: usize = n > 1 ? 4 : 0;
    const mb = mean(a, b, right);
    const mg = mean(a + 1, b + 1, right);
    const mr = mean(a + 2, b + 2, right);
    store<u8>(u, weigh(mb, mg, mr, ub, ug, ur, 128));
    store<u8>(v, weigh(mb, mg, mr, vb, vg, vr, 128));
    u += step;
    v += step;
    a += 8;
    b += 8;
  }
}

/** Means of two squares of pixels: rows a and b of four pixels each, as 2 x (B, G, R, A) of i16. */
// @ts-ignore: decorator
@inline
function means(a: v128, b: v128, two: v128): v128 {
  const lo = i16x8.add(i16x8.extend_low_i8x16_u(a), i16x8.extend_low_i8x16_u(b));
  const hi = i16x8.add(i16x8.extend_high_i8x16_u(a), i16x8.extend_high_i8x16_u(b));
  const sum = i16x8.add(v128.shuffle<i64>(lo, hi, 0, 2), v128.shuffle<i64>(lo, hi, 1, 3));
  return i16x8.shr_u(i16x8.add(sum, two), 2);
}

/** RGB565: the high bits of each channel. */
function row565(dst: usize, src: usize, n: i32): void {
  for (; n >= 8; n -= 8) {
    const lo = pack4(v128.load(src));
    const hi = pack4(v128.load(src, 16));
    v128.store(dst, i16x8.narrow_i32x4_u(lo, hi));
    dst += 16;
    src += 32;
  }
  for (; n > 0; n--) {
    const p = load<u32>(src);
    store<u16>(dst, ((p >> 8) & 0xf800) | ((p >> 5) & 0x07e0) | ((p >> 3) & 0x001f));
    dst += 2;
    src += 4;
  }
}

// @ts-ignore: decorator
@inline
function pack4(p: v128): v128 {
  const r = v128.and(i32x4.shr_u(p, 8), i32x4.splat(0xf800));
  const g = v128.and(i32x4.shr_u(p, 5), i32x4.splat(0x07e0));
  const b = v128.and(i32x4.shr_u(p, 3), i32x4.splat(0x001f));
  return v128.or(v128.or(r, g), b);
}

/**
 * Rows y0..y1 of a rectangle of `width` x `height`; all pointers are those of the rectangle's row 0. Of 4:2:0 a
 * chroma row belongs to the range that holds its first luma row.
 */
export function pack(
  kind: i32, dst: usize, pitch: i32, u: usize, uPitch: i32, v: usize, vPitch: i32,
  src: usize, srcPitch: i32, width: i32, height: i32, y0: i32, y1: i32,
  yo: i32, yb: i32, yg: i32, yr: i32, ub: i32, ug: i32, ur: i32, vb: i32, vg: i32, vr: i32,
): void {
  for (let y = y0; y < y1; y++) {
    const s = src + y * srcPitch;
    const d = dst + y * pitch;
    if (kind == 5) {
      row565(d, s, width);
    } else if (kind == 3) {
      lumaRow(d, 2, s, width, yo, yb, yg, yr);
      if (width & 1) store<u8>(d + (<usize>width << 1), load<u8>(d + (<usize>(width - 1) << 1)));
      chromaRow(d + 1, d + 3, 4, s, s, width, ub, ug, ur, vb, vg, vr);
    } else {
      lumaRow(d, 1, s, width, yo, yb, yg, yr);
      if (y & 1) continue;
      const below = y + 1 < height ? s + srcPitch : s;
      const c = y >> 1;
      chromaRow(u + c * uPitch, v + c * vPitch, kind, s, below, width, ub, ug, ur, vb, vg, vr);
    }
  }
}
