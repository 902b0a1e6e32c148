/**
 * What h264bsd can decode, checked on parameter sets and slice headers before it sees them: given
 * anything else it misreads it.
 *
 * Accepted: ITU-T H.264 A.2.1 Baseline (FMO and ASO too), and other profiles' streams that promise
 * by constraint_set0_flag to obey it.
 */
import { DmaBufError } from '@dmabuf/core';
import {
  NAL_PPS,
  NAL_SLICE,
  NAL_SLICE_IDR,
  NAL_SLICE_PARTITION_A,
  NAL_SPS,
  splitNalUnits,
  type NalUnit,
} from '../bitstream/annexb.js';
import {
  h264ProfileName,
  PROFILE_BASELINE,
  PROFILE_EXTENDED,
  PROFILE_MAIN,
  type H264Sps,
} from '../bitstream/h264-sps.js';
import { H264ParameterSets, SLICE_I, SLICE_P } from '../bitstream/h264-slice.js';
import type { PacketInfo, StreamInfo } from './codec.js';
import { UnsupportedStream } from './unsupported.js';

export const H264_ACCEPTS = 'H.264 Baseline and Constrained Baseline, 8-bit 4:2:0, progressive';

const REMEDY =
  'convert it (ffmpeg -i FILE -c:v libx264 -profile:v baseline OUT.mp4), or npm install node-av';

/** Macroblocks of level 5.1, the largest frame that is decoded here (4096x2304). */
const MAX_MACROBLOCKS = 36864;

function refusal(found: string): UnsupportedStream {
  return new UnsupportedStream('decode', found, H264_ACCEPTS, REMEDY);
}

function checkSps(sps: H264Sps): void {
  const promised =
    sps.constraintSet[0] === true &&
    (sps.profile === PROFILE_MAIN || sps.profile === PROFILE_EXTENDED);
  if (sps.profile !== PROFILE_BASELINE && !promised) {
    throw refusal(`H.264 ${h264ProfileName(sps.profile, sps.constraintSet)}`);
  }
  if (!sps.frameMbsOnly) throw refusal('interlaced H.264 (frame_mbs_only_flag is 0)');
  if ((sps.codedWidth * sps.codedHeight) / 256 > MAX_MACROBLOCKS) {
    throw refusal(`H.264 of ${sps.codedWidth}x${sps.codedHeight}, beyond 4096x2304`);
  }
}

/** A packet's NAL units, sorted for the decoder. */
export interface H264Packet {
  readonly units: readonly NalUnit[];
  readonly hasSlice: boolean;
  readonly idr: boolean;
  /** The SPS of its first slice, or of a packet without slices its first SPS. */
  readonly sps: H264Sps | undefined;
}

/**
 * Reads a packet's parameter sets into `sets` and checks them and its slices.
 *
 * Throws `EINVAL`: for a tool that is not decoded here, and for headers that make no sense.
 */
export function readH264Packet(
  data: Uint8Array<ArrayBufferLike>,
  sets: H264ParameterSets,
): H264Packet {
  const units = splitNalUnits(data);
  if (units.length === 0) {
    const detail = `the packet of ${data.length} bytes has no start code: Annex B is needed (avcToAnnexB converts MP4 samples)`;
    throw new DmaBufError('EINVAL', 'decode', detail);
  }
  let hasSlice = false;
  let idr = false;
  let active: H264Sps | undefined;
  let stated: H264Sps | undefined;
  for (const nal of units) {
    if (nal.type === NAL_SPS || nal.type === NAL_PPS) {
      const added = sets.add(nal);
      if (added?.sps !== undefined) checkSps(added.sps);
      stated ??= added?.sps;
      if (added?.pps?.cabac === true) throw refusal('H.264 with CABAC entropy coding');
    } else if (nal.type >= NAL_SLICE_PARTITION_A && nal.type < NAL_SLICE_IDR) {
      throw refusal('H.264 with data partitioning (Extended profile)');
    } else if (nal.type === NAL_SLICE || nal.type === NAL_SLICE_IDR) {
      const slice = sets.parseSlice(nal.data);
      if (slice.type !== SLICE_P && slice.type !== SLICE_I) {
        throw refusal(`H.264 with ${['P', 'B', 'I', 'SP', 'SI'][slice.type] ?? '?'} slices`);
      }
      hasSlice = true;
      idr ||= slice.idr;
      active ??= slice.sps;
    }
  }
  return { units, hasSlice, idr, sps: active ?? stated };
}

/** The visible geometry and colour of a stream. */
export function h264StreamInfo(sps: H264Sps): StreamInfo {
  const { codedWidth, codedHeight, crop, colour } = sps;
  const profile = `H.264 ${h264ProfileName(sps.profile, sps.constraintSet)}`;
  return { profile, width: crop.width, height: crop.height, codedWidth, codedHeight, crop, colour };
}

/**
 * `CodecInfo.inspect` of H.264. A packet may rely on parameter sets that came before it; then all
 * that can be told is what kind of picture it holds.
 */
export function inspectH264(data: Uint8Array<ArrayBufferLike>): PacketInfo {
  const types = new Set(splitNalUnits(data).map((nal) => nal.type));
  const keyframe = types.has(NAL_SLICE_IDR);
  const shown = keyframe || types.has(NAL_SLICE);
  if (types.size > 0 && !types.has(NAL_SPS)) return { keyframe, shown, stream: undefined };
  const { sps } = readH264Packet(data, new H264ParameterSets());
  return { keyframe, shown, stream: sps === undefined ? undefined : h264StreamInfo(sps) };
}
