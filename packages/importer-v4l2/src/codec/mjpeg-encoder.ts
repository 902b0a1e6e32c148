/**
 * The Motion JPEG and JPEG encoder of our own; synchronous, every picture a key frame.
 */
import { DmaBufError } from '@dmabuf/core';
import type { PictureFourcc } from './codec.js';
import {
  checkQuality,
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
import { JpegEncoder } from './jpeg/encoder.js';

const TAKES: readonly PictureFourcc[] = ['YU12', 'NV12'];

export class MjpegEncoder implements Encoder {
  readonly name = 'baseline JPEG';
  readonly delay = 0;
  readonly mode = 'sync';
  readonly #settings: EncoderSettings;
  #jpeg: JpegEncoder | undefined;

  /**
   * Samples go in as they are unless `colour` says that they are of limited range: these are stretched to
   * full range, which is JPEG's. Throws `EINVAL`.
   */
  constructor(options: EncoderOptions) {
    const settings = encoderSettings(options);
    const { width, height, restartInterval } = settings;
    const limited = options.colour?.range === 'limited';
    this.#settings = settings;
    const shape = { width, height, restart: restartInterval, limited };
    this.#jpeg = new JpegEncoder(shape, settings.quality);
  }

  encode(picture: RawPicture, { timestamp }: EncodeOptions): Encoded {
    const jpeg = this.#open('encode');
    const fault = pictureFault(picture, this.#settings, TAKES);
    if (fault !== undefined) return { packets: [], fault };
    const data = jpeg.encode(picture);
    return { packets: [{ data, timestamp, key: true }], fault: undefined };
  }

  setBitrate(_bitsPerSecond: number): void {
    this.#open('setBitrate');
    const detail = 'JPEG has a quality instead of a bitrate: call setQuality';
    throw new DmaBufError('EOPNOTSUPP', 'setBitrate', detail);
  }

  setQuality(quality: number): void {
    this.#open('setQuality').setQuality(checkQuality(quality));
  }

  flush(): Encoded {
    this.#open('flush');
    return { packets: [], fault: undefined };
  }

  close(): void {
    this.#jpeg = undefined;
  }

  #open(call: string): JpegEncoder {
    if (this.#jpeg !== undefined) return this.#jpeg;
    throw new DmaBufError('EBADFD', call, 'the JPEG encoder is closed');
  }
}

function encoderInfo(fourcc: string, description: string): EncoderInfo {
  return {
    fourcc,
    description,
    takes: TAKES,
    control: 'quality',
    probe: () => ({ available: true }),
    open: async (options) => new MjpegEncoder(options),
  };
}

export const mjpegEncoder: EncoderInfo = encoderInfo('MJPG', 'Motion-JPEG');
export const jpegEncoder: EncoderInfo = encoderInfo('JPEG', 'JFIF JPEG');
