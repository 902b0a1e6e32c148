/**
 * DRM pixel formats: codes and plane layouts, after include/uapi/drm/drm_fourcc.h and
 * drivers/gpu/drm/drm_fourcc.c (`struct drm_format_info`).
 *
 * A code names a little-endian word: XRGB8888 is bytes B, G, R, X in memory. A plane is rows of
 * *blocks*; a block holds `hsub` x `vsub` pixels of the image in `bytes` bytes. An odd size rounds
 * up: 5 x 3 pixels of NV12 have 3 x 2 chroma blocks.
 */

/** A DRM format code, four ASCII characters, first one in the low byte. */
export type FourCC = number;

/** 'XR24': 32-bit words x:R:G:B, bytes B, G, R, X. */
export const DRM_FORMAT_XRGB8888: FourCC = 0x34325258;
/** 'AR24': 32-bit words A:R:G:B, bytes B, G, R, A. */
export const DRM_FORMAT_ARGB8888: FourCC = 0x34325241;
/** 'RG16': 16-bit words R:G:B 5:6:5. */
export const DRM_FORMAT_RGB565: FourCC = 0x36314752;
/** 'NV12': Y; then Cb, Cr interleaved, 2x2 subsampled. */
export const DRM_FORMAT_NV12: FourCC = 0x3231564e;
/** 'NV21': Y; then Cr, Cb interleaved, 2x2 subsampled. */
export const DRM_FORMAT_NV21: FourCC = 0x3132564e;
/** 'YU12', also called I420: Y; Cb; Cr, 2x2 subsampled. */
export const DRM_FORMAT_YUV420: FourCC = 0x32315559;
/** 'YUYV': bytes Y0, Cb, Y1, Cr for two pixels. */
export const DRM_FORMAT_YUYV: FourCC = 0x56595559;
/** 'P010': as NV12 in 16-bit words, the 10 bits of each on top. */
export const DRM_FORMAT_P010: FourCC = 0x30313050;

/** One plane: a block of `hsub` x `vsub` pixels takes `bytes` bytes. */
export interface PlaneInfo {
  readonly hsub: number;
  readonly vsub: number;
  readonly bytes: number;
}

export interface FormatInfo {
  readonly fourcc: FourCC;
  /** The constant's name without its prefix: `'XRGB8888'`. */
  readonly name: string;
  readonly planes: readonly PlaneInfo[];
  readonly hasAlpha: boolean;
  readonly isYuv: boolean;
}

/** Where a plane starts and how far apart its rows are, in bytes. */
export interface PlaneLayout {
  readonly offset: number;
  readonly pitch: number;
}

const full = (bytes: number): PlaneInfo => ({ hsub: 1, vsub: 1, bytes });
const quarter = (bytes: number): PlaneInfo => ({ hsub: 2, vsub: 2, bytes });

function rgb(fourcc: FourCC, name: string, bytes: number, hasAlpha: boolean): FormatInfo {
  return { fourcc, name, planes: [full(bytes)], hasAlpha, isYuv: false };
}

function yuv(fourcc: FourCC, name: string, planes: readonly PlaneInfo[]): FormatInfo {
  return { fourcc, name, planes, hasAlpha: false, isYuv: true };
}

const FORMATS: ReadonlyMap<FourCC, FormatInfo> = new Map(
  [
    rgb(DRM_FORMAT_XRGB8888, 'XRGB8888', 4, false),
    rgb(DRM_FORMAT_ARGB8888, 'ARGB8888', 4, true),
    rgb(DRM_FORMAT_RGB565, 'RGB565', 2, false),
    yuv(DRM_FORMAT_NV12, 'NV12', [full(1), quarter(2)]),
    yuv(DRM_FORMAT_NV21, 'NV21', [full(1), quarter(2)]),
    yuv(DRM_FORMAT_YUV420, 'YUV420', [full(1), quarter(1), quarter(1)]),
    yuv(DRM_FORMAT_YUYV, 'YUYV', [{ hsub: 2, vsub: 1, bytes: 4 }]),
    yuv(DRM_FORMAT_P010, 'P010', [full(2), quarter(4)]),
  ].map((info) => [info.fourcc, info]),
);

/** All codes that this project knows. */
export const DRM_FORMATS: readonly FourCC[] = [...FORMATS.keys()];

/** The layout of a format, or undefined for a code that this project does not know. */
export function formatInfo(fourcc: FourCC): FormatInfo | undefined {
  return FORMATS.get(fourcc);
}

/** `'XRGB8888'`, or for a stranger its four characters quoted, for messages. */
export function formatName(fourcc: FourCC): string {
  const known = FORMATS.get(fourcc);
  if (known !== undefined) return known.name;
  const bytes = [0, 8, 16, 24].map((shift) => (fourcc >>> shift) & 255);
  return `'${bytes.map((b) => (b > 32 && b < 127 ? String.fromCharCode(b) : '?')).join('')}'`;
}

/** Bytes that one row of a plane needs for `width` pixels: the least pitch. */
export function minPitch(plane: PlaneInfo, width: number): number {
  return Math.ceil(width / plane.hsub) * plane.bytes;
}

/** Rows of a plane for an image of `height` rows. */
export function planeHeight(plane: PlaneInfo, height: number): number {
  return Math.ceil(height / plane.vsub);
}

/**
 * The planes of an image one after the other in one buffer, every pitch a multiple of `align`
 * (bytes; 1 packs tightly). `size` is what the buffer must hold. RangeError for an unknown code.
 */
export function packedLayout(
  fourcc: FourCC,
  width: number,
  height: number,
  align = 1,
): { readonly planes: readonly PlaneLayout[]; readonly size: number } {
  const info = FORMATS.get(fourcc);
  if (info === undefined) throw new RangeError(`unknown pixel format ${formatName(fourcc)}`);
  let size = 0;
  const planes = info.planes.map((plane) => {
    const pitch = Math.ceil(minPitch(plane, width) / align) * align;
    const offset = size;
    size += pitch * planeHeight(plane, height);
    return { offset, pitch };
  });
  return { planes, size };
}
