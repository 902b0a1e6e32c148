/**
 * Pixel formats of a camera: how a picture of each lies in memory, tightly packed, and the colours of the packed ones.
 *
 * Follows Documentation/userspace-api/media/v4l: yuv-planar.rst, packed YUV, packed RGB. A pixel of XR24 is the bytes
 * B, G, R and one that is 0xff; of RGB3 R, G, B; two of YUYV are Y0, Cb, Y1, Cr, and a row of an odd number of pixels
 * ends in one that is not seen.
 */
import type { PictureFourcc } from './codec/codec.js';
import { type PlaneLayout, tightLayout } from './codec/planes.js';

/** One plane, pixel after pixel. */
export type PackedFourcc = 'YUYV' | 'XR24' | 'RGB3';
export type CameraFourcc = PictureFourcc | PackedFourcc;

/** In the order of ENUM_FMT. */
export const CAMERA_FORMATS: readonly CameraFourcc[] = ['YU12', 'NV12', 'YUYV', 'XR24', 'RGB3'];

/** Whether a format has one plane of whole pixels. */
export function isPacked(fourcc: CameraFourcc): fourcc is PackedFourcc {
  return fourcc === 'YUYV' || fourcc === 'XR24' || fourcc === 'RGB3';
}

/** The layout of a picture, and the bytes it takes. */
export function cameraLayout(
  fourcc: CameraFourcc,
  width: number,
  height: number,
): { readonly planes: readonly PlaneLayout[]; readonly byteLength: number } {
  if (!isPacked(fourcc)) return tightLayout(fourcc, width, height);
  const pitch = { YUYV: 4 * ((width + 1) >> 1), XR24: 4 * width, RGB3: 3 * width }[fourcc];
  return { planes: [{ offset: 0, pitch }], byteLength: pitch * height };
}

export type Colour = readonly [y: number, u: number, v: number];

/** R'G'B' of 0 to 255 from Y'CbCr of limited range, BT.601. */
function rgb([y, u, v]: Colour): readonly [r: number, g: number, b: number] {
  const [luma, cb, cr] = [(255 / 219) * (y - 16), u - 128, v - 128];
  // 2 (1 - Kr) and 2 (1 - Kb) for Kr = 0.299, Kb = 0.114; chroma has 224 steps.
  const [red, blue] = [(255 / 224) * 1.402 * cr, (255 / 224) * 1.772 * cb];
  const green = (0.299 * red + 0.114 * blue) / 0.587;
  return [byte(luma + red), byte(luma - green), byte(luma + blue)];
}

function byte(value: number): number {
  return Math.min(Math.max(Math.round(value), 0), 255);
}

/** The bytes of a colour, which a row of it repeats: two pixels of YUYV, one of the others. */
export function packedBytes(fourcc: PackedFourcc, colour: Colour): readonly number[] {
  const [y, u, v] = colour;
  if (fourcc === 'YUYV') return [y, u, y, v];
  const [r, g, b] = rgb(colour);
  return fourcc === 'XR24' ? [b, g, r, 255] : [r, g, b];
}

/** Interleaves tightly packed planes of 4:2:2 into YUYV; the bytes written. */
export function writeYuyv(
  dst: Uint8Array<ArrayBufferLike>,
  src: Uint8Array<ArrayBufferLike>,
  width: number,
  height: number,
): number {
  const pairs = (width + 1) >> 1;
  const chroma = width * height;
  let to = 0;
  for (let row = 0; row < height; row++) {
    const luma = row * width;
    for (let pair = 0; pair < pairs; pair++) {
      const x = 2 * pair;
      const u = chroma + row * pairs + pair;
      dst[to++] = src[luma + x] ?? 0;
      dst[to++] = src[u] ?? 0;
      dst[to++] = src[luma + Math.min(x + 1, width - 1)] ?? 0;
      dst[to++] = src[u + pairs * height] ?? 0;
    }
  }
  return to;
}
