/**
 * An encoder as the codec of a stream: pictures in, packets out.
 *
 * What its settings are comes with each picture (EncoderParameters), so a change has its exact place in the
 * stream. A change of rate control that the encoder cannot make on the way opens another one, which begins
 * with a key frame; the packets that the old one held back come first.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Encoded, EncodedPacket, Encoder, EncoderInfo } from '../codec/encoder.js';
import type { PictureFourcc } from '../codec/codec.js';
import { tightLayout } from '../codec/planes.js';
import { type EncoderParameters, parametersOf } from '../encoder-parameters.js';
import { V4L2_BUF_FLAG_KEYFRAME, V4L2_BUF_FLAG_PFRAME } from '../videodev2.js';
import type { Coded, Coder, Result } from './m2m.js';
import type { Filled, StreamSource } from './stream-jobs.js';

/** A packet that was encoded. */
export interface PacketResult extends Result {
  readonly packet: EncodedPacket;
}

function resultOf(packet: EncodedPacket): PacketResult {
  return { timestamp: packet.timestamp, damaged: false, geometry: undefined, packet };
}

/** What is encoded. */
export interface EncoderFormat {
  readonly width: number;
  readonly height: number;
  readonly source: PictureFourcc;
}

export class EncoderCoder implements Coder<StreamSource, PacketResult> {
  readonly #info: EncoderInfo;
  readonly #format: EncoderFormat;
  #encoder: Encoder | undefined;
  #now: EncoderParameters | undefined;

  constructor(info: EncoderInfo, format: EncoderFormat) {
    this.#info = info;
    this.#format = format;
  }

  code(source: StreamSource): Coded<PacketResult> | Promise<Coded<PacketResult>> {
    const parameters = parametersOf(source.parameters);
    const encoder = this.#encoder;
    if (encoder === undefined || this.#needsAnother(parameters)) {
      return this.#reopened(source, parameters);
    }
    this.#adjust(encoder, parameters);
    return this.#encode(encoder, source, parameters);
  }

  drain(): Coded<PacketResult> | Promise<Coded<PacketResult>> {
    const flushed = this.#encoder?.flush() ?? { packets: [], fault: undefined };
    return flushed instanceof Promise ? flushed.then(codedOf) : codedOf(flushed);
  }

  /** The next picture opens an encoder anew: with a key frame. */
  reset(): void | Promise<void> {
    const encoder = this.#encoder;
    this.#encoder = undefined;
    return encoder?.close();
  }

  close(): void | Promise<void> {
    return this.reset();
  }

  #needsAnother({ gop, frameRate }: EncoderParameters): boolean {
    const now = this.#now;
    if (now === undefined || now.gop !== gop) return true;
    return now.frameRate.num !== frameRate.num || now.frameRate.den !== frameRate.den;
  }

  async #reopened(
    source: StreamSource,
    parameters: EncoderParameters,
  ): Promise<Coded<PacketResult>> {
    const { width, height } = this.#format;
    const held = await this.drain();
    await this.reset();
    let encoder: Encoder;
    try {
      encoder = await this.#info.open({ width, height, ...parameters });
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      return { results: held.results, fault: error };
    }
    this.#encoder = encoder;
    this.#now = parameters;
    const coded = await this.#encode(encoder, source, parameters);
    return { results: [...held.results, ...coded.results], fault: coded.fault };
  }

  #adjust(encoder: Encoder, parameters: EncoderParameters): void {
    const { control } = this.#info;
    const now = this.#now;
    this.#now = parameters;
    if (control === 'bitrate' && now?.bitrate !== parameters.bitrate) {
      encoder.setBitrate(parameters.bitrate);
    }
    if (control === 'quality' && now?.quality !== parameters.quality) {
      encoder.setQuality(parameters.quality);
    }
  }

  #encode(
    encoder: Encoder,
    { data, timestamp }: StreamSource,
    { forceKeyFrame }: EncoderParameters,
  ): Coded<PacketResult> | Promise<Coded<PacketResult>> {
    const { width, height, source: fourcc } = this.#format;
    const { planes } = tightLayout(fourcc, width, height);
    const picture = { fourcc, data, planes, width, height };
    const encoded = encoder.encode(picture, { timestamp, forceKeyFrame });
    return encoded instanceof Promise ? encoded.then(codedOf) : codedOf(encoded);
  }
}

function codedOf({ packets, fault }: Encoded): Coded<PacketResult> {
  return { results: packets.map(resultOf), fault };
}

/** A packet goes into one buffer. Throws EINVAL where it does not fit. */
export function fillPacket(
  { packet }: PacketResult,
  planes: readonly Uint8Array<ArrayBufferLike>[],
): Filled {
  const { data, key } = packet;
  const [plane] = planes;
  if (plane === undefined || plane.length < data.length) {
    const detail = `a packet of ${data.length} bytes for a buffer of ${plane?.length ?? 0}`;
    throw new DmaBufError('EINVAL', 'capture', detail);
  }
  plane.set(data);
  const flags = key ? V4L2_BUF_FLAG_KEYFRAME : V4L2_BUF_FLAG_PFRAME;
  return { bytesused: [data.length], copied: data.length, flags, metadata: undefined };
}
