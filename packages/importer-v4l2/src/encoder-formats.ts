/**
 * Formats of an encoder: OUTPUT is raw and has the size, CAPTURE is coded and follows it (dev-encoder.rst).
 */
import { DmaBufError } from '@dmabuf/core';
import { encoders } from './codec/encoders.js';
import type { PictureFourcc } from './codec/codec.js';
import { captureFormat } from './capture-format.js';
import { FILE, readGeometry } from './file-table.js';
import {
  adjustSide,
  adjustSizeimage,
  codedFormat,
  type FormatDescription,
  type FormatSet,
  noQueue,
  type V4l2Format,
  type V4l2FormatRequest,
} from './formats.js';
import {
  fourccName,
  isCapture,
  isOutput,
  V4L2_FIELD_NONE,
  V4L2_FMT_FLAG_COMPRESSED,
  V4L2_FMT_FLAG_ENC_CAP_FRAME_INTERVAL,
  V4L2_PIX_FMT_VP8,
} from './videodev2.js';
import type { VideoFile } from './video-file.js';

const QUEUES = 'OUTPUT (2, 10) and CAPTURE (1, 9) queues';
/** Least bytes of a CAPTURE buffer. */
const MIN_PACKET = 64;
/** Room for the key frame of a small picture. */
const SMALL_PACKET = 1 << 16;
/** Before S_FMT. */
const DEFAULT = { width: 320, height: 240, source: 'YU12', coded: V4L2_PIX_FMT_VP8 } as const;

const RAW: readonly { readonly fourcc: PictureFourcc; readonly description: string }[] = [
  { fourcc: 'YU12', description: 'Planar YUV 4:2:0' },
  { fourcc: 'NV12', description: 'Y/UV 4:2:0' },
];

/** What compresses. */
const CODED = encoders.filter(({ control }) => control !== 'none');

export class EncoderFormats implements FormatSet {
  readonly #file: VideoFile;
  #sizeimage = 0;

  constructor(file: VideoFile) {
    this.#file = file;
  }

  enumFmt(type: number): readonly FormatDescription[] {
    if (isCapture(type)) {
      return CODED.map(({ fourcc, description, probe }) => {
        return { fourcc, description, flags: V4L2_FMT_FLAG_COMPRESSED, ...probe() };
      });
    }
    if (!isOutput(type)) throw noQueue('VIDIOC_ENUM_FMT', type, QUEUES);
    const flags = V4L2_FMT_FLAG_ENC_CAP_FRAME_INTERVAL;
    return RAW.map((raw) => ({ ...raw, flags, available: true }));
  }

  gFmt(type: number): V4l2Format {
    const { source, coded, size } = this.#now;
    if (isOutput(type)) return pictures(type, source, size);
    if (isCapture(type)) return codedFormat(type, coded, size, this.#packetBytes(size));
    throw noQueue('VIDIOC_G_FMT', type, QUEUES);
  }

  tryFmt(request: V4l2FormatRequest): V4l2Format {
    const { type, pixelformat, planes } = request;
    const { source, coded, size } = this.#now;
    if (isOutput(type)) {
      const known = RAW.find(({ fourcc }) => fourcc === pixelformat)?.fourcc ?? source;
      const width = adjustSide(request.width, size.width);
      const height = adjustSide(request.height, size.height);
      return pictures(type, known, { width, height });
    }
    if (!isCapture(type)) throw noQueue('VIDIOC_TRY_FMT', type, QUEUES);
    const known = CODED.find(({ fourcc }) => fourcc === pixelformat)?.fourcc ?? coded;
    const fallback = this.#packetBytes(size);
    const sizeimage = adjustSizeimage(planes?.[0]?.sizeimage, MIN_PACKET, fallback);
    return codedFormat(type, known, size, sizeimage);
  }

  /** Blocks for one round trip. */
  sFmt(request: V4l2FormatRequest): V4l2Format {
    const format = this.tryFmt(request);
    const { source, coded, size } = this.#now;
    const output = isOutput(request.type);
    const { width, height } = output ? format : size;
    const made = output ? coded : format.pixelformat;
    const taken = output ? format.pixelformat : source;
    this.#checkInstalled(made);
    this.#file.ioctl('VIDIOC_S_FMT', [width, height, 0, made, null, true, taken]);
    if (!output) this.#sizeimage = format.planes[0]?.sizeimage ?? 0;
    return format;
  }

  #checkInstalled(fourcc: string): void {
    const state = CODED.find((info) => info.fourcc === fourcc)?.probe();
    if (state?.available !== false) return;
    throw new DmaBufError('ENOENT', 'VIDIOC_S_FMT', `${fourcc}: ${state.reason}`);
  }

  get #now(): {
    readonly source: PictureFourcc;
    readonly coded: string;
    readonly size: { readonly width: number; readonly height: number };
  } {
    const { door, record } = this.#file;
    const source = door.words.load(record + FILE.SOURCE_FOURCC);
    const coded = door.words.load(record + FILE.FOURCC);
    if (coded === 0) return { source: DEFAULT.source, coded: DEFAULT.coded, size: DEFAULT };
    const { width, height } = readGeometry(door.words, record);
    const name = fourccName(source);
    return {
      source: name === 'NV12' ? 'NV12' : 'YU12',
      coded: fourccName(coded),
      size: { width, height },
    };
  }

  #packetBytes({ width, height }: { readonly width: number; readonly height: number }): number {
    if (this.#sizeimage > 0) return this.#sizeimage;
    return Math.max(SMALL_PACKET, captureFormat(width, height).sizeimage);
  }
}

function pictures(
  type: number,
  pixelformat: PictureFourcc,
  size: { readonly width: number; readonly height: number },
): V4l2Format {
  const { width, height } = size;
  const { pitches, sizeimage } = captureFormat(width, height, pixelformat);
  const planes = [{ sizeimage, bytesperline: pitches[0] ?? 0 }];
  return { type, width, height, pixelformat, field: V4L2_FIELD_NONE, planes };
}
