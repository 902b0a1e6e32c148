// Rows of packed and subsampled formats to XRGB8888: YCbCr in 8 and 10 bits with Q13 coefficients, chroma
// replicated (see src/kernels/color.ts), and RGB565. A row is: one scalar pixel if it starts on an odd
// column, 16 pixels at a time, a scalar tail. `kind` is LAYOUT of src/kernels/ops.ts.

// @ts-ignore: decorator
@inline
const HALF: i32 = 1 << 12;
// @ts-ignore: decorator
@inline
const SHIFT: i32 = 13;
/** Of 10-bit samples, which are four times as large. */
// @ts-ignore: decorator
@inline
const HALF10: i32 = 1 << 14;
// @ts-ignore: decorator
@inline
const SHIFT10: i32 = 15;

// @ts-ignore: decorator
@inline
function clamp8(v: i32): u32 {
  return v < 0 ? 0 : v > 255 ? 255 : v;
}

// @ts-ignore: decorator
@inline
function rgb(
  y: i32, u: i32, v: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32, half: i32, shift: i32,
): u32 {
  const l = y * cy + half;
  const r = clamp8((l + v * crv) >> shift);
  const g = clamp8((l + u * cgu + v * cgv) >> shift);
  const b = clamp8((l + u * cbu) >> shift);
  return b | (g << 8) | (r << 16) | 0xff000000;
}

// @ts-ignore: decorator
@inline
function pixel(
  dst: usize, y: i32, u: i32, v: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32, half: i32, shift: i32,
): void {
  store<u32>(dst, rgb(y, u, v, cy, crv, cgu, cgv, cbu, half, shift));
}

/** 16 pixels from 16 lumas and 8 pairs of chroma, all without their offsets. */
// @ts-ignore: decorator
@inline
function sixteen(
  dst: usize, ylo: v128, yhi: v128, cb: v128, cr: v128,
  cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32, half: i32, shift: i32,
): void {
  const one = i16x8.splat(1);
  const zero = i64x2.splat(0);
  const opaque = i8x16.splat(-1);
  // Pairs for dot: luma (cy, 0); chroma with the rounding half as a second factor of 1.
  const ky = i32x4.splat(cy);
  const kr = i32x4.splat(crv | (half << 16));
  const kb = i32x4.splat(cbu | (half << 16));
  const kg = i32x4.splat((cgu & 0xffff) | (cgv << 16));
  const halves = i32x4.splat(half);
  // Chroma terms of 8 samples; each serves two pixels.
  const r0 = i32x4.dot_i16x8_s(v128.shuffle<i16>(cr, one, 0, 8, 1, 9, 2, 10, 3, 11), kr);
  const r1 = i32x4.dot_i16x8_s(v128.shuffle<i16>(cr, one, 4, 12, 5, 13, 6, 14, 7, 15), kr);
  const b0 = i32x4.dot_i16x8_s(v128.shuffle<i16>(cb, one, 0, 8, 1, 9, 2, 10, 3, 11), kb);
  const b1 = i32x4.dot_i16x8_s(v128.shuffle<i16>(cb, one, 4, 12, 5, 13, 6, 14, 7, 15), kb);
  const g0 = i32x4.add(i32x4.dot_i16x8_s(v128.shuffle<i16>(cb, cr, 0, 8, 1, 9, 2, 10, 3, 11), kg), halves);
  const g1 = i32x4.add(i32x4.dot_i16x8_s(v128.shuffle<i16>(cb, cr, 4, 12, 5, 13, 6, 14, 7, 15), kg), halves);

  const y0 = i32x4.dot_i16x8_s(v128.shuffle<i16>(ylo, zero, 0, 8, 1, 9, 2, 10, 3, 11), ky);
  const y1 = i32x4.dot_i16x8_s(v128.shuffle<i16>(ylo, zero, 4, 12, 5, 13, 6, 14, 7, 15), ky);
  const y2 = i32x4.dot_i16x8_s(v128.shuffle<i16>(yhi, zero, 0, 8, 1, 9, 2, 10, 3, 11), ky);
  const y3 = i32x4.dot_i16x8_s(v128.shuffle<i16>(yhi, zero, 4, 12, 5, 13, 6, 14, 7, 15), ky);

  const r = channel(y0, y1, y2, y3, r0, r1, shift);
  const g = channel(y0, y1, y2, y3, g0, g1, shift);
  const b = channel(y0, y1, y2, y3, b0, b1, shift);

  const bg0 = v128.shuffle<i8>(b, g, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const bg1 = v128.shuffle<i8>(b, g, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  const rx0 = v128.shuffle<i8>(r, opaque, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const rx1 = v128.shuffle<i8>(r, opaque, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  v128.store(dst, v128.shuffle<i16>(bg0, rx0, 0, 8, 1, 9, 2, 10, 3, 11));
  v128.store(dst, v128.shuffle<i16>(bg0, rx0, 4, 12, 5, 13, 6, 14, 7, 15), 16);
  v128.store(dst, v128.shuffle<i16>(bg1, rx1, 0, 8, 1, 9, 2, 10, 3, 11), 32);
  v128.store(dst, v128.shuffle<i16>(bg1, rx1, 4, 12, 5, 13, 6, 14, 7, 15), 48);
}

/** One colour channel of 16 pixels from 4 x 4 luma terms and 2 x 4 chroma terms. */
// @ts-ignore: decorator
@inline
function channel(y0: v128, y1: v128, y2: v128, y3: v128, c0: v128, c1: v128, shift: i32): v128 {
  const p0 = i32x4.shr_s(i32x4.add(y0, v128.shuffle<i32>(c0, c0, 0, 0, 1, 1)), shift);
  const p1 = i32x4.shr_s(i32x4.add(y1, v128.shuffle<i32>(c0, c0, 2, 2, 3, 3)), shift);
  const p2 = i32x4.shr_s(i32x4.add(y2, v128.shuffle<i32>(c1, c1, 0, 0, 1, 1)), shift);
  const p3 = i32x4.shr_s(i32x4.add(y3, v128.shuffle<i32>(c1, c1, 2, 2, 3, 3)), shift);
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(p0, p1), i16x8.narrow_i32x4_s(p2, p3));
}

/** 4:2:0 in 8 bits. `step` is the distance of chroma samples (1 planar, 2 interleaved). */
function row420(
  dst: usize, y: usize, u: usize, v: usize, step: i32, xOdd: i32, n: i32,
  yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): void {
  if (xOdd) {
    pixel(
      dst, <i32>load<u8>(y) - yo, <i32>load<u8>(u) - 128, <i32>load<u8>(v) - 128, cy, crv, cgu, cgv, cbu, HALF, SHIFT,
    );
    dst += 4;
    y += 1;
    u += step;
    v += step;
    n -= 1;
  }
  const bias = i16x8.splat(128);
  const black = i16x8.splat(<i16>yo);
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
    const luma = v128.load(y);
    sixteen(
      dst, i16x8.sub(i16x8.extend_low_i8x16_u(luma), black), i16x8.sub(i16x8.extend_high_i8x16_u(luma), black),
      i16x8.sub(cb, bias), i16x8.sub(cr, bias), cy, crv, cgu, cgv, cbu, HALF, SHIFT,
    );
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
      cy, crv, cgu, cgv, cbu, HALF, SHIFT,
    );
  }
}

/** Pairs of bytes Y0 Cb Y1 Cr; `y` is that of the pair that the row starts in. */
function rowYuyv(
  dst: usize, y: usize, xOdd: i32, n: i32, yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): void {
  if (xOdd) {
    pixel(
      dst, <i32>load<u8>(y, 2) - yo, <i32>load<u8>(y, 1) - 128, <i32>load<u8>(y, 3) - 128,
      cy, crv, cgu, cgv, cbu, HALF, SHIFT,
    );
    dst += 4;
    y += 4;
    n -= 1;
  }
  const bias = i16x8.splat(128);
  const black = i16x8.splat(<i16>yo);
  const low = i16x8.splat(0xff);
  for (; n >= 16; n -= 16) {
    const a = v128.load(y);
    const b = v128.load(y, 16);
    const ca = i16x8.shr_u(a, 8);
    const cb = i16x8.shr_u(b, 8);
    sixteen(
      dst, i16x8.sub(v128.and(a, low), black), i16x8.sub(v128.and(b, low), black),
      i16x8.sub(v128.shuffle<i16>(ca, cb, 0, 2, 4, 6, 8, 10, 12, 14), bias),
      i16x8.sub(v128.shuffle<i16>(ca, cb, 1, 3, 5, 7, 9, 11, 13, 15), bias),
      cy, crv, cgu, cgv, cbu, HALF, SHIFT,
    );
    dst += 64;
    y += 32;
  }
  for (let i: i32 = 0; i < n; i++) {
    const pair = y + (<usize>(i >> 1) << 2);
    pixel(
      dst + ((<usize>i) << 2), <i32>load<u8>(pair + ((i & 1) << 1)) - yo, <i32>load<u8>(pair, 1) - 128,
      <i32>load<u8>(pair, 3) - 128, cy, crv, cgu, cgv, cbu, HALF, SHIFT,
    );
  }
}

/** A 10-bit sample on top of a 16-bit word. */
// @ts-ignore: decorator
@inline
function sample10(at: usize): i32 {
  return <i32>load<u16>(at) >> 6;
}

/** 4:2:0 in 10 bits: words of luma, pairs of words Cb Cr. */
function rowP010(
  dst: usize, y: usize, u: usize, xOdd: i32, n: i32, yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): void {
  yo <<= 2;
  if (xOdd) {
    pixel(
      dst, sample10(y) - yo, sample10(u) - 512, sample10(u + 2) - 512, cy, crv, cgu, cgv, cbu, HALF10, SHIFT10,
    );
    dst += 4;
    y += 2;
    u += 4;
    n -= 1;
  }
  const bias = i16x8.splat(512);
  const black = i16x8.splat(<i16>yo);
  for (; n >= 16; n -= 16) {
    const ca = i16x8.shr_u(v128.load(u), 6);
    const cb = i16x8.shr_u(v128.load(u, 16), 6);
    sixteen(
      dst, i16x8.sub(i16x8.shr_u(v128.load(y), 6), black), i16x8.sub(i16x8.shr_u(v128.load(y, 16), 6), black),
      i16x8.sub(v128.shuffle<i16>(ca, cb, 0, 2, 4, 6, 8, 10, 12, 14), bias),
      i16x8.sub(v128.shuffle<i16>(ca, cb, 1, 3, 5, 7, 9, 11, 13, 15), bias),
      cy, crv, cgu, cgv, cbu, HALF10, SHIFT10,
    );
    dst += 64;
    y += 32;
    u += 32;
  }
  for (let i: i32 = 0; i < n; i++) {
    const c = u + (<usize>(i >> 1) << 2);
    pixel(
      dst + ((<usize>i) << 2), sample10(y + (<usize>i << 1)) - yo, sample10(c) - 512, sample10(c + 2) - 512,
      cy, crv, cgu, cgv, cbu, HALF10, SHIFT10,
    );
  }
}

/** Words R:G:B 5:6:5; the high bits of each channel are repeated below it. */
function row565(dst: usize, src: usize, n: i32): void {
  const opaque = i16x8.splat(<i16>0xff00);
  for (; n >= 8; n -= 8) {
    const p = v128.load(src);
    const r = i16x8.shr_u(p, 11);
    const g = v128.and(i16x8.shr_u(p, 5), i16x8.splat(63));
    const b = v128.and(p, i16x8.splat(31));
    const r8 = v128.or(i16x8.shl(r, 3), i16x8.shr_u(r, 2));
    const g8 = v128.or(i16x8.shl(g, 2), i16x8.shr_u(g, 4));
    const b8 = v128.or(i16x8.shl(b, 3), i16x8.shr_u(b, 2));
    const bg = v128.or(b8, i16x8.shl(g8, 8));
    const rx = v128.or(r8, opaque);
    v128.store(dst, v128.shuffle<i16>(bg, rx, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(dst, v128.shuffle<i16>(bg, rx, 4, 12, 5, 13, 6, 14, 7, 15), 16);
    dst += 32;
    src += 16;
  }
  for (; n > 0; n--) {
    store<u32>(dst, expand565(src));
    dst += 4;
    src += 2;
  }
}

// @ts-ignore: decorator
@inline
function expand565(src: usize): u32 {
  const p = <u32>load<u16>(src);
  const r = p >> 11;
  const g = (p >> 5) & 63;
  const b = p & 31;
  const bg = (b << 3) | (b >> 2) | (((g << 2) | (g >> 4)) << 8);
  return bg | (((r << 3) | (r >> 2)) << 16) | 0xff000000;
}

/** The pixel at a column and row of a rectangle; all pointers are those of its first pixel. */
export function convertPixel(
  kind: i32, column: i32, row: i32, y: usize, yPitch: i32, u: usize, uPitch: i32, v: usize, vPitch: i32,
  xOdd: i32, yOdd: i32, yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): u32 {
  y += row * yPitch;
  if (kind == 5) return expand565(y + (column << 1));
  const place = column + xOdd;
  const pair = place >> 1;
  if (kind == 3) {
    const at = y + (pair << 2);
    return rgb(
      <i32>load<u8>(at + ((place & 1) << 1)) - yo, <i32>load<u8>(at, 1) - 128, <i32>load<u8>(at, 3) - 128,
      cy, crv, cgu, cgv, cbu, HALF, SHIFT,
    );
  }
  const c = chromaRow(row, yOdd);
  if (kind == 4) {
    const at = u + c * uPitch + (pair << 2);
    return rgb(
      sample10(y + (column << 1)) - (yo << 2), sample10(at) - 512, sample10(at + 2) - 512,
      cy, crv, cgu, cgv, cbu, HALF10, SHIFT10,
    );
  }
  return rgb(
    <i32>load<u8>(y + column) - yo,
    <i32>load<u8>(u + c * uPitch + pair * kind) - 128,
    <i32>load<u8>(v + c * vPitch + pair * kind) - 128,
    cy, crv, cgu, cgv, cbu, HALF, SHIFT,
  );
}

/** Rows of chroma: row `row` of a rectangle that starts on an odd one (yOdd) or an even one. */
// @ts-ignore: decorator
@inline
export function chromaRow(row: i32, yOdd: i32): i32 {
  return (row + yOdd) >> 1;
}

/** One row of `n` pixels. */
export function convertRow(
  kind: i32, dst: usize, y: usize, u: usize, v: usize, xOdd: i32, n: i32,
  yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): void {
  if (kind <= 2) row420(dst, y, u, v, kind, xOdd, n, yo, cy, crv, cgu, cgv, cbu);
  else if (kind == 3) rowYuyv(dst, y, xOdd, n, yo, cy, crv, cgu, cgv, cbu);
  else if (kind == 4) rowP010(dst, y, u, xOdd, n, yo, cy, crv, cgu, cgv, cbu);
  else row565(dst, y, n);
}

/** Rows y0..y1 of a rectangle; all pointers are those of the rectangle's row 0. */
export function convert(
  dst: usize, dstPitch: i32, y: usize, yPitch: i32, u: usize, uPitch: i32, v: usize, vPitch: i32,
  kind: i32, xOdd: i32, yOdd: i32, width: i32, y0: i32, y1: i32,
  yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): void {
  for (let row = y0; row < y1; row++) {
    const c = chromaRow(row, yOdd);
    convertRow(
      kind, dst + row * dstPitch, y + row * yPitch, u + c * uPitch, v + c * vPitch,
      xOdd, width, yo, cy, crv, cgu, cgv, cbu,
    );
  }
}
