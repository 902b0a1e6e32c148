// Src-over of 32-bit pixels onto XRGB8888; the formula is in src/kernels/kernels.ts.
// Four pixels at a time as two vectors of u16: bytes B and R (even), bytes G and A (odd).

/** round(x / 255) of x in 0..65025, as in every 8-bit compositor. */
// @ts-ignore: decorator
@inline
function div255(x: u32): u32 {
  x += 128;
  return (x + (x >> 8)) >> 8;
}

/** x + 128 + (x + 128 >> 8): x / 255, rounded, in the high byte of each u16. */
// @ts-ignore: decorator
@inline
function div255high(x: v128): v128 {
  x = i16x8.add(x, i16x8.splat(128));
  return i16x8.add(x, i16x8.shr_u(x, 8));
}

/** Both halves of four pixels, divided by 255 and put together as bytes again. */
// @ts-ignore: decorator
@inline
function pack255(even: v128, odd: v128): v128 {
  return v128.or(i16x8.shr_u(div255high(even), 8), v128.and(div255high(odd), i16x8.splat(<i16>0xff00)));
}

// @ts-ignore: decorator
@inline
function over(coverage: bool, s: u32, d: u32, shift: u32, a: u32, alpha: u32): u32 {
  const sc = (s >> shift) & 255;
  const dc = (d >> shift) & 255;
  if (coverage) return div255(a * sc + (255 - a) * dc) << shift;
  const sum = div255(alpha * sc) + div255((255 - a) * dc);
  return (sum > 255 ? 255 : sum) << shift;
}

/** Four pixels of `over`; `coverage` and `whole` (alpha is 255) are constants where it is inlined. */
// @ts-ignore: decorator
@inline
function overQuad(coverage: bool, whole: bool, s: v128, d: v128, k: v128): v128 {
  const low = i16x8.splat(0xff);
  let a = i8x16.swizzle(s, i8x16(3, -1, 3, -1, 7, -1, 7, -1, 11, -1, 11, -1, 15, -1, 15, -1));
  if (!whole) a = i16x8.shr_u(div255high(i16x8.mul(a, k)), 8);
  const rest = v128.xor(a, low);
  const de = i16x8.mul(v128.and(d, low), rest);
  const od = i16x8.mul(i16x8.shr_u(d, 8), rest);
  const se = v128.and(s, low);
  const so = i16x8.shr_u(s, 8);
  if (coverage) return pack255(i16x8.add(i16x8.mul(se, a), de), i16x8.add(i16x8.mul(so, a), od));
  if (!whole) s = pack255(i16x8.mul(se, k), i16x8.mul(so, k));
  return i8x16.add_sat_u(pack255(de, od), s);
}

// @ts-ignore: decorator
@inline
function blendRow(
  coverage: bool, whole: bool, dst: usize, src: usize, n: i32, alpha: i32, orMask: u32,
): void {
  const opaque = i32x4.splat(0xff000000);
  const force = i32x4.splat(orMask);
  const k = i16x8.splat(<i16>alpha);
  for (; n >= 8; n -= 8) {
    const s0 = v128.or(v128.load(src), force);
    const s1 = v128.or(v128.load(src, 16), force);
    const any = v128.or(s0, s1);
    // Overlays are mostly clear or mostly solid: both have short cuts with the same result.
    if (!v128.any_true(coverage ? v128.and(any, opaque) : any)) {
      v128.store(dst, v128.or(v128.load(dst), opaque));
      v128.store(dst, v128.or(v128.load(dst, 16), opaque), 16);
    } else if (whole && !v128.any_true(v128.andnot(opaque, v128.and(s0, s1)))) {
      v128.store(dst, s0);
      v128.store(dst, s1, 16);
    } else {
      v128.store(dst, v128.or(overQuad(coverage, whole, s0, v128.load(dst), k), opaque));
      v128.store(dst, v128.or(overQuad(coverage, whole, s1, v128.load(dst, 16), k), opaque), 16);
    }
    dst += 32;
    src += 32;
  }
  for (; n > 0; n--) {
    const s = load<u32>(src) | orMask;
    const d = load<u32>(dst);
    const a = div255((s >> 24) * alpha);
    store<u32>(
      dst,
      over(coverage, s, d, 0, a, alpha) | over(coverage, s, d, 8, a, alpha) |
        over(coverage, s, d, 16, a, alpha) | 0xff000000,
    );
    dst += 4;
    src += 4;
  }
}

/** Rows y0..y1 of a rectangle; `orMask` makes a source without alpha opaque. */
export function blend(
  dst: usize, dstPitch: i32, src: usize, srcPitch: i32, width: i32, y0: i32, y1: i32,
  coverage: i32, alpha: i32, orMask: u32,
): void {
  for (let y = y0; y < y1; y++) {
    const d = dst + y * dstPitch;
    const s = src + y * srcPitch;
    if (coverage) {
      if (alpha == 255) blendRow(true, true, d, s, width, 255, orMask);
      else blendRow(true, false, d, s, width, alpha, orMask);
    } else if (alpha == 255) blendRow(false, true, d, s, width, 255, orMask);
    else blendRow(false, false, d, s, width, alpha, orMask);
  }
}
