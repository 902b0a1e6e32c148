/**
 * A decoder as the codec of a stream: packets in, pictures out, and how a picture gets into a buffer.
 */
import type { Decoded, Decoder, Picture } from '../codec/index.js';
import { tightLayout, type PlaneLayout } from '../codec/planes.js';
import { pictureMetadata } from '../capture-format.js';
import { V4L2_BUF_FLAG_KEYFRAME, V4L2_BUF_FLAG_PFRAME } from '../videodev2.js';
import type { Coded, Coder, Geometry, Result } from './m2m.js';
import type { Filled, StreamSource } from './stream-jobs.js';
import { DmaBufError } from '@dmabuf/core';

/** A decoded picture in the decoder's memory. */
export interface PictureResult extends Result {
  readonly picture: Picture;
}

/** Geometry of a picture, or of what headers say of pictures. */
export function geometryOf(
  picture: Pick<Picture, 'width' | 'height' | 'codedWidth' | 'codedHeight' | 'crop'>,
): Geometry {
  const { width, height, codedWidth, codedHeight, crop } = picture;
  return { width, height, codedWidth, codedHeight, left: crop.left, top: crop.top };
}

function resultOf(picture: Picture): PictureResult {
  const { timestamp, damaged } = picture;
  return { timestamp, damaged, geometry: geometryOf(picture), picture };
}

export class DecoderCoder implements Coder<StreamSource, PictureResult> {
  readonly #decoder: Decoder;
  /** Size that a packet's headers state; undefined where they are silent or damaged. */
  readonly #stated: (data: Uint8Array<ArrayBufferLike>) => Geometry | undefined;

  constructor(
    decoder: Decoder,
    stated: (data: Uint8Array<ArrayBufferLike>) => Geometry | undefined,
  ) {
    this.#decoder = decoder;
    this.#stated = stated;
  }

  code(source: StreamSource): Coded<PictureResult> | Promise<Coded<PictureResult>> {
    const { data, timestamp } = source;
    const stated = (): Geometry | undefined => this.#stated(data);
    const decoded = this.#decoder.decode({ data, timestamp });
    if (decoded instanceof Promise) return decoded.then((value) => codedOf(value, stated));
    return codedOf(decoded, stated);
  }

  drain(): Coded<PictureResult> | Promise<Coded<PictureResult>> {
    const decoded = this.#decoder.drain();
    const none = (): undefined => undefined;
    if (decoded instanceof Promise) return decoded.then((value) => codedOf(value, none));
    return codedOf(decoded, none);
  }

  reset(): void | Promise<void> {
    return this.#decoder.reset();
  }

  close(): void | Promise<void> {
    return this.#decoder.close();
  }
}

function codedOf(
  { pictures, fault }: Decoded,
  stated: () => Geometry | undefined,
): Coded<PictureResult> {
  const results = pictures.map(resultOf);
  const silent = results.length > 0 || fault !== undefined;
  return { results, fault, stated: silent ? undefined : stated() };
}

/** One buffer takes all planes; three take one each, by way of a copy in between. */
export function fillPicture(
  { picture }: PictureResult,
  planes: readonly Uint8Array<ArrayBufferLike>[],
  sequence: number,
): Filled {
  const { fourcc, width, height } = picture;
  const { planes: layout, byteLength } = tightLayout(fourcc, width, height);
  const flags = picture.keyframe ? V4L2_BUF_FLAG_KEYFRAME : V4L2_BUF_FLAG_PFRAME;
  const metadata = pictureMetadata(picture, sequence);
  const [first] = planes;
  if (planes.length === 1 && first !== undefined) {
    if (byteLength > first.length) throw tooSmall(byteLength, first.length);
    const copied = picture.copyTo(first, layout);
    return { bytesused: [byteLength], copied, flags, metadata };
  }
  const bytesused = splitPicture(picture, planes, layout, byteLength);
  const zeros = bytesused.map(() => 0);
  return { bytesused, copied: 2 * byteLength, flags, metadata: { ...metadata, offsets: zeros } };
}

function splitPicture(
  picture: Picture,
  planes: readonly Uint8Array<ArrayBufferLike>[],
  layout: readonly PlaneLayout[],
  byteLength: number,
): readonly number[] {
  const ends = layout.map((_, i) => layout[i + 1]?.offset ?? byteLength);
  const sizes = layout.map(({ offset }, i) => (ends[i] ?? 0) - offset);
  sizes.forEach((size, i) => {
    if (size > (planes[i]?.length ?? 0)) throw tooSmall(size, planes[i]?.length ?? 0);
  });
  const whole = new Uint8Array(byteLength);
  picture.copyTo(whole, layout);
  layout.forEach(({ offset }, i) => planes[i]?.set(whole.subarray(offset, ends[i])));
  return sizes;
}

function tooSmall(need: number, have: number): DmaBufError {
  return new DmaBufError('EINVAL', 'capture', `a picture of ${need} bytes for a plane of ${have}`);
}
