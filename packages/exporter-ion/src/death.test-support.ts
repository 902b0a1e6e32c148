/**
 * For tests: words whose writer dies. After so many stores nothing that it does has an effect any
 * more, which is what terminating a thread at that point looks like to everybody else.
 */
import { Words } from '@dmabuf/core/driver';

export class DyingWords extends Words {
  #left = Infinity;
  /** Stores so far. */
  stores = 0;

  dieAfter(stores: number): void {
    this.#left = stores;
  }

  revive(): void {
    this.#left = Infinity;
  }

  get dead(): boolean {
    return this.#left <= 0;
  }

  override set(index: number, value: number): void {
    if (this.#lives()) super.set(index, value);
  }

  override setDouble(index: number, value: number): void {
    if (this.#lives()) super.setDouble(index, value);
  }

  override store(index: number, value: number): void {
    if (this.#lives()) super.store(index, value);
  }

  override add(index: number, value: number): number {
    return this.#lives() ? super.add(index, value) : this.load(index);
  }

  override exchange(index: number, value: number): number {
    return this.#lives() ? super.exchange(index, value) : 0;
  }

  /** The dead are told that they won, so that they go on to the end of what they were doing. */
  override cas(index: number, expected: number, value: number): boolean {
    return this.#lives() ? super.cas(index, expected, value) : true;
  }

  #lives(): boolean {
    this.stores++;
    if (this.#left <= 0) return false;
    this.#left--;
    return true;
  }
}
