/**
 * What is accepted of AV1, checked on the sequence header before the decoder sees a packet.
 */
import { parseAv1Unit } from '../bitstream/av1.js';
import type { PacketInfo } from './codec.js';
import { UnsupportedStream } from './unsupported.js';

export const AV1_ACCEPTS = 'AV1 Main profile (8-bit 4:2:0)';

/** `CodecInfo.inspect` of AV1. */
export function inspectAv1(data: Uint8Array<ArrayBufferLike>): PacketInfo {
  const { sequence, keyframe, shown } = parseAv1Unit(data);
  if (sequence === undefined) return { keyframe, shown, stream: undefined };
  const { profile, bitDepth, monochrome, width, height, colour } = sequence;
  if (profile !== 0 || bitDepth !== 8 || monochrome) {
    const what = `${bitDepth} bits${monochrome ? ', monochrome' : ''}`;
    const remedy = 'convert it (ffmpeg -i FILE -pix_fmt yuv420p -c:v libvpx-vp9 OUT.webm)';
    throw new UnsupportedStream('decode', `AV1 profile ${profile} (${what})`, AV1_ACCEPTS, remedy);
  }
  const stream = {
    profile: 'AV1 Main profile',
    width,
    height,
    codedWidth: width,
    codedHeight: height,
    crop: { left: 0, top: 0, width, height },
    colour,
  };
  return { keyframe, shown, stream };
}
