/**
 * What can be told of the packets of formats that only peers decode, without decoding.
 */
import { DmaBufError } from '@dmabuf/core';
import { splitNalUnits } from '../../bitstream/annexb.js';
import { parseAv1Unit } from '../../bitstream/av1.js';
import { inspectAv1 } from '../av1-support.js';
import type { PacketInfo } from '../codec.js';
import type { PeerFormat } from './backend.js';

type Bytes = Uint8Array<ArrayBufferLike>;

/** HEVC nal_unit_type: VCL types end before 32; IRAP are 16 to 23, of which IDR and BLA end at 20. */
const HEVC_FIRST_IRAP = 16;
const HEVC_LAST_CLOSED = 20;
const HEVC_LAST_IRAP = 23;
const HEVC_FIRST_PARAMETERS = 32;
const HEVC_LAST_PARAMETERS = 34;

/** MPEG start codes (ISO/IEC 13818-2 table 6-1, 14496-2 table 6-3). */
const PICTURE = 0x00;
const SEQUENCE = 0xb3;
const GROUP = 0xb8;
const VOP = 0xb6;

function hevcTypes(data: Bytes): number[] {
  const types = splitNalUnits(data).map((nal) => ((nal.data[0] ?? 0) >> 1) & 63);
  if (types.length > 0) return types;
  const detail = `the packet of ${data.length} bytes has no start code: Annex B is needed`;
  throw new DmaBufError('EINVAL', 'decode', detail);
}

function isVcl(type: number): boolean {
  return type < HEVC_FIRST_PARAMETERS;
}

const hevc: PeerFormat = {
  fourcc: 'HEVC',
  description: 'H.265',
  inspect(data) {
    const types = hevcTypes(data);
    const keyframe = types.some((type) => type >= HEVC_FIRST_IRAP && type <= HEVC_LAST_IRAP);
    return { keyframe, shown: types.some(isVcl), stream: undefined };
  },
  closed: (data) =>
    hevcTypes(data).some((type) => type >= HEVC_FIRST_IRAP && type <= HEVC_LAST_CLOSED),
  parameterSets: (data) =>
    splitNalUnits(data)
      .map((nal) => nal.data)
      .filter(({ 0: head = 0 }) => {
        const type = (head >> 1) & 63;
        return type >= HEVC_FIRST_PARAMETERS && type <= HEVC_LAST_PARAMETERS;
      }),
};

/** Start codes of a packet, and where each one's body begins. */
function startCodes(data: Bytes): { readonly code: number; readonly at: number }[] {
  const found: { code: number; at: number }[] = [];
  for (let i = 0; i + 3 < data.length; i++) {
    if (data[i] !== 0 || data[i + 1] !== 0 || data[i + 2] !== 1) continue;
    found.push({ code: data[i + 3] ?? 0, at: i + 4 });
    i += 3;
  }
  return found;
}

function inspectMpeg(data: Bytes): PacketInfo {
  const codes = startCodes(data);
  const at = codes.find(({ code }) => code === SEQUENCE)?.at;
  const shown = codes.some(({ code }) => code === PICTURE);
  if (at === undefined || at + 2 >= data.length)
    return { keyframe: false, shown, stream: undefined };
  const [a = 0, b = 0, c = 0] = data.subarray(at, at + 3);
  const width = (a << 4) | (b >> 4);
  const height = ((b & 15) << 8) | c;
  if (width === 0 || height === 0) return { keyframe: true, shown, stream: undefined };
  const stream = {
    profile: 'MPEG video',
    width,
    height,
    codedWidth: (width + 15) & ~15,
    codedHeight: (height + 15) & ~15,
    crop: { left: 0, top: 0, width, height },
    colour: { range: 'limited', matrix: 'unspecified' },
  } as const;
  return { keyframe: true, shown, stream };
}

/** closed_gop, behind 25 bits of time code. */
function closedMpeg(data: Bytes): boolean {
  const at = startCodes(data).find(({ code }) => code === GROUP)?.at;
  return at !== undefined && ((data[at + 3] ?? 0) & 0x40) !== 0;
}

const mpeg1: PeerFormat = {
  fourcc: 'MPG1',
  description: 'MPEG-1',
  inspect: inspectMpeg,
  closed: closedMpeg,
};
const mpeg2: PeerFormat = { ...mpeg1, fourcc: 'MPG2', description: 'MPEG-2' };

const mpeg4: PeerFormat = {
  fourcc: 'MPG4',
  description: 'MPEG-4 Part 2 ES',
  inspect(data) {
    const vop = startCodes(data).find(({ code }) => code === VOP);
    const intra = vop !== undefined && (data[vop.at] ?? 0xff) >> 6 === 0;
    return { keyframe: intra, shown: vop !== undefined, stream: undefined };
  },
  closed: () => false,
};

/** AV1, where the package that decodes it best is not installed. */
const av1: PeerFormat = {
  fourcc: 'AV01',
  description: 'AV1',
  inspect: inspectAv1,
  closed: (data) => parseAv1Unit(data).keyframe,
  hasHidden: true,
};

export const peerFormats: Readonly<
  Record<'hevc' | 'mpeg1' | 'mpeg2' | 'mpeg4' | 'av1', PeerFormat>
> = { hevc, mpeg1, mpeg2, mpeg4, av1 };
