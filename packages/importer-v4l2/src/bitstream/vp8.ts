/**
 * The VP8 frame header: key frame, size, and whether a packet is shown.
 *
 * Follows RFC 6386 section 9.1. Throws `EINVAL`, nothing else.
 */
import { DmaBufError } from '@dmabuf/core';

export interface Vp8Header {
  readonly keyframe: boolean;
  /** Bitstream version, 0 to 3. */
  readonly version: number;
  /** show_frame: 0 is an alternate reference, which yields no picture. */
  readonly shown: boolean;
  /** Of key frames; an inter frame has the size of the key frame before it. */
  readonly width: number | undefined;
  readonly height: number | undefined;
}

function bad(what: string): DmaBufError {
  return new DmaBufError('EINVAL', 'parse_vp8', what);
}

/** Reads the header of one VP8 packet. */
export function parseVp8Header(data: Uint8Array<ArrayBufferLike>): Vp8Header {
  const [b0, b1, b2] = data;
  if (b0 === undefined || b1 === undefined || b2 === undefined) {
    throw bad(`a VP8 frame of ${data.length} bytes has no frame tag`);
  }
  const keyframe = (b0 & 1) === 0;
  const version = (b0 >> 1) & 7;
  if (version > 3) throw bad(`VP8 version ${version} is none of 0 to 3`);
  const shown = (b0 & 0x10) !== 0;
  const firstPartition = ((b0 | (b1 << 8) | (b2 << 16)) >> 5) & 0x7ffff;
  if (firstPartition > data.length - (keyframe ? 10 : 3)) {
    throw bad(`the first partition claims ${firstPartition} bytes of a packet of ${data.length}`);
  }
  if (!keyframe) return { keyframe, version, shown, width: undefined, height: undefined };
  const [, , , s0, s1, s2, w0 = 0, w1 = 0, h0 = 0, h1 = 0] = data;
  if (s0 !== 0x9d || s1 !== 0x01 || s2 !== 0x2a) throw bad('a VP8 key frame lacks its start code');
  const width = (w0 | (w1 << 8)) & 0x3fff;
  const height = (h0 | (h1 << 8)) & 0x3fff;
  if (width === 0 || height === 0) throw bad(`a VP8 key frame of ${width}x${height}`);
  return { keyframe, version, shown, width, height };
}
