/**
 * The one interface that every encoder stands behind: configure, pictures in, packets out, drain.
 *
 * The device half owns an Encoder: it opens it by the CAPTURE format, hands it the picture of each
 * OUTPUT buffer, and copies each packet into a CAPTURE buffer. Terms follow V4L2's stateful encoder
 * (Documentation/userspace-api/media/v4l/dev-encoder.rst).
 */
import { DmaBufError } from '@dmabuf/core';
import type { Colour } from '../bitstream/picture-format.js';
import type { Availability, PictureFourcc } from './codec.js';
import { planeSizes, type PlanarPicture } from './planes.js';

/**
 * One picture to encode, where it lies, of the size that the encoder was opened with. `data` may be
 * shared memory; it is read during the call only, and until its promise settles.
 */
export type RawPicture = PlanarPicture;

export interface EncodeOptions {
  /** Comes out with the packet, in whatever unit the caller uses. Rising from call to call. */
  readonly timestamp: number;
  /** V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME for this picture. Default false. */
  readonly forceKeyFrame?: boolean;
}

/** One packet of bitstream. */
export interface EncodedPacket {
  /** The receiver's to keep: a copy out of the codec's memory. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** That of the picture it holds. */
  readonly timestamp: number;
  /** Decoding can start here: V4L2_BUF_FLAG_KEYFRAME. */
  readonly key: boolean;
}

/** What became of a picture. */
export interface Encoded {
  /** In bitstream order. None while the encoder looks ahead, or drops the picture to hold its rate. */
  readonly packets: readonly EncodedPacket[];
  /**
   * Why the picture is lost, else undefined. `EINVAL`: it is not as the encoder was opened for.
   * `EIO`: the codec failed on it; it goes on with a key frame at the next one.
   */
  readonly fault: DmaBufError | undefined;
}

/** How an encoder is set up. */
export interface EncoderOptions {
  /** Visible size in pixels, 1 to 16383; odd sizes have chroma of (size + 1) >> 1. */
  readonly width: number;
  readonly height: number;
  /** Frames a second, for rate control (VIDIOC_S_PARM). Default 30/1. */
  readonly frameRate?: { readonly num: number; readonly den: number };
  /** Bits a second (V4L2_CID_MPEG_VIDEO_BITRATE). Default: 0.1 bit a pixel. */
  readonly bitrate?: number;
  /** Frames from one key frame to the next (V4L2_CID_MPEG_VIDEO_GOP_SIZE). Default 60. */
  readonly gop?: number;
  /** 1 (worst) to 100: V4L2_CID_JPEG_COMPRESSION_QUALITY. For codecs without a rate. Default 80. */
  readonly quality?: number;
  /** JPEG: MCUs (16x16 pixels) between restart markers, 0 (default) for none: V4L2_CID_JPEG_RESTART_INTERVAL. */
  readonly restartInterval?: number;
  /**
   * `'realtime'` (default) gives each packet with its own picture and encodes fastest; `'good'` may
   * look ahead and takes several times longer.
   */
  readonly deadline?: 'realtime' | 'good';
  readonly colour?: Colour;
}

/**
 * An encoder of one stream. Not shared between threads; several live side by side.
 *
 * After `close` every other call throws `EBADFD`.
 */
export interface Encoder {
  readonly name: string;
  /** Pictures that may go in before the first packet comes out; 0 for all in `'realtime'`. */
  readonly delay: number;
  /**
   * Whether every call of this encoder blocks until it is done (`'sync'`), or it works elsewhere and
   * always returns promises (`'async'`). A `'sync'` one returns a promise only to recover from a trap.
   */
  readonly mode: 'sync' | 'async';
  /** Encodes one picture. The next call waits for a promise that this one returned. */
  encode(picture: RawPicture, options: EncodeOptions): Encoded | Promise<Encoded>;
  /**
   * From the next picture on: bits a second. Codecs that cannot change it on the way (libvpx through
   * libavcodec) begin anew with a key frame there. Throws `EINVAL` for what is no positive number,
   * `EOPNOTSUPP` for a codec without a rate.
   */
  setBitrate(bitsPerSecond: number): void;
  /**
   * From the next picture on: V4L2_CID_JPEG_COMPRESSION_QUALITY. Throws `EINVAL` for what is no whole number
   * from 1 to 100, `EOPNOTSUPP` for a codec with a rate.
   */
  setQuality(quality: number): void;
  /** Drain: what is still held back. Encoding may go on, with a key frame. */
  flush(): Encoded | Promise<Encoded>;
  /** Gives the encoder's memory back. Closing again does nothing. */
  close(): void | Promise<void>;
}

/** An encoder of the registry. */
export interface EncoderInfo {
  /** V4L2 pixel format of the CAPTURE queue: `'VP80'`, `'VP90'`, `'MJPG'`. */
  readonly fourcc: string;
  /** As ENUM_FMT describes it. */
  readonly description: string;
  /** Pixel formats that `encode` takes. */
  readonly takes: readonly PictureFourcc[];
  /** Whether a rate can be asked for (V4L2_CID_MPEG_VIDEO_BITRATE), or a quality. */
  readonly control: 'bitrate' | 'quality' | 'none';
  /** Looks for the code it needs; loads and starts nothing. */
  probe(): Availability;
  /**
   * Starts an encoder; the caller closes it. Rejects with `ENOENT` where a package is missing (and
   * says what to install), `EINVAL` for options that make no sense.
   */
  open(options: EncoderOptions): Promise<Encoder>;
}

/** The options of an encoder with every default filled in. */
export interface EncoderSettings {
  readonly width: number;
  readonly height: number;
  readonly frameRate: { readonly num: number; readonly den: number };
  readonly bitrate: number;
  readonly gop: number;
  readonly quality: number;
  readonly restartInterval: number;
  readonly deadline: 'realtime' | 'good';
  readonly colour: Colour;
}

function bad(what: string): DmaBufError {
  return new DmaBufError('EINVAL', 'open_encoder', what);
}

function whole(name: string, value: number, low: number, high: number): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw bad(`${name} is ${value}; a whole number from ${low} to ${high} is needed`);
}

/** Highest rate that libvpx takes: it counts in kbit/s, in 31 bits. */
const MAX_BITRATE = 2 ** 31 - 1;

/** Checks a rate in bits a second. Throws `EINVAL`. */
export function checkBitrate(bitrate: number): number {
  return whole('bitrate (bit/s)', bitrate, 1000, MAX_BITRATE);
}

/** Checks a quality. Throws `EINVAL`. */
export function checkQuality(quality: number): number {
  return whole('quality', quality, 1, 100);
}

/** Checks options and fills in defaults. Throws `EINVAL`, naming the option. */
export function encoderSettings(options: EncoderOptions): EncoderSettings {
  const width = whole('width', options.width, 1, 16383);
  const height = whole('height', options.height, 1, 16383);
  const { num = 30, den = 1 } = options.frameRate ?? {};
  const frameRate = {
    num: whole('frameRate.num', num, 1, 1_000_000),
    den: whole('frameRate.den', den, 1, 1_000_000),
  };
  const tenth = Math.ceil((width * height * num) / den / 10);
  const bitrate = checkBitrate(options.bitrate ?? Math.min(MAX_BITRATE, Math.max(10_000, tenth)));
  const gop = whole('gop', options.gop ?? 60, 1, 100_000);
  const quality = checkQuality(options.quality ?? 80);
  const restartInterval = whole('restartInterval', options.restartInterval ?? 0, 0, 65535);
  const deadline = options.deadline ?? 'realtime';
  if (deadline !== 'realtime' && deadline !== 'good') {
    throw bad(`deadline is '${String(deadline)}'; known are 'realtime' and 'good'`);
  }
  const colour = options.colour ?? { range: 'limited', matrix: 'unspecified' };
  const rate = { frameRate, bitrate, gop, deadline };
  return { width, height, ...rate, quality, restartInterval, colour };
}

/**
 * Whether a picture is what an encoder was opened for: size, format, planes within its data.
 * Undefined, or the `EINVAL` that says what is not.
 */
export function pictureFault(
  picture: RawPicture,
  size: { readonly width: number; readonly height: number },
  takes: readonly PictureFourcc[],
): DmaBufError | undefined {
  const fault = (what: string): DmaBufError => new DmaBufError('EINVAL', 'encode', what);
  const { fourcc, data, planes, width, height } = picture;
  if (!takes.includes(fourcc)) {
    return fault(`the picture is '${fourcc}'; this encoder takes ${takes.join(', ')}`);
  }
  if (width !== size.width || height !== size.height) {
    return fault(
      `the picture is ${width}x${height}; the encoder was opened for ${size.width}x${size.height}`,
    );
  }
  const sizes = planeSizes(fourcc, width, height);
  if (planes.length !== sizes.length) {
    return fault(`${planes.length} plane layouts; '${fourcc}' has ${sizes.length} planes`);
  }
  for (const [i, plane] of sizes.entries()) {
    const { offset = -1, pitch = 0 } = planes[i] ?? {};
    const end = offset + (plane.rows - 1) * pitch + plane.width;
    if (offset >= 0 && pitch >= plane.width && end <= data.length) continue;
    return fault(
      `plane ${i} (${plane.width} bytes by ${plane.rows} rows) at offset ${offset} with pitch ${pitch} ` +
        `ends at byte ${end} of ${data.length}`,
    );
  }
  return undefined;
}
