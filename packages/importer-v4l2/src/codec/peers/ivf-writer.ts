/**
 * IVF files, which carry packets of any codec as they are (libvpx's ivfenc.c).
 */

const FILE_HEADER = 32;
const FRAME_HEADER = 12;

/** A file of packets, numbered from 0. Sizes are left to the packets' own headers. */
export function writeIvf(
  fourcc: string,
  packets: readonly Uint8Array<ArrayBufferLike>[],
): Uint8Array<ArrayBuffer> {
  const bytes = packets.reduce((sum, { length }) => sum + FRAME_HEADER + length, FILE_HEADER);
  const out = new Uint8Array(bytes);
  const view = new DataView(out.buffer);
  out.set(Buffer.from(`DKIF\0\0\x20\0${fourcc}`, 'latin1'));
  view.setUint16(12, 16, true);
  view.setUint16(14, 16, true);
  view.setUint32(16, 25, true);
  view.setUint32(20, 1, true);
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
