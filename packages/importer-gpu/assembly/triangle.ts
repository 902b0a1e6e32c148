// The spans and pixels of one triangle; src/kernels/triangle-setup.ts makes its edges and planes, and the formula is in
// src/kernels/kernels.ts. Edges are whole numbers in doubles, used as i64; planes are pairs of doubles.
import { convertPixel } from './convert';

// @ts-ignore: decorator
@inline
function floorDiv(n: i64, d: i64): i64 {
  const q = n / d;
  return n - q * d < 0 ? q - 1 : q;
}

/** The first column on the inner side of an edge. */
// @ts-ignore: decorator
@inline
function leftOf(left: i64, at: i64, step: i64): i64 {
  return step > 0 ? max<i64>(left, -floorDiv(at, step)) : left;
}

/** The column after the last one on the inner side of an edge. */
// @ts-ignore: decorator
@inline
function rightOf(right: i64, at: i64, step: i64): i64 {
  if (step < 0) return min<i64>(right, floorDiv(at, -step) + 1);
  return step == 0 && at < 0 ? i64.MIN_VALUE : right;
}

/** `row + gradient * dx`, rounded, as two i32 in the low half. */
// @ts-ignore: decorator
@inline
function rounded(row: v128, gradient: v128, dx: v128): v128 {
  const value = f64x2.add(f64x2.add(row, f64x2.mul(gradient, dx)), f64x2.splat(0.5));
  return i32x4.trunc_sat_f64x2_s_zero(f64x2.floor(value));
}

/** x / 255, rounded, of each u16. */
// @ts-ignore: decorator
@inline
function div255(x: v128): v128 {
  x = i16x8.add(x, i16x8.splat(128));
  return i16x8.shr_u(i16x8.add(x, i16x8.shr_u(x, 8)), 8);
}

/** The four bytes of a pixel as u16. */
// @ts-ignore: decorator
@inline
function wide(pixel: u32): v128 {
  return i16x8.extend_low_i8x16_u(i32x4.splat(pixel));
}

/** A pixel of the texture, whose edge pixels are repeated; `kind` 0: they are 32-bit words, else see convert.ts. */
// @ts-ignore: decorator
@inline
function texel(
  base: usize, pitch: i32, width: i32, height: i32, x: i32, y: i32, orMask: u32,
  kind: i32, tu: usize, tuPitch: i32, tv: usize, tvPitch: i32,
  xOdd: i32, yOdd: i32, yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): v128 {
  const column = min(width - 1, max(0, x));
  const row = min(height - 1, max(0, y));
  if (kind == 0) return wide(load<u32>(base + row * pitch + (column << 2)) | orMask);
  return wide(convertPixel(
    kind, column, row, base, pitch, tu, tuPitch, tv, tvPitch, xOdd, yOdd, yo, cy, crv, cgu, cgv, cbu,
  ));
}

/** Two pixels side by side, mixed: u16 of 0 to 65280. */
// @ts-ignore: decorator
@inline
function across(a: v128, b: v128, f: i32): v128 {
  return i16x8.add(
    i16x8.mul(a, i16x8.splat(<i16>(256 - f))),
    i16x8.mul(b, i16x8.splat(<i16>f)),
  );
}

/** Four pixels mixed, as u16. */
// @ts-ignore: decorator
@inline
function bilinear(
  base: usize, pitch: i32, width: i32, height: i32, u: i32, v: i32, orMask: u32,
  kind: i32, tu: usize, tuPitch: i32, tv: usize, tvPitch: i32,
  xOdd: i32, yOdd: i32, yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): v128 {
  const x = (u - 128) >> 8;
  const y = (v - 128) >> 8;
  const fx = (u - 128) & 255;
  const fy = (v - 128) & 255;
  const upper = across(
    texel(
      base, pitch, width, height, x, y, orMask,
      kind, tu, tuPitch, tv, tvPitch, xOdd, yOdd, yo, cy, crv, cgu, cgv, cbu,
    ),
    texel(
      base, pitch, width, height, x + 1, y, orMask,
      kind, tu, tuPitch, tv, tvPitch, xOdd, yOdd, yo, cy, crv, cgu, cgv, cbu,
    ), fx,
  );
  const lower = across(
    texel(
      base, pitch, width, height, x, y + 1, orMask,
      kind, tu, tuPitch, tv, tvPitch, xOdd, yOdd, yo, cy, crv, cgu, cgv, cbu,
    ),
    texel(
      base, pitch, width, height, x + 1, y + 1, orMask,
      kind, tu, tuPitch, tv, tvPitch, xOdd, yOdd, yo, cy, crv, cgu, cgv, cbu,
    ), fx,
  );
  const sum = i32x4.add(
    i32x4.extmul_low_i16x8_u(upper, i16x8.splat(<i16>(256 - fy))),
    i32x4.extmul_low_i16x8_u(lower, i16x8.splat(<i16>fy)),
  );
  const mixed = i32x4.shr_u(i32x4.add(sum, i32x4.splat(32768)), 16);
  return i16x8.narrow_i32x4_s(mixed, mixed);
}

/**
 * Rows y0..y1 and columns left..right of a triangle; returns how many pixels were drawn. `dst` is pixel (0, 0).
 * `filter`: 0 no texture, 1 nearest, 2 bilinear. What the texture's format is comes last.
 */
export function triangle(
  dst: usize, dstPitch: i32, y0: i32, y1: i32, left: i32, right: i32, orMask: u32, over: i32,
  filter: i32, src: usize, srcPitch: i32, srcWidth: i32, srcHeight: i32, srcMask: u32,
  x: f64, y: f64,
  at0: f64, stepX0: f64, stepY0: f64,
  at1: f64, stepX1: f64, stepY1: f64,
  at2: f64, stepX2: f64, stepY2: f64,
  blue: f64, blueX: f64, blueY: f64, green: f64, greenX: f64, greenY: f64,
  red: f64, redX: f64, redY: f64, alpha: f64, alphaX: f64, alphaY: f64,
  u: f64, uX: f64, uY: f64, v: f64, vX: f64, vY: f64,
  tu: usize, tuPitch: i32, tv: usize, tvPitch: i32, kind: i32, xOdd: i32, yOdd: i32,
  yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): i32 {
  const edge0 = <i64>stepX0;
  const edge1 = <i64>stepX1;
  const edge2 = <i64>stepX2;
  const bgX = f64x2.replace_lane(f64x2.splat(blueX), 1, greenX);
  const raX = f64x2.replace_lane(f64x2.splat(redX), 1, alphaX);
  const uvX = f64x2.replace_lane(f64x2.splat(uX), 1, vX);
  let pixels: i32 = 0;
  for (let row = y0; row < y1; row++) {
    const r0 = <i64>(at0 + stepY0 * <f64>row);
    const r1 = <i64>(at1 + stepY1 * <f64>row);
    const r2 = <i64>(at2 + stepY2 * <f64>row);
    const first = leftOf(leftOf(leftOf(left, r0, edge0), r1, edge1), r2, edge2);
    const end = rightOf(rightOf(rightOf(right, r0, edge0), r1, edge1), r2, edge2);
    if (first >= end) continue;
    pixels += <i32>(end - first);
    const dy = <f64>row * 256 + 128 - y;
    const bg = f64x2.replace_lane(f64x2.splat(blue + blueY * dy), 1, green + greenY * dy);
    const ra = f64x2.replace_lane(f64x2.splat(red + redY * dy), 1, alpha + alphaY * dy);
    const uv = f64x2.replace_lane(f64x2.splat(u + uY * dy), 1, v + vY * dy);
    let to = dst + row * dstPitch + (<i32>first << 2);
    for (let column = <i32>first; column < <i32>end; column++) {
      const dx = f64x2.splat(<f64>column * 256 + 128 - x);
      const both = v128.shuffle<i64>(rounded(bg, bgX, dx), rounded(ra, raX, dx), 0, 2);
      const bytes = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(both, both), i64x2.splat(0));
      let s = i16x8.extend_low_i8x16_u(bytes);
      if (filter != 0) {
        const place = rounded(uv, uvX, dx);
        const pu = i32x4.extract_lane(place, 0);
        const pv = i32x4.extract_lane(place, 1);
        const t = filter == 2
          ? bilinear(
            src, srcPitch, srcWidth, srcHeight, pu, pv, srcMask,
            kind, tu, tuPitch, tv, tvPitch, xOdd, yOdd, yo, cy, crv, cgu, cgv, cbu,
          )
          : texel(
            src, srcPitch, srcWidth, srcHeight, pu >> 8, pv >> 8, srcMask,
            kind, tu, tuPitch, tv, tvPitch, xOdd, yOdd, yo, cy, crv, cgu, cgv, cbu,
          );
        s = div255(i16x8.mul(s, t));
      }
      if (over != 0) {
        const rest = i16x8.sub(i16x8.splat(255), i16x8.splat(<i16>i16x8.extract_lane_u(s, 3)));
        s = i16x8.add(s, div255(i16x8.mul(wide(load<u32>(to)), rest)));
      }
      store<u32>(to, <u32>i32x4.extract_lane(i8x16.narrow_i16x8_u(s, s), 0) | orMask);
      to += 4;
    }
  }
  return pixels;
}
