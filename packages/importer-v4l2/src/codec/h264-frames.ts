/**
 * H264Frames: which frames of a decoder's memory are whose, where pictures are left in place.
 *
 * A frame is the decoder's while its decoded picture buffer has it: as a reference, or to write the next picture into.
 * It is held while a buffer shows it, which the owner of the decoder tells (`holds`). It may be both: a reference that is
 * being looked at. Only to be written a frame must not be held: so before each decode the picture that is written next is
 * given another frame if its own is held. Nobody waits for anybody; the memory has as many frames as the decoder needs
 * and buffers hold. What is neither the decoder's nor held is spare.
 *
 * All of it is looked up anew each time, in the decoder's memory and by `holds`: there is no state that could be wrong.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Holds } from './codec.js';
import type { H264Wasm } from './h264-wasm.js';

/** h264bsd aligns frames so, and its own have as much room behind them. */
const ALIGNMENT = 16;
const SLACK = 64;

export class H264Frames {
  readonly #wasm: H264Wasm;
  readonly #holds: Holds;
  /** Frames that were allocated here; h264bsd's own it frees itself, never while its context lives. */
  readonly #known: Set<number> = new Set();
  #frameBytes = 0;

  constructor(wasm: H264Wasm, holds: Holds) {
    this.#wasm = wasm;
    this.#holds = holds;
  }

  /** Whether a picture of this memory is held: it cannot be cleared. */
  get anyHeld(): boolean {
    return [...this.#known].some((frame) => this.isHeld(frame));
  }

  isHeld(frame: number): boolean {
    return this.#holds(this.#wasm.memory, frame);
  }

  /** Before a decode: sees to it that the next picture is written over nothing that is held. False: no memory. */
  makeRoom(): boolean {
    const { dpb } = this.#wasm;
    const frames = dpb.frames(this.#wasm.words);
    const next = frames.at(-1);
    if (next === undefined || !this.isHeld(next)) return true;
    const spare = this.#spare(frames);
    if (spare === 0) return false;
    dpb.replace(this.#wasm.words, frames.length - 1, spare);
    return true;
  }

  /**
   * After a decode: whether its picture may stay where it is. False where h264bsd did not do as described above, which
   * means that this is not the h264bsd that is known here.
   */
  took(frame: number, bytes: number): boolean {
    this.#frameBytes = bytes;
    const frames = this.#wasm.dpb.frames(this.#wasm.words);
    for (const each of frames) this.#known.add(each);
    return frames.includes(frame) && !this.isHeld(frame);
  }

  /**
   * Takes a frame away from the decoder, which goes on with a copy if it is a reference, so that a buffer that cannot
   * be moved may be overwritten. Returns the bytes copied. ENOMEM.
   */
  evict(frame: number): number {
    const { dpb } = this.#wasm;
    const frames = dpb.frames(this.#wasm.words);
    const i = frames.indexOf(frame);
    if (i < 0) return 0;
    const spare = this.#spare(frames);
    if (spare === 0) throw new DmaBufError('ENOMEM', 'decode', 'h264bsd is out of memory');
    this.#wasm.bytes.copyWithin(spare, frame, frame + this.#frameBytes);
    dpb.replace(this.#wasm.words, i, spare);
    return this.#frameBytes;
  }

  /** The context has begun anew. */
  forget(): void {
    this.#known.clear();
  }

  /** A frame that is nobody's; 0: no memory. */
  #spare(used: readonly number[]): number {
    for (const frame of this.#known) {
      if (!used.includes(frame) && !this.isHeld(frame)) return frame;
    }
    const address = this.#wasm.malloc(this.#frameBytes + ALIGNMENT + SLACK);
    if (address === 0) return 0;
    const frame = Math.ceil(address / ALIGNMENT) * ALIGNMENT;
    this.#known.add(frame);
    return frame;
  }
}
