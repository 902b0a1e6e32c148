/**
 * Motion JPEG and JPEG: baseline pictures, by a decoder of our own; synchronous.
 *
 * Every picture stands alone, so that damage costs just the picture that it hit. Pictures come out as
 * I420 whatever their sampling: rows or columns of chroma that are too many are averaged in pairs
 * while they are copied, grey pictures get chroma of 128.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Rect } from '../bitstream/picture-format.js';
import type { CodecInfo, Decoded, Decoder, OpenOptions, Packet, Picture } from './codec.js';
import { JpegDecoder } from './jpeg/decoder.js';
import { writeJpegI420 } from './jpeg/i420.js';
import type { FramePlanes } from './jpeg/frame-planes.js';
import { inspectMjpeg, JPEG_COLOUR, MJPEG_ACCEPTS, readJpegHeaders } from './mjpeg-support.js';
import type { PlaneLayout } from './planes.js';
import { parseFault } from './unsupported.js';

const NOTHING: Decoded = Object.freeze({ pictures: [], fault: undefined });

class MjpegPicture implements Picture {
  readonly timestamp: number;
  readonly width: number;
  readonly height: number;
  readonly crop: Rect;
  readonly colour = JPEG_COLOUR;
  readonly fourcc = 'YU12';
  readonly keyframe = true;
  readonly damaged = false;
  readonly #frame: FramePlanes;

  constructor(frame: FramePlanes, timestamp: number, width: number, height: number) {
    this.#frame = frame;
    this.timestamp = timestamp;
    this.width = width;
    this.height = height;
    this.crop = { left: 0, top: 0, width, height };
  }

  get codedWidth(): number {
    return this.#frame.codedWidth;
  }
  get codedHeight(): number {
    return this.#frame.codedHeight;
  }

  copyTo(dst: Uint8Array<ArrayBufferLike>, layout: readonly PlaneLayout[]): number {
    return writeJpegI420(dst, layout, this.#frame, this);
  }
}

/** Damage that the decoder met stays what it is; what its parsers refuse are damaged headers. */
function faultOf(error: unknown): DmaBufError {
  return error instanceof DmaBufError && error.code === 'EIO' ? error : parseFault(error);
}

export class MjpegDecoder implements Decoder {
  readonly name = 'baseline JPEG';
  readonly reorderDelay = 0;
  #jpeg: JpegDecoder | undefined = new JpegDecoder();

  /** Takes in tables that the pictures leave out. Throws `EINVAL`. */
  configure(header: Uint8Array<ArrayBufferLike>): void {
    this.#open('configure').configure(header);
  }

  decode({ data, timestamp }: Packet): Decoded {
    const jpeg = this.#open('decode');
    if (data.length === 0) {
      return { pictures: [], fault: new DmaBufError('EINVAL', 'decode', 'the packet is empty') };
    }
    try {
      const { width, height } = readJpegHeaders(data);
      const picture = new MjpegPicture(jpeg.decode(data), timestamp, width, height);
      return { pictures: [picture], fault: undefined };
    } catch (error) {
      return { pictures: [], fault: faultOf(error) };
    }
  }

  drain(): Decoded {
    this.#open('drain');
    return NOTHING;
  }

  reset(): void {
    this.#open('reset');
  }

  close(): void {
    this.#jpeg = undefined;
  }

  #open(call: string): JpegDecoder {
    if (this.#jpeg !== undefined) return this.#jpeg;
    throw new DmaBufError('EBADFD', call, 'the JPEG decoder is closed');
  }
}

async function open(options: OpenOptions = {}): Promise<Decoder> {
  const decoder = new MjpegDecoder();
  if (options.header !== undefined) decoder.configure(options.header);
  return decoder;
}

function codecInfo(fourcc: string, description: string): CodecInfo {
  return {
    fourcc,
    description,
    accepts: `${description} (${MJPEG_ACCEPTS})`,
    probe: () => ({ available: true }),
    inspect: inspectMjpeg,
    open,
  };
}

/** Motion JPEG: pictures that may leave the standard Huffman tables out. */
export const mjpeg: CodecInfo = codecInfo('MJPG', 'Motion-JPEG');
/** JFIF pictures; what is decoded is the same. */
export const jpeg: CodecInfo = codecInfo('JPEG', 'JFIF JPEG');
