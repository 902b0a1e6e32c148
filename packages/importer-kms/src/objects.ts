/**
 * The mode objects of a display and their properties (drm_mode_object.c, drm_mode_config.c).
 *
 * Objects are there from boot to shutdown, so ids and tables are constants of a display's options. An id
 * belongs to one object of whatever kind: framebuffers have those whose low byte is not 0.
 */
import { DmaBufError } from '@dmabuf/core';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_YUV420,
  formatInfo,
  fourccName,
} from './fourcc.js';
import { PRIMARY_FORMATS } from './plane.js';

/** Values of a connector's DPMS; the two between are as off. */
export const DRM_MODE_DPMS_ON = 0;
export const DRM_MODE_DPMS_OFF = 3;

/** Values of a connector's link-status. */
export const DRM_MODE_LINK_STATUS_GOOD = 0;
export const DRM_MODE_LINK_STATUS_BAD = 1;

export const DRM_PLANE_TYPE_OVERLAY = 0;
export const DRM_PLANE_TYPE_PRIMARY = 1;
export const DRM_PLANE_TYPE_CURSOR = 2;

/** What a property takes: `DRM_MODE_PROP_*`. */
export type PropertyKind =
  | { readonly kind: 'range'; readonly min: number; readonly max: number }
  | { readonly kind: 'enum'; readonly values: Readonly<Record<string, number>> }
  | { readonly kind: 'object'; readonly of: 'framebuffer' | 'crtc' }
  | { readonly kind: 'blob' }
  | { readonly kind: 'sync_file' }
  | { readonly kind: 'pointer' };

/** A property that objects have. */
export interface PropertyInfo {
  readonly id: number;
  readonly name: string;
  readonly type: PropertyKind;
  /** It can be read and not set. */
  readonly immutable: boolean;
}

export type ObjectKind = 'crtc' | 'plane' | 'connector';

interface ModeObject {
  /** DRM object id, unique among all objects of the display. */
  readonly id: number;
  /** For messages: `overlay-1`. */
  readonly name: string;
  readonly properties: readonly PropertyInfo[];
}

export interface CrtcObject extends ModeObject {
  readonly kind: 'crtc';
}

export interface PlaneObject extends ModeObject {
  readonly kind: 'plane';
  /** Its place in the display's list of planes. */
  readonly index: number;
  /** `DRM_PLANE_TYPE_*`. */
  readonly type: number;
  /** fourccs that it scans out. */
  readonly formats: readonly number[];
  /** Greatest factor by which it enlarges, and reduces; 1: it does not scale. */
  readonly maxScale: number;
}

export interface ConnectorObject extends ModeObject {
  readonly kind: 'connector';
  /** Of a writeback connector: the fourccs that it writes. */
  readonly formats: readonly number[] | undefined;
}

export type DisplayObject = CrtcObject | PlaneObject | ConnectorObject;

/** All objects of a display. */
export interface DisplayObjects {
  readonly crtc: CrtcObject;
  /** Primary, overlays, cursor. */
  readonly planes: readonly PlaneObject[];
  readonly primary: PlaneObject;
  readonly overlays: readonly PlaneObject[];
  readonly cursor: PlaneObject;
  readonly connector: ConnectorObject;
  /** Writes what is on screen into a framebuffer. */
  readonly writeback: ConnectorObject;
}

const CRTC_ID = 0x100;
const FIRST_PLANE_ID = 0x200;
const CONNECTOR_ID = 0x1000;
const WRITEBACK_ID = 0x1100;
const FIRST_PROPERTY_ID = 0x2000;
/** Least and greatest of what a 32-bit signed range takes. */
const INT_MIN = -0x8000_0000;
const INT_MAX = 0x7fff_ffff;
const U32_MAX = 0xffff_ffff;
const MAX_SCALE = 16;

const OVERLAY_FORMATS: readonly number[] = [...PRIMARY_FORMATS, DRM_FORMAT_NV12, DRM_FORMAT_YUV420];

let lastProperty = FIRST_PROPERTY_ID;

function property(name: string, type: PropertyKind, immutable = false): PropertyInfo {
  lastProperty += 0x100;
  return Object.freeze({ id: lastProperty, name, type, immutable });
}

const range = (min: number, max: number): PropertyKind => ({ kind: 'range', min, max });

const TYPE = property(
  'type',
  { kind: 'enum', values: { Overlay: 0, Primary: 1, Cursor: 2 } },
  true,
);
const CRTC_ID_PROPERTY = property('CRTC_ID', { kind: 'object', of: 'crtc' });
const PLANE_PROPERTIES: readonly PropertyInfo[] = [
  TYPE,
  property('FB_ID', { kind: 'object', of: 'framebuffer' }),
  property('IN_FENCE_FD', { kind: 'sync_file' }),
  CRTC_ID_PROPERTY,
  property('CRTC_X', range(INT_MIN, INT_MAX)),
  property('CRTC_Y', range(INT_MIN, INT_MAX)),
  property('CRTC_W', range(0, INT_MAX)),
  property('CRTC_H', range(0, INT_MAX)),
  property('SRC_X', range(0, U32_MAX)),
  property('SRC_Y', range(0, U32_MAX)),
  property('SRC_W', range(0, U32_MAX)),
  property('SRC_H', range(0, U32_MAX)),
  property('alpha', range(0, 0xffff)),
  property('pixel blend mode', {
    kind: 'enum',
    values: { None: 0, 'Pre-multiplied': 1, Coverage: 2 },
  }),
];
const ENCODING = property('COLOR_ENCODING', {
  kind: 'enum',
  values: { 'ITU-R BT.601 YCbCr': 0, 'ITU-R BT.709 YCbCr': 1 },
});
const RANGE = property('COLOR_RANGE', {
  kind: 'enum',
  values: { 'YCbCr limited range': 0, 'YCbCr full range': 1 },
});
const ZPOS = [10, 9, 8, 7, 6, 5, 4, 3, 2].map((planes) => property('zpos', range(0, planes - 1)));
const CRTC_PROPERTIES: readonly PropertyInfo[] = [
  property('ACTIVE', range(0, 1)),
  property('MODE_ID', { kind: 'blob' }),
  property('OUT_FENCE_PTR', { kind: 'pointer' }),
  property('VRR_ENABLED', range(0, 1)),
];
const CONNECTOR_PROPERTIES: readonly PropertyInfo[] = [
  CRTC_ID_PROPERTY,
  property('DPMS', { kind: 'enum', values: { On: 0, Standby: 1, Suspend: 2, Off: 3 } }),
  property('vrr_capable', range(0, 1), true),
  property('link-status', { kind: 'enum', values: { Good: 0, Bad: 1 } }),
];
const WRITEBACK_PROPERTIES: readonly PropertyInfo[] = [
  CRTC_ID_PROPERTY,
  property('WRITEBACK_FB_ID', { kind: 'object', of: 'framebuffer' }),
  property('WRITEBACK_OUT_FENCE_PTR', { kind: 'pointer' }),
];

/** The objects of a display with so many overlay planes. */
export function makeObjects(overlays: number): DisplayObjects {
  const zpos = ZPOS.find(({ type }) => type.kind === 'range' && type.max === overlays + 1);
  const common = zpos === undefined ? PLANE_PROPERTIES : [...PLANE_PROPERTIES, zpos];
  const plane = (
    index: number,
    name: string,
    rest: Pick<PlaneObject, 'type' | 'formats' | 'maxScale' | 'properties'>,
  ): PlaneObject => ({ kind: 'plane', id: FIRST_PLANE_ID + index * 0x100, name, index, ...rest });
  const primary = plane(0, 'primary', {
    type: DRM_PLANE_TYPE_PRIMARY,
    formats: PRIMARY_FORMATS,
    maxScale: MAX_SCALE,
    properties: common,
  });
  const overlay = Array.from({ length: overlays }, (_, i) =>
    plane(i + 1, `overlay-${i}`, {
      type: DRM_PLANE_TYPE_OVERLAY,
      formats: OVERLAY_FORMATS,
      maxScale: MAX_SCALE,
      properties: [...common, ENCODING, RANGE],
    }),
  );
  const cursor = plane(overlays + 1, 'cursor', {
    type: DRM_PLANE_TYPE_CURSOR,
    formats: [DRM_FORMAT_ARGB8888],
    maxScale: 1,
    properties: common,
  });
  return {
    crtc: { kind: 'crtc', id: CRTC_ID, name: 'crtc-0', properties: CRTC_PROPERTIES },
    planes: [primary, ...overlay, cursor],
    primary,
    overlays: overlay,
    cursor,
    connector: {
      kind: 'connector',
      id: CONNECTOR_ID,
      name: 'Virtual-1',
      properties: CONNECTOR_PROPERTIES,
      formats: undefined,
    },
    writeback: {
      kind: 'connector',
      id: WRITEBACK_ID,
      name: 'Writeback-1',
      properties: WRITEBACK_PROPERTIES,
      formats: PRIMARY_FORMATS,
    },
  };
}

/** The object of an id; undefined for none. */
export function findObject(objects: DisplayObjects, id: number): DisplayObject | undefined {
  const { crtc, connector, writeback, planes } = objects;
  return [crtc, connector, writeback, ...planes].find((object) => object.id === id);
}

/** `CRTC_W takes 0 to 2147483647`. */
export function acceptedText({ name, type }: PropertyInfo): string {
  if (type.kind === 'range') return `${name} takes ${type.min} to ${type.max}`;
  if (type.kind === 'enum') {
    const values = Object.entries(type.values).map(([key, value]) => `${value} (${key})`);
    return `${name} takes ${values.join(', ')}`;
  }
  if (type.kind === 'object') return `${name} takes the id of a ${type.of}, or 0`;
  if (type.kind === 'blob') return `${name} takes the id of a mode blob (createModeBlob), or 0`;
  if (type.kind === 'sync_file') return `${name} takes the fd of a sync file, or -1`;
  return `${name} takes an Int32Array that the fd is written to, or 0`;
}

/** The fourccs of a plane, for messages. */
export function formatNames(formats: readonly number[]): string {
  return formats.map((each) => formatInfo(each)?.name ?? fourccName(each)).join(', ');
}

/** drm_any_plane_has_format: EINVAL when no plane of the display takes a format. */
export function checkPlaneFormat(objects: DisplayObjects, fourcc: number, syscall: string): void {
  const accepted = new Set(objects.planes.flatMap(({ formats }) => formats));
  if (accepted.has(fourcc)) return;
  const name = formatInfo(fourcc)?.name ?? fourccName(fourcc);
  const list = formatNames([...accepted]);
  const detail = `no plane of this display scans out ${name}; convert it to one of ${list}`;
  throw new DmaBufError('EINVAL', syscall, detail);
}
