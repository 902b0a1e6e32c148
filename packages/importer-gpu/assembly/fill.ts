// Fill and copy of 32-bit pixels, and verbatim copy of byte rows.

/** Rows y0..y1 of `width` pixels become `pixel`. */
export function fill(dst: usize, dstPitch: i32, width: i32, y0: i32, y1: i32, pixel: u32): void {
  const four = i32x4.splat(pixel);
  for (let y = y0; y < y1; y++) {
    let p = dst + y * dstPitch;
    let n = width;
    for (; n >= 4; n -= 4, p += 16) v128.store(p, four);
    for (; n > 0; n--, p += 4) store<u32>(p, pixel);
  }
}

/**
 * Rows y0..y1 of `bytes` bytes. `orMask` 0 is verbatim, and safe for overlapping rectangles of one
 * pitch (rows are taken from the end when dst lies behind src); otherwise pixels are ORed with it.
 */
export function copy(
  dst: usize, dstPitch: i32, src: usize, srcPitch: i32, bytes: i32, y0: i32, y1: i32, orMask: u32,
): void {
  if (!orMask) {
    if (dst > src) for (let y = y1 - 1; y >= y0; y--) memory.copy(dst + y * dstPitch, src + y * srcPitch, bytes);
    else for (let y = y0; y < y1; y++) memory.copy(dst + y * dstPitch, src + y * srcPitch, bytes);
    return;
  }
  const mask = i32x4.splat(orMask);
  for (let y = y0; y < y1; y++) {
    let d = dst + y * dstPitch;
    let s = src + y * srcPitch;
    let n = bytes;
    for (; n >= 16; n -= 16, d += 16, s += 16) v128.store(d, v128.or(v128.load(s), mask));
    for (; n > 0; n -= 4, d += 4, s += 4) store<u32>(d, load<u32>(s) | orMask);
  }
}
