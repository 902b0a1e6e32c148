/**
 * AV1 temporal units: sequence header, key frames, and whether a packet yields a picture.
 *
 * Follows the AV1 Bitstream & Decoding Process Specification, sections 5.3 to 5.9, as far as needed.
 * Throws `EINVAL` only.
 */
import { DmaBufError } from '@dmabuf/core';
import { BitReader } from './bit-reader.js';
import type { Colour, ColourMatrix } from './picture-format.js';

const OBU_SEQUENCE_HEADER = 1;
const OBU_FRAME_HEADER = 3;
const OBU_FRAME = 6;
const KEY_FRAME = 0;
/** matrix_coefficients and others: not stated. */
const CP_UNSPECIFIED = 2;

export interface Av1Sequence {
  /** 0 Main, 1 High (4:4:4), 2 Professional. */
  readonly profile: number;
  readonly bitDepth: number;
  readonly monochrome: boolean;
  /** Largest size of its pictures, which a single-layer stream has throughout. */
  readonly width: number;
  readonly height: number;
  readonly colour: Colour;
  /** Its frame headers leave out type and visibility: all are shown key frames. */
  readonly reduced: boolean;
}

/** What the headers of a temporal unit say. */
export interface Av1Unit {
  readonly sequence: Av1Sequence | undefined;
  /** Decoding can start here: a shown key frame, with its sequence header. */
  readonly keyframe: boolean;
  readonly shown: boolean;
}

function bad(detail: string): DmaBufError {
  return new DmaBufError('EINVAL', 'parse_av1', detail);
}

interface Obu {
  readonly type: number;
  readonly data: Uint8Array<ArrayBufferLike>;
}

/** leb128() at `at`: its value and its bytes. */
function leb128(data: Uint8Array<ArrayBufferLike>, at: number): readonly [number, number] {
  let value = 0;
  for (let i = 0; i < 8; i++) {
    const byte = data[at + i];
    if (byte === undefined) throw bad('it ends within the size of an OBU');
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return [value, i + 1];
  }
  throw bad('the size of an OBU is more than 8 bytes long');
}

function* obus(data: Uint8Array<ArrayBufferLike>): Generator<Obu> {
  for (let at = 0; at < data.length;) {
    const head = data[at] ?? 0;
    if ((head & 0x80) !== 0) throw bad(`byte ${at} begins no OBU`);
    const start = at + ((head & 4) === 0 ? 1 : 2);
    const [size, bytes] = (head & 2) === 0 ? [data.length - start, 0] : leb128(data, start);
    const end = start + bytes + size;
    if (end > data.length) throw bad(`an OBU ends at byte ${end} of ${data.length}`);
    yield { type: (head >> 3) & 15, data: data.subarray(start + bytes, end) };
    at = end;
  }
}

/** Reads a temporal unit's headers. Throws `EINVAL` where they make no sense. */
export function parseAv1Unit(data: Uint8Array<ArrayBufferLike>): Av1Unit {
  if (data.length === 0) throw bad('an empty AV1 packet');
  let sequence: Av1Sequence | undefined;
  let key = false;
  let shown = false;
  for (const obu of obus(data)) {
    if (obu.type === OBU_SEQUENCE_HEADER) sequence = parseSequence(obu.data);
    if (obu.type !== OBU_FRAME && obu.type !== OBU_FRAME_HEADER) continue;
    const frame = parseFrame(obu.data, sequence?.reduced === true);
    shown ||= frame.shown;
    key ||= frame.key && frame.shown;
  }
  return { sequence, keyframe: key && sequence !== undefined, shown };
}

function parseFrame(
  data: Uint8Array<ArrayBufferLike>,
  reduced: boolean,
): { key: boolean; shown: boolean } {
  if (reduced) return { key: true, shown: true };
  const r = new BitReader(data, 'AV1 frame header');
  if (r.flag()) return { key: false, shown: true }; // show_existing_frame
  const type = r.bits(2);
  return { key: type === KEY_FRAME, shown: r.flag() };
}

/** sequence_header_obu() */
function parseSequence(data: Uint8Array<ArrayBufferLike>): Av1Sequence {
  const r = new BitReader(data, 'AV1 sequence header');
  const profile = r.bits(3);
  r.skip(1); // still_picture
  const reduced = r.flag();
  if (reduced) r.skip(5);
  else skipOperatingPoints(r);
  const widthBits = r.bits(4) + 1;
  const heightBits = r.bits(4) + 1;
  const width = r.bits(widthBits) + 1;
  const height = r.bits(heightBits) + 1;
  if (!reduced && r.flag()) r.skip(7); // frame ids
  r.skip(3); // 128x128 superblocks, filter intra, intra edge filter
  if (!reduced) skipInterTools(r);
  r.skip(3); // superres, cdef, restoration
  return { profile, width, height, reduced, ...parseColour(r, profile) };
}

function skipOperatingPoints(r: BitReader): void {
  let delayBits = 0;
  if (r.flag()) {
    r.skip(64); // display tick, time scale
    if (r.flag()) r.ue('num_ticks_per_picture_minus_1');
    if (r.flag()) {
      delayBits = r.bits(5) + 1;
      r.skip(42);
    }
  }
  const displayDelay = r.flag();
  const points = r.bits(5) + 1;
  for (let i = 0; i < points; i++) {
    r.skip(12);
    if (r.bits(5) > 7) r.skip(1); // seq_tier
    if (delayBits > 0 && r.flag()) r.skip(2 * delayBits + 1);
    if (displayDelay && r.flag()) r.skip(4);
  }
}

function skipInterTools(r: BitReader): void {
  r.skip(4); // compound modes, warped motion, dual filter
  const orderHint = r.flag();
  if (orderHint) r.skip(2);
  const force = r.flag() ? 2 : r.bit();
  if (force > 0 && !r.flag()) r.skip(1);
  if (orderHint) r.skip(3);
}

function parseColour(
  r: BitReader,
  profile: number,
): Pick<Av1Sequence, 'bitDepth' | 'monochrome' | 'colour'> {
  const high = r.flag();
  const bitDepth = !high ? 8 : profile === 2 && r.flag() ? 12 : 10;
  const monochrome = profile !== 1 && r.flag();
  const described = r.flag();
  if (described) r.skip(16); // primaries, transfer
  const coefficients = described ? r.bits(8) : CP_UNSPECIFIED;
  const range = r.flag() ? 'full' : 'limited';
  return { bitDepth, monochrome, colour: { range, matrix: matrixOf(coefficients) } };
}

/** matrix_coefficients (the numbers of ITU-T H.273). */
function matrixOf(coefficients: number): ColourMatrix {
  if (coefficients === 1) return 'bt709';
  if (coefficients >= 4 && coefficients <= 6) return 'bt601';
  if (coefficients === 7) return 'smpte240m';
  return coefficients === 9 || coefficients === 10 ? 'bt2020' : 'unspecified';
}
