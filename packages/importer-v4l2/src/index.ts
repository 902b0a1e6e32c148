/**
 * @dmabuf/importer-v4l2: the codec, a V4L2 mem-to-mem device with software decoders.
 *
 * `v4l2()` is for boot's list of drivers; `VideoDevice.open(machine)` is where an application starts.
 */
import type { DriverSpec } from '@dmabuf/core';
import { FILE_TABLE_WORDS } from './file-table.js';

/** How the video device is named. */
export interface V4l2Options {
  /** Path in the directory. Default `/dev/video0`. */
  readonly device?: string;
  /** Name of its actor. Default `video0`. */
  readonly name?: string;
}

/** The driver for `boot({ drivers: [...] })`: one video device, in a worker of its own. */
export function v4l2(options: V4l2Options = {}): DriverSpec {
  const { device = '/dev/video0', name = 'video0' } = options;
  return {
    name: `v4l2 ${name}`,
    module: new URL('./driver.js', import.meta.url).href,
    words: FILE_TABLE_WORDS,
    devices: [
      {
        name,
        path: device,
        module: new URL('./device.js', import.meta.url).href,
        async: true,
        info: { v4l2: 'm2m' },
      },
    ],
  };
}

export {
  VideoDevice,
  type Capability,
  type DecodeRequest,
  type FormatDescription,
  type FormatRequest,
  type VideoFormat,
  type VideoHandle,
} from './video-device.js';
export { captureFormat, type CaptureFormat } from './capture-format.js';
export type { DecoderStats } from './file-table.js';
export {
  fourccName,
  v4l2_fourcc,
  V4L2_BUF_FLAG_ERROR,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
  V4L2_BUF_TYPE_VIDEO_OUTPUT,
  V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
  V4L2_CAP_STREAMING,
  V4L2_CAP_VIDEO_M2M,
  V4L2_FMT_FLAG_COMPRESSED,
  V4L2_FMT_FLAG_DYN_RESOLUTION,
  V4L2_PIX_FMT_H264,
  V4L2_PIX_FMT_NV12,
  V4L2_PIX_FMT_VP8,
  V4L2_PIX_FMT_VP9,
  V4L2_PIX_FMT_YUV420,
} from './videodev2.js';
export { acceptedFormats, codecOf, codecOfString, codecs } from './codec/index.js';
export { UnsupportedStream } from './codec/unsupported.js';
export type {
  Availability,
  CodecInfo,
  Decoded,
  Decoder,
  OpenOptions,
  Packet,
  PacketInfo,
  Picture,
  PictureFourcc,
  StreamInfo,
} from './codec/codec.js';
export type { PlaneLayout } from './codec/planes.js';
export type { Colour, ColourMatrix, Rect } from './bitstream/picture-format.js';
export { isIvf, parseIvf, type IvfFile, type IvfFrame } from './bitstream/ivf.js';
export { splitAccessUnits, type AccessUnit } from './bitstream/access-unit.js';
export { avcToAnnexB, parseAvcConfig, type AvcConfig } from './bitstream/avcc.js';
export { joinNalUnits, splitNalUnits, type NalUnit } from './bitstream/annexb.js';
