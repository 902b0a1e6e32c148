/**
 * The names of V4L2's user interface that this package uses (include/uapi/linux/videodev2.h).
 *
 * Pixel formats are four-character strings in the API; as numbers (`v4l2_fourcc`) they stand in the
 * metadata of buffers, where they are the same as DRM's for the formats that are used here, but for RGB3.
 */
import { DmaBufError } from '@dmabuf/core';

/** H.264, Annex B, one access unit a packet. */
export const V4L2_PIX_FMT_H264 = 'H264';
export const V4L2_PIX_FMT_VP8 = 'VP80';
export const V4L2_PIX_FMT_VP9 = 'VP90';
export const V4L2_PIX_FMT_AV1 = 'AV01';
/** I420: three planes, chroma halved in both directions (DRM_FORMAT_YUV420). */
export const V4L2_PIX_FMT_YUV420 = 'YU12';
/** Two planes, chroma interleaved. */
export const V4L2_PIX_FMT_NV12 = 'NV12';

/** One buffer a plane: Y, Cb, Cr (multi-planar API). */
export const V4L2_PIX_FMT_YUV420M = 'YM12';
export const V4L2_PIX_FMT_MJPEG = 'MJPG';
export const V4L2_PIX_FMT_JPEG = 'JPEG';

/** enum v4l2_buf_type */
export const V4L2_BUF_TYPE_VIDEO_CAPTURE = 1;
export const V4L2_BUF_TYPE_VIDEO_OUTPUT = 2;
export const V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE = 9;
export const V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE = 10;

/** enum v4l2_memory */
export const V4L2_MEMORY_MMAP = 1;
export const V4L2_MEMORY_USERPTR = 2;
export const V4L2_MEMORY_DMABUF = 4;

/** Most buffers that a queue has. */
export const VIDEO_MAX_FRAME = 32;
/** Most planes that a format has here (Linux: 8). */
export const VIDEO_MAX_PLANES = 3;

/** struct v4l2_capability */
export const V4L2_CAP_VIDEO_CAPTURE = 0x1;
export const V4L2_CAP_VIDEO_CAPTURE_MPLANE = 0x1000;
export const V4L2_CAP_VIDEO_M2M_MPLANE = 0x4000;
/** One queue in, one queue out. */
export const V4L2_CAP_VIDEO_M2M = 0x8000;
export const V4L2_CAP_EXT_PIX_FORMAT = 0x00200000;
export const V4L2_CAP_STREAMING = 0x04000000;
export const V4L2_CAP_DEVICE_CAPS = 0x80000000;

/** struct v4l2_fmtdesc */
export const V4L2_FMT_FLAG_COMPRESSED = 0x1;
/** The stream may change its picture size on the way. */
export const V4L2_FMT_FLAG_DYN_RESOLUTION = 0x8;
/** Frame intervals of the encoder's OUTPUT queue can be set. */
export const V4L2_FMT_FLAG_ENC_CAP_FRAME_INTERVAL = 0x10;

/** struct v4l2_buffer, flags */
export const V4L2_BUF_FLAG_MAPPED = 0x1;
export const V4L2_BUF_FLAG_QUEUED = 0x2;
export const V4L2_BUF_FLAG_DONE = 0x4;
export const V4L2_BUF_FLAG_KEYFRAME = 0x8;
export const V4L2_BUF_FLAG_PFRAME = 0x10;
/** The picture of this buffer is damaged or missing; its fence fails with `EIO`. */
export const V4L2_BUF_FLAG_ERROR = 0x40;
export const V4L2_BUF_FLAG_PREPARED = 0x400;
export const V4L2_BUF_FLAG_NO_CACHE_INVALIDATE = 0x800;
export const V4L2_BUF_FLAG_NO_CACHE_CLEAN = 0x1000;
export const V4L2_BUF_FLAG_TIMESTAMP_MASK = 0xe000;
export const V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC = 0x2000;
export const V4L2_BUF_FLAG_TIMESTAMP_COPY = 0x4000;
/** Nothing comes after this buffer until the queue is started again. */
export const V4L2_BUF_FLAG_LAST = 0x100000;
export const V4L2_BUF_FLAG_REQUEST_FD = 0x800000;

/** struct v4l2_requestbuffers, capabilities */
export const V4L2_BUF_CAP_SUPPORTS_MMAP = 0x1;
export const V4L2_BUF_CAP_SUPPORTS_DMABUF = 0x4;
/** Buffers that are mapped or exported outlive REQBUFS(0). */
export const V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS = 0x10;
export const V4L2_BUF_CAP_SUPPORTS_MAX_NUM_BUFFERS = 0x80;
export const V4L2_BUF_CAP_SUPPORTS_REMOVE_BUFS = 0x100;

/** enum v4l2_field */
export const V4L2_FIELD_ANY = 0;
export const V4L2_FIELD_NONE = 1;

/** Events */
export const V4L2_EVENT_ALL = 0;
export const V4L2_EVENT_EOS = 2;
export const V4L2_EVENT_CTRL = 3;
export const V4L2_EVENT_SOURCE_CHANGE = 5;
export const V4L2_EVENT_SRC_CH_RESOLUTION = 0x1;
export const V4L2_EVENT_SUB_FL_SEND_INITIAL = 0x1;
export const V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK = 0x2;
export const V4L2_EVENT_CTRL_CH_VALUE = 0x1;
export const V4L2_EVENT_CTRL_CH_FLAGS = 0x2;

/** DECODER_CMD and ENCODER_CMD */
export const V4L2_DEC_CMD_START = 0;
export const V4L2_DEC_CMD_STOP = 1;
export const V4L2_DEC_CMD_PAUSE = 2;
export const V4L2_DEC_CMD_RESUME = 3;
export const V4L2_DEC_CMD_FLUSH = 4;
export const V4L2_ENC_CMD_START = 0;
export const V4L2_ENC_CMD_STOP = 1;
export const V4L2_ENC_CMD_PAUSE = 2;
export const V4L2_ENC_CMD_RESUME = 3;

/** Selection targets */
export const V4L2_SEL_TGT_CROP = 0x0;
export const V4L2_SEL_TGT_CROP_DEFAULT = 0x1;
export const V4L2_SEL_TGT_CROP_BOUNDS = 0x2;
export const V4L2_SEL_TGT_COMPOSE = 0x100;
export const V4L2_SEL_TGT_COMPOSE_DEFAULT = 0x101;
export const V4L2_SEL_TGT_COMPOSE_BOUNDS = 0x102;
export const V4L2_SEL_TGT_COMPOSE_PADDED = 0x103;

/** Frame sizes */
export const V4L2_FRMSIZE_TYPE_DISCRETE = 1;
export const V4L2_FRMSIZE_TYPE_STEPWISE = 3;

/** Frame intervals, inputs */
export const V4L2_FRMIVAL_TYPE_CONTINUOUS = 2;
export const V4L2_INPUT_TYPE_CAMERA = 2;

/** Controls (v4l2-controls.h) */
export const V4L2_CID_MIN_BUFFERS_FOR_CAPTURE = 0x00980927;
export const V4L2_CID_MIN_BUFFERS_FOR_OUTPUT = 0x00980928;
export const V4L2_CID_TEST_PATTERN = 0x009f0903;
export const V4L2_CID_MPEG_VIDEO_GOP_SIZE = 0x009909cb;
export const V4L2_CID_MPEG_VIDEO_BITRATE = 0x009909cf;
export const V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME = 0x009909e5;
export const V4L2_CID_JPEG_RESTART_INTERVAL = 0x009d0902;
export const V4L2_CID_JPEG_COMPRESSION_QUALITY = 0x009d0903;
export const V4L2_CTRL_TYPE_INTEGER = 1;
export const V4L2_CTRL_TYPE_MENU = 3;
export const V4L2_CTRL_TYPE_BUTTON = 4;
export const V4L2_CTRL_FLAG_READ_ONLY = 0x4;
export const V4L2_CTRL_FLAG_WRITE_ONLY = 0x40;
export const V4L2_CTRL_FLAG_VOLATILE = 0x80;
export const V4L2_CTRL_FLAG_EXECUTE_ON_WRITE = 0x200;
export const V4L2_CTRL_FLAG_NEXT_CTRL = 0x80000000;

/** poll(2) */
export const EPOLLIN = 0x1;
export const EPOLLPRI = 0x2;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLRDNORM = 0x40;
export const EPOLLWRNORM = 0x100;

/** open(2) flags, as EXPBUF takes them */
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_ACCMODE = 3;
export const O_CLOEXEC = 0x80000;

/** The OUTPUT direction, in either API. */
export function isOutput(type: number): boolean {
  return type === V4L2_BUF_TYPE_VIDEO_OUTPUT || type === V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
}

/** The CAPTURE direction, in either API. */
export function isCapture(type: number): boolean {
  return type === V4L2_BUF_TYPE_VIDEO_CAPTURE || type === V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
}

export function isMultiplanar(type: number): boolean {
  return type === V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE || type === V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
}

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
