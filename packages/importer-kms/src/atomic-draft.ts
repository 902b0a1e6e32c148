/**
 * AtomicDraft: the state that an atomic request asks for, made from the committed one property by
 * property (drm_atomic_set_property in drm_atomic_uapi.c). Changes nothing but the draft, and what
 * OUT_FENCE_PTR points to.
 *
 * Each refusal names the object, the property and the value: what Linux answers with a bare EINVAL.
 */
import { DmaBufError, type ErrnoCode, type SyncFile } from '@dmabuf/core';
import type { AtomicProperty, PropertyValue } from './atomic-request.js';
import type { CommittedCrtc } from './display-state.js';
import type { DisplayMode } from './mode.js';
import {
  acceptedText,
  type DisplayObject,
  type DisplayObjects,
  DRM_MODE_LINK_STATUS_GOOD,
  findObject,
  type PlaneObject,
  type PropertyInfo,
} from './objects.js';
import type { PlaneState } from './plane-state.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A plane, as it shall be. */
export interface PlaneDraft {
  readonly object: PlaneObject;
  readonly old: PlaneState;
  readonly state: Mutable<PlaneState>;
  /** Whether CRTC_ID is the CRTC. */
  onCrtc: boolean;
  /** Whether the request names it. */
  touched: boolean;
  /** IN_FENCE_FD. */
  inFence: SyncFile | undefined;
}

/** Where an out-fence's fd goes. */
export interface OutFenceTarget {
  /** Of what: the commit, or its writeback. */
  readonly of: 'crtc' | 'writeback';
  readonly property: string;
  readonly array: Int32Array;
}

/** What values are looked up in. */
export interface DraftLookups {
  readonly objects: DisplayObjects;
  hasFramebuffer(id: number): boolean;
  mode(blob: number): DisplayMode | undefined;
  /** EBADF, EINVAL. */
  syncFile(fd: number): SyncFile;
}

/** Properties of a plane that are plain numbers, and the fields of its state that they are. */
export const PLANE_FIELDS: Readonly<Record<string, keyof PlaneState>> = {
  CRTC_X: 'crtcX',
  CRTC_Y: 'crtcY',
  CRTC_W: 'crtcW',
  CRTC_H: 'crtcH',
  SRC_X: 'srcX',
  SRC_Y: 'srcY',
  SRC_W: 'srcW',
  SRC_H: 'srcH',
  alpha: 'alpha',
  'pixel blend mode': 'blend',
  zpos: 'zpos',
  COLOR_ENCODING: 'encoding',
  COLOR_RANGE: 'range',
};

/** An error of an atomic commit that says which property of what is wrong. */
export function refuse(
  code: ErrnoCode,
  object: DisplayObject,
  property: string,
  value: unknown,
  why: string,
): DmaBufError {
  const shown = value instanceof Int32Array ? 'an Int32Array' : String(value);
  return new DmaBufError(
    code,
    'atomic',
    `${object.name} (object ${object.id}): ${property} ${shown}: ${why}`,
  );
}

export class AtomicDraft {
  readonly oldCrtc: CommittedCrtc;
  readonly crtc: Mutable<CommittedCrtc>;
  readonly planes: readonly PlaneDraft[];
  readonly outFences: OutFenceTarget[] = [];
  /** WRITEBACK_FB_ID of this commit; it is no state, and reads back as 0. */
  writebackFb = 0;
  /** Whether the request names CRTC or connector. */
  touchedCrtc = false;
  readonly #lookups: DraftLookups;

  constructor(crtc: CommittedCrtc, planes: readonly PlaneState[], lookups: DraftLookups) {
    this.oldCrtc = crtc;
    this.crtc = { ...crtc };
    this.#lookups = lookups;
    this.planes = lookups.objects.planes.map((object) => {
      const old = planes[object.index];
      if (old === undefined) throw new RangeError(`no state of plane ${object.index}`);
      const onCrtc = old.fb !== 0;
      return { object, old, state: { ...old }, onCrtc, touched: false, inFence: undefined };
    });
  }

  /** Takes one property. ENOENT: no such object or property; EINVAL: the value; EFAULT: a pointer; EBADF: an fd. */
  apply(entry: AtomicProperty): void {
    const { objects } = this.#lookups;
    const object = findObject(objects, entry.object);
    if (object === undefined) {
      const { crtc, connector, writeback, planes } = objects;
      const known = [crtc, connector, writeback, ...planes];
      const list = known.map(({ name, id }) => `${name} is ${id}`).join(', ');
      const detail = `object ${entry.object} is no CRTC, plane or connector of this display: ${list}`;
      throw new DmaBufError('ENOENT', 'atomic', detail);
    }
    const property = propertyOf(object, entry.property);
    if (property.immutable) {
      throw refuse('EINVAL', object, property.name, entry.value, 'it can only be read');
    }
    if (object.kind === 'plane') this.#applyPlane(object, property, entry.value);
    else this.#applyCrtc(object, property, entry.value);
  }

  /** The planes that are to change. */
  get changed(): PlaneDraft[] {
    return this.planes.filter(({ touched }) => touched);
  }

  #applyPlane(object: PlaneObject, property: PropertyInfo, value: PropertyValue): void {
    const draft = this.planes[object.index];
    if (draft === undefined) return;
    draft.touched = true;
    const { name } = property;
    const field = PLANE_FIELDS[name];
    if (name === 'FB_ID') draft.state.fb = this.#framebuffer(object, property, value);
    else if (name === 'CRTC_ID') draft.onCrtc = this.#crtcId(object, property, value);
    else if (name === 'IN_FENCE_FD') this.#inFence(draft, property, value);
    else if (field !== undefined) draft.state[field] = integer(object, property, value);
  }

  #applyCrtc(object: DisplayObject, property: PropertyInfo, value: PropertyValue): void {
    this.touchedCrtc = true;
    const { name } = property;
    if (name === 'DPMS') {
      const why = 'it is of setProperty alone; an atomic commit sets ACTIVE of the CRTC';
      throw refuse('EINVAL', object, name, value, why);
    }
    if (name === 'OUT_FENCE_PTR') this.#outFence(object, property, value, 'crtc');
    else if (name === 'WRITEBACK_OUT_FENCE_PTR') {
      this.#outFence(object, property, value, 'writeback');
    } else if (name === 'WRITEBACK_FB_ID') {
      this.writebackFb = this.#framebuffer(object, property, value);
    } else if (name === 'CRTC_ID') {
      const isWriteback = object === this.#lookups.objects.writeback;
      this.crtc[isWriteback ? 'writeback' : 'connected'] = this.#crtcId(object, property, value);
    } else if (name === 'link-status') {
      const asked = integer(object, property, value);
      // As Linux: nobody but the hardware makes a good link a bad one, and who asks for it is not refused.
      if (asked === DRM_MODE_LINK_STATUS_GOOD) this.crtc.linkBad = false;
    } else if (name === 'ACTIVE') {
      this.crtc.active = integer(object, property, value) === 1;
    } else if (name === 'VRR_ENABLED') {
      this.crtc.vrr = integer(object, property, value) === 1;
    } else this.#mode(object, property, value);
  }

  #mode(object: DisplayObject, property: PropertyInfo, value: PropertyValue): void {
    const { crtc } = this;
    if (value === 0) {
      crtc.blob = 0;
      return;
    }
    if (value === this.oldCrtc.blob) {
      const { blob, hdisplay, vdisplay, vrefresh } = this.oldCrtc;
      Object.assign(crtc, { blob, hdisplay, vdisplay, vrefresh });
      return;
    }
    const mode = typeof value === 'number' ? this.#lookups.mode(value) : undefined;
    if (mode === undefined || typeof value !== 'number') {
      throw refuse('EINVAL', object, property.name, value, acceptedText(property));
    }
    const { hdisplay, vdisplay, vrefresh } = mode;
    Object.assign(crtc, { blob: value, hdisplay, vdisplay, vrefresh });
  }

  #framebuffer(object: DisplayObject, property: PropertyInfo, value: PropertyValue): number {
    const id = idOf(value);
    if (id === 0 || (id !== undefined && this.#lookups.hasFramebuffer(id))) return id;
    const shown = id ?? value;
    throw refuse('EINVAL', object, property.name, shown, 'there is no such framebuffer');
  }

  #crtcId(object: DisplayObject, property: PropertyInfo, value: PropertyValue): boolean {
    const { crtc } = this.#lookups.objects;
    if (value === 0) return false;
    if (value === crtc.id) return true;
    const why = `the one CRTC of this display is ${crtc.id}`;
    throw refuse('EINVAL', object, property.name, value, why);
  }

  #inFence(draft: PlaneDraft, property: PropertyInfo, value: PropertyValue): void {
    if (value === -1) return;
    const { object } = draft;
    if (draft.inFence !== undefined) {
      throw refuse('EINVAL', object, property.name, value, 'it was set before in this request');
    }
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
      throw refuse('EINVAL', object, property.name, value, acceptedText(property));
    }
    try {
      draft.inFence = this.#lookups.syncFile(value);
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      throw refuse(
        'EINVAL',
        object,
        property.name,
        value,
        `not the fd of a sync file: ${error.detail}`,
      );
    }
  }

  #outFence(
    object: DisplayObject,
    property: PropertyInfo,
    value: PropertyValue,
    of: OutFenceTarget['of'],
  ): void {
    if (value === 0) return;
    if (!(value instanceof Int32Array) || value.length === 0) {
      throw refuse('EFAULT', object, property.name, value, acceptedText(property));
    }
    value[0] = -1; // as Linux does: a real fd is written only on success
    this.outFences.push({ of, property: property.name, array: value });
  }
}

/** The property of an object by its id or name. ENOENT lists what there is. */
export function propertyOf(object: DisplayObject, key: number | string): PropertyInfo {
  const found = object.properties.find(({ id, name }) => key === id || key === name);
  if (found !== undefined) return found;
  const known = object.properties.map(({ name }) => name).join(', ');
  const what = typeof key === 'number' ? `property ${key}` : `property ${JSON.stringify(key)}`;
  const detail = `${object.name} (object ${object.id}) has no ${what}; it has ${known}`;
  throw new DmaBufError('ENOENT', 'atomic', detail);
}

function idOf(value: PropertyValue): number | undefined {
  if (typeof value === 'number') return value;
  return value instanceof Int32Array ? undefined : value.id;
}

/** The number of a range or an enum. EINVAL. */
export function integer(
  object: DisplayObject,
  property: PropertyInfo,
  value: PropertyValue,
): number {
  const { type } = property;
  if (typeof value === 'number' && Number.isInteger(value)) {
    if (type.kind === 'range' && value >= type.min && value <= type.max) return value;
    if (type.kind === 'enum' && Object.values(type.values).includes(value)) return value;
  }
  throw refuse('EINVAL', object, property.name, value, acceptedText(property));
}
