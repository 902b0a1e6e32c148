/**
 * The checks of an atomic commit: whether the state that a request asks for can be shown
 * (drm_atomic_check_only, drm_atomic_helper_check_modeset, drm_atomic_helper_check_plane_state).
 *
 * Pure, and in Linux' order. Each refusal names the object, the property and its value.
 */
import type { DmaBufError } from '@dmabuf/core';
import type { AtomicDraft, PlaneDraft } from './atomic-draft.js';
import { PLANE_FIELDS, refuse } from './atomic-draft.js';
import { formatInfo, fourccName } from './fourcc.js';
import { type DisplayObjects, formatNames } from './objects.js';
import type { FramebufferInfo } from './framebuffer-table.js';

/** DRM_MODE_PAGE_FLIP_EVENT: queue an event when the commit is shown. */
export const DRM_MODE_PAGE_FLIP_EVENT = 0x0001;
/** DRM_MODE_PAGE_FLIP_ASYNC: show it at once when it is ready, not at a vblank. */
export const DRM_MODE_PAGE_FLIP_ASYNC = 0x0002;
/** DRM_MODE_ATOMIC_TEST_ONLY: check, and change nothing. */
export const DRM_MODE_ATOMIC_TEST_ONLY = 0x0100;
/** DRM_MODE_ATOMIC_NONBLOCK: return when the commit is queued. */
export const DRM_MODE_ATOMIC_NONBLOCK = 0x0200;
/** DRM_MODE_ATOMIC_ALLOW_MODESET: mode, ACTIVE and connectors may change. */
export const DRM_MODE_ATOMIC_ALLOW_MODESET = 0x0400;

/** What a check goes by. */
export interface CheckContext {
  readonly objects: DisplayObjects;
  readonly allowModeset: boolean;
  readonly event: boolean;
  /** Nothing but the primary plane's framebuffer may change. */
  readonly async: boolean;
  framebuffer(id: number): FramebufferInfo;
}

const INT_MAX = 0x7fff_ffff;

/** EINVAL, ERANGE or ENOSPC, naming the property; nothing for a state that can be shown. */
export function checkDraft(draft: AtomicDraft, context: CheckContext): void {
  for (const plane of draft.planes) {
    // A mode that changes concerns planes that the request does not name; their state is in order.
    if (plane.touched) checkPlane(plane, context);
  }
  checkCrtc(draft, context);
  if (context.async) checkAsync(draft, context);
}

/** Whether mode, ACTIVE, connector or its link change: what wants ALLOW_MODESET. */
export function needsModeset({ crtc, oldCrtc }: AtomicDraft): string | undefined {
  if (crtc.active !== oldCrtc.active) return 'ACTIVE';
  if (crtc.connected !== oldCrtc.connected) return 'CRTC_ID';
  if (crtc.writeback !== oldCrtc.writeback) return 'WRITEBACK';
  if (crtc.linkBad !== oldCrtc.linkBad) return 'link-status';
  const sameMode =
    (crtc.blob === 0) === (oldCrtc.blob === 0) &&
    crtc.hdisplay === oldCrtc.hdisplay &&
    crtc.vdisplay === oldCrtc.vdisplay &&
    crtc.vrefresh === oldCrtc.vrefresh;
  return sameMode ? undefined : 'MODE_ID';
}

/** drm_atomic_set_property's rules for async flips. */
function checkAsync(draft: AtomicDraft, { framebuffer, objects }: CheckContext): void {
  const why =
    'a DRM_MODE_PAGE_FLIP_ASYNC commit changes the framebuffer of the primary plane alone';
  const modeset = needsModeset(draft);
  if (modeset !== undefined) throw refuse('EINVAL', objects.crtc, modeset, 'changes', why);
  if (draft.writebackFb !== 0) {
    throw refuse('EINVAL', objects.writeback, 'WRITEBACK_FB_ID', draft.writebackFb, why);
  }
  for (const { object, state, old } of draft.changed) {
    for (const [property, field] of Object.entries(PLANE_FIELDS)) {
      if (state[field] !== old[field]) throw refuse('EINVAL', object, property, state[field], why);
    }
    if (state.fb === old.fb) continue;
    if (object !== objects.primary || state.fb === 0 || old.fb === 0) {
      throw refuse('EINVAL', object, 'FB_ID', state.fb, why);
    }
    const before = framebuffer(old.fb).fourcc;
    if (framebuffer(state.fb).fourcc === before) continue;
    const format = `its format is not ${fourccName(before)}, which is on screen; ${why}`;
    throw refuse('EINVAL', object, 'FB_ID', state.fb, format);
  }
}

function checkPlane(plane: PlaneDraft, context: CheckContext): void {
  const { object, state, onCrtc } = plane;
  if (onCrtc && state.fb === 0) {
    throw refuse(
      'EINVAL',
      object,
      'FB_ID',
      0,
      'CRTC_ID is set; give a framebuffer, or set both to 0',
    );
  }
  if (!onCrtc && state.fb !== 0) {
    throw refuse('EINVAL', object, 'CRTC_ID', 0, 'FB_ID is set; give the CRTC, or set both to 0');
  }
  if (state.fb === 0) return;
  const fb = context.framebuffer(state.fb);
  if (!object.formats.includes(fb.fourcc)) {
    const name = formatInfo(fb.fourcc)?.name ?? fourccName(fb.fourcc);
    const why = `it is ${name}, the plane scans out ${formatNames(object.formats)}`;
    throw refuse('EINVAL', object, 'FB_ID', fb.id, why);
  }
  checkDestination(plane);
  checkSource(plane, fb);
  checkScale(plane);
}

function checkDestination({ object, state }: PlaneDraft): void {
  const check = (at: 'CRTC_X' | 'CRTC_Y', start: number, size: number): void => {
    if (start <= INT_MAX - size) return;
    throw refuse('ERANGE', object, at, start, `with a size of ${size} it overflows 32 bits`);
  };
  check('CRTC_X', state.crtcX, state.crtcW);
  check('CRTC_Y', state.crtcY, state.crtcH);
}

function checkSource({ object, state }: PlaneDraft, fb: FramebufferInfo): void {
  const check = (side: 'W' | 'H', start: number, size: number, limit: number): void => {
    const axis = side === 'W' ? 'X' : 'Y';
    const most = limit * 65536;
    const what = `framebuffer ${fb.id} has ${limit} ${side === 'W' ? 'columns' : 'rows'}`;
    if (size > most) {
      throw refuse('ENOSPC', object, `SRC_${side}`, size, `${size / 65536} pixels; ${what}`);
    }
    if (start > most - size) {
      const why = `it ends at ${(start + size) / 65536}; ${what}`;
      throw refuse('ENOSPC', object, `SRC_${axis}`, start, why);
    }
  };
  check('W', state.srcX, state.srcW, fb.width);
  check('H', state.srcY, state.srcH, fb.height);
}

/** drm_rect_calc_hscale: the source is in 16.16. */
function checkScale({ object, state }: PlaneDraft): void {
  const check = (side: 'W' | 'H', size: number, source: number): void => {
    if (size === 0 || source === 0) return; // shows nothing
    const factor = size / (source / 65536);
    const { maxScale } = object;
    if (factor <= maxScale && factor >= 1 / maxScale) return;
    const limit =
      maxScale === 1
        ? 'the plane does not scale'
        : `the plane scales by 1/${maxScale} to ${maxScale}`;
    const why = `${source / 65536} pixels of SRC_${side} are scaled by ${factor}; ${limit}`;
    throw refuse('ERANGE', object, `CRTC_${side}`, size, why);
  };
  check('W', state.crtcW, state.srcW);
  check('H', state.crtcH, state.srcH);
}

function checkCrtc(draft: AtomicDraft, context: CheckContext): void {
  const { crtc, oldCrtc } = draft;
  const { objects } = context;
  if (crtc.active && crtc.blob === 0) {
    throw refuse('EINVAL', objects.crtc, 'ACTIVE', 1, 'there is no mode; set MODE_ID too');
  }
  if (crtc.blob !== 0 && !crtc.connected) {
    const why = 'no connector is on the CRTC; set CRTC_ID of the connector too, or MODE_ID to 0';
    throw refuse('EINVAL', objects.crtc, 'MODE_ID', crtc.blob, why);
  }
  if (crtc.blob === 0 && crtc.connected) {
    const why = 'the CRTC has no mode; set its MODE_ID too, or this to 0';
    throw refuse('EINVAL', objects.connector, 'CRTC_ID', objects.crtc.id, why);
  }
  if (crtc.blob === 0 && crtc.writeback) {
    const why = 'the CRTC has no mode; set its MODE_ID too, or this to 0';
    throw refuse('EINVAL', objects.writeback, 'CRTC_ID', objects.crtc.id, why);
  }
  const plane = draft.planes.find(({ state }) => state.fb !== 0);
  if (crtc.blob === 0 && plane !== undefined) {
    const why = 'the CRTC has no mode; take its planes off with it';
    throw refuse('EINVAL', plane.object, 'CRTC_ID', objects.crtc.id, why);
  }
  const modeset = needsModeset(draft);
  if (modeset !== undefined && !context.allowModeset) throw modesetRefused(draft, objects, modeset);
  checkWriteback(draft, context);
  checkSignals(draft, context, oldCrtc.active || crtc.active);
}

function modesetRefused(
  { crtc }: AtomicDraft,
  objects: DisplayObjects,
  property: string,
): DmaBufError {
  const why = 'that is a modeset; give DRM_MODE_ATOMIC_ALLOW_MODESET';
  const id = (on: boolean): number => (on ? objects.crtc.id : 0);
  if (property === 'CRTC_ID') {
    return refuse('EINVAL', objects.connector, property, id(crtc.connected), why);
  }
  if (property === 'link-status') {
    return refuse('EINVAL', objects.connector, property, Number(crtc.linkBad), why);
  }
  if (property === 'WRITEBACK') {
    return refuse('EINVAL', objects.writeback, 'CRTC_ID', id(crtc.writeback), why);
  }
  const value = property === 'ACTIVE' ? Number(crtc.active) : crtc.blob;
  return refuse('EINVAL', objects.crtc, property, value, why);
}

/** drm_atomic_connector_check and vkms_wb_atomic_check. */
function checkWriteback(draft: AtomicDraft, { objects, framebuffer }: CheckContext): void {
  const { crtc, writebackFb, outFences } = draft;
  const { writeback } = objects;
  const out = outFences.find(({ of }) => of === 'writeback');
  if (out !== undefined && writebackFb === 0) {
    const why = 'there is no writeback that it would be of; set WRITEBACK_FB_ID too';
    throw refuse('EINVAL', writeback, out.property, out.array, why);
  }
  if (writebackFb === 0) return;
  const no = (why: string): DmaBufError =>
    refuse('EINVAL', writeback, 'WRITEBACK_FB_ID', writebackFb, why);
  if (!crtc.writeback) throw no('the connector is on no CRTC; set its CRTC_ID too');
  if (!crtc.active) throw no('the CRTC is off; there is nothing to write');
  const fb = framebuffer(writebackFb);
  if (writeback.formats?.includes(fb.fourcc) !== true) {
    const name = formatInfo(fb.fourcc)?.name ?? fourccName(fb.fourcc);
    throw no(`it is ${name}, the connector writes ${formatNames(writeback.formats ?? [])}`);
  }
  if (fb.width !== crtc.hdisplay || fb.height !== crtc.vdisplay) {
    const mode = `${crtc.hdisplay}x${crtc.vdisplay}`;
    throw no(`it is ${fb.width}x${fb.height}, and must be of the size of the mode, ${mode}`);
  }
  const shown = draft.planes.find(({ state }) => {
    return state.fb !== 0 && framebuffer(state.fb).ino === fb.ino;
  });
  if (shown === undefined) return;
  throw no(`its buffer is on ${shown.object.name} in the same commit; give another one`);
}

/** Events and out-fences are of a CRTC, and one that is off and stays off has neither. */
function checkSignals(draft: AtomicDraft, { objects, event }: CheckContext, on: boolean): void {
  const out = draft.outFences.find(({ of }) => of === 'crtc');
  if (out !== undefined && !on) {
    const why = 'the CRTC is off and stays off: nothing would signal it';
    throw refuse('EINVAL', objects.crtc, out.property, out.array, why);
  }
  if (!event) return;
  const touched = draft.touchedCrtc || draft.planes.some((plane) => plane.touched);
  if (touched && on) return;
  const why = touched
    ? 'the CRTC is off and stays off: there is no event of it'
    : 'the request names no object of the CRTC: there is no event of it';
  throw refuse('EINVAL', objects.crtc, 'DRM_MODE_PAGE_FLIP_EVENT', 1, why);
}
