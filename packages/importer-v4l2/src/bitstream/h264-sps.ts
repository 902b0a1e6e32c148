/**
 * The H.264 sequence parameter set: profile, size, cropping, colour, reordering.
 *
 * Follows ITU-T H.264 7.3.2.1.1 (SPS) and annex E.1.1 (VUI). Reads every profile, so that a stream
 * which no decoder here takes can still be named in the refusal. Throws `EINVAL`, nothing else.
 */
import { DmaBufError } from '@dmabuf/core';
import { BitReader } from './bit-reader.js';
import type { Colour, ColourMatrix, Rect } from './picture-format.js';

export const PROFILE_BASELINE = 66;
export const PROFILE_MAIN = 77;
export const PROFILE_EXTENDED = 88;
export const PROFILE_HIGH = 100;

/** Profiles whose SPS carries chroma format, bit depths and scaling matrices. */
const HIGH_FAMILY = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);

export interface H264Sps {
  readonly id: number;
  readonly profile: number;
  /** constraint_set0_flag to constraint_set5_flag; set0 promises Baseline, set1 Main. */
  readonly constraintSet: readonly boolean[];
  /** level_idc: 31 is level 3.1. */
  readonly level: number;
  /** 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4 */
  readonly chromaFormat: number;
  readonly bitDepth: number;
  readonly log2MaxFrameNum: number;
  readonly pocType: number;
  readonly log2MaxPocLsb: number;
  readonly deltaPicOrderAlwaysZero: boolean;
  readonly numRefFrames: number;
  readonly gapsInFrameNumAllowed: boolean;
  readonly frameMbsOnly: boolean;
  readonly separateColourPlanes: boolean;
  readonly codedWidth: number;
  readonly codedHeight: number;
  /** The visible rectangle within the coded size. */
  readonly crop: Rect;
  readonly colour: Colour;
  /** max_num_reorder_frames, if the stream says so. */
  readonly numReorderFrames: number | undefined;
  /** max_dec_frame_buffering, if the stream says so. */
  readonly maxDecFrameBuffering: number | undefined;
}

/** `'High (profile_idc 100)'` */
export function h264ProfileName(profile: number, constraintSet: readonly boolean[] = []): string {
  const names: Readonly<Record<number, string>> = {
    66: constraintSet[1] === true ? 'Constrained Baseline' : 'Baseline',
    77: 'Main',
    88: 'Extended',
    100: 'High',
    110: 'High 10',
    122: 'High 4:2:2',
    244: 'High 4:4:4 Predictive',
    44: 'CAVLC 4:4:4 Intra',
  };
  return `${names[profile] ?? 'an unknown profile'} (profile_idc ${profile})`;
}

/** The VUI's matrix_coefficients as a name. */
function matrixName(code: number): ColourMatrix {
  switch (code) {
    case 1:
      return 'bt709';
    case 5:
    case 6:
      return 'bt601';
    case 7:
      return 'smpte240m';
    case 9:
    case 10:
      return 'bt2020';
    default:
      return 'unspecified';
  }
}

interface Vui {
  range: Colour['range'];
  matrix: ColourMatrix;
  numReorderFrames: number | undefined;
  maxDecFrameBuffering: number | undefined;
}

function skipHrd(r: BitReader): void {
  const count = r.ue('cpb_cnt_minus1', 31) + 1;
  r.skip(8);
  for (let i = 0; i < count; i++) {
    r.ue('bit_rate_value_minus1');
    r.ue('cpb_size_value_minus1');
    r.skip(1);
  }
  r.skip(20);
}

function readVui(r: BitReader, vui: Vui): void {
  if (r.flag() && r.bits(8) === 255) r.skip(32); // aspect ratio
  if (r.flag()) r.skip(1); // overscan
  if (r.flag()) {
    r.skip(3); // video_format
    vui.range = r.flag() ? 'full' : 'limited';
    if (r.flag()) {
      r.skip(16); // primaries, transfer
      vui.matrix = matrixName(r.bits(8));
    }
  }
  if (r.flag()) {
    r.ue('chroma_sample_loc_type_top_field');
    r.ue('chroma_sample_loc_type_bottom_field');
  }
  if (r.flag()) r.skip(65); // timing
  const nalHrd = r.flag();
  if (nalHrd) skipHrd(r);
  const vclHrd = r.flag();
  if (vclHrd) skipHrd(r);
  if (nalHrd || vclHrd) r.skip(1);
  r.skip(1); // pic_struct_present_flag
  if (r.flag()) {
    r.skip(1);
    for (const name of ['max_bytes', 'max_bits', 'log2_max_mv_h', 'log2_max_mv_v']) r.ue(name);
    const reorder = r.ue('max_num_reorder_frames', 16);
    vui.maxDecFrameBuffering = r.ue('max_dec_frame_buffering', 16);
    vui.numReorderFrames = reorder;
  }
}

function skipScalingList(r: BitReader, size: number): void {
  let next = 8;
  for (let i = 0, last = 8; i < size; i++) {
    if (next !== 0) next = (((last + r.se('delta_scale')) % 256) + 256) % 256;
    if (next !== 0) last = next;
  }
}

interface ChromaFields {
  chromaFormat: number;
  separateColourPlanes: boolean;
  bitDepth: number;
}

function readHighFields(r: BitReader, fields: ChromaFields): void {
  fields.chromaFormat = r.ue('chroma_format_idc', 3);
  if (fields.chromaFormat === 3) fields.separateColourPlanes = r.flag();
  const luma = r.ue('bit_depth_luma_minus8', 6);
  const chroma = r.ue('bit_depth_chroma_minus8', 6);
  fields.bitDepth = 8 + Math.max(luma, chroma);
  r.skip(1); // qpprime_y_zero_transform_bypass_flag
  if (r.flag()) {
    const lists = fields.chromaFormat === 3 ? 12 : 8;
    for (let i = 0; i < lists; i++) if (r.flag()) skipScalingList(r, i < 6 ? 16 : 64);
  }
}

function readCrop(r: BitReader, width: number, height: number, unitX: number, unitY: number): Rect {
  if (!r.flag()) return { left: 0, top: 0, width, height };
  const left = r.ue('frame_crop_left_offset', width) * unitX;
  const right = r.ue('frame_crop_right_offset', width) * unitX;
  const top = r.ue('frame_crop_top_offset', height) * unitY;
  const bottom = r.ue('frame_crop_bottom_offset', height) * unitY;
  if (left + right >= width || top + bottom >= height) {
    throw new DmaBufError(
      'EINVAL',
      'parse',
      `cropping ${left}+${right} by ${top}+${bottom} leaves nothing of ${width}x${height}`,
    );
  }
  return { left, top, width: width - left - right, height: height - top - bottom };
}

/** Reads an SPS NAL unit; `rbsp` has its NAL header byte and no emulation prevention any more. */
export function parseSps(rbsp: Uint8Array<ArrayBufferLike>): H264Sps {
  const r = new BitReader(rbsp, 'sequence parameter set');
  r.skip(8);
  const profile = r.bits(8);
  const constraintSet = Array.from({ length: 6 }, () => r.flag());
  r.skip(2);
  const level = r.bits(8);
  const id = r.ue('seq_parameter_set_id', 31);
  const chroma: ChromaFields = { chromaFormat: 1, separateColourPlanes: false, bitDepth: 8 };
  if (HIGH_FAMILY.has(profile)) readHighFields(r, chroma);
  const log2MaxFrameNum = r.ue('log2_max_frame_num_minus4', 12) + 4;
  const pocType = r.ue('pic_order_cnt_type', 2);
  let log2MaxPocLsb = 0;
  let deltaPicOrderAlwaysZero = false;
  if (pocType === 0) {
    log2MaxPocLsb = r.ue('log2_max_pic_order_cnt_lsb_minus4', 12) + 4;
  } else if (pocType === 1) {
    deltaPicOrderAlwaysZero = r.flag();
    r.se('offset_for_non_ref_pic');
    r.se('offset_for_top_to_bottom_field');
    const cycle = r.ue('num_ref_frames_in_pic_order_cnt_cycle', 255);
    for (let i = 0; i < cycle; i++) r.se('offset_for_ref_frame');
  }
  const numRefFrames = r.ue('max_num_ref_frames', 16);
  const gapsInFrameNumAllowed = r.flag();
  const codedWidth = (r.ue('pic_width_in_mbs_minus1', 1055) + 1) * 16;
  const mapUnits = r.ue('pic_height_in_map_units_minus1', 1055) + 1;
  const frameMbsOnly = r.flag();
  const codedHeight = mapUnits * 16 * (frameMbsOnly ? 1 : 2);
  if (!frameMbsOnly) r.skip(1); // mb_adaptive_frame_field_flag
  r.skip(1); // direct_8x8_inference_flag
  const subsampled = chroma.chromaFormat === 1 || chroma.chromaFormat === 2;
  const unitY = (chroma.chromaFormat === 1 ? 2 : 1) * (frameMbsOnly ? 1 : 2);
  const crop = readCrop(r, codedWidth, codedHeight, subsampled ? 2 : 1, unitY);
  const vui: Vui = {
    range: 'limited',
    matrix: 'unspecified',
    numReorderFrames: undefined,
    maxDecFrameBuffering: undefined,
  };
  readOptionalVui(r, vui);
  return {
    id,
    profile,
    constraintSet,
    level,
    ...chroma,
    log2MaxFrameNum,
    pocType,
    log2MaxPocLsb,
    deltaPicOrderAlwaysZero,
    numRefFrames,
    gapsInFrameNumAllowed,
    frameMbsOnly,
    codedWidth,
    codedHeight,
    crop,
    colour: { range: vui.range, matrix: vui.matrix },
    numReorderFrames: vui.numReorderFrames,
    maxDecFrameBuffering: vui.maxDecFrameBuffering,
  };
}

/** The VUI is advice: one that is cut short (cameras write them) costs its missing part only. */
function readOptionalVui(r: BitReader, vui: Vui): void {
  try {
    if (r.flag()) readVui(r, vui);
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
  }
}
