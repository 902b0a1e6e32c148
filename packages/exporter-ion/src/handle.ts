/**
 * IonHandle: a client's handle of a buffer (struct ion_handle): a small id with a count of
 * references. It keeps the buffer alive by an fd of its own, which nobody else sees.
 */
import { type DmaBuf, DmaBufError, type Mapping } from '@dmabuf/core';

export class IonHandle {
  /** From 1, unique within the client. */
  readonly id: number;
  /** Bytes. */
  readonly size: number;
  /** Inode number of the buffer. */
  readonly ino: number;
  readonly #buffer: DmaBuf;
  readonly #gone: () => void;
  #refs = 1;

  constructor(id: number, buffer: DmaBuf, gone: () => void) {
    this.id = id;
    this.size = buffer.size;
    this.ino = buffer.record.ino;
    this.#buffer = buffer;
    this.#gone = gone;
  }

  get refs(): number {
    return this.#refs;
  }

  /** An fd of the buffer, the caller's (ION_IOC_SHARE, ION_IOC_MAP). EINVAL after free; EMFILE. */
  share(): DmaBuf {
    return this.#live('ion_share').dup();
  }

  /** A CPU mapping, which outlives the handle. EINVAL after free or out of bounds; EPERM: protected. */
  map(options: { readonly offset?: number; readonly length?: number } = {}): Mapping {
    return this.#live('ion_map').mmap(options);
  }

  /** Takes another reference; each needs its own free. */
  ref(): void {
    this.#live('ion_handle');
    this.#refs++;
  }

  /** Drops a reference; the last one gives the buffer up. EINVAL after that. */
  free(): void {
    this.#live('ion_free');
    if (--this.#refs === 0) this.#end();
  }

  /** Drops all references: the client closes. */
  drop(): void {
    if (this.#refs === 0) return;
    this.#refs = 0;
    this.#end();
  }

  [Symbol.dispose](): void {
    if (this.#refs > 0) this.free();
  }

  #end(): void {
    this.#gone();
    this.#buffer.close();
  }

  #live(syscall: string): DmaBuf {
    if (this.#refs > 0) return this.#buffer;
    throw new DmaBufError('EINVAL', syscall, `handle ${this.id} has been freed`);
  }
}
