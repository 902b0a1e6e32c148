/**
 * RegionViews: a thread's views of a region, kept, since making one costs as much as granting a job. Dropped with the
 * region, so that they hold up nobody who waits for its memory to be collected.
 */

/** Views that are kept of a region; with more, all are made anew: a pool may have thousands of buffers. */
const KEPT = 256;

interface Views {
  readonly bytes: Uint8Array<ArrayBufferLike>;
  words: Uint32Array<ArrayBufferLike> | undefined;
}

export class RegionViews {
  readonly #memory: ArrayBufferLike;
  /** By offset, the one that was looked at last. */
  readonly #kept: Map<number, Views> = new Map();

  constructor(memory: ArrayBufferLike) {
    this.#memory = memory;
  }

  /** `length` bytes at `offset`. */
  bytes(offset: number, length: number): Uint8Array<ArrayBufferLike> {
    return this.#at(offset, length).bytes;
  }

  /** The whole words among them; RangeError unless `offset` is a multiple of four. */
  words(offset: number, length: number): Uint32Array<ArrayBufferLike> {
    const views = this.#at(offset, length);
    return (views.words ??= new Uint32Array(this.#memory, offset, length >> 2));
  }

  #at(offset: number, length: number): Views {
    const known = this.#kept.get(offset);
    if (known !== undefined && known.bytes.byteLength === length) return known;
    if (this.#kept.size >= KEPT) this.#kept.clear();
    const views = { bytes: new Uint8Array(this.#memory, offset, length), words: undefined };
    this.#kept.set(offset, views);
    return views;
  }
}
