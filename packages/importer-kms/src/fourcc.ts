/**
 * DRM pixel formats: how the planes of each fourcc lie in memory.
 *
 * Follows `include/uapi/drm/drm_fourcc.h` and `drivers/gpu/drm/drm_fourcc.c`. All formats are
 * little-endian as there: an XRGB8888 pixel read as one 32-bit word is 0xXXRRGGBB.
 */

/** `'XR24'`: 32-bit 0xXXRRGGBB, top byte ignored. */
export const DRM_FORMAT_XRGB8888: number = fourccCode('XR24');
/** `'AR24'`: 32-bit 0xAARRGGBB, colours multiplied by alpha as DRM planes take them. */
export const DRM_FORMAT_ARGB8888: number = fourccCode('AR24');
/** `'RG16'`: 16-bit, 5:6:5. */
export const DRM_FORMAT_RGB565: number = fourccCode('RG16');
/** `'NV12'`: Y plane, then interleaved Cb Cr at half width and half height. */
export const DRM_FORMAT_NV12: number = fourccCode('NV12');
/** `'YU12'`: Y, Cb and Cr planes, chroma at half width and half height. */
export const DRM_FORMAT_YUV420: number = fourccCode('YU12');

/** What `drm_format_info` says of one format. Frozen, shared by all users. */
export interface FormatInfo {
  /** The 32-bit code, for example {@link DRM_FORMAT_NV12}. */
  readonly fourcc: number;
  /** The constant's name without its prefix, for example `'NV12'`. */
  readonly name: string;
  /** Bytes per pixel (or per chroma sample pair) of each plane; one entry per plane. */
  readonly cpp: readonly number[];
  /** Horizontal subsampling of every plane but the first. */
  readonly hsub: number;
  /** Vertical subsampling of every plane but the first. */
  readonly vsub: number;
  readonly hasAlpha: boolean;
  readonly isYuv: boolean;
}

/** Where each plane of a frame lies in one buffer. */
export interface PlaneLayout {
  /** Bytes from one row to the next, per plane. */
  readonly pitches: readonly number[];
  /** Byte offset of the first row, per plane. */
  readonly offsets: readonly number[];
  /** Bytes that the whole frame takes. */
  readonly size: number;
}

function format(
  fourcc: number,
  name: string,
  cpp: readonly number[],
  sub: number,
  hasAlpha: boolean,
): FormatInfo {
  return Object.freeze({ fourcc, name, cpp, hsub: sub, vsub: sub, hasAlpha, isYuv: sub > 1 });
}

/** Every format that this display takes, in the order in which error texts list them. */
export const DRM_FORMATS: readonly FormatInfo[] = Object.freeze([
  format(DRM_FORMAT_XRGB8888, 'XRGB8888', [4], 1, false),
  format(DRM_FORMAT_ARGB8888, 'ARGB8888', [4], 1, true),
  format(DRM_FORMAT_RGB565, 'RGB565', [2], 1, false),
  format(DRM_FORMAT_NV12, 'NV12', [1, 2], 2, false),
  format(DRM_FORMAT_YUV420, 'YUV420', [1, 1, 1], 2, false),
]);

/** Packs four ASCII characters as `fourcc_code()` does, first character in the low byte. */
export function fourccCode(text: string): number {
  if (!/^[\x20-\x7e]{4}$/.test(text)) {
    throw new TypeError(`a fourcc is four printable ASCII characters, not ${JSON.stringify(text)}`);
  }
  let code = 0;
  for (let i = 3; i >= 0; i--) code = code * 256 + text.charCodeAt(i);
  return code;
}

/** The four characters of a code, or its hex value where one of them cannot be printed. */
export function fourccName(fourcc: number): string {
  let text = '';
  for (let shift = 0; shift < 32; shift += 8) {
    text += String.fromCharCode((fourcc >>> shift) & 0xff);
  }
  return /^[\x20-\x7e]{4}$/.test(text) ? text : `0x${(fourcc >>> 0).toString(16)}`;
}

/** The format of a code; undefined when this display does not know it. */
export function formatInfo(fourcc: number): FormatInfo | undefined {
  return DRM_FORMATS.find((info) => info.fourcc === fourcc);
}

/** Samples in a row of `plane`, for a frame of `width` pixels; odd widths round up. */
export function planeWidth(info: FormatInfo, plane: number, width: number): number {
  return plane === 0 ? width : Math.ceil(width / info.hsub);
}

/** Rows of `plane`, for a frame of `height` pixels; odd heights round up. */
export function planeHeight(info: FormatInfo, plane: number, height: number): number {
  return plane === 0 ? height : Math.ceil(height / info.vsub);
}

/** Least pitch of `plane` in bytes (`drm_format_info_min_pitch`). */
export function minPitch(info: FormatInfo, plane: number, width: number): number {
  const cpp = info.cpp[plane];
  if (cpp === undefined) throw new RangeError(`${info.name} has no plane ${plane}`);
  return planeWidth(info, plane, width) * cpp;
}

/**
 * Planes one after the other in one buffer, rows padded to `align` bytes (a power of two;
 * default 1: tight). For whoever allocates a framebuffer.
 */
export function frameLayout(
  info: FormatInfo,
  width: number,
  height: number,
  align = 1,
): PlaneLayout {
  const pitches: number[] = [];
  const offsets: number[] = [];
  let size = 0;
  for (let plane = 0; plane < info.cpp.length; plane++) {
    const pitch = Math.ceil(minPitch(info, plane, width) / align) * align;
    pitches.push(pitch);
    offsets.push(size);
    size += pitch * planeHeight(info, plane, height);
  }
  return { pitches, offsets, size };
}
