/**
 * YCbCr to RGB: DRM's COLOR_ENCODING and COLOR_RANGE, as Q13 integers.
 *
 * The matrices are those of ITU-R BT.601 and BT.709 (Kr, Kb = 0.299, 0.114 and 0.2126, 0.0722).
 * With l = cy*(Y - yo), u = Cb - 128, v = Cr - 128, all integers, and >> the arithmetic shift:
 *
 *     R = clamp((l         + crv*v + 4096) >> 13)
 *     G = clamp((l + cgu*u + cgv*v + 4096) >> 13)        clamp to 0..255
 *     B = clamp((l + cbu*u         + 4096) >> 13)
 *
 * Each coefficient is the real one times 8192, rounded (off by at most 1/2), so before clamping
 * the result is within 0.5 + (239 + 128 + 128) / 2 / 8192 < 0.54 of the real-valued one (limited
 * range: Y - 16 goes to 239; full range: 255, bound 0.54 too). Chroma is replicated: the pixel at
 * column x, row y takes the sample at column x >> 1, row y >> 1 of the chroma plane.
 */

/*
 * And back: RGB to YCbCr, as Q15 integers, with the same matrices. All of (R, G, B) are integers:
 *
 *     Y  = clamp((yr*R + yg*G + yb*B + 16384 + (yo << 15)) >> 15)
 *     Cb = clamp((ur*R + ug*G + ub*B + 16384 + (128 << 15)) >> 15)      Cr likewise with vr, vg, vb
 *
 * The factors of green are what the rounded others leave of the whole, so that greys have exactly Cb = Cr = 128 and
 * white exactly 235 or 255. Off from the real-valued formula by at most 0.5 + 255 * 2 * 1.5 / 32768 < 0.53 before
 * clamping. A chroma sample is made of the mean (R, G, B) of its pixels: (a + b + c + d + 2) >> 2 of four, with
 * columns and rows beyond the edge repeated.
 */
export type ColorEncoding = 'bt601' | 'bt709';
export type ColorRange = 'limited' | 'full';

/** How the YCbCr of a source is to be read. Default: BT.709, limited range. */
export interface ColorSpec {
  readonly encoding: ColorEncoding;
  readonly range: ColorRange;
}

/** The integers of the formula above. */
export interface Coefficients {
  readonly yo: number;
  readonly cy: number;
  readonly crv: number;
  readonly cgu: number;
  readonly cgv: number;
  readonly cbu: number;
}

/** The integers of the way back. */
export interface Forward {
  readonly yo: number;
  readonly y: Weights;
  readonly u: Weights;
  readonly v: Weights;
}

/** Factors of B, G and R. */
export interface Weights {
  readonly b: number;
  readonly g: number;
  readonly r: number;
}

/** The largest distance from the real-valued formula, before clamping. */
export const CONVERT_ERROR_BOUND = 0.54;

const TABLE: Readonly<Record<ColorEncoding, Readonly<Record<ColorRange, Coefficients>>>> = {
  bt601: {
    limited: { yo: 16, cy: 9539, crv: 13075, cgu: -3209, cgv: -6660, cbu: 16525 },
    full: { yo: 0, cy: 8192, crv: 11485, cgu: -2819, cgv: -5850, cbu: 14516 },
  },
  bt709: {
    limited: { yo: 16, cy: 9539, crv: 14686, cgu: -1747, cgv: -4366, cbu: 17305 },
    full: { yo: 0, cy: 8192, crv: 12901, cgu: -1535, cgv: -3835, cbu: 15201 },
  },
};

export const DEFAULT_COLOR: ColorSpec = { encoding: 'bt709', range: 'limited' };

/** The integers for a colour space; TypeError for a name that is none. */
export function coefficients(color: ColorSpec = DEFAULT_COLOR): Coefficients {
  const found: Coefficients | undefined = TABLE[color.encoding]?.[color.range];
  if (found === undefined) {
    throw new TypeError(
      `color must be {encoding: 'bt601' | 'bt709', range: 'limited' | 'full'}, got ` +
        `{encoding: ${String(color.encoding)}, range: ${String(color.range)}}`,
    );
  }
  return found;
}

const Q15 = 32768;
const KR_KB = { bt601: [0.299, 0.114], bt709: [0.2126, 0.0722] } as const;

/** The integers of RGB to YCbCr; TypeError for a name that is none. */
export function forward(color: ColorSpec = DEFAULT_COLOR): Forward {
  const { yo } = coefficients(color);
  const [kr, kb] = KR_KB[color.encoding];
  const limited = color.range === 'limited';
  const luma = limited ? 219 / 255 : 1;
  const chroma = limited ? 224 / 255 : 1;
  const q = (value: number): number => Math.round(value * Q15);
  const rest = (whole: number, b: number, r: number): Weights => ({ b, g: whole - b - r, r });
  return {
    yo,
    y: rest(q(luma), q(kb * luma), q(kr * luma)),
    u: rest(0, q(0.5 * chroma), q((-kr / (2 * (1 - kb))) * chroma)),
    v: rest(0, q((-kb / (2 * (1 - kr))) * chroma), q(0.5 * chroma)),
  };
}
