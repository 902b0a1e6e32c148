/**
 * The codecs that importer-v4l2 knows, by the V4L2 pixel format of the OUTPUT queue.
 *
 * Read-only and without state: every thread that opens a device has its own.
 */
import { DmaBufError } from '@dmabuf/core';
import { h264ProfileName } from '../bitstream/h264-sps.js';
import type { CodecInfo } from './codec.js';
import { h264 as h264bsd } from './h264.js';
import { av1 as libavAv1, vp8, vp9 } from './libav.js';
import { jpeg, mjpeg } from './mjpeg.js';
import { av1WithPeers, h264WithPeers, peerCodecs } from './peers/index.js';
import { rawI420, rawNv12 } from './raw.js';
import { UnsupportedStream } from './unsupported.js';

export type {
  Availability,
  CodecInfo,
  Decoded,
  Decoder,
  DecoderMemory,
  Holds,
  OpenOptions,
  Packet,
  PacketInfo,
  Picture,
  PicturePlace,
  PictureFourcc,
  StreamInfo,
} from './codec.js';
export { UnsupportedStream } from './unsupported.js';
export type {
  Encoded,
  EncodedPacket,
  EncodeOptions,
  Encoder,
  EncoderInfo,
  EncoderOptions,
  RawPicture,
} from './encoder.js';
export { encoderOf, encoders, openEncoder } from './encoders.js';
export {
  copyPlanes,
  planeSizes,
  tightLayout,
  type PlaneLayout,
  type SourcePlane,
} from './planes.js';

/** H.264 by h264bsd; what that does not do, by a peer. */
const h264 = h264WithPeers(h264bsd);

/** AV1 by its package, or by a peer. */
const av1 = av1WithPeers(libavAv1);

/** Every codec, installed or not; `probe()` tells. */
export const codecs: readonly CodecInfo[] = [
  h264,
  vp8,
  vp9,
  mjpeg,
  jpeg,
  rawI420,
  rawNv12,
  av1,
  ...peerCodecs,
];

/** Formats that people bring along, for an answer better than "unknown". */
const FOREIGN: Readonly<Record<string, string>> = {
  H263: 'H.263',
  VC1G: 'VC-1',
  XVID: 'Xvid',
  FWHT: 'FWHT',
};

const REMEDY =
  'convert it (ffmpeg -i FILE -c:v libx264 -profile:v baseline OUT.mp4, or -c:v libvpx-vp9 OUT.webm)';

/** Codecs as ENUM_FMT lists them: optional ones only where they can be opened. */
export function listedCodecs(): readonly CodecInfo[] {
  return codecs.filter((codec) => codec.optional !== true || codec.probe().available);
}

/** What is accepted, in one line: the codecs, and what to install for those that are missing. */
export function acceptedFormats(): string {
  return listedCodecs()
    .map((codec) => {
      const state = codec.probe();
      return state.available ? codec.accepts : `${codec.accepts} (${state.reason})`;
    })
    .join('; ');
}

/**
 * The codec of an OUTPUT format. Throws `EINVAL`, naming the format and what is accepted.
 *
 * A codec whose package is missing is returned all the same: `open` tells what to install.
 */
export function codecOf(fourcc: string): CodecInfo {
  const found = codecs.find((codec) => codec.fourcc === fourcc);
  if (found !== undefined) return found;
  const name = FOREIGN[fourcc];
  const what = name === undefined ? `the format '${fourcc}'` : `${name} ('${fourcc}')`;
  throw new DmaBufError(
    'EINVAL',
    'find_codec',
    `no decoder here takes ${what}; accepted: ${acceptedFormats()}: ${REMEDY}`,
  );
}

/** RFC 6381 names of sample entries, as far as video files carry them. */
const CODEC_STRINGS: Readonly<Record<string, string>> = {
  avc1: 'H264',
  avc3: 'H264',
  avc: 'H264',
  vp8: 'VP80',
  vp08: 'VP80',
  vp9: 'VP90',
  vp09: 'VP90',
  av1: 'AV01',
  av01: 'AV01',
  hevc: 'HEVC',
  hvc1: 'HEVC',
  hev1: 'HEVC',
  mp4v: 'MPG4',
  mjpeg: 'MJPG',
  jpeg: 'JPEG',
};

/**
 * The codec of a container's codec string: `'avc1.42c01f'`, `'vp8'`, `'vp09.00.31.08'`.
 *
 * Looks at the profile too, so that a player refuses a file before it decodes: throws `EINVAL`, also for what only
 * peers decode, which queueDecode cannot feed.
 */
export function codecOfString(codec: string): CodecInfo {
  const [entry = '', detail = ''] = codec.split('.');
  const info = codecOf(CODEC_STRINGS[entry] ?? entry);
  const refuse = (found: string): UnsupportedStream =>
    new UnsupportedStream('find_codec', `${found} (${codec})`, info.accepts, REMEDY);
  if (info === h264 && /^[0-9a-f]{6}$/i.test(detail)) {
    const profile = Number.parseInt(detail.slice(0, 2), 16);
    const flags = Number.parseInt(detail.slice(2, 4), 16);
    const constraintSet = [0, 1, 2, 3, 4, 5].map((i) => (flags & (0x80 >> i)) !== 0);
    const promised = constraintSet[0] === true && (profile === 77 || profile === 88);
    if (profile !== 66 && !promised) {
      throw refuse(`H.264 ${h264ProfileName(profile, constraintSet)}`);
    }
  }
  if (info === vp9 && /^\d+$/.test(detail) && Number(detail) !== 0) {
    throw refuse(`VP9 profile ${Number(detail)}`);
  }
  if (peerCodecs.includes(info)) {
    throw refuse(`${info.description}, which only peers decode, fed by QBUF`);
  }
  if (info === av1 && /^[12]$/.test(detail)) throw refuse(`AV1 profile ${detail}`);
  return info;
}
