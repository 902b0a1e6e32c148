/**
 * The encoders that importer-v4l2 knows, by the V4L2 pixel format of the CAPTURE queue.
 *
 * Read-only and without state: every thread that opens a device has its own.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Encoder, EncoderInfo, EncoderOptions } from './encoder.js';
import { vp8Encoder, vp9Encoder } from './libav-encoder.js';
import { jpegEncoder, mjpegEncoder } from './mjpeg-encoder.js';
import { rawI420Encoder, rawNv12Encoder } from './raw-encoder.js';

/** Every encoder, installed or not; `probe()` tells. */
export const encoders: readonly EncoderInfo[] = [
  vp8Encoder,
  vp9Encoder,
  mjpegEncoder,
  jpegEncoder,
  rawI420Encoder,
  rawNv12Encoder,
];

/** What can be encoded to, in one line, with what to install for those that are missing. */
function known(): string {
  return encoders
    .map(({ fourcc, description, probe }) => {
      const state = probe();
      const name = `${description} ('${fourcc}')`;
      return state.available ? name : `${name} (${state.reason})`;
    })
    .join(', ');
}

/**
 * The encoder of a CAPTURE format. Throws `EINVAL`, naming the format and what can be had.
 *
 * One whose package is missing is returned all the same: `open` tells what to install.
 */
export function encoderOf(fourcc: string): EncoderInfo {
  const found = encoders.find((encoder) => encoder.fourcc === fourcc);
  if (found !== undefined) return found;
  const detail = `no encoder here makes '${fourcc}'; there are ${known()}`;
  throw new DmaBufError('EINVAL', 'find_encoder', detail);
}

/**
 * Opens an encoder; the caller closes it. Rejects with `EINVAL` for a format or options that cannot
 * be, with `ENOENT` where a package is missing, and says what to install.
 */
export async function openEncoder(fourcc: string, options: EncoderOptions): Promise<Encoder> {
  return encoderOf(fourcc).open(options);
}
