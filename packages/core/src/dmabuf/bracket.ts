/**
 * Bracket: an open CPU access to a mapping: the view, until `finish()`. A BracketSet is several of
 * them that were prepared as one atomic step.
 */
import { DmaBufError } from '../errno.js';
import type { BufferServices } from './dmabuf.js';
import type { OpenAccess } from './cpu-access.js';
import { guarded } from './guard.js';

export class Bracket {
  readonly #s: BufferServices;
  readonly #access: OpenAccess;
  readonly #closed: () => void;
  readonly #place: string;
  #bytes: Uint8Array<ArrayBufferLike> | undefined;
  #open = true;

  constructor(services: BufferServices, access: OpenAccess, place: string, closed: () => void) {
    this.#s = services;
    this.#access = access;
    this.#closed = closed;
    this.#place = place;
    services.handles.openedBracket(this, access.spec.record.ino, place);
  }

  /** The bytes of the range that was asked for. EINVAL after finish. */
  get bytes(): Uint8Array<ArrayBufferLike> {
    const bytes = this.#memory();
    return this.#s.guard ? this.#guarded(bytes) : bytes;
  }

  /** The same as 32-bit words; the range must start at a multiple of four. */
  get words(): Uint32Array<ArrayBufferLike> {
    const bytes = this.#memory();
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
    return this.#s.guard ? this.#guarded(words) : words;
  }

  /** A copy of the bytes, for native code where views are guarded. The caller's own. EINVAL after finish. */
  copy(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory());
  }

  /**
   * Closes the bracket: caches are written back if it was open for writing and its bytes were looked
   * at, then the claim ends. EINVAL the second time; the exporter's failure after the claim has ended.
   */
  finish(): void {
    if (!this.#open) {
      const detail = `the access bracket on buffer ${this.#access.spec.record.ino} was finished before`;
      throw new DmaBufError('EINVAL', 'finish_access', detail);
    }
    this.#open = false;
    this.#s.handles.closedBracket(this);
    try {
      this.#s.access.finish(this.#access, this.#bytes !== undefined);
    } finally {
      this.#closed();
    }
  }

  [Symbol.dispose](): void {
    if (this.#open) this.finish();
  }

  #memory(): Uint8Array<ArrayBufferLike> {
    const { record, offset, length } = this.#access.spec;
    if (!this.#open) {
      const detail = `the access bracket on buffer ${record.ino} is finished`;
      throw new DmaBufError('EINVAL', 'access', detail);
    }
    const { regions, shadows } = this.#s;
    this.#bytes ??=
      shadows === undefined
        ? regions.view(record.region, record.offset + offset, length)
        : shadows.view(record, offset, length);
    return this.#bytes;
  }

  #guarded<V extends Uint8Array<ArrayBufferLike> | Uint32Array<ArrayBufferLike>>(view: V): V {
    const permit = (write: boolean): void => {
      if (!this.#open) throw this.#fault('EFAULT', 'its access bracket is finished');
      if (!write || this.#access.spec.write) return;
      throw this.#fault('EACCES', 'a write in a bracket that was prepared for reading');
    };
    return guarded(view, permit, (what) => this.#fault('EFAULT', what));
  }

  /** As a segmentation fault names its address: which buffer, whose access, where it was mapped. */
  #fault(code: 'EFAULT' | 'EACCES', what: string): DmaBufError {
    const { kernel } = this.#s;
    const { record, offset, length } = this.#access.spec;
    const bytes = `bytes ${offset} to ${offset + length} of buffer ${record.ino}`;
    const who = `process '${kernel.nameOf(kernel.self)}'`;
    return new DmaBufError(code, 'access', `${bytes} in ${who}, mapped ${this.#place}: ${what}`);
  }
}

/** Brackets of several buffers, in the order in which they were named. */
export class BracketSet {
  readonly brackets: readonly Bracket[];

  constructor(brackets: readonly Bracket[]) {
    this.brackets = brackets;
  }

  /** The bytes of buffer `i`. EINVAL: there is no such buffer, or it is finished. */
  bytes(i: number): Uint8Array<ArrayBufferLike> {
    const bracket = this.brackets[i];
    if (bracket !== undefined) return bracket.bytes;
    throw new DmaBufError(
      'EINVAL',
      'access',
      `buffer ${i} of a bracket of ${this.brackets.length}`,
    );
  }

  /** Finishes all; the claims end with the last. EINVAL if one was finished before. */
  finish(): void {
    let failure: { readonly error: unknown } | undefined;
    for (const bracket of this.brackets) {
      try {
        bracket.finish();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  [Symbol.dispose](): void {
    for (const bracket of this.brackets) bracket[Symbol.dispose]();
  }
}
