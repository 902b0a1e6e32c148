/**
 * VP9 superframes and uncompressed headers: key frame, profile, size, and whether a packet yields
 * a picture.
 *
 * Follows the VP9 bitstream specification 0.6, sections 6.2, 7.2 and annex B. Throws `EINVAL` only.
 */
import { DmaBufError } from '@dmabuf/core';
import { BitReader } from './bit-reader.js';
import type { Colour, ColourMatrix } from './picture-format.js';

export interface Vp9Header {
  /** 0 is 8-bit 4:2:0, 1 8-bit 4:2:2/4:4:0/4:4:4, 2 and 3 the same with 10 or 12 bits. */
  readonly profile: number;
  readonly keyframe: boolean;
  /** Intra-only: decodes without references, but is no key frame. */
  readonly intraOnly: boolean;
  /** show_frame, or an older frame shown again. */
  readonly shown: boolean;
  readonly showExisting: boolean;
  readonly bitDepth: number;
  /** Undefined where the frame takes its size from a reference. */
  readonly width: number | undefined;
  readonly height: number | undefined;
  /** Undefined where the frame states none (it has the key frame's). */
  readonly colour: Colour | undefined;
}

const MATRICES: readonly ColourMatrix[] = [
  'unspecified',
  'bt601',
  'bt709',
  'bt601', // SMPTE 170M
  'smpte240m',
  'bt2020',
  'unspecified',
  'unspecified', // sRGB
];

function bad(what: string): DmaBufError {
  return new DmaBufError('EINVAL', 'parse_vp9', what);
}

/** The frames of a packet: those of a superframe, or the packet itself. Views, not copies. */
export function splitSuperframe(data: Uint8Array<ArrayBufferLike>): Uint8Array<ArrayBufferLike>[] {
  const marker = data[data.length - 1];
  if (marker === undefined) throw bad('an empty VP9 packet');
  if ((marker & 0xe0) !== 0xc0) return [data];
  const count = (marker & 7) + 1;
  const sizeBytes = ((marker >> 3) & 3) + 1;
  const indexBytes = 2 + count * sizeBytes;
  const index = data.length - indexBytes;
  if (index < 0 || data[index] !== marker) return [data];
  const frames: Uint8Array<ArrayBufferLike>[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    let size = 0;
    for (let b = sizeBytes - 1; b >= 0; b--) {
      size = size * 256 + (data[index + 1 + i * sizeBytes + b] ?? 0);
    }
    if (at + size > index) {
      throw bad(`frame ${i} of a superframe claims ${size} bytes, ${index - at} are left`);
    }
    if (size > 0) frames.push(data.subarray(at, at + size));
    at += size;
  }
  return frames;
}

function readSync(r: BitReader): void {
  const sync = r.bits(24);
  if (sync !== 0x498342) throw bad(`the sync code is 0x${sync.toString(16)}, not 0x498342`);
}

function readColour(r: BitReader, profile: number): { colour: Colour; bitDepth: number } {
  const bitDepth = profile >= 2 ? (r.flag() ? 12 : 10) : 8;
  const space = r.bits(3);
  const range = space === 7 || r.flag() ? 'full' : 'limited';
  if (profile === 1 || profile === 3) r.skip(space === 7 ? 1 : 3);
  return { colour: { range, matrix: MATRICES[space] ?? 'unspecified' }, bitDepth };
}

function readSize(r: BitReader): { width: number; height: number } {
  const width = r.bits(16) + 1;
  return { width, height: r.bits(16) + 1 };
}

/** Reads the uncompressed header of one frame (no superframe). */
export function parseVp9Header(frame: Uint8Array<ArrayBufferLike>): Vp9Header {
  const r = new BitReader(frame, 'VP9 frame header');
  const marker = r.bits(2);
  if (marker !== 2) throw bad(`the frame marker is ${marker}, not 2`);
  const profile = r.bit() + 2 * r.bit();
  if (profile === 3 && r.flag()) throw bad('profile 4 or above is reserved');
  const none = { width: undefined, height: undefined, colour: undefined, bitDepth: 8 };
  if (r.flag()) {
    r.skip(3);
    return { profile, keyframe: false, intraOnly: false, shown: true, showExisting: true, ...none };
  }
  const keyframe = r.bit() === 0;
  const shown = r.flag();
  const errorResilient = r.flag();
  const base = { profile, keyframe, shown, showExisting: false };
  if (keyframe) {
    readSync(r);
    return { ...base, intraOnly: false, ...readColour(r, profile), ...readSize(r) };
  }
  const intraOnly = !shown && r.flag();
  if (!errorResilient) r.skip(2);
  if (intraOnly) {
    readSync(r);
    const { colour, bitDepth } =
      profile > 0 ? readColour(r, profile) : { colour: undefined, bitDepth: 8 };
    r.skip(8); // refresh_frame_flags
    return { ...base, intraOnly, colour, bitDepth, ...readSize(r) };
  }
  r.skip(8 + 3 * 4); // refresh_frame_flags, three references with their sign bias
  for (let i = 0; i < 3; i++) if (r.flag()) return { ...base, intraOnly, ...none };
  return { ...base, intraOnly, colour: undefined, bitDepth: 8, ...readSize(r) };
}

/** The headers of all frames of a packet, in order. */
export function parseVp9Packet(data: Uint8Array<ArrayBufferLike>): Vp9Header[] {
  return splitSuperframe(data).map(parseVp9Header);
}
