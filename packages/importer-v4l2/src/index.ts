/**
 * @dmabuf/importer-v4l2: the codec, a V4L2 mem-to-mem device with software decoders.
 *
 * `v4l2()` is for boot's list of drivers; `VideoDevice.open(machine)` is where an application starts.
 */
import { DmaBufError, type DriverSpec } from '@dmabuf/core';
import { evenSide } from './camera-formats.js';
import { CAMERA_WORDS, type CameraSpec, UNITS_PER_SECOND } from './camera-state.js';
import type { Y4mSampling } from './bitstream/y4m.js';
import { readY4mHeader } from './device/y4m-source.js';
import { FILE_TABLE_WORDS } from './file-table.js';

/** How the video device is named, and how many workers it has. */
export interface V4l2Options {
  /** Path in the directory. Default `/dev/video0`. */
  readonly device?: string;
  /** Name of its actor. Default `video0`. */
  readonly name?: string;
  /**
   * Workers that share the open files: each new file goes to the one with the fewest, so with as many workers as
   * files each has its own. Default 1: the files take turns on it.
   */
  readonly workers?: number;
}

/** What a decoder device does besides. */
export interface DecoderOptions extends V4l2Options {
  /**
   * Whether H.264 pictures stay where they were decoded: CAPTURE buffers of REQBUFS or CREATE_BUFS with
   * V4L2_MEMORY_MMAP are then moved to their pictures, and nothing is copied. Default false: one copy each.
   *
   * Their format is that of the coded frame (whole macroblocks; 368 lines for 360), of which G_SELECTION's compose
   * rectangle is visible; each buffer's metadata has pitches and offsets. Importers have to follow (`moveNotify`): a
   * buffer that is pinned, mapped by a static attachment or by a CPU while it is queued, gets a copy, as DMABUF and
   * three-plane buffers do; `stats().inPlace` and `bytesCopied` count. The pictures are the decoder's own references: fds of
   * EXPBUF and mappings are read-only (`EACCES`), for whoever wrote into one would spoil what is decoded after it.
   * Whoever has an fd of such a buffer has the decoder's whole memory, with the other pictures in it. It lies outside the
   * machine's pool: kernels that work there want buffers of the pool (V4L2_MEMORY_DMABUF), and one copy.
   */
  readonly inPlace?: boolean;
}

/** The driver for `boot({ drivers: [...] })`: one decoder device, in a worker of its own or several. */
export function v4l2(options: DecoderOptions = {}): DriverSpec {
  return codecDriver('decoder', { device: '/dev/video0', name: 'video0', ...options });
}

/**
 * The driver of one encoder device, in a worker of its own or several. By default `/dev/video1`, with an actor of
 * name `video1`.
 */
export function v4l2Encoder(options: V4l2Options = {}): DriverSpec {
  return codecDriver('encoder', { device: '/dev/video1', name: 'video1', ...options });
}

/** What a camera shows, and how it is named. */
export interface CameraOptions {
  /** Path of a Y4M file (8-bit 4:2:0 or 4:2:2); left out: a test pattern. */
  readonly source?: string;
  /** Size of a test pattern until S_FMT says another, even. Default 640x480. A file has its own. */
  readonly width?: number;
  readonly height?: number;
  /** Frames a second until S_PARM says another rate, 1 to 1000. Default: the file's, or 30. */
  readonly fps?: number;
  /** Whether a file begins anew at its end. Default true; else the last buffer has LAST, and an EOS event follows. */
  readonly loop?: boolean;
  /** Path in the directory. Default `/dev/video2`. */
  readonly path?: string;
  /** Name of its actor. Default `camera0`. */
  readonly name?: string;
}

/**
 * The driver of a camera, in a worker of its own. Reads the first line of a file. ENOENT: no such file; EINVAL: it is no
 * Y4M file of 8-bit 4:2:0 or 4:2:2; a size, or a rate, that none has.
 */
export function camera(options: CameraOptions = {}): DriverSpec {
  const { source = '', loop = true, path = '/dev/video2', name = 'camera0' } = options;
  const { width, height, rate, sampling } =
    source === '' ? patternOf(options) : fileOf(source, options);
  const { fps = rate } = options;
  if (!(fps >= 1 && fps <= 1000)) {
    throw new DmaBufError('EINVAL', 'camera', `${fps} frames a second; give 1 to 1000`);
  }
  const interval = Math.round(UNITS_PER_SECOND / fps);
  const spec: CameraSpec = { file: source, sampling, width, height, interval, loop };
  return {
    name: `v4l2 ${name}`,
    module: new URL('./driver.js', import.meta.url).href,
    words: CAMERA_WORDS,
    devices: [
      {
        name,
        path,
        module: new URL('./device/camera.js', import.meta.url).href,
        info: { v4l2: 'camera', node: path, camera: spec },
        reach: { contiguous: true },
      },
    ],
  };
}

function patternOf({ width = 640, height = 480 }: CameraOptions): {
  width: number;
  height: number;
  rate: number;
  sampling: Y4mSampling;
} {
  if (evenSide(width, 0) === width && evenSide(height, 0) === height) {
    return { width, height, rate: 30, sampling: '420' };
  }
  const detail = `a test pattern of ${width}x${height}; sides are even, 16 to 4096`;
  throw new DmaBufError('EINVAL', 'camera', detail);
}

function fileOf(source: string, options: CameraOptions): ReturnType<typeof patternOf> {
  const { width, height, frameRate, sampling } = readY4mHeader(source);
  const { num, den } = frameRate;
  const asked = [options.width ?? width, options.height ?? height];
  if (asked[0] !== width || asked[1] !== height) {
    const detail = `'${source}' is of ${width}x${height}, not ${asked.join('x')}; leave width and height out`;
    throw new DmaBufError('EINVAL', 'camera', detail);
  }
  return { width, height, rate: num > 0 && den > 0 ? num / den : 30, sampling };
}

function codecDriver(
  kind: 'decoder' | 'encoder',
  options: DecoderOptions & { readonly device: string; readonly name: string },
): DriverSpec {
  const { device, name, workers = 1, inPlace = false } = options;
  if (typeof inPlace !== 'boolean') {
    throw new TypeError(`v4l2: inPlace must be true or false, not ${String(inPlace)}`);
  }
  if (!Number.isInteger(workers) || workers < 1) {
    throw new TypeError(`v4l2: workers must be a positive whole number, not ${workers}`);
  }
  return {
    name: `v4l2 ${name}`,
    module: new URL('./driver.js', import.meta.url).href,
    words: FILE_TABLE_WORDS,
    devices: Array.from({ length: workers }, (_, i) => ({
      name: i === 0 ? name : `${name}.${i}`,
      path: i === 0 ? device : `${device}.${i}`,
      module: new URL('./device.js', import.meta.url).href,
      async: true,
      info: { v4l2: kind, node: device, ...(inPlace && { inPlace }) },
      reach: { contiguous: true },
    })),
  };
}

export {
  VideoDevice,
  type CodecCommand,
  type FormatRequest,
  type VideoFormat,
} from './video-device.js';
export { EncoderDevice, type TimePerFrame } from './encoder-device.js';
export { CameraDevice, type FrameIntervals, type VideoInput } from './camera-device.js';
export type { Capability } from './capability.js';
export { StreamingDevice, type QueuedBuffer, type WaitOptions } from './streaming-device.js';
export type { DecodeRequest } from './decode-queue.js';
export type { VideoHandle } from './video-file.js';
export type {
  FormatDescription,
  FrameSizes,
  PlaneFormat,
  V4l2Format,
  V4l2FormatRequest,
} from './formats.js';
export type { V4l2Buffer, V4l2BufferInfo, V4l2Plane } from './vb2/buffer.js';
export type { Allocated } from './vb2/allocation.js';
export type { EventSubscription, V4l2Event } from './events.js';
export type { ExtControl, QueryCtrl } from './controls.js';
export { captureFormat, type CaptureFormat } from './capture-format.js';
export type { DecoderStats } from './file-table.js';
export * from './videodev2.js';
export { acceptedFormats, codecOf, codecOfString, codecs } from './codec/index.js';
export { UnsupportedStream } from './codec/unsupported.js';
export { encoderOf, encoders, openEncoder } from './codec/encoders.js';
export type {
  Encoded,
  EncodedPacket,
  EncodeOptions,
  Encoder,
  EncoderInfo,
  EncoderOptions,
  RawPicture,
} from './codec/encoder.js';
export type {
  Availability,
  CodecInfo,
  Decoded,
  Decoder,
  DecoderMemory,
  Holds,
  OpenOptions,
  Packet,
  PacketInfo,
  Picture,
  PictureFourcc,
  PicturePlace,
  StreamInfo,
} from './codec/codec.js';
export type { PlaneLayout } from './codec/planes.js';
export type { Colour, ColourMatrix, Rect } from './bitstream/picture-format.js';
export { isAvi, parseAvi, type AviFile, type AviFrame } from './bitstream/avi.js';
export { writeIvf, type IvfWriteOptions } from './bitstream/ivf-writer.js';
export { isIvf, parseIvf, type IvfFile, type IvfFrame } from './bitstream/ivf.js';
export {
  isY4m,
  parseY4m,
  type Y4mFile,
  type Y4mHeader,
  type Y4mSampling,
} from './bitstream/y4m.js';
export { splitAccessUnits, type AccessUnit } from './bitstream/access-unit.js';
export { avcToAnnexB, parseAvcConfig, type AvcConfig } from './bitstream/avcc.js';
export { joinNalUnits, splitNalUnits, type NalUnit } from './bitstream/annexb.js';
