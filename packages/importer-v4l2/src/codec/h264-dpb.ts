/**
 * H264Dpb: h264bsd's decoded picture buffer as it lies in its wasm memory (dpbStorage_t and dpbPicture_t of
 * h264bsd_dpb.h, in h264decoder 1.0.0).
 *
 * It is an array of `dpbSize` + 1 pictures, each with the address of its frame. h264bsd sorts it at the end of each
 * picture, so that between two decodes the last one is free: the next picture is written there. Frames are freed by
 * another address (pAllocatedData), so a picture may be given another frame between two decodes.
 */

/** Bytes from the start of storage_t. */
const DPB = 1220;
/** Bytes from the start of dpbStorage_t. */
const BUFFER = 0;
const DPB_SIZE = 28;
/** Bytes of a dpbPicture_t, whose first word is the address of the frame. */
const PICTURE_BYTES = 40;
const MAX_DPB_SIZE = 16;

export class H264Dpb {
  readonly #storage: number;

  /** Of the context whose storage_t is at `storage`. */
  constructor(storage: number) {
    this.#storage = storage;
  }

  /** Addresses of its frames; the next picture goes into the last. None before the first picture. */
  frames(words: Uint32Array<ArrayBufferLike>): number[] {
    const size = this.#field(words, DPB_SIZE);
    const buffer = this.#field(words, BUFFER);
    const end = buffer + (size + 1) * PICTURE_BYTES;
    if (buffer === 0 || size < 1 || size > MAX_DPB_SIZE || end > words.byteLength) return [];
    return Array.from({ length: size + 1 }, (_, i) => words[this.#picture(words, i)] ?? 0);
  }

  /** Has picture `i` use another frame from here on. */
  replace(words: Uint32Array<ArrayBufferLike>, i: number, frame: number): void {
    words[this.#picture(words, i)] = frame;
  }

  #picture(words: Uint32Array<ArrayBufferLike>, i: number): number {
    return (this.#field(words, BUFFER) + i * PICTURE_BYTES) >>> 2;
  }

  #field(words: Uint32Array<ArrayBufferLike>, offset: number): number {
    return words[(this.#storage + DPB + offset) >>> 2] ?? 0;
  }
}
