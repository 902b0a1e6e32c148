/**
 * Reading and setting properties of a display's objects (drm_mode_object.c), and mode blobs.
 */
import { DmaBufError } from '@dmabuf/core';
import { DRM_MODE_ATOMIC_ALLOW_MODESET } from './atomic-check.js';
import { integer, propertyOf } from './atomic-draft.js';
import { AtomicRequest, type ObjectRef, type PropertyValue } from './atomic-request.js';
import type { AtomicCommits } from './display-atomic.js';
import type { DisplayPorts } from './display-ports.js';
import type { CommittedCrtc } from './display-state.js';
import type { DisplayMode } from './mode.js';
import {
  type DisplayObject,
  DRM_MODE_DPMS_OFF,
  DRM_MODE_DPMS_ON,
  DRM_MODE_LINK_STATUS_BAD,
  DRM_MODE_LINK_STATUS_GOOD,
  findObject,
  type PropertyInfo,
} from './objects.js';
import { toMode } from './options.js';
import type { PlaneState } from './plane-state.js';

/** A property of an object, with its value in the committed state. */
export interface Property extends PropertyInfo {
  readonly value: number;
}

export class Properties {
  readonly #ports: DisplayPorts;
  readonly #commits: AtomicCommits;

  constructor(ports: DisplayPorts, commits: AtomicCommits) {
    this.#ports = ports;
    this.#commits = commits;
  }

  /** See {@link Display.getProperties}. */
  get(ref: ObjectRef): ReadonlyMap<string, Property> {
    const object = this.#object(ref, 'getproperties');
    const { committed, objects } = this.#ports;
    const values = this.#ports.locked(() =>
      object.kind === 'plane'
        ? planeValues(committed.plane(object.index), object.type, objects.crtc.id)
        : {
            ...crtcValues(committed.crtc, objects.crtc.id, object === objects.writeback),
            vrr_capable: this.#ports.settings.vrr > 0 ? 1 : 0,
          },
    );
    return new Map(
      object.properties.map((info) => [info.name, { ...info, value: values[info.name] ?? 0 }]),
    );
  }

  /** See {@link Display.setProperty}. */
  set(ref: ObjectRef, property: number | string, value: PropertyValue): void {
    const object = this.#object(ref, 'setproperty');
    const request = this.#request(object, propertyOf(object, property), value);
    this.#commits.commit(request, { flags: DRM_MODE_ATOMIC_ALLOW_MODESET });
  }

  /** DPMS is ACTIVE by another name: off keeps mode and planes, and on brings them back. */
  #request(object: DisplayObject, info: PropertyInfo, value: PropertyValue): AtomicRequest {
    if (info.name !== 'DPMS') return new AtomicRequest().add(object, info.id, value);
    const on = integer(object, info, value) === DRM_MODE_DPMS_ON;
    return new AtomicRequest().add(this.#ports.objects.crtc, 'ACTIVE', on ? 1 : 0);
  }

  /** See {@link Display.createModeBlob}. */
  createModeBlob(mode: string | DisplayMode): number {
    const wanted = toMode(mode);
    return this.#ports.locked(() => this.#ports.blobs.create(wanted));
  }

  /** See {@link Display.getModeBlob}. */
  getModeBlob(id: number): DisplayMode {
    const mode = this.#ports.locked(() => this.#ports.blobs.find(id));
    if (mode !== undefined) return mode;
    throw new DmaBufError('ENOENT', 'getpropblob', `there is no mode blob ${id}`);
  }

  /** See {@link Display.destroyModeBlob}. */
  destroyModeBlob(id: number): void {
    this.#ports.locked(() => this.#ports.blobs.destroy(id));
  }

  #object(ref: ObjectRef, syscall: string): DisplayObject {
    const id = typeof ref === 'number' ? ref : ref.id;
    const { objects, framebuffers } = this.#ports;
    const object = findObject(objects, id);
    if (object !== undefined) return object;
    if (framebuffers.find(id) !== undefined) {
      const detail = `object ${id} is a framebuffer, and those have no properties`;
      throw new DmaBufError('EINVAL', syscall, detail);
    }
    throw new DmaBufError('ENOENT', syscall, `there is no object ${id}`);
  }
}

function planeValues(
  state: PlaneState,
  type: number,
  crtc: number,
): Readonly<Record<string, number>> {
  return {
    type,
    FB_ID: state.fb,
    IN_FENCE_FD: -1,
    CRTC_ID: state.fb === 0 ? 0 : crtc,
    CRTC_X: state.crtcX,
    CRTC_Y: state.crtcY,
    CRTC_W: state.crtcW,
    CRTC_H: state.crtcH,
    SRC_X: state.srcX,
    SRC_Y: state.srcY,
    SRC_W: state.srcW,
    SRC_H: state.srcH,
    alpha: state.alpha,
    'pixel blend mode': state.blend,
    zpos: state.zpos,
    COLOR_ENCODING: state.encoding,
    COLOR_RANGE: state.range,
  };
}

/** Of the CRTC and of a connector, whose names do not meet. */
function crtcValues(
  state: CommittedCrtc,
  crtc: number,
  isWriteback: boolean,
): Readonly<Record<string, number>> {
  return {
    ACTIVE: state.active ? 1 : 0,
    MODE_ID: state.blob,
    OUT_FENCE_PTR: 0,
    VRR_ENABLED: state.vrr ? 1 : 0,
    'link-status': state.linkBad ? DRM_MODE_LINK_STATUS_BAD : DRM_MODE_LINK_STATUS_GOOD,
    CRTC_ID: (isWriteback ? state.writeback : state.connected) ? crtc : 0,
    DPMS: state.active ? DRM_MODE_DPMS_ON : DRM_MODE_DPMS_OFF,
    WRITEBACK_FB_ID: 0,
    WRITEBACK_OUT_FENCE_PTR: 0,
  };
}
