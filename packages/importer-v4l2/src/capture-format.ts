/**
 * The CAPTURE side's format: how a decoded picture lies in its buffer, the same in both halves of
 * the driver (`struct v4l2_pix_format`).
 */
import { DmaBufError, type FrameMetadata } from '@dmabuf/core';
import type { Colour } from './bitstream/picture-format.js';
import type { Picture, PictureFourcc } from './codec/index.js';
import { type PlaneLayout, tightLayout } from './codec/planes.js';
import { v4l2_fourcc } from './videodev2.js';

/** Largest picture side that any codec here has. */
const MAX_SIDE = 16384;

/** How a picture of a given size lies in a buffer: planes tightly packed, no padding. */
export interface CaptureFormat {
  readonly fourcc: PictureFourcc;
  /** Visible pixels; nothing else is copied. */
  readonly width: number;
  readonly height: number;
  /** Bytes per line of each plane, and bytes from the start of the buffer to each. */
  readonly pitches: readonly number[];
  readonly offsets: readonly number[];
  /** Bytes that a CAPTURE buffer must have at least. */
  readonly sizeimage: number;
}

/** The layout of pictures of `width` by `height` pixels. Throws `EINVAL` for a size that is none. */
export function captureFormat(
  width: number,
  height: number,
  fourcc: PictureFourcc = 'YU12',
): CaptureFormat {
  for (const side of [width, height]) {
    if (Number.isInteger(side) && side > 0 && side <= MAX_SIDE) continue;
    const detail = `a picture of ${width}x${height}; each side is a whole number from 1 to ${MAX_SIDE}`;
    throw new DmaBufError('EINVAL', 'VIDIOC_S_FMT', detail);
  }
  const { planes, byteLength } = tightLayout(fourcc, width, height);
  return {
    fourcc,
    width,
    height,
    pitches: planes.map(({ pitch }) => pitch),
    offsets: planes.map(({ offset }) => offset),
    sizeimage: byteLength,
  };
}

/**
 * The layout of the whole coded frame, planes one after the other, and its bytes; each plane begins at its first visible
 * sample. Of I420 pictures.
 */
export function frameLayout(
  picture: Pick<Picture, 'codedWidth' | 'codedHeight' | 'crop'>,
): ReturnType<typeof tightLayout> {
  const { codedWidth, codedHeight, crop } = picture;
  const { planes, byteLength } = tightLayout('YU12', codedWidth, codedHeight);
  const visible = planes.map(({ offset, pitch }, i) => {
    const shift = i === 0 ? 0 : 1;
    return { offset: offset + (crop.top >> shift) * pitch + (crop.left >> shift), pitch };
  });
  return { planes: visible, byteLength };
}

/** BT.601 or BT.709; where the stream is silent, by size, as V4L2_MAP_YCBCR_ENC_DEFAULT's users do. */
function matrixOf({ matrix }: Colour, height: number): FrameMetadata['matrix'] {
  if (matrix === 'unspecified') return height >= 720 ? 'bt709' : 'bt601';
  return matrix === 'bt601' ? 'bt601' : 'bt709';
}

/** What a CAPTURE buffer says of the picture that was copied into it. */
export function pictureMetadata(
  picture: Pick<Picture, 'width' | 'height' | 'fourcc' | 'colour' | 'timestamp'>,
  sequence: number,
): FrameMetadata {
  const { width, height, fourcc } = picture;
  const { planes } = tightLayout(fourcc, width, height);
  return frameMetadata(picture, planes, sequence);
}

/** The same of a picture in any format, with its planes at `layout`. */
export function frameMetadata(
  picture: Pick<Picture, 'width' | 'height' | 'colour' | 'timestamp'> & { readonly fourcc: string },
  layout: readonly PlaneLayout[],
  sequence: number,
): FrameMetadata {
  const { width, height, fourcc, colour, timestamp } = picture;
  return {
    fourcc: v4l2_fourcc(fourcc),
    width,
    height,
    crop: { left: 0, top: 0, width, height },
    pitches: layout.map(({ pitch }) => pitch),
    offsets: layout.map(({ offset }) => offset),
    range: colour.range,
    matrix: matrixOf(colour, height),
    sequence,
    timestamp,
  };
}
