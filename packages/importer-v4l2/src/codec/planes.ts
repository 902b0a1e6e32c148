/**
 * Planes of I420 and NV12 pictures: where they lie, and the one copy from a decoder's memory.
 *
 * Sizes follow drm_fourcc.h: chroma planes of odd sizes are rounded up. `set` of a subarray is the
 * fastest copy there is between plain, wasm and shared memory; rows are joined where pitches allow.
 */
import { DmaBufError } from '@dmabuf/core';
import type { PictureFourcc } from './codec.js';

/** Where one plane lies in a buffer: bytes to its first sample, bytes from row to row. */
export interface PlaneLayout {
  readonly offset: number;
  readonly pitch: number;
}

/** One plane to copy from; `width` in bytes. */
export interface SourcePlane {
  readonly offset: number;
  readonly pitch: number;
  readonly width: number;
  readonly rows: number;
}

/** Bytes a row and rows of each plane of a picture. */
export function planeSizes(
  fourcc: PictureFourcc,
  width: number,
  height: number,
): readonly { readonly width: number; readonly rows: number }[] {
  const chromaWidth = (width + 1) >> 1;
  const rows = (height + 1) >> 1;
  const luma = { width, rows: height };
  if (fourcc === 'NV12') return [luma, { width: 2 * chromaWidth, rows }];
  return [luma, { width: chromaWidth, rows }, { width: chromaWidth, rows }];
}

/** The layout of a tightly packed picture at `offset`, and the bytes it takes. */
export function tightLayout(
  fourcc: PictureFourcc,
  width: number,
  height: number,
  offset = 0,
): { readonly planes: readonly PlaneLayout[]; readonly byteLength: number } {
  let at = offset;
  const planes = planeSizes(fourcc, width, height).map((plane) => {
    const layout = { offset: at, pitch: plane.width };
    at += plane.width * plane.rows;
    return layout;
  });
  return { planes, byteLength: at - offset };
}

function check(size: number, plane: SourcePlane, index: number, to: PlaneLayout): void {
  const end = to.offset + (plane.rows - 1) * to.pitch + plane.width;
  if (to.offset >= 0 && to.pitch >= plane.width && end <= size) return;
  throw new DmaBufError(
    'EINVAL',
    'copy_picture',
    `plane ${index} (${plane.width} bytes by ${plane.rows} rows) at offset ${to.offset} with pitch ${to.pitch} ` +
      `ends at byte ${end} of a buffer of ${size}`,
  );
}

/** Throws `EINVAL` where a plane does not fit into a buffer of `size` bytes, or has no layout. */
export function checkPlanes(
  size: number,
  layout: readonly PlaneLayout[],
  planes: readonly SourcePlane[],
): void {
  if (layout.length !== planes.length) {
    const found = `${layout.length} plane layouts for a picture of ${planes.length} planes`;
    throw new DmaBufError('EINVAL', 'copy_picture', found);
  }
  layout.forEach((to, i) => {
    const plane = planes[i];
    if (plane !== undefined) check(size, plane, i, to);
  });
}

/**
 * Copies planes from `src` to `dst` and returns the bytes copied.
 *
 * Throws `EINVAL`, before anything is written, where a plane does not fit or has no layout.
 */
export function copyPlanes(
  dst: Uint8Array<ArrayBufferLike>,
  layout: readonly PlaneLayout[],
  src: Uint8Array<ArrayBufferLike>,
  planes: readonly SourcePlane[],
): number {
  checkPlanes(dst.length, layout, planes);
  let bytes = 0;
  layout.forEach((to, i) => {
    const plane = planes[i];
    if (plane !== undefined) bytes += copyPlane(dst, to, src, plane);
  });
  return bytes;
}

function copyPlane(
  dst: Uint8Array<ArrayBufferLike>,
  to: PlaneLayout,
  src: Uint8Array<ArrayBufferLike>,
  plane: SourcePlane,
): number {
  const { offset, pitch, width, rows } = plane;
  if (pitch === width && to.pitch === width) {
    dst.set(src.subarray(offset, offset + width * rows), to.offset);
  } else {
    for (let y = 0; y < rows; y++) {
      const row = offset + y * pitch;
      dst.set(src.subarray(row, row + width), to.offset + y * to.pitch);
    }
  }
  return width * rows;
}

/** A picture to read from: its planes lie in `data` as `planes` says. */
export interface PlanarPicture {
  readonly fourcc: PictureFourcc;
  readonly data: Uint8Array<ArrayBufferLike>;
  readonly planes: readonly PlaneLayout[];
  readonly width: number;
  readonly height: number;
}

/**
 * Writes a picture as I420 to three planes of `dst`, parting the chroma of NV12 on the way.
 *
 * Returns the bytes written. Throws `EINVAL` as `copyPlanes` does.
 */
export function writeI420(
  dst: Uint8Array<ArrayBufferLike>,
  layout: readonly PlaneLayout[],
  picture: PlanarPicture,
): number {
  const { fourcc, data, planes, width, height } = picture;
  const sources = planeSizes(fourcc, width, height).map((size, i): SourcePlane => ({
    ...size,
    ...(planes[i] ?? { offset: 0, pitch: 0 }),
  }));
  if (fourcc === 'YU12') return copyPlanes(dst, layout, data, sources);
  const [luma, chroma] = sources;
  const [y, u, v] = layout;
  if (luma === undefined || chroma === undefined || u === undefined || v === undefined) {
    const found = `${layout.length} plane layouts for a picture of 3 planes`;
    throw new DmaBufError('EINVAL', 'copy_picture', found);
  }
  const half = { ...chroma, width: chroma.width / 2 };
  check(dst.length, half, 1, u);
  check(dst.length, half, 2, v);
  const copied = copyPlanes(dst, y === undefined ? [] : [y], data, [luma]);
  for (let row = 0; row < chroma.rows; row++) {
    const from = chroma.offset + row * chroma.pitch;
    const toU = u.offset + row * u.pitch;
    const toV = v.offset + row * v.pitch;
    for (let x = 0; x < half.width; x++) {
      dst[toU + x] = data[from + 2 * x] ?? 0;
      dst[toV + x] = data[from + 2 * x + 1] ?? 0;
    }
  }
  return copied + chroma.width * chroma.rows;
}

/**
 * Writes a picture as NV12 to two planes of `dst`, joining the chroma of I420 on the way.
 *
 * Returns the bytes written. Throws `EINVAL` as `copyPlanes` does.
 */
export function writeNv12(
  dst: Uint8Array<ArrayBufferLike>,
  layout: readonly PlaneLayout[],
  { fourcc, data, planes, width, height }: PlanarPicture,
): number {
  const targets = planeSizes('NV12', width, height);
  const places = targets.map((size): SourcePlane => ({ offset: 0, pitch: 0, ...size }));
  checkPlanes(dst.length, layout, places);
  const [y, uv] = layout;
  const [luma, chroma] = targets;
  const [fromY, fromU, fromV] = planes;
  if (y === undefined || uv === undefined || luma === undefined || chroma === undefined) return 0;
  if (fromY === undefined || fromU === undefined) return 0;
  const copied = copyPlanes(dst, [y], data, [{ ...luma, ...fromY }]);
  if (fourcc === 'NV12') return copied + copyPlanes(dst, [uv], data, [{ ...chroma, ...fromU }]);
  if (fromV === undefined) return copied;
  for (let row = 0; row < chroma.rows; row++) {
    const to = uv.offset + row * uv.pitch;
    const u = fromU.offset + row * fromU.pitch;
    const v = fromV.offset + row * fromV.pitch;
    for (let x = 0; 2 * x < chroma.width; x++) {
      dst[to + 2 * x] = data[u + x] ?? 0;
      dst[to + 2 * x + 1] = data[v + x] ?? 0;
    }
  }
  return copied + chroma.width * chroma.rows;
}
