/**
 * How a decoded picture gets into a CAPTURE buffer on a device that decodes in place: the buffer is pointed at it, or where
 * that cannot be it is copied, in the same layout: that of the coded frame, of which G_SELECTION tells what is visible.
 */
import { DmaBufError, type FrameMetadata, type Job } from '@dmabuf/core';
import { frameLayout, pictureMetadata } from '../capture-format.js';
import { V4L2_BUF_FLAG_KEYFRAME, V4L2_BUF_FLAG_PFRAME } from '../videodev2.js';
import { fillPicture, type PictureResult } from './decoder-coder.js';
import type { PicturePool } from './picture-pool.js';
import type { Filled } from './stream-jobs.js';

/** See {@link Filled}; and whether the picture stayed in place. */
export type Placed = Filled & { readonly inPlace: boolean };

/** Fills the buffer of a job. EINVAL: it is too small, nothing has been touched. */
export function fillInPlace(
  pool: PicturePool,
  result: PictureResult,
  planes: readonly Uint8Array<ArrayBufferLike>[],
  of: { readonly job: Job; readonly sequence: number },
): Placed {
  const { job, sequence } = of;
  const { picture } = result;
  const [bytes] = planes;
  if (planes.length !== 1 || bytes === undefined || picture.fourcc !== 'YU12') {
    return { ...fillPicture(result, planes, sequence), inPlace: false };
  }
  const { planes: layout, byteLength } = frameLayout(picture);
  if (byteLength > bytes.length) {
    const detail = `a frame of ${byteLength} bytes for a plane of ${bytes.length}`;
    throw new DmaBufError('EINVAL', 'capture', detail);
  }
  const metadata: FrameMetadata = {
    ...pictureMetadata(picture, sequence),
    pitches: layout.map(({ pitch }) => pitch),
    offsets: layout.map(({ offset }) => offset),
  };
  const flags = picture.keyframe ? V4L2_BUF_FLAG_KEYFRAME : V4L2_BUF_FLAG_PFRAME;
  const filled = { bytesused: [byteLength], flags, metadata };
  const { place } = picture;
  const buffer = job.buffer(0);
  // A plane that begins further in (data_offset) is copied, like what is not in the decoder's memory.
  const whole = bytes.byteOffset === buffer.bytes.byteOffset;
  if (place !== undefined && whole && pool.place(buffer, place)) {
    return { ...filled, copied: 0, inPlace: true };
  }
  const evicted = place === undefined ? 0 : pool.evict(buffer, place);
  return { ...filled, copied: evicted + picture.copyTo(bytes, layout), inPlace: false };
}
