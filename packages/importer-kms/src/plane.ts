/**
 * What a plane can show of a framebuffer, and the formats of the primary plane (those of vkms').
 *
 * Legacy flips show the primary plane full screen, unless a commit has placed it elsewhere: the
 * framebuffer must cover the mode, and what goes beyond it is not shown.
 */
import { DmaBufError } from '@dmabuf/core';
import type { PlaneState } from './plane-state.js';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_XRGB8888,
  formatInfo,
  fourccName,
} from './fourcc.js';

/** Formats of the primary plane. */
export const PRIMARY_FORMATS: readonly number[] = Object.freeze([
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_RGB565,
]);

/** EINVAL when the primary plane does not scan out a framebuffer's format. */
export function checkPrimaryFormat(
  fb: { readonly id: number; readonly fourcc: number },
  syscall: string,
): void {
  if (PRIMARY_FORMATS.includes(fb.fourcc)) return;
  const accepted = PRIMARY_FORMATS.map((each) => formatInfo(each)?.name ?? fourccName(each));
  const name = formatInfo(fb.fourcc)?.name ?? fourccName(fb.fourcc);
  const detail = `framebuffer ${fb.id} is ${name}, which the primary plane does not scan out; show it on an overlay plane, or convert it to one of ${accepted.join(', ')}`;
  throw new DmaBufError('EINVAL', syscall, detail);
}

/** ENOSPC when a framebuffer does not cover the mode. */
export function checkCovers(
  fb: { readonly id: number; readonly width: number; readonly height: number },
  hdisplay: number,
  vdisplay: number,
  syscall: string,
): void {
  if (fb.width >= hdisplay && fb.height >= vdisplay) return;
  const detail =
    `framebuffer ${fb.id} of ${fb.width}x${fb.height} does not cover the mode of ${hdisplay}x${vdisplay}; ` +
    'render it at the size of the mode, or set a smaller mode';
  throw new DmaBufError('ENOSPC', syscall, detail);
}

/** ENOSPC when the part of a framebuffer that a plane is to show leaves it (drm_framebuffer_check_src_coords). */
export function checkSource(
  fb: { readonly id: number; readonly width: number; readonly height: number },
  state: Pick<PlaneState, 'srcX' | 'srcY' | 'srcW' | 'srcH'>,
  syscall: string,
): void {
  const width = (state.srcX + state.srcW) / 65536;
  const height = (state.srcY + state.srcH) / 65536;
  if (width <= fb.width && height <= fb.height) return;
  const detail =
    `framebuffer ${fb.id} of ${fb.width}x${fb.height} does not cover the ${width}x${height} that its plane shows of it` +
    ' (the mode, if no commit said otherwise); render it at that size, or show less of it';
  throw new DmaBufError('ENOSPC', syscall, detail);
}
