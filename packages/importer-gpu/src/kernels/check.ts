/**
 * Bounds and format checks of kernel arguments: everything that may be wrong is found here, before
 * the first byte is touched. Returns spans: addresses of the first pixel of a rectangle.
 */
import { DmaBufError } from '@dmabuf/core';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_NV21,
  DRM_FORMAT_P010,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  DRM_FORMAT_YUYV,
  formatInfo,
  formatName,
  minPitch,
  planeHeight,
  type FormatInfo,
  type FourCC,
  type PlaneLayout,
} from '../fourcc.js';
import type { Image, Rect, Rows } from './kernels.js';
import { LAYOUT, type Layout, type PackedSpan, type Span } from './ops.js';
import { MAX_SIZE } from './scale-map.js';

export const RGB32: readonly FourCC[] = [DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888];
/** What is converted to 32-bit pixels. */
export const PACKED: readonly FourCC[] = [
  DRM_FORMAT_YUV420,
  DRM_FORMAT_NV12,
  DRM_FORMAT_NV21,
  DRM_FORMAT_YUYV,
  DRM_FORMAT_P010,
  DRM_FORMAT_RGB565,
];
/** What 32-bit pixels are converted to. */
export const PACKABLE: readonly FourCC[] = PACKED.filter((fourcc) => fourcc !== DRM_FORMAT_P010);

export function fail(call: string, detail: string): never {
  throw new DmaBufError('EINVAL', call, detail);
}

function integers(what: string, ...values: readonly number[]): void {
  for (const value of values) {
    if (!Number.isInteger(value))
      throw new TypeError(`${what} must be integers, got ${String(value)}`);
  }
}

/** `9x8+8+0`. */
export function show(r: Rect): string {
  return `${r.width}x${r.height}+${r.x}+${r.y}`;
}

/** Checks the image's own description and that its format is one of `allowed` (or known at all). */
export function checkImage(
  call: string,
  role: string,
  image: Image,
  allowed?: readonly FourCC[],
): FormatInfo {
  const { width, height, byteOffset, byteLength, planes } = image;
  integers(`${call}: ${role} image`, width, height, byteOffset, byteLength);
  const info = formatInfo(image.fourcc);
  if (info === undefined || (allowed !== undefined && !allowed.includes(image.fourcc))) {
    const accepted =
      allowed === undefined ? 'a known DRM format' : allowed.map(formatName).join(', ');
    fail(call, `${role} image is ${formatName(image.fourcc)}; this kernel takes ${accepted}`);
  }
  if (width < 1 || height < 1 || width > MAX_SIZE || height > MAX_SIZE) {
    fail(call, `${role} image is ${width}x${height}; sizes go from 1x1 to ${MAX_SIZE}x${MAX_SIZE}`);
  }
  if (byteOffset < 0 || byteLength < 0 || byteOffset + byteLength > image.memory.byteLength) {
    fail(
      call,
      `${role} buffer, ${byteLength} bytes from ${byteOffset}, leaves its region of ${image.memory.byteLength}`,
    );
  }
  if (planes.length !== info.planes.length) {
    fail(call, `${role} image has ${planes.length} planes; ${info.name} has ${info.planes.length}`);
  }
  info.planes.forEach((plane, i) => {
    const { offset, pitch } = planeAt(image, i);
    integers(`${call}: ${role} plane ${i}`, offset, pitch);
    const least = minPitch(plane, width);
    if (pitch < least)
      fail(call, `${role} plane ${i} has pitch ${pitch}; ${width} pixels need ${least}`);
    const end = offset + (planeHeight(plane, height) - 1) * pitch + least;
    if (offset < 0 || end > byteLength) {
      fail(call, `${role} plane ${i} takes bytes ${offset} to ${end} of a buffer of ${byteLength}`);
    }
  });
  return info;
}

export function planeAt(image: Image, index: number): PlaneLayout {
  const plane = image.planes[index];
  if (plane === undefined) throw new RangeError(`image has no plane ${index}`);
  return plane;
}

export function checkRect(
  call: string,
  role: string,
  image: Pick<Image, 'width' | 'height'>,
  rect: Rect,
): void {
  const { x, y, width, height } = rect;
  integers(`${call}: ${role} rectangle`, x, y, width, height);
  if (width < 1 || height < 1) fail(call, `${role} rectangle ${show(rect)} is empty`);
  if (x < 0 || y < 0 || x + width > image.width || y + height > image.height) {
    fail(
      call,
      `${role} rectangle ${show(rect)} leaves its image of ${image.width}x${image.height}`,
    );
  }
}

/** What to do where sizes differ, by the kernel that found it. */
const SIZE_ADVICE: ReadonlyMap<string, string> = new Map([
  ['copy', 'use blit, which scales'],
  ['blend', 'blit it to that size first'],
  ['pack', 'only 32-bit pixels are scaled: blit to an image of those first'],
]);

export function checkSameSize(call: string, to: Rect, from: Rect): void {
  if (to.width !== from.width || to.height !== from.height) {
    const detail = `source rectangle ${show(from)} and destination ${show(to)} differ in size`;
    fail(call, `${detail}; ${SIZE_ADVICE.get(call) ?? 'use scale'}`);
  }
}

export function checkRows(call: string, to: Rect, rows: Rows | undefined): Rows {
  if (rows === undefined) return { y0: 0, y1: to.height };
  integers(`${call}: rows`, rows.y0, rows.y1);
  if (rows.y0 < 0 || rows.y1 < rows.y0 || rows.y1 > to.height) {
    fail(call, `rows ${rows.y0} to ${rows.y1} leave the destination rectangle's ${to.height}`);
  }
  return rows;
}

/** The span of a rectangle of 32-bit pixels. */
export function rgbSpan(image: Image, rect: Rect): Span {
  const { offset, pitch } = planeAt(image, 0);
  return {
    memory: image.memory,
    base: image.byteOffset + offset + rect.y * pitch + rect.x * 4,
    pitch,
  };
}

const LAYOUTS: ReadonlyMap<FourCC, Layout> = new Map<FourCC, Layout>([
  [DRM_FORMAT_YUV420, LAYOUT.PLANAR],
  [DRM_FORMAT_NV12, LAYOUT.SEMIPLANAR],
  [DRM_FORMAT_NV21, LAYOUT.SEMIPLANAR],
  [DRM_FORMAT_YUYV, LAYOUT.YUYV],
  [DRM_FORMAT_P010, LAYOUT.P010],
  [DRM_FORMAT_RGB565, LAYOUT.RGB565],
]);

/** The spans of a rectangle of one of {@link PACKED}. */
export function packedSpan(image: Image, rect: Rect): PackedSpan {
  const layout = LAYOUTS.get(image.fourcc);
  const info = formatInfo(image.fourcc);
  if (layout === undefined || info === undefined) throw new RangeError('no packed format');
  const at = (index: number): { readonly base: number; readonly pitch: number } => {
    const { offset, pitch } = planeAt(image, index);
    const { hsub = 1, vsub = 1, bytes = 0 } = info.planes[index] ?? {};
    const [x, y] = [Math.floor(rect.x / hsub), Math.floor(rect.y / vsub)];
    return { base: image.byteOffset + offset + y * pitch + x * bytes, pitch };
  };
  const luma = at(0);
  const chroma = info.planes.length > 1 ? at(1) : { base: 0, pitch: 0 };
  const last = info.planes.length > 2 ? at(2) : chroma;
  // Where Cb and Cr are in their pair.
  const swapped = image.fourcc === DRM_FORMAT_NV21;
  const second = layout === LAYOUT.SEMIPLANAR ? 1 : 0;
  const rgb = layout === LAYOUT.RGB565;
  return {
    ...{ memory: image.memory, layout, base: luma.base, pitch: luma.pitch },
    ...{ u: chroma.base + (swapped ? second : 0), uPitch: chroma.pitch },
    ...{ v: last.base + (swapped ? 0 : second), vPitch: last.pitch },
    xOdd: !rgb && (rect.x & 1) === 1 ? 1 : 0,
    yOdd: info.planes.length > 1 && (rect.y & 1) === 1 ? 1 : 0,
  };
}

/** A rectangle of one plane in bytes. */
interface Block {
  readonly memory: ArrayBufferLike;
  readonly base: number;
  readonly pitch: number;
  readonly rowBytes: number;
  readonly rows: number;
}

/** The bytes that a rectangle takes in each plane. */
export function blocks(image: Image, info: FormatInfo, rect: Rect): readonly Block[] {
  return info.planes.map((plane, i) => {
    const { offset, pitch } = planeAt(image, i);
    const x = Math.floor(rect.x / plane.hsub);
    const y = Math.floor(rect.y / plane.vsub);
    return {
      memory: image.memory,
      base: image.byteOffset + offset + y * pitch + x * plane.bytes,
      pitch,
      rowBytes: (Math.ceil((rect.x + rect.width) / plane.hsub) - x) * plane.bytes,
      rows: Math.ceil((rect.y + rect.height) / plane.vsub) - y,
    };
  });
}

/** True if two rectangles have a byte in common (exact for one pitch, else by their ranges). */
export function overlaps(a: Block, b: Block): boolean {
  if (a.memory !== b.memory) return false;
  const [low, high] = a.base <= b.base ? [a, b] : [b, a];
  if (low.base + (low.rows - 1) * low.pitch + low.rowBytes <= high.base) return false;
  if (low.pitch !== high.pitch) return true;
  const distance = (high.base - low.base) % low.pitch;
  return distance < low.rowBytes || distance + high.rowBytes > low.pitch;
}

export function checkApart(call: string, dst: readonly Block[], src: readonly Block[]): void {
  if (dst.some((d) => src.some((s) => overlaps(d, s)))) {
    fail(call, 'source and destination rectangles overlap in memory; use a third buffer');
  }
}
