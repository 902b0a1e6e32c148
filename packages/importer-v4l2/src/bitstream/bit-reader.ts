/**
 * BitReader: fixed-length and Exp-Golomb codes out of a byte array, most significant bit first.
 *
 * Follows ITU-T H.264 section 9.1 (ue, se); VP9's uncompressed header reads its f(n) the same way.
 * Reading past the end throws, so a parser on damaged data ends; nothing is ever read out of bounds.
 */
import { DmaBufError } from '@dmabuf/core';

export class BitReader {
  readonly #data: Uint8Array<ArrayBufferLike>;
  readonly #what: string;
  #bit = 0;

  /** `what` names the structure in the error for data that ends early: `'sequence parameter set'`. */
  constructor(data: Uint8Array<ArrayBufferLike>, what: string) {
    this.#data = data;
    this.#what = what;
  }

  /** Bits not yet read. */
  get left(): number {
    return this.#data.length * 8 - this.#bit;
  }

  /** One bit as 0 or 1. */
  bit(): number {
    const byte = this.#data[this.#bit >> 3];
    if (byte === undefined) {
      throw new DmaBufError('EINVAL', 'parse', `the ${this.#what} ends after ${this.#bit} bits`);
    }
    const value = (byte >> (7 - (this.#bit & 7))) & 1;
    this.#bit++;
    return value;
  }

  flag(): boolean {
    return this.bit() === 1;
  }

  /** An unsigned number of 0 to 32 bits. */
  bits(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++) value = value * 2 + this.bit();
    return value;
  }

  skip(count: number): void {
    for (let i = 0; i < count; i++) this.bit();
  }

  /** ue(v), refused above `max` (which also bounds every loop that runs on the result). */
  ue(name: string, max = 0xffff_fffe): number {
    let zeros = 0;
    while (this.bit() === 0) {
      if (++zeros > 31) throw this.#outOfRange(name, 'more than 31 leading zeros');
    }
    const value = 2 ** zeros - 1 + this.bits(zeros);
    if (value > max) throw this.#outOfRange(name, `${value}, at most ${max} is allowed`);
    return value;
  }

  /** se(v) */
  se(name: string): number {
    const code = this.ue(name);
    return code % 2 === 1 ? (code + 1) / 2 : -code / 2;
  }

  #outOfRange(name: string, found: string): DmaBufError {
    return new DmaBufError('EINVAL', 'parse', `${name} in the ${this.#what} is ${found}`);
  }
}
