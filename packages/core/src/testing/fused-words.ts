/**
 * Kernel memory in which a thread dies: once the fuse has burnt down, the next access throws, and so does every
 * later one, `finally` blocks included, until the fuse is taken out. What is in memory then is what the death of a
 * thread between these two accesses leaves.
 */
import { CountedWords } from '../memory/words.js';

/** Thrown by an access of somebody who is dead. */
export class Dead extends Error {}

export class FusedWords extends CountedWords {
  /** Accesses that are left; Infinity: no fuse. */
  fuse: number = Infinity;

  override get(index: number): number {
    this.#burn();
    return super.get(index);
  }

  override set(index: number, value: number): void {
    this.#burn();
    super.set(index, value);
  }

  override getDouble(index: number): number {
    this.#burn();
    return super.getDouble(index);
  }

  override setDouble(index: number, value: number): void {
    this.#burn();
    super.setDouble(index, value);
  }

  override load(index: number): number {
    this.#burn();
    return super.load(index);
  }

  override store(index: number, value: number): void {
    this.#burn();
    super.store(index, value);
  }

  override add(index: number, value: number): number {
    this.#burn();
    return super.add(index, value);
  }

  override exchange(index: number, value: number): number {
    this.#burn();
    return super.exchange(index, value);
  }

  override cas(index: number, expected: number, value: number): boolean {
    this.#burn();
    return super.cas(index, expected, value);
  }

  override bytes(index: number, byteLength: number): Uint8Array<ArrayBufferLike> {
    this.#burn();
    return super.bytes(index, byteLength);
  }

  #burn(): void {
    if (--this.fuse < 0) throw new Dead('this thread is dead');
  }
}
