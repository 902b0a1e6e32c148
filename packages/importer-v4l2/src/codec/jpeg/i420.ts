/**
 * A decoded JPEG picture, of whatever sampling, as I420 in a buffer: the one copy.
 */
import { checkPlanes, copyPlanes, type PlaneLayout, type SourcePlane } from '../planes.js';
import type { ComponentPlane, FramePlanes } from './frame-planes.js';

type Bytes = Uint8Array<ArrayBufferLike>;

/** Chroma of a grey picture. */
const NEUTRAL = 128;

function sourceOf({ offset, pitch, width, height }: ComponentPlane): SourcePlane {
  return { offset, pitch, width, rows: height };
}

/**
 * Writes a picture of `size` to three planes of `dst`. Returns the bytes written; throws `EINVAL` where
 * they do not fit, touching nothing.
 */
export function writeJpegI420(
  dst: Bytes,
  layout: readonly PlaneLayout[],
  { samples, planes }: FramePlanes,
  size: { readonly width: number; readonly height: number },
): number {
  const bytes = new Uint8Array(samples.buffer);
  const [luma, ...chroma] = planes;
  if (luma === undefined) throw new TypeError('a picture without planes');
  const halfWidth = (size.width + 1) >> 1;
  const halfRows = (size.height + 1) >> 1;
  const half = { offset: 0, pitch: 0, width: halfWidth, rows: halfRows };
  const [y, ...rest] = layout;
  checkPlanes(dst.length, layout, [sourceOf(luma), half, half]);
  let copied = y === undefined ? 0 : copyPlanes(dst, [y], bytes, [sourceOf(luma)]);
  rest.forEach((to, i) => {
    const plane = chroma[i];
    if (plane === undefined) fillPlane(dst, to, half);
    else if (plane.width === halfWidth && plane.height === halfRows) {
      copyPlanes(dst, [to], bytes, [sourceOf(plane)]);
    } else halvePlane(dst, to, bytes, plane, half);
    copied += halfWidth * halfRows;
  });
  return copied;
}

function fillPlane(dst: Bytes, to: PlaneLayout, { width, rows }: SourcePlane): void {
  for (let y = 0; y < rows; y++) {
    const at = to.offset + y * to.pitch;
    dst.fill(NEUTRAL, at, at + width);
  }
}

/** Averages samples in pairs where the plane has more than half the luma's: across, down, or both. */
function halvePlane(
  dst: Bytes,
  to: PlaneLayout,
  src: Bytes,
  plane: ComponentPlane,
  { width, rows }: SourcePlane,
): void {
  const across = plane.width > width ? 2 : 1;
  const down = plane.height > rows ? 2 : 1;
  for (let y = 0; y < rows; y++) {
    // The last row or column of an odd size stands alone.
    const upper = plane.offset + y * down * plane.pitch;
    const lower = y * down + 1 < plane.height && down === 2 ? upper + plane.pitch : upper;
    const at = to.offset + y * to.pitch;
    for (let x = 0; x < width; x++) {
      const left = x * across;
      const right = left + 1 < plane.width && across === 2 ? left + 1 : left;
      const sum =
        (src[upper + left] as number) +
        (src[upper + right] as number) +
        (src[lower + left] as number) +
        (src[lower + right] as number);
      dst[at + x] = (sum + 2) >> 2;
    }
  }
}
