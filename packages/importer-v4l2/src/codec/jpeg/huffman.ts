/**
 * A Huffman table made ready for decoding: one look-up for all codes of up to 10 bits, and for AC
 * codes whose value ends within these 10 bits the value with them.
 *
 * Follows ITU-T T.81 C.2 and F.2.2; the joint look-up is that of stb_image.
 */
import type { JpegHuffman } from '../../bitstream/jpeg.js';

/** Bits that one look-up takes. */
export const FAST_BITS = 10;

/** Sign-extends `size` bits of a coefficient (T.81 F.2.2.1, EXTEND). */
export function extend(bits: number, size: number): number {
  return bits < 1 << (size - 1) ? bits - (1 << size) + 1 : bits;
}

export class HuffmanDecoder {
  /**
   * By the next FAST_BITS bits; 0: a longer code, or none. Bits 0–4: bits to consume, 5–8: run of
   * zeros, 9–12: bits of the value that follow, 16–31: the value where it is known (never 0).
   */
  readonly fast: Int32Array = new Int32Array(1 << FAST_BITS);
  /** By length: first code beyond those of this length, left-aligned in 16 bits. */
  readonly limits: Int32Array = new Int32Array(18);
  /** By length: index of a code's symbol minus the code. */
  readonly offsets: Int32Array = new Int32Array(18);
  readonly symbols: Uint8Array = new Uint8Array(256);

  /** `joint` where a symbol is run and size (AC); a DC symbol is a size alone. */
  load({ counts, symbols, kind }: JpegHuffman): void {
    this.fast.fill(0);
    this.symbols.fill(0);
    this.symbols.set(symbols);
    let code = 0;
    let index = 0;
    for (let length = 1; length <= 16; length++) {
      this.offsets[length] = index - code;
      const count = counts[length - 1] ?? 0;
      for (let i = 0; i < count; i++) this.#enter(code++, length, symbols[index++] ?? 0, kind);
      this.limits[length] = code << (16 - length);
      code <<= 1;
    }
    this.limits[17] = 1 << 16;
  }

  /** Enters a code at every place of the look-up that begins with it. */
  #enter(code: number, length: number, symbol: number, kind: number): void {
    if (length > FAST_BITS) return;
    const spare = FAST_BITS - length;
    const run = kind === 0 ? 0 : symbol >> 4;
    const size = kind === 0 ? symbol : symbol & 15;
    for (let rest = 0; rest < 1 << spare; rest++) {
      const at = (code << spare) | rest;
      const known = kind !== 0 && size > 0 && size <= spare;
      const value = known ? extend(rest >> (spare - size), size) : 0;
      this.fast[at] = known
        ? (value << 16) | (run << 5) | (length + size)
        : (size << 9) | (run << 5) | length;
    }
  }
}
