/**
 * Framebuffers: the checks of ADDFB2, as one pure function.
 *
 * Follows `drm_internal_framebuffer_create` and `framebuffer_check` in
 * `drivers/gpu/drm/drm_framebuffer.c`, in their order, and then the size check of
 * `drm_gem_fb_init_with_funcs`. The kernel answers all of them with a bare -EINVAL; here each
 * names the field. Looking up handles is the caller's work: this sees only their sizes.
 */
import { DmaBufError } from '@dmabuf/core';
import {
  DRM_FORMATS,
  formatInfo,
  fourccName,
  minPitch,
  planeHeight,
  planeWidth,
  type FormatInfo,
} from './fourcc.js';

/** Flag: interlaced framebuffer. */
export const DRM_MODE_FB_INTERLACED: number = 1 << 0;
/** Flag: `modifier` is filled in, and unused planes are zeroed. */
export const DRM_MODE_FB_MODIFIERS: number = 1 << 1;
/** Rows one after the other, no tiling: the one modifier of this display. */
export const DRM_FORMAT_MOD_LINEAR: bigint = 0n;
/** "No modifier": never valid in a request. */
export const DRM_FORMAT_MOD_INVALID: bigint = 0x00ff_ffff_ffff_ffffn;

/** Planes that `struct drm_mode_fb_cmd2` has room for. */
const MAX_PLANES = 4;
const U32_MAX = 0xffff_ffff;

/**
 * What stands behind a plane's handle: the size of its buffer in bytes, `'unknown'` when the
 * handle names no buffer, undefined when none was given.
 */
export type PlaneHandle = number | 'unknown' | undefined;

/** A request, field for field `struct drm_mode_fb_cmd2`. Missing array entries count as zero. */
export interface FramebufferRequest {
  readonly width: number;
  readonly height: number;
  /** Pixel format, for example `DRM_FORMAT_NV12`. */
  readonly fourcc: number;
  readonly flags?: number;
  readonly handles: readonly PlaneHandle[];
  /** Bytes from row to row, per plane. */
  readonly pitches: readonly number[];
  /** Byte offset of the first row in its buffer, per plane. */
  readonly offsets?: readonly number[];
  readonly modifier?: readonly bigint[];
}

/** What a display can scan out. */
export interface FramebufferLimits {
  readonly minWidth: number;
  readonly maxWidth: number;
  readonly minHeight: number;
  readonly maxHeight: number;
  readonly modifiers: readonly bigint[];
  /**
   * Whether pitch and offset of an RGB plane must be multiples of its pixel size. This display
   * reads whole pixels as words, so its own limits say true; DRM's core says false.
   */
  readonly wholePixels: boolean;
}

/** Limits of this display. */
export const KMS_FB_LIMITS: FramebufferLimits = Object.freeze({
  minWidth: 1,
  maxWidth: 8192,
  minHeight: 1,
  maxHeight: 8192,
  modifiers: Object.freeze([DRM_FORMAT_MOD_LINEAR]),
  wholePixels: true,
});

/** One plane of a checked framebuffer. */
export interface FramebufferPlane {
  /** Samples in a row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  readonly pitch: number;
  readonly offset: number;
  /** Bytes from `offset` to the last byte that scan-out reads. */
  readonly bytes: number;
}

/** The result: safe to scan out of buffers of the sizes that were given. */
export interface FramebufferGeometry {
  readonly width: number;
  readonly height: number;
  readonly format: FormatInfo;
  readonly flags: number;
  readonly modifier: bigint;
  readonly planes: readonly FramebufferPlane[];
}

function fail(code: 'EINVAL' | 'ERANGE' | 'ENOENT', detail: string): never {
  throw new DmaBufError(code, 'addfb2', detail);
}

/** A field of the request as the unsigned 32-bit number that the kernel's struct holds. */
function u32(field: string, value: number | undefined): number {
  const number = value ?? 0;
  if (!Number.isInteger(number) || number < 0 || number > U32_MAX) {
    throw new TypeError(`${field} must be an unsigned 32-bit integer, not ${number}`);
  }
  return number;
}

function checkFlagsAndSize(request: FramebufferRequest, limits: FramebufferLimits): void {
  const flags = u32('flags', request.flags);
  const unknown = flags & ~(DRM_MODE_FB_INTERLACED | DRM_MODE_FB_MODIFIERS);
  if (unknown !== 0) {
    fail('EINVAL', `flags has unknown bits 0x${(unknown >>> 0).toString(16)}`);
  }
  const width = u32('width', request.width);
  const height = u32('height', request.height);
  if (width === 0 || width < limits.minWidth || width > limits.maxWidth) {
    fail('EINVAL', `width ${width} is not between ${limits.minWidth} and ${limits.maxWidth}`);
  }
  if (height === 0 || height < limits.minHeight || height > limits.maxHeight) {
    fail('EINVAL', `height ${height} is not between ${limits.minHeight} and ${limits.maxHeight}`);
  }
}

function checkFormat(request: FramebufferRequest): FormatInfo {
  const fourcc = u32('fourcc', request.fourcc);
  const info = formatInfo(fourcc);
  if (info !== undefined) return info;
  const accepted = DRM_FORMATS.map((each) => each.name).join(', ');
  return fail('EINVAL', `fourcc ${fourccName(fourcc)} is not one of ${accepted}`);
}

function checkModifier(request: FramebufferRequest, plane: number): void {
  const modifier = request.modifier?.[plane] ?? 0n;
  const first = request.modifier?.[0] ?? 0n;
  const flagged = ((request.flags ?? 0) & DRM_MODE_FB_MODIFIERS) !== 0;
  const field = `modifier[${plane}] 0x${modifier.toString(16)}`;
  if (modifier !== 0n && !flagged) {
    fail('EINVAL', `${field} is set but flags lacks DRM_MODE_FB_MODIFIERS`);
  }
  if (flagged && modifier !== first) {
    fail('EINVAL', `${field} differs from modifier[0] 0x${first.toString(16)}`);
  }
}

function checkPlane(
  request: FramebufferRequest,
  info: FormatInfo,
  plane: number,
): FramebufferPlane {
  const width = planeWidth(info, plane, request.width);
  const height = planeHeight(info, plane, request.height);
  const pitch = u32(`pitches[${plane}]`, request.pitches[plane]);
  const offset = u32(`offsets[${plane}]`, request.offsets?.[plane]);
  const least = minPitch(info, plane, request.width);
  if (request.handles[plane] === undefined) {
    fail('EINVAL', `handles[${plane}] is missing: ${info.name} has ${info.cpp.length} plane(s)`);
  }
  // The products stay below 2^53, so the comparison is exact.
  if (least > U32_MAX || height * pitch + offset > U32_MAX) {
    fail(
      'ERANGE',
      `pitches[${plane}] ${pitch} × ${height} rows + offsets[${plane}] ${offset} overflows 32 bits`,
    );
  }
  if (pitch < least) {
    const what = `${width} samples of ${info.cpp[plane]} byte(s)`;
    fail('EINVAL', `pitches[${plane}] ${pitch} is below the minimum ${least} (${what})`);
  }
  checkModifier(request, plane);
  return { width, height, pitch, offset, bytes: (height - 1) * pitch + least };
}

/** Before the MODIFIERS flag existed callers left rubbish in unused planes: excused without it. */
function checkUnusedPlane(request: FramebufferRequest, info: FormatInfo, plane: number): void {
  const unused = `but ${info.name} has ${info.cpp.length} plane(s)`;
  const modifier = request.modifier?.[plane] ?? 0n;
  if (modifier !== 0n) {
    fail('EINVAL', `modifier[${plane}] 0x${modifier.toString(16)} is set ${unused}`);
  }
  if (((request.flags ?? 0) & DRM_MODE_FB_MODIFIERS) === 0) return;
  if (request.handles[plane] !== undefined) fail('EINVAL', `handles[${plane}] is set ${unused}`);
  const pitch = u32(`pitches[${plane}]`, request.pitches[plane]);
  if (pitch !== 0) fail('EINVAL', `pitches[${plane}] ${pitch} is set ${unused}`);
  const offset = u32(`offsets[${plane}]`, request.offsets?.[plane]);
  if (offset !== 0) fail('EINVAL', `offsets[${plane}] ${offset} is set ${unused}`);
}

function checkHardware(
  request: FramebufferRequest,
  info: FormatInfo,
  limits: FramebufferLimits,
): void {
  const modifier = request.modifier?.[0] ?? 0n;
  if (!limits.modifiers.includes(modifier)) {
    const accepted = limits.modifiers.map((each) => `0x${each.toString(16)}`).join(', ');
    fail(
      'EINVAL',
      `modifier[0] 0x${modifier.toString(16)} is not one of ${accepted} (0 is linear)`,
    );
  }
  const cpp = info.cpp[0] ?? 1;
  if (!limits.wholePixels || info.isYuv) return;
  const pitch = request.pitches[0] ?? 0;
  const offset = request.offsets?.[0] ?? 0;
  if (pitch % cpp !== 0) fail('EINVAL', `pitches[0] ${pitch} is not a multiple of ${cpp}`);
  if (offset % cpp !== 0) fail('EINVAL', `offsets[0] ${offset} is not a multiple of ${cpp}`);
}

function checkBacking(handle: PlaneHandle, index: number, plane: FramebufferPlane): void {
  if (handle === 'unknown') fail('ENOENT', `handles[${index}] names no buffer`);
  if (handle === undefined) return; // checkPlane has refused it already
  const needed = plane.offset + plane.bytes;
  if (handle < needed) {
    fail(
      'EINVAL',
      `handles[${index}] is a buffer of ${handle} bytes, but plane ${index} needs ${needed} ` +
        `((${plane.height} - 1) × pitch ${plane.pitch} + last row + offset ${plane.offset})`,
    );
  }
}

/**
 * Checks a framebuffer request as ADDFB2 does and returns its geometry. Changes nothing.
 *
 * Called by the driver half before it takes references on the buffers. Throws EINVAL naming the
 * field; ERANGE where pitch × height + offset overflows 32 bits; ENOENT for an unknown handle;
 * TypeError for a number that is no unsigned 32-bit integer. A request with several faults is
 * answered with the one that Linux would find first.
 */
export function checkFramebuffer(
  request: FramebufferRequest,
  limits: FramebufferLimits = KMS_FB_LIMITS,
): FramebufferGeometry {
  checkFlagsAndSize(request, limits);
  const format = checkFormat(request);
  const planes: FramebufferPlane[] = [];
  for (let plane = 0; plane < format.cpp.length; plane++) {
    planes.push(checkPlane(request, format, plane));
  }
  for (let plane = format.cpp.length; plane < MAX_PLANES; plane++) {
    checkUnusedPlane(request, format, plane);
  }
  checkHardware(request, format, limits);
  for (const [index, plane] of planes.entries()) {
    checkBacking(request.handles[index], index, plane);
  }
  return {
    width: request.width,
    height: request.height,
    format,
    flags: request.flags ?? 0,
    modifier: request.modifier?.[0] ?? DRM_FORMAT_MOD_LINEAR,
    planes,
  };
}
