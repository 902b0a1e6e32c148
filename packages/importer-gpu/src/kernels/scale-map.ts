/**
 * Which source pixels make a destination pixel: the pixel-centre mapping in 16.16 fixed point.
 *
 * For a source of s pixels and a destination of d pixels along one axis, with >> and integer
 * arithmetic throughout: step = floor((s << 16) / d), and destination pixel i takes
 *
 *     nearest:   source pixel (i*step + (step >> 1)) >> 16
 *     bilinear:  p = clamp(i*step + (step >> 1) - 32768, 0, (s - 1) << 16),
 *                pixels p >> 16 and the next one, the latter with weight ((p >> 8) & 255) / 256
 *
 * All positions are relative to the source rectangle, whose edge pixels are repeated: nothing
 * outside it is read. A centre is off by less than d/65536 + 1/256 of a source pixel.
 */

/** Images are at most this wide and high, so that positions stay within 31 bits. */
export const MAX_SIZE = 16384;

/** The 16.16 distance in the source between neighbours in the destination. */
export function scaleStep(source: number, destination: number): number {
  return Math.floor((source * 65536) / destination);
}

export function nearestIndex(i: number, step: number): number {
  return (i * step + (step >> 1)) >> 16;
}

/** 16.16 position of the upper or left one of two pixels. */
export function bilinearPosition(i: number, step: number, source: number): number {
  const p = i * step + (step >> 1) - 32768;
  return Math.min(Math.max(p, 0), (source - 1) << 16);
}

const align16 = (n: number): number => Math.ceil(n / 16) * 16;

/**
 * Bytes of scratch that a scaling in wasm needs: column offsets and weights, two rows of sums,
 * and for a YCbCr source one converted row (the layout of assembly/scale.ts). 60 KiB from 1920 columns
 * to 1920; 512 KiB for the largest images.
 */
export function scaleScratchBytes(
  sourceWidth: number,
  destinationWidth: number,
  bilinear = true,
  yuv = true,
): number {
  const columns = align16(4 * destinationWidth);
  const sums = bilinear ? 3 * align16(8 * destinationWidth) : 0;
  return columns + sums + (yuv ? align16(4 * sourceWidth) : 0);
}
