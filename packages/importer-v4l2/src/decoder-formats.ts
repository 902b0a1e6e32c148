/**
 * Formats of a decoder: OUTPUT is coded and chosen by the application, CAPTURE follows the stream.
 */
import { DmaBufError } from '@dmabuf/core';
import { acceptedFormats, codecOf, codecs, listedCodecs } from './codec/index.js';
import { FILE, readGeometry } from './file-table.js';
import {
  adjustSide,
  adjustSizeimage,
  CODED_BYTES,
  codedFormat,
  type FormatDescription,
  type FormatSet,
  noQueue,
  rawFormat,
  rawFormats,
  rawPixelformat,
  type V4l2Format,
  type V4l2FormatRequest,
} from './formats.js';
import {
  fourccName,
  isCapture,
  isOutput,
  V4L2_FMT_FLAG_COMPRESSED,
  V4L2_FMT_FLAG_DYN_RESOLUTION,
  V4L2_PIX_FMT_H264,
  V4L2_PIX_FMT_YUV420,
} from './videodev2.js';
import { staysInPlace } from './in-place.js';
import type { VideoFile } from './video-file.js';

const QUEUES = 'OUTPUT (2, 10) and CAPTURE (1, 9) queues';
/** Least bytes of an OUTPUT buffer. */
const MIN_PACKET = 64;

/** Of a stream whose size nobody has told yet, as drivers begin. */
const SIZE_UNKNOWN = { width: 16, height: 16 };

export class DecoderFormats implements FormatSet {
  readonly #file: VideoFile;
  #sizeimage: number = adjustSizeimage(undefined, MIN_PACKET);
  #raw: string = V4L2_PIX_FMT_YUV420;

  constructor(file: VideoFile) {
    this.#file = file;
  }

  enumFmt(type: number): readonly FormatDescription[] {
    if (isOutput(type)) {
      const coded = V4L2_FMT_FLAG_COMPRESSED | V4L2_FMT_FLAG_DYN_RESOLUTION;
      return listedCodecs().map((codec) => {
        const { fourcc, description } = codec;
        const flags = codec.raw === true ? 0 : coded;
        return { fourcc, description, flags, ...codec.probe() };
      });
    }
    if (isCapture(type)) return rawFormats(type);
    throw noQueue('VIDIOC_ENUM_FMT', type, QUEUES);
  }

  gFmt(type: number): V4l2Format {
    if (isOutput(type)) return outputFormat(type, this.#coded, this.#size, this.#sizeimage);
    if (isCapture(type)) return this.#capture(type, rawPixelformat(type, this.#raw), this.#size);
    throw noQueue('VIDIOC_G_FMT', type, QUEUES);
  }

  tryFmt(request: V4l2FormatRequest): V4l2Format {
    const { type, pixelformat, planes } = request;
    if (isCapture(type)) {
      const size = this.#adjust(request);
      return this.#capture(type, rawPixelformat(type, pixelformat), size);
    }
    if (!isOutput(type)) throw noQueue('VIDIOC_TRY_FMT', type, QUEUES);
    const known = codecs.some(({ fourcc }) => fourcc === pixelformat);
    const coded = known && pixelformat !== undefined ? pixelformat : this.#coded;
    const fallback = isRaw(coded) ? MIN_PACKET : CODED_BYTES;
    const sizeimage = adjustSizeimage(planes?.[0]?.sizeimage, MIN_PACKET, fallback);
    const size = {
      width: adjustSide(request.width, this.#size.width),
      height: adjustSide(request.height, this.#size.height),
    };
    return outputFormat(type, coded, size, sizeimage);
  }

  /** OUTPUT opens the decoder: blocks for up to a second. */
  sFmt(request: V4l2FormatRequest): V4l2Format {
    const format = this.tryFmt(request);
    if (isCapture(request.type)) {
      this.#raw = format.pixelformat;
      return format;
    }
    const codec = codecOf(format.pixelformat);
    const state = codec.probe();
    if (!state.available) {
      const detail = `${format.pixelformat}: ${state.reason}; accepted: ${acceptedFormats()}`;
      throw new DmaBufError('ENOENT', 'VIDIOC_S_FMT', detail);
    }
    const header = request.header === undefined ? null : Buffer.from(request.header);
    const { width = 0, height = 0 } = request;
    this.#file.ioctl('VIDIOC_S_FMT', [width, height, 0, format.pixelformat, header, true]);
    this.#sizeimage = format.planes[0]?.sizeimage ?? this.#sizeimage;
    return format;
  }

  /** What is visible; where pictures stay in place, the frame that is coded. */
  #capture(
    type: number,
    raw: string,
    size: { readonly width: number; readonly height: number },
  ): V4l2Format {
    const { codedWidth: width, codedHeight: height } = readGeometry(
      this.#file.door.words,
      this.#file.record,
    );
    const whole = this.#file.inPlace && staysInPlace(this.#coded, raw) && width !== 0;
    return rawFormat(type, raw, whole ? { width, height } : size);
  }

  get #coded(): string {
    const { door, record } = this.#file;
    const fourcc = door.words.load(record + FILE.FOURCC);
    return fourcc === 0 ? V4L2_PIX_FMT_H264 : fourccName(fourcc);
  }

  get #size(): { width: number; height: number } {
    const { door, record } = this.#file;
    const { width, height } = readGeometry(door.words, record);
    return width === 0 ? SIZE_UNKNOWN : { width, height };
  }

  /** The decoder does not scale: a size that the stream has told stands. */
  #adjust(request: V4l2FormatRequest): { width: number; height: number } {
    const { width, height } = readGeometry(this.#file.door.words, this.#file.record);
    if (width !== 0) return { width, height };
    return {
      width: adjustSide(request.width, SIZE_UNKNOWN.width),
      height: adjustSide(request.height, SIZE_UNKNOWN.height),
    };
  }
}

function isRaw(fourcc: string): boolean {
  return codecs.some((codec) => codec.fourcc === fourcc && codec.raw === true);
}

/** OUTPUT of raw pictures: a buffer holds one at least, and may hold a line of text before it (Y4M). */
function outputFormat(
  type: number,
  fourcc: string,
  size: { readonly width: number; readonly height: number },
  sizeimage: number,
): V4l2Format {
  if (!isRaw(fourcc)) return codedFormat(type, fourcc, size, sizeimage);
  const format = rawFormat(type, fourcc, size);
  const planes = format.planes.map((plane) => ({
    ...plane,
    sizeimage: Math.max(plane.sizeimage, sizeimage),
  }));
  return { ...format, planes };
}
