/**
 * Decoding in place, as both halves of the driver know it: which devices do it, and for what.
 */
import { V4L2_PIX_FMT_H264, V4L2_PIX_FMT_YUV420 } from './videodev2.js';

/** Whether a device node was made with `v4l2({ inPlace: true })`, by `info` of its entry in the directory. */
export function decodesInPlace(info: unknown): boolean {
  return typeof info === 'object' && info !== null && 'inPlace' in info && info.inPlace === true;
}

/** Whether pictures of a coded format can stay in place; CAPTURE buffers then have the layout of the coded frame. */
export function staysInPlace(coded: string, raw: string = V4L2_PIX_FMT_YUV420): boolean {
  return coded === V4L2_PIX_FMT_H264 && raw === V4L2_PIX_FMT_YUV420;
}
