// 4:2:0 YCbCr to XRGB8888, Q13 coefficients, chroma replicated (see src/kernels/color.ts).
// A row is: one scalar pixel if it starts on an odd column, 16 pixels at a time, a scalar tail.

// @ts-ignore: decorator
@inline
const HALF: i32 = 1 << 12;

// @ts-ignore: decorator
@inline
function clamp8(v: i32): u32 {
  return v < 0 ? 0 : v > 255 ? 255 : v;
}

// @ts-ignore: decorator
@inline
function pixel(dst: usize, y: i32, u: i32, v: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32): void {
  const l = y * cy + HALF;
  const r = clamp8((l + v * crv) >> 13);
  const g = clamp8((l + u * cgu + v * cgv) >> 13);
  const b = clamp8((l + u * cbu) >> 13);
  store<u32>(dst, b | (g << 8) | (r << 16) | 0xff000000);
}

/** One row of `n` pixels. `step` is the distance of chroma samples (1 planar, 2 interleaved). */
export function convertRow(
  dst: usize, y: usize, u: usize, v: usize, step: i32, xOdd: i32, n: i32,
  yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): void {
  if (xOdd) {
    pixel(dst, <i32>load<u8>(y) - yo, <i32>load<u8>(u) - 128, <i32>load<u8>(v) - 128, cy, crv, cgu, cgv, cbu);
    dst += 4;
    y += 1;
    u += step;
    v += step;
    n -= 1;
  }
  const one = i16x8.splat(1);
  const zero = i64x2.splat(0);
  const opaque = i8x16.splat(-1);
  const bias = i16x8.splat(128);
  const black = i16x8.splat(<i16>yo);
  // Pairs for dot: luma (cy, 0); chroma with the rounding half as a second factor of 1.
  const ky = i32x4.splat(cy);
  const kr = i32x4.splat(crv | (HALF << 16));
  const kb = i32x4.splat(cbu | (HALF << 16));
  const kg = i32x4.splat((cgu & 0xffff) | (cgv << 16));
  const half = i32x4.splat(HALF);
  while (n >= 16) {
    let cb: v128;
    let cr: v128;
    if (step == 1) {
      cb = v128.load_ext<u8>(u);
      cr = v128.load_ext<u8>(v);
    } else if (u < v) {
      const uv = v128.load(u);
      cb = v128.and(uv, i16x8.splat(0xff));
      cr = i16x8.shr_u(uv, 8);
    } else {
      const vu = v128.load(v);
      cr = v128.and(vu, i16x8.splat(0xff));
      cb = i16x8.shr_u(vu, 8);
    }
    cb = i16x8.sub(cb, bias);
    cr = i16x8.sub(cr, bias);
    // Chroma terms of 8 samples; each serves two pixels.
    const r0 = i32x4.dot_i16x8_s(v128.shuffle<i16>(cr, one, 0, 8, 1, 9, 2, 10, 3, 11), kr);
    const r1 = i32x4.dot_i16x8_s(v128.shuffle<i16>(cr, one, 4, 12, 5, 13, 6, 14, 7, 15), kr);
    const b0 = i32x4.dot_i16x8_s(v128.shuffle<i16>(cb, one, 0, 8, 1, 9, 2, 10, 3, 11), kb);
    const b1 = i32x4.dot_i16x8_s(v128.shuffle<i16>(cb, one, 4, 12, 5, 13, 6, 14, 7, 15), kb);
    const g0 = i32x4.add(i32x4.dot_i16x8_s(v128.shuffle<i16>(cb, cr, 0, 8, 1, 9, 2, 10, 3, 11), kg), half);
    const g1 = i32x4.add(i32x4.dot_i16x8_s(v128.shuffle<i16>(cb, cr, 4, 12, 5, 13, 6, 14, 7, 15), kg), half);

    const luma = v128.load(y);
    const ylo = i16x8.sub(i16x8.extend_low_i8x16_u(luma), black);
    const yhi = i16x8.sub(i16x8.extend_high_i8x16_u(luma), black);
    const y0 = i32x4.dot_i16x8_s(v128.shuffle<i16>(ylo, zero, 0, 8, 1, 9, 2, 10, 3, 11), ky);
    const y1 = i32x4.dot_i16x8_s(v128.shuffle<i16>(ylo, zero, 4, 12, 5, 13, 6, 14, 7, 15), ky);
    const y2 = i32x4.dot_i16x8_s(v128.shuffle<i16>(yhi, zero, 0, 8, 1, 9, 2, 10, 3, 11), ky);
    const y3 = i32x4.dot_i16x8_s(v128.shuffle<i16>(yhi, zero, 4, 12, 5, 13, 6, 14, 7, 15), ky);

    const r = channel(y0, y1, y2, y3, r0, r1);
    const g = channel(y0, y1, y2, y3, g0, g1);
    const b = channel(y0, y1, y2, y3, b0, b1);

    const bg0 = v128.shuffle<i8>(b, g, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const bg1 = v128.shuffle<i8>(b, g, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const rx0 = v128.shuffle<i8>(r, opaque, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const rx1 = v128.shuffle<i8>(r, opaque, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    v128.store(dst, v128.shuffle<i16>(bg0, rx0, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(dst, v128.shuffle<i16>(bg0, rx0, 4, 12, 5, 13, 6, 14, 7, 15), 16);
    v128.store(dst, v128.shuffle<i16>(bg1, rx1, 0, 8, 1, 9, 2, 10, 3, 11), 32);
    v128.store(dst, v128.shuffle<i16>(bg1, rx1, 4, 12, 5, 13, 6, 14, 7, 15), 48);
    dst += 64;
    y += 16;
    u += 8 * step;
    v += 8 * step;
    n -= 16;
  }
  for (let i: i32 = 0; i < n; i++) {
    const c = <usize>((i >> 1) * step);
    pixel(
      dst + ((<usize>i) << 2), <i32>load<u8>(y + i) - yo, <i32>load<u8>(u + c) - 128, <i32>load<u8>(v + c) - 128,
      cy, crv, cgu, cgv, cbu,
    );
  }
}

/** One colour channel of 16 pixels from 4 x 4 luma terms and 2 x 4 chroma terms. */
// @ts-ignore: decorator
@inline
function channel(y0: v128, y1: v128, y2: v128, y3: v128, c0: v128, c1: v128): v128 {
  const p0 = i32x4.shr_s(i32x4.add(y0, v128.shuffle<i32>(c0, c0, 0, 0, 1, 1)), 13);
  const p1 = i32x4.shr_s(i32x4.add(y1, v128.shuffle<i32>(c0, c0, 2, 2, 3, 3)), 13);
  const p2 = i32x4.shr_s(i32x4.add(y2, v128.shuffle<i32>(c1, c1, 0, 0, 1, 1)), 13);
  const p3 = i32x4.shr_s(i32x4.add(y3, v128.shuffle<i32>(c1, c1, 2, 2, 3, 3)), 13);
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(p0, p1), i16x8.narrow_i32x4_s(p2, p3));
}

/** Rows y0..y1 of a rectangle; all pointers are those of the rectangle's row 0. */
export function convert(
  dst: usize, dstPitch: i32, y: usize, yPitch: i32, u: usize, uPitch: i32, v: usize, vPitch: i32,
  step: i32, xOdd: i32, yOdd: i32, width: i32, y0: i32, y1: i32,
  yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): void {
  for (let row = y0; row < y1; row++) {
    const c = (row + yOdd) >> 1;
    convertRow(
      dst + row * dstPitch, y + row * yPitch, u + c * uPitch, v + c * vPitch,
      step, xOdd, width, yo, cy, crv, cgu, cgv, cbu,
    );
  }
}
