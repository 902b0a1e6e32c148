/**
 * Tables of ITU-T T.81 that decoder and encoder share: zigzag order (figure 5), typical Huffman tables
 * (K.3 to K.6), which MJPEG frames leave out, and typical quantisation tables (K.1, K.2).
 */
import type { JpegHuffman } from '../../bitstream/jpeg.js';

/** Place in the 8x8 block, row by row, of each coefficient in zigzag order. */
export const ZIGZAG: Uint8Array = Uint8Array.of(
  ...[0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5],
  ...[12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28],
  ...[35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51],
  ...[58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63],
);

function bytes(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

const DC_SYMBOLS = bytes('00 01 02 03 04 05 06 07 08 09 0a 0b');

const AC_LUMA = bytes(
  '0102030004110512213141061351610722711432 8191a1082342b1c11552d1f02433627282090a161718191a' +
    '25262728292a3435363738393a434445464748494a535455565758595a636465666768696a73747576777879' +
    '7a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9' +
    'cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa',
);
const AC_CHROMA = bytes(
  '0001020311040521310612415107617113223281 08144291a1b1c109233352f0156272d10a162434e125f117' +
    '18191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778' +
    '797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7' +
    'c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa',
);

/** K.3 to K.6: DC and AC, of luma (0) and chroma (1). */
export const STANDARD_HUFFMAN: readonly JpegHuffman[] = [
  {
    kind: 0,
    id: 0,
    counts: bytes('00010501010101010100000000000000'),
    symbols: DC_SYMBOLS,
  },
  {
    kind: 1,
    id: 0,
    counts: bytes('0002010303020403050504040000017d'),
    symbols: AC_LUMA,
  },
  {
    kind: 0,
    id: 1,
    counts: bytes('00030101010101010101010000000000'),
    symbols: DC_SYMBOLS,
  },
  {
    kind: 1,
    id: 1,
    counts: bytes('00020102040403040705040400010277'),
    symbols: AC_CHROMA,
  },
];

/** K.1 and K.2, row by row: the steps of quality 50. */
export const LUMA_STEPS: Uint8Array = Uint8Array.of(
  ...[16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55],
  ...[14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62],
  ...[18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92],
  ...[49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99],
);
export const CHROMA_STEPS: Uint8Array = Uint8Array.of(
  ...[17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99],
  ...[24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99],
  ...Array.from({ length: 32 }, () => 99),
);
