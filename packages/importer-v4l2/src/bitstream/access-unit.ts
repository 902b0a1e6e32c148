/**
 * Cuts an Annex B byte stream (a .h264 file) into access units: one picture each, which is what a
 * decoder takes as one packet.
 *
 * Follows ITU-T H.264 7.4.1.2.3 and 7.4.1.2.4. Access units are views of the input, not copies.
 */
import {
  NAL_AUD,
  NAL_PPS,
  NAL_SEI,
  NAL_SLICE,
  NAL_SLICE_IDR,
  NAL_SPS,
  splitNalUnits,
} from './annexb.js';
import { H264ParameterSets, isNewPicture, type SliceHeader } from './h264-slice.js';

/** One access unit (one picture with what belongs to it) of an Annex B stream. */
export interface AccessUnit {
  /** Whole NAL units with their start codes: what a decoder takes as one packet. */
  readonly data: Uint8Array<ArrayBufferLike>;
  /** An IDR picture: decoding can start here. */
  readonly keyframe: boolean;
}

/** NAL types that, after a picture's slices, can only belong to the next access unit. */
function opensAccessUnit(type: number): boolean {
  return (
    type === NAL_AUD ||
    type === NAL_SPS ||
    type === NAL_PPS ||
    type === NAL_SEI ||
    (type >= 14 && type <= 18)
  );
}

/**
 * Cuts an Annex B stream into access units, by the first-slice rules of 7.4.1.2.4.
 *
 * Slices whose header cannot be read stay with the picture before them. Units that hold no slice
 * (parameter sets at the end of the stream) come out as an access unit of their own.
 */
export function splitAccessUnits(data: Uint8Array<ArrayBufferLike>): AccessUnit[] {
  const units: AccessUnit[] = [];
  const sets = new H264ParameterSets();
  let start = -1;
  let end = 0;
  let keyframe = false;
  let hasSlice = false;
  let previous: SliceHeader | undefined;
  const finish = (): void => {
    if (start >= 0) units.push({ data: data.subarray(start, end), keyframe });
    start = -1;
    keyframe = false;
    hasSlice = false;
    previous = undefined;
  };
  for (const nal of splitNalUnits(data)) {
    const isSlice = nal.type === NAL_SLICE || nal.type === NAL_SLICE_IDR;
    if (isSlice) {
      const header = sets.tryParseSlice(nal.data);
      if (header !== undefined) {
        if (previous !== undefined && isNewPicture(previous, header)) finish();
        previous = header;
      }
    } else if (hasSlice && opensAccessUnit(nal.type)) {
      finish();
    }
    sets.tryAdd(nal);
    if (start < 0) start = nal.start;
    end = nal.end;
    hasSlice ||= isSlice;
    keyframe ||= nal.type === NAL_SLICE_IDR;
  }
  finish();
  return units;
}
