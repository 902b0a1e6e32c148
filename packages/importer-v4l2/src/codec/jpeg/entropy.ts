/**
 * The entropy-coded data of one scan: bytes freed of stuffing, bits, coefficients of a block.
 *
 * Follows ITU-T T.81 F.2.2. Data is copied into private memory first, so that reading it needs no
 * look at markers and nothing changes it meanwhile. Owned by one JpegDecoder, kept from picture to
 * picture; nothing is allocated per block.
 */
import { DmaBufError } from '@dmabuf/core';
import { extend, FAST_BITS, type HuffmanDecoder } from './huffman.js';
import { ZIGZAG } from './tables.js';

/** Zero bytes behind the data: one block can take no more before the overrun is noticed. */
const SLACK = 512;

/** What is wrong with a picture's data: `EIO`. */
export function damage(detail: string): DmaBufError {
  return new DmaBufError('EIO', 'decode', detail);
}

export class EntropyData {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(SLACK);
  /** Bytes of the interval. */
  #size = 0;
  /** Bits that have been read. */
  #at = 0;

  /**
   * Takes in the bytes from `at` up to the next marker, and returns where that marker stands (the end of
   * `data` if there is none).
   */
  load(data: Uint8Array<ArrayBufferLike>, at: number): number {
    if (this.#bytes.length < data.length - at + SLACK) {
      this.#bytes = new Uint8Array(2 * data.length + SLACK);
    }
    const bytes = this.#bytes;
    let size = 0;
    let i = at;
    for (const end = data.length; i < end; i++) {
      const value = data[i] as number;
      if (value === 0xff) {
        if (data[i + 1] !== 0) break;
        i++;
      }
      bytes[size++] = value;
    }
    bytes.fill(0, size, size + SLACK);
    this.#size = size;
    this.#at = 0;
    return i;
  }

  /** Whether more bits have been read than there are. */
  get overrun(): boolean {
    return this.#at > 8 * this.#size;
  }

  /**
   * Bytes behind the last block that are no padding: a sign that the decoder lost its place. Some encoders
   * pad with zeros.
   */
  get left(): number {
    const from = (this.#at + 7) >> 3;
    return this.#bytes.subarray(from, this.#size).some((value) => value !== 0)
      ? this.#size - from
      : 0;
  }

  /** At least 25 bits from bit `at` on, at the top of a word: enough for any code, or any value. */
  #peek(at: number): number {
    const bytes = this.#bytes;
    const i = at >>> 3;
    const word =
      ((bytes[i] as number) << 24) |
      ((bytes[i + 1] as number) << 16) |
      ((bytes[i + 2] as number) << 8) |
      (bytes[i + 3] as number);
    return word << (at & 7);
  }

  /** The symbol of a code of more than FAST_BITS bits, and its length: `symbol << 8 | length`. */
  #slow(table: HuffmanDecoder, bits: number): number {
    const code = bits >>> 16;
    let length = FAST_BITS + 1;
    while (code >= (table.limits[length] as number)) length++;
    if (length > 16) throw damage('a code that its Huffman table does not have');
    const symbol = table.symbols[(code >> (16 - length)) + (table.offsets[length] as number)];
    return ((symbol as number) << 8) | length;
  }

  /** The difference of a block's DC coefficient to its predecessor's. Throws `EIO`. */
  dcDifference(table: HuffmanDecoder): number {
    const bits = this.#peek(this.#at);
    const fast = table.fast[bits >>> (32 - FAST_BITS)] as number;
    let size = fast >> 9;
    let length = fast & 31;
    if (fast === 0) {
      const slow = this.#slow(table, bits);
      size = slow >> 8;
      length = slow & 255;
    }
    if (size > 11) throw damage(`a DC difference of ${size} bits`);
    this.#at += length;
    return size === 0 ? 0 : this.#value(size);
  }

  /**
   * Puts the AC coefficients of a block, dequantised, into `block` (row by row). Returns whether there
   * was one that is not 0. Throws `EIO`.
   */
  ac(table: HuffmanDecoder, quant: Uint16Array, block: Int32Array): boolean {
    const { fast } = table;
    let any = false;
    for (let k = 1; k < 64; k++) {
      const bits = this.#peek(this.#at);
      const entry = fast[bits >>> (32 - FAST_BITS)] as number;
      let run = (entry >> 5) & 15;
      let value = entry >> 16;
      if (value !== 0) this.#at += entry & 31;
      else {
        let size = (entry >> 9) & 15;
        let length = entry & 31;
        if (entry === 0) {
          const slow = this.#slow(table, bits);
          run = slow >> 12;
          size = (slow >> 8) & 15;
          length = slow & 255;
        }
        this.#at += length;
        if (size === 0) {
          if (run !== 15) return any;
          k += 15;
          continue;
        }
        value = this.#value(size);
      }
      k += run;
      if (k > 63) throw damage('a block of more than 64 coefficients');
      block[ZIGZAG[k] as number] = Math.imul(value, quant[k] as number);
      any = true;
    }
    return any;
  }

  /** A coefficient's bits, at most 15 of them. */
  #value(size: number): number {
    const bits = this.#peek(this.#at) >>> (32 - size);
    this.#at += size;
    return extend(bits, size);
  }
}
