/**
 * Pictures as packets, I420 or NV12, tightly packed: an encoder that compresses nothing. One copy.
 */
import { DmaBufError } from '@dmabuf/core';
import type { PictureFourcc } from './codec.js';
import {
  encoderSettings,
  pictureFault,
  type Encoded,
  type EncodeOptions,
  type Encoder,
  type EncoderInfo,
  type EncoderOptions,
  type EncoderSettings,
  type RawPicture,
} from './encoder.js';
import { tightLayout, writeI420, writeNv12 } from './planes.js';

const TAKES: readonly PictureFourcc[] = ['YU12', 'NV12'];

export class RawEncoder implements Encoder {
  readonly name: string;
  readonly delay = 0;
  readonly mode = 'sync';
  readonly #fourcc: PictureFourcc;
  readonly #settings: EncoderSettings;
  #closed = false;

  /** Throws `EINVAL` for a size that is none. */
  constructor(fourcc: PictureFourcc, options: EncoderOptions) {
    this.name = `raw ${fourcc}`;
    this.#fourcc = fourcc;
    this.#settings = encoderSettings(options);
  }

  encode(picture: RawPicture, { timestamp }: EncodeOptions): Encoded {
    this.#open('encode');
    const fault = pictureFault(picture, this.#settings, TAKES);
    if (fault !== undefined) return { packets: [], fault };
    const { planes, byteLength } = tightLayout(this.#fourcc, picture.width, picture.height);
    const data = new Uint8Array(byteLength);
    if (this.#fourcc === 'NV12') writeNv12(data, planes, picture);
    else writeI420(data, planes, picture);
    return { packets: [{ data, timestamp, key: true }], fault: undefined };
  }

  setBitrate(_bitsPerSecond: number): void {
    this.#uncompressed('setBitrate');
  }

  setQuality(_quality: number): void {
    this.#uncompressed('setQuality');
  }

  flush(): Encoded {
    this.#open('flush');
    return { packets: [], fault: undefined };
  }

  close(): void {
    this.#closed = true;
  }

  #uncompressed(call: string): never {
    this.#open(call);
    throw new DmaBufError('EOPNOTSUPP', call, `${this.name} is not compressed`);
  }

  #open(call: string): void {
    if (this.#closed) throw new DmaBufError('EBADFD', call, `the ${this.name} encoder is closed`);
  }
}

function encoderInfo(fourcc: PictureFourcc, description: string): EncoderInfo {
  return {
    fourcc,
    description,
    takes: TAKES,
    control: 'none',
    probe: () => ({ available: true }),
    open: async (options) => new RawEncoder(fourcc, options),
  };
}

export const rawI420Encoder: EncoderInfo = encoderInfo('YU12', 'Planar YUV 4:2:0');
export const rawNv12Encoder: EncoderInfo = encoderInfo('NV12', 'Y/UV 4:2:0');
