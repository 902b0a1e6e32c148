/**
 * The few words that bitstream parsers and decoders share about a picture: rectangle, colour.
 *
 * Named after ITU-T H.273 and V4L2 (`enum v4l2_ycbcr_encoding`, `enum v4l2_quantization`).
 */

/** A rectangle in luma samples. */
export interface Rect {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** How RGB was turned into Y'CbCr; `unspecified` where the stream does not say. */
export type ColourMatrix = 'bt601' | 'bt709' | 'smpte240m' | 'bt2020' | 'unspecified';

export interface Colour {
  /** `limited` is 16–235, `full` 0–255. */
  readonly range: 'limited' | 'full';
  readonly matrix: ColourMatrix;
}
