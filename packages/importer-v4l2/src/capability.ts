/**
 * What a video device says of itself (VIDIOC_QUERYCAP).
 */
import {
  V4L2_CAP_DEVICE_CAPS,
  V4L2_CAP_EXT_PIX_FORMAT,
  V4L2_CAP_STREAMING,
  V4L2_CAP_VIDEO_CAPTURE,
  V4L2_CAP_VIDEO_CAPTURE_MPLANE,
  V4L2_CAP_VIDEO_M2M,
  V4L2_CAP_VIDEO_M2M_MPLANE,
} from './videodev2.js';
import type { VideoKind } from './video-file.js';

/** `struct v4l2_capability`. */
export interface Capability {
  readonly driver: string;
  readonly card: string;
  readonly bus_info: string;
  /** V4L2_CAP_* */
  readonly capabilities: number;
  /** V4L2_CAP_* of this node: the same but for V4L2_CAP_DEVICE_CAPS. */
  readonly device_caps: number;
}

const M2M = V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_M2M_MPLANE;
const CARDS: Readonly<Record<VideoKind, { readonly card: string; readonly caps: number }>> = {
  decoder: { card: 'software decoder', caps: M2M },
  encoder: { card: 'software encoder', caps: M2M },
  camera: { card: 'software camera', caps: V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE },
};

/** Of the device at `path`. */
export function capabilityOf(kind: VideoKind, path: string): Capability {
  const { card, caps } = CARDS[kind];
  const device_caps = (caps | V4L2_CAP_STREAMING | V4L2_CAP_EXT_PIX_FORMAT) >>> 0;
  return {
    driver: 'dmabuf-v4l2',
    card,
    bus_info: `platform:${path.slice(path.lastIndexOf('/') + 1)}`,
    capabilities: (device_caps | V4L2_CAP_DEVICE_CAPS) >>> 0,
    device_caps,
  };
}
