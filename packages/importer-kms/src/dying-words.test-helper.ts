/** Words whose writer dies when it has made so many stores. */
import { Words } from '@dmabuf/core/driver';

export class DyingWords extends Words {
  /** Stores that it makes yet. */
  left: number = Infinity;

  override set(index: number, value: number): void {
    this.#spend();
    super.set(index, value);
  }

  override setDouble(index: number, value: number): void {
    this.#spend();
    super.setDouble(index, value);
  }

  override store(index: number, value: number): void {
    this.#spend();
    super.store(index, value);
  }

  #spend(): void {
    if (this.left-- === 0) throw new Error('died');
  }
}
