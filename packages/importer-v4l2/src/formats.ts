/**
 * Formats as the V4L2 calls have them, and what all devices here share: the layouts of pictures.
 */
import { DmaBufError } from '@dmabuf/core';
import { captureFormat } from './capture-format.js';
import {
  isMultiplanar,
  V4L2_FIELD_NONE,
  V4L2_FRMSIZE_TYPE_STEPWISE,
  V4L2_PIX_FMT_YUV420,
  V4L2_PIX_FMT_YUV420M,
} from './videodev2.js';

/** `struct v4l2_fmtdesc`, and whether the format can be used in this installation. */
export interface FormatDescription {
  readonly fourcc: string;
  readonly description: string;
  /** V4L2_FMT_FLAG_* */
  readonly flags: number;
  readonly available: boolean;
  /** What to install where it is not available. */
  readonly reason?: string;
}

/** `struct v4l2_plane_pix_format`. */
export interface PlaneFormat {
  /** Bytes that a buffer for this plane has at least. */
  readonly sizeimage: number;
  /** Of its first component; 0 for coded formats. */
  readonly bytesperline: number;
}

/** `struct v4l2_format`: single- and multi-planar alike, the former with one plane. */
export interface V4l2Format {
  /** V4L2_BUF_TYPE_* */
  readonly type: number;
  readonly width: number;
  readonly height: number;
  /** Four characters: `'H264'`, `'YU12'`. */
  readonly pixelformat: string;
  readonly field: number;
  readonly planes: readonly PlaneFormat[];
}

/** What S_FMT and TRY_FMT are asked for; what is left out, the device chooses. */
export interface V4l2FormatRequest {
  readonly type: number;
  readonly width?: number;
  readonly height?: number;
  readonly pixelformat?: string;
  /** A coded format's buffers: bytes of `planes[0]`. */
  readonly planes?: readonly { readonly sizeimage?: number }[];
  /** Decoder OUTPUT: parameter sets that the stream itself may lack. */
  readonly header?: Uint8Array<ArrayBufferLike>;
}

/** `struct v4l2_frmsizeenum`, stepwise. */
export interface FrameSizes {
  readonly type: number;
  readonly min_width: number;
  readonly max_width: number;
  readonly step_width: number;
  readonly min_height: number;
  readonly max_height: number;
  readonly step_height: number;
}

/** The formats of a device's queues. */
export interface FormatSet {
  enumFmt(type: number): readonly FormatDescription[];
  gFmt(type: number): V4l2Format;
  tryFmt(request: V4l2FormatRequest): V4l2Format;
  sFmt(request: V4l2FormatRequest): V4l2Format;
}

/** Largest picture side that any codec here has. */
export const MAX_SIDE = 16384;

/** Bytes of a coded buffer where nobody says. */
export const CODED_BYTES: number = 1 << 20;

/** Sizes of every format here: any. */
export const ANY_SIZE: FrameSizes = {
  type: V4L2_FRMSIZE_TYPE_STEPWISE,
  min_width: 1,
  max_width: MAX_SIDE,
  step_width: 1,
  min_height: 1,
  max_height: MAX_SIDE,
  step_height: 1,
};

/** Raw formats, and whether they take the multi-planar API. */
export function rawFormats(type: number): readonly FormatDescription[] {
  const raw = { flags: 0, available: true };
  const one = { fourcc: V4L2_PIX_FMT_YUV420, description: 'Planar YUV 4:2:0', ...raw };
  if (!isMultiplanar(type)) return [one];
  const three = { fourcc: V4L2_PIX_FMT_YUV420M, description: 'Planar YUV 4:2:0 (N-C)', ...raw };
  return [one, three];
}

/** The raw format nearest to what was asked for, in the API of `type`. */
export function rawPixelformat(type: number, asked: string | undefined): string {
  const known = rawFormats(type).some(({ fourcc }) => fourcc === asked);
  return known && asked !== undefined ? asked : V4L2_PIX_FMT_YUV420;
}

/** Bytes of each plane of a raw format. */
export function rawPlanes(pixelformat: string, width: number, height: number): PlaneFormat[] {
  const { pitches, offsets, sizeimage } = captureFormat(width, height);
  if (pixelformat !== V4L2_PIX_FMT_YUV420M) {
    return [{ sizeimage, bytesperline: pitches[0] ?? 0 }];
  }
  return offsets.map((offset, i) => ({
    sizeimage: (offsets[i + 1] ?? sizeimage) - offset,
    bytesperline: pitches[i] ?? 0,
  }));
}

/** A raw format in full. */
export function rawFormat(
  type: number,
  pixelformat: string,
  size: { readonly width: number; readonly height: number },
): V4l2Format {
  const { width, height } = size;
  const planes = rawPlanes(pixelformat, width, height);
  return { type, width, height, pixelformat, field: V4L2_FIELD_NONE, planes };
}

/** A coded format in full. */
export function codedFormat(
  type: number,
  pixelformat: string,
  size: { readonly width: number; readonly height: number },
  sizeimage: number,
): V4l2Format {
  const planes = [{ sizeimage, bytesperline: 0 }];
  return { type, ...size, pixelformat, field: V4L2_FIELD_NONE, planes };
}

/** A side that a picture can have, as S_FMT adjusts it. */
export function adjustSide(asked: number | undefined, fallback: number): number {
  if (asked === undefined || !Number.isInteger(asked) || asked <= 0) return fallback;
  return Math.min(asked, MAX_SIDE);
}

/** Bytes of a coded buffer, as S_FMT adjusts them. */
export function adjustSizeimage(
  asked: number | undefined,
  least: number,
  fallback: number = CODED_BYTES,
): number {
  if (asked === undefined || !Number.isSafeInteger(asked) || asked <= 0) return fallback;
  return Math.max(asked, least);
}

/** EINVAL for a queue that the device does not have. */
export function noQueue(call: string, type: number, queues: string): DmaBufError {
  return new DmaBufError('EINVAL', call, `buffer type ${type}; this device has ${queues}`);
}
