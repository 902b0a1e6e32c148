/**
 * The names of V4L2's user interface that this package uses (include/uapi/linux/videodev2.h).
 *
 * Pixel formats are four-character strings in the API; as numbers (`v4l2_fourcc`) they stand in the
 * metadata of buffers, where they are the same as DRM's for the formats that are used here.
 */
import { DmaBufError } from '@dmabuf/core';

/** H.264, Annex B, one access unit a packet. */
export const V4L2_PIX_FMT_H264 = 'H264';
export const V4L2_PIX_FMT_VP8 = 'VP80';
export const V4L2_PIX_FMT_VP9 = 'VP90';
/** I420: three planes, chroma halved in both directions (DRM_FORMAT_YUV420). */
export const V4L2_PIX_FMT_YUV420 = 'YU12';
/** Two planes, chroma interleaved. */
export const V4L2_PIX_FMT_NV12 = 'NV12';

export const V4L2_BUF_TYPE_VIDEO_CAPTURE = 1;
export const V4L2_BUF_TYPE_VIDEO_OUTPUT = 2;
export const V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE = 9;
export const V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE = 10;

/** One queue in, one queue out. */
export const V4L2_CAP_VIDEO_M2M = 0x8000;
export const V4L2_CAP_STREAMING = 0x04000000;

export const V4L2_FMT_FLAG_COMPRESSED = 0x1;
/** The stream may change its picture size on the way. */
export const V4L2_FMT_FLAG_DYN_RESOLUTION = 0x8;

/** The picture of this timestamp is damaged or missing; its fence fails with `EIO`. */
export const V4L2_BUF_FLAG_ERROR = 0x40;

/** A pixel format as a number: `v4l2_fourcc('YU12') === 0x32315559`. Throws `EINVAL`. */
export function v4l2_fourcc(format: string): number {
  if (format.length !== 4 || !/^[\x20-\x7e]{4}$/.test(format)) {
    const detail = `'${format}' is no pixel format: four characters are needed, such as 'H264'`;
    throw new DmaBufError('EINVAL', 'v4l2_fourcc', detail);
  }
  let code = 0;
  for (let i = 3; i >= 0; i--) code = (code << 8) | format.charCodeAt(i);
  return code;
}

/** The four characters of a pixel format. */
export function fourccName(code: number): string {
  return String.fromCharCode(code & 255, (code >> 8) & 255, (code >> 16) & 255, (code >> 24) & 255);
}
