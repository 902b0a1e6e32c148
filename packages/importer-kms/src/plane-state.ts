/**
 * What a plane shows and where (`struct drm_plane_state`), as a plain value; how it lies in kernel
 * memory and in a job's payload. All fields are 32-bit integers.
 */
import { PLANE } from './registers.js';
import type { Words } from '@dmabuf/core/driver';

/** The pixel's own alpha is ignored: `plane·S + (1 − plane)·D`. */
export const DRM_MODE_BLEND_PIXEL_NONE = 0;
/** Colours are multiplied by alpha already: `plane·S + (1 − plane·A)·D`. */
export const DRM_MODE_BLEND_PREMULTI = 1;
/** Colours are not multiplied yet: `plane·A·S + (1 − plane·A)·D`. */
export const DRM_MODE_BLEND_COVERAGE = 2;

export const DRM_COLOR_YCBCR_BT601 = 0;
export const DRM_COLOR_YCBCR_BT709 = 1;
export const DRM_COLOR_YCBCR_LIMITED_RANGE = 0;
export const DRM_COLOR_YCBCR_FULL_RANGE = 1;

/** DRM_BLEND_ALPHA_OPAQUE. */
export const ALPHA_OPAQUE = 0xffff;

export interface PlaneState {
  /** Framebuffer id; 0: the plane is off. */
  readonly fb: number;
  /** Place and size on screen, pixels; may lie partly or wholly beside it. */
  readonly crtcX: number;
  readonly crtcY: number;
  readonly crtcW: number;
  readonly crtcH: number;
  /** The part of the framebuffer that is shown there, 16.16 pixels. */
  readonly srcX: number;
  readonly srcY: number;
  readonly srcW: number;
  readonly srcH: number;
  /** 0 (clear) to 0xffff (opaque), on top of the pixels' own. */
  readonly alpha: number;
  /** `DRM_MODE_BLEND_*`. */
  readonly blend: number;
  /** Planes are drawn in ascending order; of equal ones, the lower plane first. */
  readonly zpos: number;
  /** `DRM_COLOR_YCBCR_BT601` or `BT709`; for Y′CbCr formats. */
  readonly encoding: number;
  /** `DRM_COLOR_YCBCR_LIMITED_RANGE` or `FULL_RANGE`. */
  readonly range: number;
}

/** A plane and what it is to show. */
export interface PlaneUpdate {
  readonly plane: number;
  readonly state: PlaneState;
}

const FIELDS: readonly (keyof PlaneState)[] = [
  'fb',
  'crtcX',
  'crtcY',
  'crtcW',
  'crtcH',
  'srcX',
  'srcY',
  'srcW',
  'srcH',
  'alpha',
  'blend',
  'zpos',
  'encoding',
  'range',
];

/** A plane that is off. */
export function planeOff(zpos: number): PlaneState {
  return {
    fb: 0,
    crtcX: 0,
    crtcY: 0,
    crtcW: 0,
    crtcH: 0,
    srcX: 0,
    srcY: 0,
    srcW: 0,
    srcH: 0,
    alpha: ALPHA_OPAQUE,
    blend: DRM_MODE_BLEND_PREMULTI,
    zpos,
    encoding: DRM_COLOR_YCBCR_BT601,
    range: DRM_COLOR_YCBCR_LIMITED_RANGE,
  };
}

/** A framebuffer's upper left part, of the size of the screen, all over it. */
export function fullScreen(
  old: PlaneState,
  fb: number,
  hdisplay: number,
  vdisplay: number,
): PlaneState {
  return {
    ...old,
    fb,
    crtcX: 0,
    crtcY: 0,
    crtcW: hdisplay,
    crtcH: vdisplay,
    srcX: 0,
    srcY: 0,
    srcW: hdisplay * 65536,
    srcH: vdisplay * 65536,
  };
}

export function samePlane(a: PlaneState, b: PlaneState): boolean {
  return FIELDS.every((field) => a[field] === b[field]);
}

/** Reads the record at word `at`. */
export function readPlane(words: Words, at: number): PlaneState {
  const get = (field: number): number => words.get(at + field);
  return {
    fb: get(PLANE.FB),
    crtcX: get(PLANE.CRTC_X),
    crtcY: get(PLANE.CRTC_Y),
    crtcW: get(PLANE.CRTC_W),
    crtcH: get(PLANE.CRTC_H),
    // Of a plane that is off they may be anything that a property takes.
    srcX: get(PLANE.SRC_X) >>> 0,
    srcY: get(PLANE.SRC_Y) >>> 0,
    srcW: get(PLANE.SRC_W) >>> 0,
    srcH: get(PLANE.SRC_H) >>> 0,
    alpha: get(PLANE.ALPHA),
    blend: get(PLANE.BLEND),
    zpos: get(PLANE.ZPOS),
    encoding: get(PLANE.ENCODING),
    range: get(PLANE.RANGE),
  };
}

/** Writes a record that is not in force. */
export function writePlane(words: Words, at: number, state: PlaneState): void {
  for (let i = 0; i < FIELDS.length; i++) words.set(at + i, state[FIELDS[i] ?? 'fb']);
}

/** As part of a payload. */
export function encodePlane({ plane, state }: PlaneUpdate): number[] {
  const shown = state.fb === 0 ? { ...state, srcX: 0, srcY: 0, srcW: 0, srcH: 0 } : state;
  return [plane, ...FIELDS.map((field) => shown[field])];
}

/** Out of a payload; undefined for what is none. */
export function decodePlane(value: unknown, planes: number): PlaneUpdate | undefined {
  const fields: unknown[] = Array.isArray(value) ? value : [];
  const numbers = fields.filter((each) => isInt32(each));
  if (numbers.length !== FIELDS.length + 1 || fields.length !== numbers.length) return undefined;
  const [plane = -1, fb = -1, ...rest] = numbers;
  const [crtcX = 0, crtcY = 0, crtcW = 0, crtcH = 0, srcX = 0, srcY = 0, srcW = 0, srcH = 0] = rest;
  const [alpha = 0, blend = 0, zpos = 0, encoding = 0, range = 0] = rest.slice(8);
  const sane = plane >= 0 && plane < planes && fb >= 0 && crtcW >= 0 && crtcH >= 0;
  if (!sane || srcX < 0 || srcY < 0 || srcW < 0 || srcH < 0) return undefined;
  const place = { crtcX, crtcY, crtcW, crtcH, srcX, srcY, srcW, srcH };
  return { plane, state: { fb, ...place, alpha, blend, zpos, encoding, range } };
}

function isInt32(value: unknown): value is number {
  return typeof value === 'number' && (value | 0) === value;
}
