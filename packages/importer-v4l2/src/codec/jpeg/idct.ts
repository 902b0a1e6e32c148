/**
 * The inverse DCT of 8x8 blocks: rows, then columns, each parted into even and odd coefficients, with
 * cosines of 14 bits and the rounding of FFmpeg's "simple" IDCT, so that pictures equal ffmpeg's bit for
 * bit. Well within IEEE 1180-1990.
 *
 * Nothing is allocated; zero rows, which are most, are not computed.
 */

/** cos(i π / 16) √2 2^14, rounded; W4 is rounded down, as FFmpeg has it. */
const W1 = 22725;
const W2 = 21407;
const W3 = 19266;
const W4 = 16383;
const W5 = 12873;
const W6 = 8867;
const W7 = 4520;

const ROW_SHIFT = 11;
const ROW_ROUND = 1 << (ROW_SHIFT - 1);
/** What the shift of the row pass comes to where a row is flat. */
const FLAT_SHIFT = 3;
const COLUMN_SHIFT = 20;
/** Half of 2^COLUMN_SHIFT, to be added before the multiplication. */
const COLUMN_ROUND = Math.trunc((1 << (COLUMN_SHIFT - 1)) / W4);
/** The level shift of 128, as part of the DC coefficient. */
const LEVEL = 128 << 3;

const mul = Math.imul;

/**
 * Transforms `block` (dequantised, row by row; zeroed on return) into 8 rows of 8 samples at `at`.
 *
 * `out` clamps by its type.
 */
export function inverseDct(
  block: Int32Array,
  out: Uint8ClampedArray<ArrayBuffer>,
  at: number,
  pitch: number,
): void {
  block[0] = (block[0] as number) + LEVEL;
  row(block, 0);
  let lower = 0;
  for (let i = 8; i < 32; i += 8) row(block, i);
  for (let i = 32; i < 64; i += 8) lower |= row(block, i);
  if (lower === 0) for (let x = 0; x < 8; x++) upperColumn(block, x, out, at + x, pitch);
  else for (let x = 0; x < 8; x++) column(block, x, out, at + x, pitch);
  block.fill(0);
}

/** Transforms a row in place; returns 0 if it was empty. */
function row(block: Int32Array, i: number): number {
  const s0 = block[i] as number;
  const s1 = block[i + 1] as number;
  const s2 = block[i + 2] as number;
  const s3 = block[i + 3] as number;
  const s4 = block[i + 4] as number;
  const s5 = block[i + 5] as number;
  const s6 = block[i + 6] as number;
  const s7 = block[i + 7] as number;
  const upper = s4 | s5 | s6 | s7;
  if ((s1 | s2 | s3 | upper) === 0) {
    if (s0 === 0) return 0;
    block.fill(s0 << FLAT_SHIFT, i, i + 8);
    return 1;
  }
  let a0 = mul(W4, s0) + ROW_ROUND;
  let a3 = a0 - mul(W2, s2);
  let a1 = a0 + mul(W6, s2);
  let a2 = a0 - mul(W6, s2);
  a0 += mul(W2, s2);
  let b0 = mul(W1, s1) + mul(W3, s3);
  let b1 = mul(W3, s1) - mul(W7, s3);
  let b2 = mul(W5, s1) - mul(W1, s3);
  let b3 = mul(W7, s1) - mul(W5, s3);
  if (upper !== 0) {
    const even = mul(W4, s4);
    a0 += even + mul(W6, s6);
    a1 -= even + mul(W2, s6);
    a2 -= even - mul(W2, s6);
    a3 += even - mul(W6, s6);
    b0 += mul(W5, s5) + mul(W7, s7);
    b1 -= mul(W1, s5) + mul(W5, s7);
    b2 += mul(W7, s5) + mul(W3, s7);
    b3 += mul(W3, s5) - mul(W1, s7);
  }
  block[i] = (a0 + b0) >> ROW_SHIFT;
  block[i + 7] = (a0 - b0) >> ROW_SHIFT;
  block[i + 1] = (a1 + b1) >> ROW_SHIFT;
  block[i + 6] = (a1 - b1) >> ROW_SHIFT;
  block[i + 2] = (a2 + b2) >> ROW_SHIFT;
  block[i + 5] = (a2 - b2) >> ROW_SHIFT;
  block[i + 3] = (a3 + b3) >> ROW_SHIFT;
  block[i + 4] = (a3 - b3) >> ROW_SHIFT;
  return 1;
}

function column(
  block: Int32Array,
  x: number,
  out: Uint8ClampedArray<ArrayBuffer>,
  at: number,
  pitch: number,
): void {
  const s1 = block[x + 8] as number;
  const s2 = block[x + 16] as number;
  const s3 = block[x + 24] as number;
  const s4 = block[x + 32] as number;
  const s5 = block[x + 40] as number;
  const s6 = block[x + 48] as number;
  const s7 = block[x + 56] as number;
  const dc = mul(W4, (block[x] as number) + COLUMN_ROUND);
  const even = mul(W4, s4);
  const a0 = dc + even + mul(W2, s2) + mul(W6, s6);
  const a1 = dc - even + mul(W6, s2) - mul(W2, s6);
  const a2 = dc - even - mul(W6, s2) + mul(W2, s6);
  const a3 = dc + even - mul(W2, s2) - mul(W6, s6);
  const b0 = mul(W1, s1) + mul(W3, s3) + mul(W5, s5) + mul(W7, s7);
  const b1 = mul(W3, s1) - mul(W7, s3) - mul(W1, s5) - mul(W5, s7);
  const b2 = mul(W5, s1) - mul(W1, s3) + mul(W7, s5) + mul(W3, s7);
  const b3 = mul(W7, s1) - mul(W5, s3) + mul(W3, s5) - mul(W1, s7);
  const end = at + 7 * pitch;
  out[at] = (a0 + b0) >> COLUMN_SHIFT;
  out[at + pitch] = (a1 + b1) >> COLUMN_SHIFT;
  out[at + 2 * pitch] = (a2 + b2) >> COLUMN_SHIFT;
  out[at + 3 * pitch] = (a3 + b3) >> COLUMN_SHIFT;
  out[end - 3 * pitch] = (a3 - b3) >> COLUMN_SHIFT;
  out[end - 2 * pitch] = (a2 - b2) >> COLUMN_SHIFT;
  out[end - pitch] = (a1 - b1) >> COLUMN_SHIFT;
  out[end] = (a0 - b0) >> COLUMN_SHIFT;
}

/** {@link column} where rows 4 to 7 are empty. */
function upperColumn(
  block: Int32Array,
  x: number,
  out: Uint8ClampedArray<ArrayBuffer>,
  at: number,
  pitch: number,
): void {
  const s1 = block[x + 8] as number;
  const s2 = block[x + 16] as number;
  const s3 = block[x + 24] as number;
  const dc = mul(W4, (block[x] as number) + COLUMN_ROUND);
  const a0 = dc + mul(W2, s2);
  const a1 = dc + mul(W6, s2);
  const a2 = dc - mul(W6, s2);
  const a3 = dc - mul(W2, s2);
  const b0 = mul(W1, s1) + mul(W3, s3);
  const b1 = mul(W3, s1) - mul(W7, s3);
  const b2 = mul(W5, s1) - mul(W1, s3);
  const b3 = mul(W7, s1) - mul(W5, s3);
  const end = at + 7 * pitch;
  out[at] = (a0 + b0) >> COLUMN_SHIFT;
  out[at + pitch] = (a1 + b1) >> COLUMN_SHIFT;
  out[at + 2 * pitch] = (a2 + b2) >> COLUMN_SHIFT;
  out[at + 3 * pitch] = (a3 + b3) >> COLUMN_SHIFT;
  out[end - 3 * pitch] = (a3 - b3) >> COLUMN_SHIFT;
  out[end - 2 * pitch] = (a2 - b2) >> COLUMN_SHIFT;
  out[end - pitch] = (a1 - b1) >> COLUMN_SHIFT;
  out[end] = (a0 - b0) >> COLUMN_SHIFT;
}

/** A block of which only the DC coefficient is not 0: what {@link inverseDct} makes of it. */
export function flatBlock(
  dc: number,
  out: Uint8ClampedArray<ArrayBuffer>,
  at: number,
  pitch: number,
): void {
  const sample = mul(W4, ((dc + LEVEL) << FLAT_SHIFT) + COLUMN_ROUND) >> COLUMN_SHIFT;
  for (let i = at, end = at + 8 * pitch; i < end; i += pitch) out.fill(sample, i, i + 8);
}
