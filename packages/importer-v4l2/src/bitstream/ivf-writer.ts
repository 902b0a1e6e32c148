/**
 * IVF files, which carry packets of any codec as they are (libvpx's ivfenc.c).
 */

const FILE_HEADER = 32;
const FRAME_HEADER = 12;

/** What an IVF file says of its stream. */
export interface IvfWriteOptions {
  /** Pixels; decoders go by the packets' own headers. Default 16. */
  readonly width?: number;
  readonly height?: number;
  /** Frames a second. Default 25/1. */
  readonly rate?: readonly [numerator: number, denominator: number];
}

/** A file of packets, numbered from 0. The caller's to keep. */
export function writeIvf(
  fourcc: string,
  packets: readonly Uint8Array<ArrayBufferLike>[],
  { width = 16, height = 16, rate = [25, 1] }: IvfWriteOptions = {},
): Uint8Array<ArrayBuffer> {
  const bytes = packets.reduce((sum, { length }) => sum + FRAME_HEADER + length, FILE_HEADER);
  const out = new Uint8Array(bytes);
  const view = new DataView(out.buffer);
  out.set(Buffer.from(`DKIF\0\0\x20\0${fourcc}`, 'latin1'));
  view.setUint16(12, width, true);
  view.setUint16(14, height, true);
  view.setUint32(16, rate[0], true);
  view.setUint32(20, rate[1], true);
  view.setUint32(24, packets.length, true);
  let at = FILE_HEADER;
  packets.forEach((packet, i) => {
    view.setUint32(at, packet.length, true);
    view.setUint32(at + 4, i, true);
    out.set(packet, at + FRAME_HEADER);
    at += FRAME_HEADER + packet.length;
  });
  return out;
}
