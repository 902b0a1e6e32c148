/**
 * Selection: which part of a picture is meant (VIDIOC_G_SELECTION, VIDIOC_S_SELECTION).
 *
 * A decoder's CAPTURE: the crop rectangle is what is visible in what is coded; buffers hold just that, so
 * compose rectangles are the visible size at 0, 0, unless pictures stay in place. An encoder's OUTPUT: the crop rectangle is what is
 * encoded of the picture, and can be set.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Rect } from './bitstream/picture-format.js';
import type { FileGeometry } from './file-table.js';
import {
  V4L2_SEL_TGT_COMPOSE,
  V4L2_SEL_TGT_COMPOSE_BOUNDS,
  V4L2_SEL_TGT_COMPOSE_DEFAULT,
  V4L2_SEL_TGT_COMPOSE_PADDED,
  V4L2_SEL_TGT_CROP,
  V4L2_SEL_TGT_CROP_BOUNDS,
  V4L2_SEL_TGT_CROP_DEFAULT,
} from './videodev2.js';

/** struct v4l2_selection, without its queue's type. */
export interface Selection {
  /** V4L2_SEL_TGT_* */
  readonly target: number;
  readonly rect: Rect;
}

/**
 * A decoder's rectangle; `whole`: buffers hold all of what is coded, and the compose rectangle is where the picture lies in
 * it. EINVAL: no such target.
 */
export function decoderSelection(target: number, size: FileGeometry, whole: boolean): Rect {
  const { width, height, codedWidth, codedHeight, left, top } = size;
  switch (target) {
    case V4L2_SEL_TGT_CROP:
    case V4L2_SEL_TGT_CROP_DEFAULT:
      return { left, top, width, height };
    case V4L2_SEL_TGT_CROP_BOUNDS:
      return { left: 0, top: 0, width: codedWidth || width, height: codedHeight || height };
    case V4L2_SEL_TGT_COMPOSE:
    case V4L2_SEL_TGT_COMPOSE_DEFAULT:
      return whole ? { left, top, width, height } : { left: 0, top: 0, width, height };
    case V4L2_SEL_TGT_COMPOSE_BOUNDS:
    case V4L2_SEL_TGT_COMPOSE_PADDED:
      if (whole) return { left: 0, top: 0, width: codedWidth, height: codedHeight };
      return { left: 0, top: 0, width, height };
    default:
      throw noTarget('VIDIOC_G_SELECTION', target);
  }
}

/** EINVAL for a target that a queue does not have. */
export function noTarget(call: string, target: number): DmaBufError {
  const detail = `target 0x${target.toString(16)} of this queue; see V4L2_SEL_TGT_*`;
  return new DmaBufError('EINVAL', call, detail);
}

/** A rectangle within `width` by `height`, on even pixels, as S_SELECTION adjusts it. */
export function adjustRect(rect: Rect, width: number, height: number): Rect {
  const even = (value: number, most: number): number =>
    Math.min(Math.max(0, Math.floor(value / 2) * 2), Math.max(0, most));
  const left = even(rect.left, width - 2);
  const top = even(rect.top, height - 2);
  return {
    left,
    top,
    width: Math.max(1, Math.min(Math.floor(rect.width), width - left)),
    height: Math.max(1, Math.min(Math.floor(rect.height), height - top)),
  };
}
