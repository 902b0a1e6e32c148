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
