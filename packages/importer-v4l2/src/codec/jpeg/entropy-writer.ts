/**
 * Huffman codes of blocks, with byte stuffing, into a buffer that grows (ITU-T T.81 F.1.2).
 *
 * Owned by one JpegEncoder and kept from picture to picture; nothing is allocated per block.
 */
import type { JpegHuffman } from '../../bitstream/jpeg.js';

/** Bytes that a block takes at most: 64 codes of 16 bits with 11 bits each, all of them stuffed. */
const BLOCK_BYTES = 512;
const FIRST_BYTES = 1 << 16;

/** By symbol: `code << 8 | length`; 0 for a symbol that has no code. */
export type HuffmanCodes = Int32Array;

export function huffmanCodes({ counts, symbols }: JpegHuffman): HuffmanCodes {
  const codes = new Int32Array(256);
  let code = 0;
  let index = 0;
  for (let length = 1; length <= 16; length++) {
    for (let i = 0; i < (counts[length - 1] ?? 0); i++) {
      codes[symbols[index++] ?? 0] = (code++ << 8) | length;
    }
    code <<= 1;
  }
  return codes;
}

/** Sixteen zeros in a row, and the end of a block. */
const ZRL = 0xf0;
const EOB = 0;

export class EntropyWriter {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(FIRST_BYTES);
  #size = 0;
  /** Bits that do not fill a byte yet, at the bottom, and how many. */
  #pending = 0;
  #count = 0;

  /** A copy of what has been written; begins anew. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes.slice(0, this.#size);
    this.#size = 0;
    return bytes;
  }

  /** Whole bytes, as they are: marker segments. Only where no bits are pending. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#size);
    this.#size += bytes.length;
  }

  /** Fills the last byte with ones: the end of a scan or of a restart interval. */
  align(): void {
    if (this.#count > 0) this.#put((1 << (8 - this.#count)) - 1, 8 - this.#count);
  }

  /**
   * A block of quantised coefficients in zigzag order; `last` is the place of its last one that is not 0,
   * `predicted` the DC coefficient of the block before.
   */
  block(
    values: Int32Array,
    last: number,
    predicted: number,
    dc: HuffmanCodes,
    ac: HuffmanCodes,
  ): void {
    this.#reserve(BLOCK_BYTES);
    this.#value(dc, 0, (values[0] as number) - predicted);
    let run = 0;
    for (let k = 1; k <= last; k++) {
      const value = values[k] as number;
      if (value === 0) {
        run++;
        continue;
      }
      for (; run > 15; run -= 16) this.#code(ac[ZRL] as number);
      this.#value(ac, run << 4, value);
      run = 0;
    }
    if (last < 63) this.#code(ac[EOB] as number);
  }

  #code(entry: number): void {
    this.#put(entry >> 8, entry & 255);
  }

  /** The code of run and size, and the value's bits: negative ones less 1. */
  #value(codes: HuffmanCodes, run: number, value: number): void {
    const size = 32 - Math.clz32(value < 0 ? -value : value);
    const entry = codes[run | size] as number;
    const bits = (value < 0 ? value - 1 : value) & ((1 << size) - 1);
    const length = (entry & 255) + size;
    if (length <= 24) this.#put(((entry >> 8) << size) | bits, length);
    else {
      this.#code(entry);
      this.#put(bits, size);
    }
  }

  /** Up to 24 bits. */
  #put(bits: number, length: number): void {
    const bytes = this.#bytes;
    const pending = (this.#pending << length) | bits;
    let count = this.#count + length;
    while (count >= 8) {
      count -= 8;
      const byte = (pending >>> count) & 255;
      bytes[this.#size++] = byte;
      if (byte === 0xff) bytes[this.#size++] = 0;
    }
    this.#pending = pending & ((1 << count) - 1);
    this.#count = count;
  }

  #reserve(more: number): void {
    if (this.#size + more <= this.#bytes.length) return;
    const grown = new Uint8Array(2 * (this.#size + more));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}
