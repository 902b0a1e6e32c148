/**
 * A table of planes' states in kernel memory: what has been committed, or what is on screen.
 *
 * Two records a plane; a bit of one word says which is in force. A change of any number of planes is
 * written into the records that are not, and put in force by one store of that word: readers, and
 * whoever goes on after the writer's death, see all of it or nothing. Who may write, the registers say.
 */
import type { Words } from '@dmabuf/core/driver';
import { type PlaneState, type PlaneUpdate, readPlane, writePlane } from './plane-state.js';
import { PLANE } from './registers.js';

export class PlaneTable {
  readonly #words: Words;
  readonly #slots: number;
  readonly #records: number;

  /** `slots`: index of the word of bits; `records`: of the first record. */
  constructor(words: Words, slots: number, records: number) {
    this.#words = words;
    this.#slots = slots;
    this.#records = records;
  }

  get(plane: number): PlaneState {
    return readPlane(this.#words, this.#inForce(plane));
  }

  /** Id of the plane's framebuffer, 0 for none. */
  fb(plane: number): number {
    return this.#words.load(this.#inForce(plane) + PLANE.FB);
  }

  /** Width and height of the part of the framebuffer that the plane shows, pixels, rounded up, from its origin. */
  extent(plane: number): { readonly width: number; readonly height: number } {
    const words = this.#words;
    const at = this.#inForce(plane);
    const end = (from: number, size: number): number =>
      Math.ceil((words.get(at + from) + words.get(at + size)) / 65536);
    return { width: end(PLANE.SRC_X, PLANE.SRC_W), height: end(PLANE.SRC_Y, PLANE.SRC_H) };
  }

  /** Another framebuffer on a plane, all else as it is: one store. */
  setFb(plane: number, fb: number): void {
    this.#words.store(this.#inForce(plane) + PLANE.FB, fb);
  }

  /** Puts states in force, all at once. */
  put(updates: readonly PlaneUpdate[]): void {
    this.#words.store(this.#slots, this.prepare(updates));
  }

  /** Writes states; they are in force once the word of bits is what this returns. */
  prepare(updates: readonly PlaneUpdate[]): number {
    const before = this.#words.load(this.#slots);
    let after = before;
    for (const { plane, state } of updates) {
      const bit = (before >>> plane) & 1;
      writePlane(this.#words, this.#at(plane, 1 - bit), state);
      after = bit === 0 ? after | (1 << plane) : after & ~(1 << plane);
    }
    return after;
  }

  #inForce(plane: number): number {
    return this.#at(plane, (this.#words.load(this.#slots) >>> plane) & 1);
  }

  #at(plane: number, slot: number): number {
    return this.#records + (plane * 2 + slot) * PLANE.WORDS;
  }
}
