/**
 * SteppedWords: kernel memory's accessor with each access, plain ones too, a step of the scheduler.
 *
 * A double is one step (it is one store). `bytes()` is one step that counts as a write of its first word:
 * its holder copies at once, and what it copies (payloads, names, mail) is published by a later store; two
 * threads that touch the same bytes ask for them at the same first word. The raw views `i32`, `f64` and `u8`
 * are handed to the seam only, which makes steps of its own.
 */
import { Words } from '../../memory/words.js';
import type { Baton } from './baton.js';

export class SteppedWords extends Words {
  readonly #baton: Baton;

  constructor(buffer: ArrayBufferLike, baton: Baton) {
    super(buffer);
    this.#baton = baton;
  }

  override get(index: number): number {
    this.#baton.step(index, false);
    return super.get(index);
  }

  override set(index: number, value: number): void {
    this.#baton.step(index, true);
    super.set(index, value);
  }

  override getDouble(index: number): number {
    this.#baton.step(index, false);
    return super.getDouble(index);
  }

  override setDouble(index: number, value: number): void {
    this.#baton.step(index, true);
    super.setDouble(index, value);
  }

  override load(index: number): number {
    this.#baton.step(index, false);
    return super.load(index);
  }

  override store(index: number, value: number): void {
    this.#baton.step(index, true);
    super.store(index, value);
  }

  override add(index: number, value: number): number {
    this.#baton.step(index, true);
    return super.add(index, value);
  }

  override exchange(index: number, value: number): number {
    this.#baton.step(index, true);
    return super.exchange(index, value);
  }

  override cas(index: number, expected: number, value: number): boolean {
    this.#baton.step(index, true);
    return super.cas(index, expected, value);
  }

  override bytes(index: number, byteLength: number): Uint8Array<ArrayBufferLike> {
    this.#baton.step(index, true);
    return super.bytes(index, byteLength);
  }
}
