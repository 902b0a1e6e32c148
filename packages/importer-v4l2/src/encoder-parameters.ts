/**
 * What an encoder is told with each picture: its controls and frame rate, as plain numbers in the job of the
 * OUTPUT buffer. The driver half packs them; the device half checks them again.
 */
import { DmaBufError } from '@dmabuf/core';

export interface EncoderParameters {
  /** Bits a second. */
  readonly bitrate: number;
  /** Frames from one key frame to the next. */
  readonly gop: number;
  /** 1 to 100, for codecs without a rate. */
  readonly quality: number;
  /** Frames a second. */
  readonly frameRate: { readonly num: number; readonly den: number };
  /** This picture becomes a key frame. */
  readonly forceKeyFrame: boolean;
}

export function packParameters(parameters: EncoderParameters): readonly number[] {
  const { bitrate, gop, quality, frameRate, forceKeyFrame } = parameters;
  return [bitrate, gop, quality, frameRate.num, frameRate.den, forceKeyFrame ? 1 : 0];
}

/** Throws `EINVAL` for what packParameters did not make. */
export function parametersOf(numbers: readonly number[]): EncoderParameters {
  const [bitrate, gop, quality, num, den, force] = numbers;
  if (
    bitrate === undefined ||
    gop === undefined ||
    quality === undefined ||
    num === undefined ||
    den === undefined ||
    force === undefined
  ) {
    throw new DmaBufError('EINVAL', 'encode', 'the OUTPUT buffer came without its parameters');
  }
  return { bitrate, gop, quality, frameRate: { num, den }, forceKeyFrame: force !== 0 };
}
