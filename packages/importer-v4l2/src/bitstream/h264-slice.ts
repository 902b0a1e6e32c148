/**
 * H.264 picture parameter sets and the first fields of slice headers: enough to tell where a new
 * picture begins and which coding tools a stream uses.
 *
 * Follows ITU-T H.264 7.3.2.2 (PPS), 7.3.3 (slice header), 7.4.1.2.4 (first slice of a picture).
 * H264ParameterSets is owned by one stream; its parsers throw `EINVAL`, its `try…` forms do not.
 */
import { DmaBufError } from '@dmabuf/core';
import { NAL_PPS, NAL_SLICE_IDR, NAL_SPS, unescapeNal, type NalUnit } from './annexb.js';
import { BitReader } from './bit-reader.js';
import { parseSps, type H264Sps } from './h264-sps.js';

export const SLICE_P = 0;
export const SLICE_B = 1;
export const SLICE_I = 2;

export interface H264Pps {
  readonly id: number;
  readonly spsId: number;
  /** entropy_coding_mode_flag: CABAC, which Baseline has not. */
  readonly cabac: boolean;
  readonly bottomFieldPicOrder: boolean;
}

export interface SliceHeader {
  readonly idr: boolean;
  /** nal_ref_idc is not 0. */
  readonly reference: boolean;
  readonly firstMb: number;
  /** 0 P, 1 B, 2 I, 3 SP, 4 SI */
  readonly type: number;
  readonly pps: H264Pps;
  readonly sps: H264Sps;
  readonly frameNum: number;
  /** field_pic_flag and bottom_field_flag: 0 frame, 1 top, 2 bottom. */
  readonly field: number;
  readonly idrPicId: number;
  /** pic_order_cnt_lsb, or delta_pic_order_cnt[0] for type 1. */
  readonly poc: number;
  readonly deltaPoc: number;
}

/** Reads a PPS NAL unit as far as its tools are of interest here. */
export function parsePps(rbsp: Uint8Array<ArrayBufferLike>): H264Pps {
  const r = new BitReader(rbsp, 'picture parameter set');
  r.skip(8);
  const id = r.ue('pic_parameter_set_id', 255);
  const spsId = r.ue('seq_parameter_set_id', 31);
  return { id, spsId, cabac: r.flag(), bottomFieldPicOrder: r.flag() };
}

/** Slice headers are short; only this much of a slice is unescaped to read one. */
const HEADER_BYTES = 64;

/** The parameter sets of one stream, each the latest of its id. */
export class H264ParameterSets {
  readonly #sps = new Map<number, H264Sps>();
  readonly #pps = new Map<number, H264Pps>();

  /** Takes in an SPS or PPS and returns it; undefined for any other unit. */
  add(nal: NalUnit): { sps?: H264Sps; pps?: H264Pps } | undefined {
    if (nal.type === NAL_SPS) {
      const sps = parseSps(unescapeNal(nal.data));
      this.#sps.set(sps.id, sps);
      return { sps };
    }
    if (nal.type === NAL_PPS) {
      const pps = parsePps(unescapeNal(nal.data));
      this.#pps.set(pps.id, pps);
      return { pps };
    }
    return undefined;
  }

  /** As `add`; a damaged set is left out. */
  tryAdd(nal: NalUnit): void {
    tryParse(() => this.add(nal));
  }

  /** A copy that can be added to without changing this one. */
  clone(): H264ParameterSets {
    const copy = new H264ParameterSets();
    for (const [id, sps] of this.#sps) copy.#sps.set(id, sps);
    for (const [id, pps] of this.#pps) copy.#pps.set(id, pps);
    return copy;
  }

  /** Reads a slice (NAL type 1 or 5). Throws `EINVAL` where it names a set that has not come. */
  parseSlice(nal: Uint8Array<ArrayBufferLike>): SliceHeader {
    const rbsp = unescapeNal(nal.subarray(0, HEADER_BYTES));
    const r = new BitReader(rbsp, 'slice header');
    r.skip(1);
    const reference = r.bits(2) !== 0;
    const idr = r.bits(5) === NAL_SLICE_IDR;
    const firstMb = r.ue('first_mb_in_slice');
    const type = r.ue('slice_type', 9) % 5;
    const ppsId = r.ue('pic_parameter_set_id', 255);
    const pps = this.#pps.get(ppsId);
    const sps = pps === undefined ? undefined : this.#sps.get(pps.spsId);
    if (pps === undefined || sps === undefined) {
      const missing = pps === undefined ? `PPS ${ppsId}` : `SPS ${pps.spsId}`;
      throw new DmaBufError(
        'EINVAL',
        'parse',
        `a slice names ${missing}, which has not come yet: put SPS and PPS before the key frame`,
      );
    }
    if (sps.separateColourPlanes) r.skip(2);
    const frameNum = r.bits(sps.log2MaxFrameNum);
    let field = 0;
    if (!sps.frameMbsOnly && r.flag()) field = 1 + r.bit();
    const idrPicId = idr ? r.ue('idr_pic_id', 65535) : 0;
    let poc = 0;
    let deltaPoc = 0;
    if (sps.pocType === 0) {
      poc = r.bits(sps.log2MaxPocLsb);
      if (pps.bottomFieldPicOrder && field === 0) deltaPoc = r.se('delta_pic_order_cnt_bottom');
    } else if (sps.pocType === 1 && !sps.deltaPicOrderAlwaysZero) {
      poc = r.se('delta_pic_order_cnt[0]');
      if (pps.bottomFieldPicOrder && field === 0) deltaPoc = r.se('delta_pic_order_cnt[1]');
    }
    return { idr, reference, firstMb, type, pps, sps, frameNum, field, idrPicId, poc, deltaPoc };
  }

  /** As `parseSlice`; undefined where it cannot be read. */
  tryParseSlice(nal: Uint8Array<ArrayBufferLike>): SliceHeader | undefined {
    return tryParse(() => this.parseSlice(nal));
  }
}

function tryParse<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof DmaBufError) return undefined;
    throw error;
  }
}

/** Whether slice `b` begins another primary picture than slice `a` (7.4.1.2.4). */
export function isNewPicture(a: SliceHeader, b: SliceHeader): boolean {
  return (
    a.frameNum !== b.frameNum ||
    a.pps.id !== b.pps.id ||
    a.field !== b.field ||
    a.reference !== b.reference ||
    a.idr !== b.idr ||
    a.idrPicId !== b.idrPicId ||
    a.poc !== b.poc ||
    a.deltaPoc !== b.deltaPoc
  );
}
