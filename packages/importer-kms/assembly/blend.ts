// One row of 32-bit pixels over another; src/compose/plain.ts has the formula.
// Four pixels at a time as two vectors of u16: bytes B and R (even), bytes G and A (odd).

/** round(x / 255) of x in 0..65025. */
// @ts-ignore: decorator
@inline
function div255(x: u32): u32 {
  x += 128;
  return (x + (x >> 8)) >> 8;
}

/** x / 255, rounded, in the high byte of each u16. */
// @ts-ignore: decorator
@inline
function div255high(x: v128): v128 {
  x = i16x8.add(x, i16x8.splat(128));
  return i16x8.add(x, i16x8.shr_u(x, 8));
}

// @ts-ignore: decorator
@inline
function pack255(even: v128, odd: v128): v128 {
  return v128.or(i16x8.shr_u(div255high(even), 8), v128.and(div255high(odd), i16x8.splat(<i16>0xff00)));
}

// @ts-ignore: decorator
@inline
function channel(coverage: bool, s: u32, d: u32, shift: u32, a: u32, alpha: u32): u32 {
  const sc = (s >> shift) & 255;
  const dc = (d >> shift) & 255;
  if (coverage) return div255(a * sc + (255 - a) * dc) << shift;
  const sum = div255(alpha * sc) + div255((255 - a) * dc);
  return (sum > 255 ? 255 : sum) << shift;
}

// @ts-ignore: decorator
@inline
function quad(coverage: bool, s: v128, d: v128, k: v128): v128 {
  const low = i16x8.splat(0xff);
  const full = i8x16.swizzle(s, i8x16(3, -1, 3, -1, 7, -1, 7, -1, 11, -1, 11, -1, 15, -1, 15, -1));
  const a = i16x8.shr_u(div255high(i16x8.mul(full, k)), 8);
  const rest = v128.xor(a, low);
  const de = i16x8.mul(v128.and(d, low), rest);
  const od = i16x8.mul(i16x8.shr_u(d, 8), rest);
  const se = v128.and(s, low);
  const so = i16x8.shr_u(s, 8);
  if (coverage) return pack255(i16x8.add(i16x8.mul(se, a), de), i16x8.add(i16x8.mul(so, a), od));
  return i8x16.add_sat_u(pack255(de, od), pack255(i16x8.mul(se, k), i16x8.mul(so, k)));
}

// @ts-ignore: decorator
@inline
function blendRow(coverage: bool, dst: usize, src: usize, n: i32, alpha: i32, orMask: u32): void {
  const opaque = i32x4.splat(0xff000000);
  const force = i32x4.splat(orMask);
  const k = i16x8.splat(<i16>alpha);
  for (; n >= 4; n -= 4) {
    const s = v128.or(v128.load(src), force);
    // Overlays are mostly clear or mostly solid: the latter has a short cut with the same result.
    if (alpha == 255 && !v128.any_true(v128.andnot(opaque, s))) v128.store(dst, s);
    else v128.store(dst, v128.or(quad(coverage, s, v128.load(dst), k), opaque));
    dst += 16;
    src += 16;
  }
  for (; n > 0; n--) {
    const s = load<u32>(src) | orMask;
    const d = load<u32>(dst);
    const a = div255((s >> 24) * alpha);
    store<u32>(
      dst,
      channel(coverage, s, d, 0, a, alpha) | channel(coverage, s, d, 8, a, alpha) |
        channel(coverage, s, d, 16, a, alpha) | 0xff000000,
    );
    dst += 4;
    src += 4;
  }
}

/** `n` pixels of src over dst; `orMask` makes pixels without alpha opaque. */
export function blend(dst: usize, src: usize, n: i32, coverage: i32, alpha: i32, orMask: u32): void {
  if (coverage) blendRow(true, dst, src, n, alpha, orMask);
  else blendRow(false, dst, src, n, alpha, orMask);
}
