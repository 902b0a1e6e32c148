/**
 * avcC: H.264 as MP4 holds it (lengths before the NAL units, parameter sets in the sample entry),
 * turned into the Annex B packets that a decoder takes.
 *
 * Follows ISO/IEC 14496-15 5.3.3. Packets are new arrays that the caller owns.
 */
import { DmaBufError } from '@dmabuf/core';
import { joinNalUnits } from './annexb.js';

/** An MP4 sample entry's decoder configuration (`avcC`). */
export interface AvcConfig {
  /** profile_idc: 66 Baseline, 77 Main, 88 Extended, 100 High. */
  readonly profile: number;
  /** The byte after it: constraint_set0_flag is its top bit. */
  readonly constraints: number;
  readonly level: number;
  /** Bytes of the length before each NAL unit of a sample: 1, 2 or 4. */
  readonly lengthSize: number;
  /** SPS and PPS NAL units, in this order. */
  readonly parameterSets: readonly Uint8Array<ArrayBufferLike>[];
}

/** Reads an `avcC` description. Throws `EINVAL` where it is cut short or of another version. */
export function parseAvcConfig(description: Uint8Array<ArrayBufferLike>): AvcConfig {
  const bad = (what: string): DmaBufError =>
    new DmaBufError('EINVAL', 'parse_avcc', `the avcC description ${what}`);
  const [version, profile, constraints, level, lengths] = description;
  if (
    profile === undefined ||
    constraints === undefined ||
    level === undefined ||
    lengths === undefined
  ) {
    throw bad(`has ${description.length} bytes, at least 7 are needed`);
  }
  if (version !== 1) throw bad(`has version ${version}, 1 is needed`);
  const lengthSize = (lengths & 3) + 1;
  if (lengthSize === 3) throw bad('asks for 3-byte lengths, which the standard forbids');
  const parameterSets: Uint8Array<ArrayBufferLike>[] = [];
  let at = 5;
  for (const mask of [31, 255]) {
    const count = description[at++];
    if (count === undefined) throw bad(`ends at byte ${at - 1}`);
    for (let i = 0; i < (count & mask); i++) {
      const size = ((description[at] ?? 0) << 8) | (description[at + 1] ?? 0);
      const end = at + 2 + size;
      if (size === 0 || end > description.length) throw bad(`ends within parameter set ${i}`);
      parameterSets.push(description.subarray(at + 2, end));
      at = end;
    }
  }
  return { profile, constraints, level, lengthSize, parameterSets };
}

/**
 * One MP4 sample (length-prefixed NAL units) as an Annex B packet; a new array.
 *
 * `withParameterSets` puts the avcC's SPS and PPS in front: do it for every key frame, so that
 * decoding can start at each. Throws `EINVAL` for a length that leaves the sample.
 */
export function avcToAnnexB(
  sample: Uint8Array<ArrayBufferLike>,
  config: AvcConfig,
  withParameterSets: boolean,
): Uint8Array {
  const units: Uint8Array<ArrayBufferLike>[] = withParameterSets ? [...config.parameterSets] : [];
  let at = 0;
  while (at < sample.length) {
    let size = 0;
    for (let i = 0; i < config.lengthSize; i++) size = size * 256 + (sample[at + i] ?? 0);
    const begin = at + config.lengthSize;
    if (begin + size > sample.length) {
      throw new DmaBufError(
        'EINVAL',
        'avc_to_annexb',
        `the NAL unit at byte ${at} claims ${size} bytes, the sample has ${Math.max(0, sample.length - begin)} left`,
      );
    }
    if (size > 0) units.push(sample.subarray(begin, begin + size));
    at = begin + size;
  }
  return joinNalUnits(units);
}
