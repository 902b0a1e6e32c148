/**
 * @dmabuf/importer-kms: a KMS display as two worker actors.
 *
 * Give `kms()` to `boot({ drivers: [...] })`; then `Display.open(machine)`, in any thread.
 */
import type { DriverSpec } from '@dmabuf/core';
import { checkOptions, type KmsOptions } from './options.js';
import { registerWords } from './registers.js';

export { Display } from './display.js';
export type {
  DisplayHandle,
  DisplayStats,
  FramebufferOptions,
  InFences,
  PageFlipOptions,
  QueueFlipOptions,
  QueueWritebackOptions,
  SinkOptions,
  WritebackStats,
} from './display-types.js';
export type { CommitOptions, CommitResult, QueueCommitOptions } from './display-atomic.js';
export {
  AtomicRequest,
  type AtomicProperty,
  type ObjectRef,
  type PropertyValue,
} from './atomic-request.js';
export {
  DRM_MODE_ATOMIC_ALLOW_MODESET,
  DRM_MODE_ATOMIC_NONBLOCK,
  DRM_MODE_ATOMIC_TEST_ONLY,
  DRM_MODE_PAGE_FLIP_ASYNC,
  DRM_MODE_PAGE_FLIP_EVENT,
} from './atomic-check.js';
export {
  DRM_VBLANK_ABSOLUTE,
  DRM_VBLANK_EVENT,
  DRM_VBLANK_NEXTONMISS,
  DRM_VBLANK_RELATIVE,
  DRM_VBLANK_SECONDARY,
  type VblankRequest,
} from './display-vblank.js';
export type { FrameCrc } from './display-composition.js';
export type { PlanePlace } from './display-planes.js';
export type { DrmEvent } from './display-events.js';
export type { Property } from './display-properties.js';
export type { Presented } from './flip-records.js';
export {
  DRM_MODE_DPMS_OFF,
  DRM_MODE_LINK_STATUS_BAD,
  DRM_MODE_LINK_STATUS_GOOD,
  DRM_MODE_DPMS_ON,
  DRM_PLANE_TYPE_CURSOR,
  DRM_PLANE_TYPE_OVERLAY,
  DRM_PLANE_TYPE_PRIMARY,
  type ConnectorObject,
  type CrtcObject,
  type DisplayObject,
  type DisplayObjects,
  type PlaneObject,
  type PropertyInfo,
  type PropertyKind,
} from './objects.js';
export {
  DRM_COLOR_YCBCR_BT601,
  DRM_COLOR_YCBCR_BT709,
  DRM_COLOR_YCBCR_FULL_RANGE,
  DRM_COLOR_YCBCR_LIMITED_RANGE,
  DRM_MODE_BLEND_COVERAGE,
  DRM_MODE_BLEND_PIXEL_NONE,
  DRM_MODE_BLEND_PREMULTI,
} from './plane-state.js';
export { Framebuffer, type FramebufferHandle } from './display-framebuffer.js';
export type { Connector, PlugOptions } from './display-connector.js';
export type { ConnectorState, ConnectorStatus } from './connector.js';
export { WritebackSink } from './display-sink.js';
export type { SinkReport } from './sink-request.js';
export { OutputError } from './output-file.js';
export type { KmsOptions } from './options.js';
export type { FlipSpeed } from './flip-queue.js';
export type { LatenessSummary } from './lateness.js';
export { makeMode, parseMode, sameMode, type DisplayMode } from './mode.js';
export {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  fourccCode,
  fourccName,
} from './fourcc.js';
export { DRM_FORMAT_MOD_LINEAR, DRM_MODE_FB_MODIFIERS } from './framebuffer.js';
export { termColour, type TermColour, type TermViewOptions } from './term-view.js';
export { readY4m, Y4M_MATRICES, type Y4mFile, type Y4mMatrix } from './y4m.js';

/** Planes are read as 32-bit words, from memory in one piece. */
const reach = { align: 4, contiguous: true };

/**
 * The display as a driver: one card with a CRTC worker (`/dev/dri/card0`), which keeps vblank, and a
 * writeback worker (`/dev/dri/card0-writeback`), which records. For `boot`; plain data. EINVAL for a
 * mode out of range; RangeError or TypeError for other options.
 */
export function kms(options: KmsOptions = {}): DriverSpec {
  const settings = checkOptions(options);
  const { card } = settings;
  const path = `/dev/dri/card${card}`;
  const writeback = `${path}-writeback`;
  return {
    name: card === 0 ? 'kms' : `kms${card}`,
    module: new URL('./driver.js', import.meta.url).href,
    words: registerWords(settings.framebuffers),
    options: settings,
    devices: [
      {
        name: `card${card}`,
        path,
        module: new URL('./crtc-device.js', import.meta.url).href,
        info: { writeback },
        reach,
        options: settings,
      },
      {
        name: `card${card}-writeback`,
        path: writeback,
        module: new URL('./writeback-device.js', import.meta.url).href,
        reach,
        options: settings,
      },
    ],
  };
}
