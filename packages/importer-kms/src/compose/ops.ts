/**
 * What a composer does with rows of pixels in its memory; addresses and counts as numbers, unchecked.
 * `plainOps` says to the bit what each gives, `wasmOps` gives the same faster.
 */
export interface RowOps {
  /** `n` pixels of `src` over `dst`; see {@link PlainOps}. */
  blend(dst: number, src: number, n: number, coverage: number, alpha: number, orMask: number): void;
  /** `n` pixels of 5:6:5 as 32-bit ones. May write up to three more. */
  expand565(dst: number, src: number, n: number): void;
  /** Pixel i of `dst` is pixel `map[i]` of `src`. */
  gather(dst: number, src: number, map: number, n: number): void;
  /** `n` pixels of 4:2:0 Y′CbCr as 32-bit ones; the nine last are of {@link YuvCoefficients}. */
  yuv(
    dst: number,
    y: number,
    u: number,
    v: number,
    step: number,
    xOdd: number,
    n: number,
    yo: number,
    cy: number,
    crv: number,
    cgu: number,
    cgv: number,
    cbu: number,
  ): void;
}

/** Y′CbCr to RGB in units of 1/8192: `R = (cy·(Y − yo) + crv·(Cr − 128) + 4096) >> 13` and so on, clamped. */
export type YuvCoefficients = readonly [
  yo: number,
  cy: number,
  crv: number,
  cgu: number,
  cgv: number,
  cbu: number,
];

/** Kr and Kb of ITU-R BT.601 and BT.709, by COLOR_ENCODING. */
const LUMA_WEIGHTS = [
  [0.299, 0.114],
  [0.2126, 0.0722],
] as const;

/** The coefficients of a COLOR_ENCODING and a COLOR_RANGE. */
export function yuvCoefficients(encoding: number, range: number): YuvCoefficients {
  const [kr, kb] = LUMA_WEIGHTS[encoding] ?? LUMA_WEIGHTS[0];
  const kg = 1 - kr - kb;
  const limited = range === 0;
  const fixed = (factor: number): number => Math.round(factor * 8192);
  const chroma = limited ? 255 / 224 : 1;
  return [
    limited ? 16 : 0,
    fixed(limited ? 255 / 219 : 1),
    fixed(2 * (1 - kr) * chroma),
    fixed((-2 * (1 - kb) * kb * chroma) / kg),
    fixed((-2 * (1 - kr) * kr * chroma) / kg),
    fixed(2 * (1 - kb) * chroma),
  ];
}
