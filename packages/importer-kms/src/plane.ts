/**
 * The primary plane: which framebuffers the CRTC can scan out.
 *
 * Full screen, neither scaled nor moved: the framebuffer must cover the mode, and what goes beyond it
 * is not shown. Formats as of vkms' primary plane; alpha does not matter there, for what lies behind is
 * black and colours are premultiplied.
 */
import { DmaBufError } from '@dmabuf/core';
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

/** drm_any_plane_has_format: EINVAL when no plane of this display takes the format. */
export function checkPlaneFormat(fourcc: number, syscall: string): void {
  if (PRIMARY_FORMATS.includes(fourcc)) return;
  const accepted = PRIMARY_FORMATS.map((each) => formatInfo(each)?.name ?? fourccName(each));
  const name = formatInfo(fourcc)?.name ?? fourccName(fourcc);
  const detail = `no plane of this display scans out ${name}; convert it to one of ${accepted.join(', ')}`;
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
