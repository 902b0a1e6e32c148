/**
 * What is accepted of VP8 and VP9, checked on the frame headers before the decoder sees them.
 */
import { parseVp8Header } from '../bitstream/vp8.js';
import { parseVp9Packet } from '../bitstream/vp9.js';
import type { PacketInfo } from './codec.js';
import { UnsupportedStream } from './unsupported.js';

export const VP8_ACCEPTS = 'VP8';
export const VP9_ACCEPTS = 'VP9 profile 0 (8-bit 4:2:0)';

/** `CodecInfo.inspect` of VP8. */
export function inspectVp8(data: Uint8Array<ArrayBufferLike>): PacketInfo {
  const { keyframe, shown, version, width, height } = parseVp8Header(data);
  if (width === undefined || height === undefined) return { keyframe, shown, stream: undefined };
  const stream = {
    profile: `VP8 version ${version}`,
    width,
    height,
    codedWidth: width,
    codedHeight: height,
    crop: { left: 0, top: 0, width, height },
    // RFC 6386 9.2 knows one colour space only.
    colour: { range: 'limited', matrix: 'bt601' },
  } as const;
  return { keyframe, shown, stream };
}

/** `CodecInfo.inspect` of VP9: of a superframe, what all its frames amount to. */
export function inspectVp9(data: Uint8Array<ArrayBufferLike>): PacketInfo {
  const frames = parseVp9Packet(data);
  const other = frames.find((frame) => frame.profile !== 0);
  if (other !== undefined) {
    const depth = other.profile >= 2 ? '10 or 12 bits' : '4:2:2 or 4:4:4';
    throw new UnsupportedStream(
      'decode',
      `VP9 profile ${other.profile} (${depth})`,
      VP9_ACCEPTS,
      'convert it (ffmpeg -i FILE -pix_fmt yuv420p -c:v libvpx-vp9 OUT.webm)',
    );
  }
  const key = frames.find((frame) => frame.keyframe);
  const shown = frames.some((frame) => frame.shown);
  const { width, height, colour } = key ?? {};
  if (width === undefined || height === undefined || colour === undefined) {
    return { keyframe: key !== undefined, shown, stream: undefined };
  }
  const stream = {
    profile: 'VP9 profile 0',
    width,
    height,
    codedWidth: width,
    codedHeight: height,
    crop: { left: 0, top: 0, width, height },
    colour,
  };
  return { keyframe: true, shown, stream };
}
