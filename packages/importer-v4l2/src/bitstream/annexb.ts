/**
 * Annex B: NAL units between start codes.
 *
 * Follows ITU-T H.264 annex B and 7.4.1.1 (emulation prevention). The units that the splitter
 * returns are views of the input, not copies; it never throws and never blocks.
 */

export const NAL_SLICE = 1;
export const NAL_SLICE_PARTITION_A = 2;
export const NAL_SLICE_IDR = 5;
export const NAL_SEI = 6;
export const NAL_SPS = 7;
export const NAL_PPS = 8;
export const NAL_AUD = 9;

/** One NAL unit of an Annex B stream. */
export interface NalUnit {
  /** nal_unit_type, 0 to 31. */
  readonly type: number;
  /** The unit without its start code, emulation prevention bytes still in place. */
  readonly data: Uint8Array<ArrayBufferLike>;
  /** Where its start code begins in the input, leading zero byte included. */
  readonly start: number;
  /** The byte after the unit. */
  readonly end: number;
}

/** Index of the next 00 00 01 at or after `from`, or −1. */
function startCode(data: Uint8Array<ArrayBufferLike>, from: number): number {
  const last = data.length - 3;
  for (let i = from; i <= last;) {
    const third = data[i + 2] ?? 0;
    if (third > 1) i += 3;
    else if (third === 0) i += 1;
    else if (data[i] === 0 && data[i + 1] === 0) return i;
    else i += 3;
  }
  return -1;
}

/** The NAL units of `data`; what stands before the first start code is no unit and is left out. */
export function splitNalUnits(data: Uint8Array<ArrayBufferLike>): NalUnit[] {
  const units: NalUnit[] = [];
  let code = startCode(data, 0);
  while (code >= 0) {
    const body = code + 3;
    const next = startCode(data, body);
    let end = next < 0 ? data.length : next;
    // Zero bytes before a start code are its zero_byte or trailing_zero_8bits, never payload.
    while (end > body && data[end - 1] === 0) end--;
    const first = data[body];
    if (end > body && first !== undefined) {
      const start = code > 0 && data[code - 1] === 0 ? code - 1 : code;
      units.push({ type: first & 31, data: data.subarray(body, end), start, end });
    }
    code = next;
  }
  return units;
}

/** A NAL unit's bytes without emulation prevention (00 00 03 becomes 00 00); a new array. */
export function unescapeNal(nal: Uint8Array<ArrayBufferLike>): Uint8Array {
  const out = new Uint8Array(nal.length);
  let length = 0;
  let zeros = 0;
  for (const byte of nal) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    out[length++] = byte;
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  return out.subarray(0, length);
}

/** NAL units joined into one Annex B array, each behind a 4-byte start code; a new array. */
export function joinNalUnits(units: Iterable<Uint8Array<ArrayBufferLike>>): Uint8Array {
  const list = [...units];
  const out = new Uint8Array(list.reduce((sum, unit) => sum + 4 + unit.length, 0));
  let at = 0;
  for (const unit of list) {
    out[at + 3] = 1;
    out.set(unit, at + 4);
    at += 4 + unit.length;
  }
  return out;
}
