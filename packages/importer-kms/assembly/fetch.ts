// A row of a framebuffer as 32-bit pixels; src/compose/plain.ts has the formulas.

// @ts-ignore: decorator
@inline
function clamp8(v: i32): u32 {
  return v < 0 ? 0 : v > 255 ? 255 : v;
}

/** 5:6:5 to 8:8:8, upper bits repeated below. */
export function expand565(dst: usize, src: usize, n: i32): void {
  for (let i: i32 = 0; i < n; i += 4) {
    const p = i32x4.extend_low_i16x8_u(v128.load64_zero(src));
    const r = i32x4.shr_u(p, 11);
    const g = v128.and(i32x4.shr_u(p, 5), i32x4.splat(0x3f));
    const b = v128.and(p, i32x4.splat(0x1f));
    const r8 = v128.or(i32x4.shl(r, 3), i32x4.shr_u(r, 2));
    const g8 = v128.or(i32x4.shl(g, 2), i32x4.shr_u(g, 4));
    const b8 = v128.or(i32x4.shl(b, 3), i32x4.shr_u(b, 2));
    const rgb = v128.or(v128.or(i32x4.shl(r8, 16), i32x4.shl(g8, 8)), b8);
    v128.store(dst, v128.or(rgb, i32x4.splat(0xff000000)));
    dst += 16;
    src += 8;
  }
}

/** Pixel i of dst is pixel map[i] of src. */
export function gather(dst: usize, src: usize, map: usize, n: i32): void {
  for (let i: i32 = 0; i < n; i++) {
    const at = <usize>i << 2;
    store<u32>(dst + at, load<u32>(src + (<usize>load<u32>(map + at) << 2)));
  }
}

// @ts-ignore: decorator
@inline
function pixel(dst: usize, y: i32, u: i32, v: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32): void {
  const l = y * cy + 4096;
  const r = clamp8((l + v * crv) >> 13);
  const g = clamp8((l + u * cgu + v * cgv) >> 13);
  const b = clamp8((l + u * cbu) >> 13);
  store<u32>(dst, b | (g << 8) | (r << 16) | 0xff000000);
}

// @ts-ignore: decorator
@inline
function clamp8x4(v: v128): v128 {
  return i32x4.min_s(i32x4.max_s(v, i32x4.splat(0)), i32x4.splat(255));
}

/**
 * 4:2:0 YCbCr, chroma replicated: `u` and `v` are `step` bytes apart (1 planar, 2 interleaved); `xOdd`: the
 * first pixel is the second one of its chroma sample.
 */
export function yuv(
  dst: usize, y: usize, u: usize, v: usize, step: i32, xOdd: i32, n: i32,
  yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): void {
  if (xOdd && n > 0) {
    pixel(dst, <i32>load<u8>(y) - yo, <i32>load<u8>(u) - 128, <i32>load<u8>(v) - 128, cy, crv, cgu, cgv, cbu);
    dst += 4;
    y += 1;
    u += step;
    v += step;
    n -= 1;
  }
  // Two samples, each for two pixels, into the low bytes of four lanes.
  const spread = step == 1
    ? i8x16(0, -1, -1, -1, 0, -1, -1, -1, 1, -1, -1, -1, 1, -1, -1, -1)
    : i8x16(0, -1, -1, -1, 0, -1, -1, -1, 2, -1, -1, -1, 2, -1, -1, -1);
  const bias = i32x4.splat(128);
  for (; n >= 4; n -= 4) {
    const luma = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(y)));
    const cb = i32x4.sub(i8x16.swizzle(v128.load32_zero(u), spread), bias);
    const cr = i32x4.sub(i8x16.swizzle(v128.load32_zero(v), spread), bias);
    const l = i32x4.add(i32x4.mul(i32x4.sub(luma, i32x4.splat(yo)), i32x4.splat(cy)), i32x4.splat(4096));
    const r = clamp8x4(i32x4.shr_s(i32x4.add(l, i32x4.mul(cr, i32x4.splat(crv))), 13));
    const g = clamp8x4(i32x4.shr_s(
      i32x4.add(i32x4.add(l, i32x4.mul(cb, i32x4.splat(cgu))), i32x4.mul(cr, i32x4.splat(cgv))), 13,
    ));
    const b = clamp8x4(i32x4.shr_s(i32x4.add(l, i32x4.mul(cb, i32x4.splat(cbu))), 13));
    const rgb = v128.or(v128.or(i32x4.shl(r, 16), i32x4.shl(g, 8)), b);
    v128.store(dst, v128.or(rgb, i32x4.splat(0xff000000)));
    dst += 16;
    y += 4;
    u += 2 * step;
    v += 2 * step;
  }
  for (let i: i32 = 0; i < n; i++) {
    const c = <usize>((i >> 1) * step);
    pixel(
      dst + ((<usize>i) << 2), <i32>load<u8>(y + i) - yo, <i32>load<u8>(u + c) - 128, <i32>load<u8>(v + c) - 128,
      cy, crv, cgu, cgv, cbu,
    );
  }
}
