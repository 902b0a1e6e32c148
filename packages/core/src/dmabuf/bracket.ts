/**
 * Bracket: an open CPU access to a mapping: the view, until `finish()`. A BracketSet is several of
 * them that were prepared as one atomic step.
 */
import { DmaBufError } from '../errno.js';
import type { BufferServices } from './dmabuf.js';
import type { OpenAccess } from './cpu-access.js';

export class Bracket {
  readonly #s: BufferServices;
  readonly #access: OpenAccess;
  readonly #closed: () => void;
  #bytes: Uint8Array<ArrayBufferLike> | undefined;
  #open = true;

  constructor(services: BufferServices, access: OpenAccess, place: string, closed: () => void) {
    this.#s = services;
    this.#access = access;
    this.#closed = closed;
    const { ino } = access.spec.record;
    services.handles.openedOften(this, `an access bracket on buffer ${ino}`, 'finish()', place);
  }

  /** The bytes of the range that was asked for. EINVAL after finish. */
  get bytes(): Uint8Array<ArrayBufferLike> {
    const { record, offset, length } = this.#access.spec;
    if (!this.#open) {
      const detail = `the access bracket on buffer ${record.ino} is finished`;
      throw new DmaBufError('EINVAL', 'access', detail);
    }
    this.#bytes ??= this.#s.regions.view(record.region, record.offset + offset, length);
    return this.#bytes;
  }

  /** The same as 32-bit words; the range must start at a multiple of four. */
  get words(): Uint32Array<ArrayBufferLike> {
    const { bytes } = this;
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
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
    this.#s.handles.closed(this);
    try {
      this.#s.access.finish(this.#access, this.#bytes !== undefined);
    } finally {
      this.#closed();
    }
  }

  [Symbol.dispose](): void {
    if (this.#open) this.finish();
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
