/**
 * Raw pictures as a bitstream: I420 or NV12, tightly packed, one a packet; or a YUV4MPEG2 stream, whose
 * lines may stand before the pictures or be left out. With it a device runs with no compression.
 *
 * The size is told by S_FMT, or by a Y4M line in the header or at the beginning of a packet. A packet may
 * be given back before its picture is shown, so that it is copied in between: two copies a picture.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Colour } from '../bitstream/picture-format.js';
import { isY4m, parseY4mHeader, y4mFrameLine } from '../bitstream/y4m.js';
import type {
  CodecInfo,
  Decoded,
  Decoder,
  OpenOptions,
  Packet,
  PacketInfo,
  PictureFourcc,
} from './codec.js';
import { planarPicture } from './planar-picture.js';
import { tightLayout } from './planes.js';
import { parseFault, UnsupportedStream } from './unsupported.js';

const UNKNOWN_COLOUR: Colour = { range: 'limited', matrix: 'unspecified' };
const NOTHING: Decoded = Object.freeze({ pictures: [], fault: undefined });

/** What is known of the pictures. */
interface Shape {
  readonly width: number;
  readonly height: number;
  readonly colour: Colour;
}

export class RawDecoder implements Decoder {
  readonly name: string;
  readonly reorderDelay = 0;
  readonly #fourcc: PictureFourcc;
  #shape: Shape | undefined;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #closed = false;

  /** Throws `EINVAL` for a header that is no Y4M line. */
  constructor(fourcc: PictureFourcc, { header, width = 0, height = 0 }: OpenOptions) {
    this.name = `raw ${fourcc}`;
    this.#fourcc = fourcc;
    if (header !== undefined) this.#shape = parseY4mHeader(header);
    else if (width > 0 && height > 0) this.#shape = { width, height, colour: UNKNOWN_COLOUR };
  }

  decode({ data, timestamp }: Packet): Decoded {
    this.#open('decode');
    if (data.length === 0) return faulty('EINVAL', 'the packet is empty');
    let at = 0;
    if (isY4m(data)) {
      try {
        const header = parseY4mHeader(data);
        this.#shape = header;
        at = header.bytes;
      } catch (error) {
        return { pictures: [], fault: parseFault(error) };
      }
      if (at === data.length) return NOTHING;
    }
    if (this.#shape === undefined) return { pictures: [], fault: this.#sizeless() };
    return this.#picture(data, at, timestamp, this.#shape);
  }

  drain(): Decoded {
    this.#open('drain');
    return NOTHING;
  }

  reset(): void {
    this.#open('reset');
  }

  close(): void {
    this.#closed = true;
    this.#bytes = new Uint8Array(0);
  }

  #picture(
    data: Uint8Array<ArrayBufferLike>,
    start: number,
    timestamp: number,
    { width, height, colour }: Shape,
  ): Decoded {
    const { planes, byteLength } = tightLayout(this.#fourcc, width, height);
    const exact = data.length - start === byteLength;
    const at = exact ? start : start + y4mFrameLine(data, start);
    if (data.length - at !== byteLength) {
      const found = `${data.length - at} bytes`;
      return faulty('EIO', `it has ${found}; a picture of ${width}x${height} has ${byteLength}`);
    }
    if (this.#bytes.length !== byteLength) this.#bytes = new Uint8Array(byteLength);
    this.#bytes.set(data.subarray(at));
    const planar = { fourcc: this.#fourcc, data: this.#bytes, planes, width, height };
    const about = { timestamp, colour, keyframe: true, damaged: false };
    return { pictures: [planarPicture(planar, about)], fault: undefined };
  }

  #sizeless(): UnsupportedStream {
    const found = `${this.#fourcc} of a size that nobody has told`;
    const accepted = 'a size by S_FMT, or a YUV4MPEG2 line';
    return new UnsupportedStream('decode', found, accepted, 'give width and height to setFormat');
  }

  #open(call: string): void {
    if (this.#closed) throw new DmaBufError('EBADFD', call, `the ${this.name} decoder is closed`);
  }
}

function faulty(code: 'EINVAL' | 'EIO', detail: string): Decoded {
  return { pictures: [], fault: new DmaBufError(code, 'decode', detail) };
}

/** `CodecInfo.inspect`: only a Y4M line says anything. */
function inspect(data: Uint8Array<ArrayBufferLike>): PacketInfo {
  if (!isY4m(data)) return { keyframe: true, shown: data.length > 0, stream: undefined };
  const { width, height, colour, bytes } = parseY4mHeader(data);
  const stream = {
    profile: 'YUV4MPEG2',
    width,
    height,
    codedWidth: width,
    codedHeight: height,
    crop: { left: 0, top: 0, width, height },
    colour,
  };
  return { keyframe: true, shown: data.length > bytes, stream };
}

function codecInfo(fourcc: PictureFourcc, description: string): CodecInfo {
  return {
    fourcc,
    description,
    accepts: `raw ${description} ('${fourcc}')`,
    raw: true,
    probe: () => ({ available: true }),
    inspect,
    open: async (options = {}) => new RawDecoder(fourcc, options),
  };
}

export const rawI420: CodecInfo = codecInfo('YU12', 'Planar YUV 4:2:0');
export const rawNv12: CodecInfo = codecInfo('NV12', 'Y/UV 4:2:0');
