// Scaling of 32-bit pixels, nearest and bilinear, and fused conversion to XRGB -> scale: a source row
// is converted once into scratch and is then an RGB row like any other, so that fused equals
// convert-then-scale. Bilinear works on two rows of 8.8 sums across (H), then mixes them down (V).
// Scratch: src/kernels/scale-map.ts has the same layout and its size.
import { chromaRow, convertRow } from './convert';

// @ts-ignore: decorator
@inline
function align16(n: usize): usize {
  return (n + 15) & ~15;
}

// @ts-ignore: decorator
@inline
function position(i: i32, step: i32, size: i32): i32 {
  const p = i * step + (step >> 1) - 32768;
  const last = (size - 1) << 16;
  return p < 0 ? 0 : p > last ? last : p;
}

/** Fills byte offsets, and for bilinear weights (4 x u16 a pixel), for every column. */
function buildColumns(offsets: usize, weights: usize, bilinear: i32, dw: i32, sw: i32, step: i32): void {
  for (let x: i32 = 0; x < dw; x++) {
    if (!bilinear) {
      store<u32>(offsets + (x << 2), ((x * step + (step >> 1)) >> 16) << 2);
      continue;
    }
    const p = position(x, step, sw);
    let ix = p >> 16;
    let f: u32 = (p >> 8) & 255;
    // The last column has no right neighbour: name it as the neighbour, with full weight.
    if (ix == sw - 1 && sw > 1) {
      ix -= 1;
      f = 256;
    }
    store<u32>(offsets + (x << 2), ix << 2);
    store<u64>(weights + (x << 3), (<u64>f) * 0x0001000100010001);
  }
}

/** Across: out[x] = 256*p0 + (p1 - p0)*f as u16, kept with the top bit flipped for `dot`. */
function across(out: usize, src: usize, offsets: usize, weights: usize, dw: i32, sw: i32): void {
  const flip = i16x8.splat(<i16>0x8000);
  if (sw == 1) {
    const p = v128.xor(i16x8.shl(i16x8.extend_low_i8x16_u(v128.load32_splat(src)), 8), flip);
    for (let x: i32 = 0; x < dw; x++) v128.store64_lane(out + (x << 3), p, 0);
    return;
  }
  const pairs = dw >> 1;
  for (let i: i32 = 0; i < pairs; i++) {
    const a = v128.load_ext<u8>(src + load<u32>(offsets));
    const b = v128.load_ext<u8>(src + load<u32>(offsets, 4));
    const p0 = v128.shuffle<i64>(a, b, 0, 2);
    const p1 = v128.shuffle<i64>(a, b, 1, 3);
    const mixed = i16x8.add(i16x8.shl(p0, 8), i16x8.mul(i16x8.sub(p1, p0), v128.load(weights)));
    v128.store(out, v128.xor(mixed, flip));
    offsets += 8;
    weights += 16;
    out += 16;
  }
  if (dw & 1) {
    const a = v128.load_ext<u8>(src + load<u32>(offsets));
    const p1 = v128.shuffle<i64>(a, a, 1, 0);
    const mixed = i16x8.add(i16x8.shl(a, 8), i16x8.mul(i16x8.sub(p1, a), v128.load64_zero(weights)));
    v128.store64_lane(out, v128.xor(mixed, flip), 0);
  }
}

/** Down: dst = ((256-f)*h0 + f*h1 + 2^15) >> 16, with the flipped bits put back (2^23). */
function down(dst: usize, h0: usize, h1: usize, f: i32, dw: i32, orMask: u32): void {
  const w = i32x4.splat((256 - f) | (f << 16));
  const bias = i32x4.splat((1 << 23) + (1 << 15));
  const mask = i32x4.splat(orMask);
  const quads = dw >> 2;
  for (let i: i32 = 0; i < quads; i++) {
    const a0 = v128.load(h0);
    const b0 = v128.load(h1);
    const a1 = v128.load(h0, 16);
    const b1 = v128.load(h1, 16);
    const q0 = i32x4.dot_i16x8_s(v128.shuffle<i16>(a0, b0, 0, 8, 1, 9, 2, 10, 3, 11), w);
    const q1 = i32x4.dot_i16x8_s(v128.shuffle<i16>(a0, b0, 4, 12, 5, 13, 6, 14, 7, 15), w);
    const q2 = i32x4.dot_i16x8_s(v128.shuffle<i16>(a1, b1, 0, 8, 1, 9, 2, 10, 3, 11), w);
    const q3 = i32x4.dot_i16x8_s(v128.shuffle<i16>(a1, b1, 4, 12, 5, 13, 6, 14, 7, 15), w);
    const lo = i16x8.narrow_i32x4_s(
      i32x4.shr_u(i32x4.add(q0, bias), 16), i32x4.shr_u(i32x4.add(q1, bias), 16));
    const hi = i16x8.narrow_i32x4_s(
      i32x4.shr_u(i32x4.add(q2, bias), 16), i32x4.shr_u(i32x4.add(q3, bias), 16));
    v128.store(dst, v128.or(i8x16.narrow_i16x8_u(lo, hi), mask));
    h0 += 32;
    h1 += 32;
    dst += 16;
  }
  for (let i: i32 = dw & 3; i > 0; i--) {
    const pair = v128.shuffle<i16>(v128.load64_zero(h0), v128.load64_zero(h1), 0, 8, 1, 9, 2, 10, 3, 11);
    const q = i32x4.shr_u(i32x4.add(i32x4.dot_i16x8_s(pair, w), bias), 16);
    const n = i16x8.narrow_i32x4_s(q, q);
    v128.store32_lane(dst, v128.or(i8x16.narrow_i16x8_u(n, n), mask), 0);
    h0 += 8;
    h1 += 8;
    dst += 4;
  }
}

function nearestRow(dst: usize, src: usize, offsets: usize, dw: i32, orMask: u32): void {
  const end = dst + (dw << 2);
  const end4 = dst + ((dw & ~3) << 2);
  while (dst < end4) {
    store<u32>(dst, load<u32>(src + load<u32>(offsets)) | orMask);
    store<u32>(dst, load<u32>(src + load<u32>(offsets, 4)) | orMask, 4);
    store<u32>(dst, load<u32>(src + load<u32>(offsets, 8)) | orMask, 8);
    store<u32>(dst, load<u32>(src + load<u32>(offsets, 12)) | orMask, 12);
    dst += 16;
    offsets += 16;
  }
  while (dst < end) {
    store<u32>(dst, load<u32>(src + load<u32>(offsets)) | orMask);
    dst += 4;
    offsets += 4;
  }
}

/**
 * Rows y0..y1 of the dw x dh rectangle at `dst` from the sw x sh one at `src`.
 * `kind` 0: `src` holds 32-bit pixels. Else it is LAYOUT of src/kernels/ops.ts, and `src` is luma or packed pixels.
 */
export function scale(
  bilinear: i32, scratch: usize,
  dst: usize, dstPitch: i32, dw: i32, y0: i32, y1: i32,
  src: usize, srcPitch: i32, sw: i32, sh: i32, stepX: i32, stepY: i32, orMask: u32,
  u: usize, uPitch: i32, v: usize, vPitch: i32, kind: i32, xOdd: i32, yOdd: i32,
  yo: i32, cy: i32, crv: i32, cgu: i32, cgv: i32, cbu: i32,
): void {
  const offsets = scratch;
  const weights = offsets + align16(dw << 2);
  let h0 = weights + align16(dw << 3);
  let h1 = h0 + align16(dw << 3);
  const converted = bilinear ? h1 + align16(dw << 3) : weights;
  buildColumns(offsets, weights, bilinear, dw, sw, stepX);

  let row0: i32 = -1; // which source row h0 (bilinear) or the last output row (nearest) holds
  let row1: i32 = -1;
  for (let y = y0; y < y1; y++) {
    const out = dst + y * dstPitch;
    if (!bilinear) {
      const iy = (y * stepY + (stepY >> 1)) >> 16;
      if (iy == row0) {
        memory.copy(out, out - dstPitch, dw << 2);
        continue;
      }
      let line = src + iy * srcPitch;
      if (kind) {
        const c = chromaRow(iy, yOdd);
        convertRow(kind, converted, line, u + c * uPitch, v + c * vPitch, xOdd, sw, yo, cy, crv, cgu, cgv, cbu);
        line = converted;
      }
      nearestRow(out, line, offsets, dw, orMask);
      row0 = iy;
      continue;
    }
    const p = position(y, stepY, sh);
    const iy = p >> 16;
    const f = (p >> 8) & 255;
    if (iy != row0) {
      const t = h0;
      h0 = h1;
      h1 = t;
      const r = row0;
      row0 = row1;
      row1 = r;
    }
    // At most two turns: the upper row, then the lower one if it has any weight.
    for (let k: i32 = 0; k < 2; k++) {
      const want = iy + k;
      if (k ? f == 0 || want == row1 : want == row0) continue;
      let line = src + want * srcPitch;
      if (kind) {
        const c = chromaRow(want, yOdd);
        convertRow(kind, converted, line, u + c * uPitch, v + c * vPitch, xOdd, sw, yo, cy, crv, cgu, cgv, cbu);
        line = converted;
      }
      across(k ? h1 : h0, line, offsets, weights, dw, sw);
      if (k) row1 = want;
      else row0 = want;
    }
    down(out, h0, f ? h1 : h0, f, dw, orMask);
  }
}
