/**
 * The forward DCT of 8x8 blocks and its quantisation, in double precision: nothing but a tie can round
 * otherwise than with the plain DCT.
 *
 * Follows Arai, Agui and Nakajima, Trans. IEICE E71 (1988): the factors that its outputs lack are part of
 * the quantisation's divisors. Nothing is allocated.
 */
import { ZIGZAG } from './tables.js';

const C2 = Math.cos((2 * Math.PI) / 16);
const C4 = Math.SQRT1_2;
const C6 = Math.cos((6 * Math.PI) / 16);
const C2_MINUS_C6 = C2 - C6;
const C2_PLUS_C6 = C2 + C6;

/** What the transform's outputs are too large by, in each direction. */
const SCALE = Array.from({ length: 8 }, (_, k) =>
  k === 0 ? Math.sqrt(8) : 4 * Math.cos((k * Math.PI) / 16),
);

/** 1 / (step × scale) of each coefficient, row by row, for {@link quantise}. */
export function divisors(steps: Uint8Array): Float64Array {
  return Float64Array.from(
    steps,
    (step, i) => 1 / (step * (SCALE[i >> 3] ?? 1) * (SCALE[i & 7] ?? 1)),
  );
}

/** Transforms `block` (level-shifted samples, row by row) in place; the outputs are scaled. */
export function forwardDct(block: Float64Array): void {
  for (let i = 0; i < 64; i += 8) transform(block, i, 1);
  for (let i = 0; i < 8; i++) transform(block, i, 8);
}

function transform(block: Float64Array, at: number, by: number): void {
  const i1 = at + by;
  const i2 = i1 + by;
  const i3 = i2 + by;
  const i4 = i3 + by;
  const i5 = i4 + by;
  const i6 = i5 + by;
  const i7 = i6 + by;
  const s0 = block[at] as number;
  const s1 = block[i1] as number;
  const s2 = block[i2] as number;
  const s3 = block[i3] as number;
  const s4 = block[i4] as number;
  const s5 = block[i5] as number;
  const s6 = block[i6] as number;
  const s7 = block[i7] as number;

  const a0 = s0 + s7;
  const a1 = s1 + s6;
  const a2 = s2 + s5;
  const a3 = s3 + s4;
  const b0 = a0 + a3;
  const b1 = a1 + a2;
  const b3 = a0 - a3;
  const z1 = (a1 - a2 + b3) * C4;
  block[at] = b0 + b1;
  block[i4] = b0 - b1;
  block[i2] = b3 + z1;
  block[i6] = b3 - z1;

  const d4 = s3 - s4;
  const d5 = s2 - s5;
  const d6 = s1 - s6;
  const d7 = s0 - s7;
  const e0 = d4 + d5;
  const e2 = d6 + d7;
  const z5 = (e0 - e2) * C6;
  const z2 = e0 * C2_MINUS_C6 + z5;
  const z4 = e2 * C2_PLUS_C6 + z5;
  const z3 = (d5 + d6) * C4;
  const f0 = d7 + z3;
  const f1 = d7 - z3;
  block[i5] = f1 + z2;
  block[i3] = f1 - z2;
  block[i1] = f0 + z4;
  block[i7] = f0 - z4;
}

/** Makes a number positive before it is cut to a whole one, so that halves are rounded up. */
const BIAS = 32768;

/**
 * Quantises a transformed block into `out`, in zigzag order. Returns the place of the last coefficient that
 * is not 0; 0 where there is none but DC.
 */
export function quantise(block: Float64Array, divisor: Float64Array, out: Int32Array): number {
  let last = 0;
  for (let k = 0; k < 64; k++) {
    const i = ZIGZAG[k] as number;
    const value = ((block[i] as number) * (divisor[i] as number) + BIAS + 0.5) | 0;
    out[k] = value - BIAS;
    if (value !== BIAS) last = k;
  }
  return last;
}
