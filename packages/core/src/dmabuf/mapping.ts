/**
 * Mapping: a CPU mapping of a buffer (the 2012 thread's mmap of a dma-buf). Its memory is touched inside
 * access brackets only: PREPARE_ACCESS / FINISH_ACCESS, today's DMA_BUF_IOCTL_SYNC (design D9).
 */
import {
  wantArray,
  wantFlag,
  wantLimit,
  wantNumberOrNone,
  wantObject,
  wantTimeout,
  wrongType,
} from '../args.js';
import { DmaBufError } from '../errno.js';
import { BUFFER } from '../memory/layout.js';
import { Bracket, BracketSet } from './bracket.js';
import type { AccessOptions, AccessSpec, OpenAccess } from './cpu-access.js';
import type { BufferServices } from './dmabuf.js';
import { limitWord } from '../sync/limits.js';
import { dmaBufMunmap } from './munmap.js';
import type { BufferRecord } from './ops.js';

/** What of a mapping is accessed, and how. */
export interface AccessRange {
  readonly read?: boolean;
  readonly write?: boolean;
  /**
   * The write overwrites everything in the range: its earlier content does not matter; poisoned content
   * neither, if the range is the whole buffer.
   */
  readonly discard?: boolean;
  /** Bytes from the start of the mapping (default 0). Cache maintenance covers whole 64-byte lines. */
  readonly offset?: number;
  /** Bytes; default: up to the end of the mapping. */
  readonly length?: number;
}

/** How a bracket waits and what it does. */
export interface BracketModes {
  /** ms to wait for the queue; 0 = only try. Default: no limit. ETIME when it runs out. */
  readonly timeout?: number;
  /** Claim the buffer's queue (default true). */
  readonly sync?: boolean;
  /** Maintain caches (default true). */
  readonly cache?: boolean;
  /**
   * ms that the bracket may stay open (default: the machine's, 5 s; 0: no limit). Past it the claim is evicted:
   * others get the buffer, it is tainted until next fully written, and `finish()` throws ETIMEDOUT.
   */
  readonly limit?: number;
}

export interface BracketOptions extends AccessRange, BracketModes {}

/** One buffer of a bracket over several. */
export interface MappingAccess extends AccessRange {
  readonly mapping: Mapping;
}

export class Mapping {
  /** Bytes. */
  readonly length: number;
  readonly #s: BufferServices;
  readonly #record: BufferRecord;
  readonly #holder: number;
  readonly #generation: number;
  readonly #offset: number;
  /** Whether the fd that it was made by may write. */
  readonly #writable: boolean;
  readonly #place: string;
  readonly #watched: boolean;
  #brackets = 0;
  #open = true;

  /**
   * By dmaBufMmap alone. With `place` it is a bracket's own, which is watched in its stead and unmaps when it is
   * finished.
   */
  constructor(
    services: BufferServices,
    record: BufferRecord,
    holder: number,
    range: { readonly offset: number; readonly length: number; readonly writable: boolean },
    place?: string,
  ) {
    this.#s = services;
    this.#record = record;
    this.#holder = holder;
    this.#generation = services.holders.generationOf(holder);
    this.#offset = range.offset;
    this.length = range.length;
    this.#writable = range.writable;
    this.#watched = place === undefined;
    this.#place =
      place ?? services.handles.opened(this, `a mapping of buffer ${record.ino}`, 'close()');
  }

  /**
   * Opens a bracket: waits until the buffer's queue lets the CPU in. Blocks the thread. ETIME when
   * `timeout` runs out (nothing stays queued); EACCES to write what was mapped by a read-only fd; EDEADLK when this thread would wait for a bracket of its
   * own; the errno of a failed writer when the content that would be read is poisoned; EINVAL: the range
   * is not inside the mapping, or neither read nor write. The caller must finish it (`using` does).
   */
  prepareAccess(options: BracketOptions): Bracket {
    const spec = this.#specOf(options);
    const [access] = this.#s.access.prepare([spec], modesOf(options), 'prepare_access');
    if (access === undefined) throw new RangeError('prepareAccess: nothing was prepared');
    return this.#bracket(access);
  }

  /** Several mappings as one atomic step: all or none. See `machine.prepareAccess`. */
  static prepareAll(
    services: BufferServices,
    parts: readonly MappingAccess[],
    modes: BracketModes,
  ): BracketSet {
    wantArray('prepareAccess', 'parts', parts);
    if (parts.length === 0) {
      throw new DmaBufError('EINVAL', 'prepare_access', 'a bracket over no buffers');
    }
    const specs = parts.map((part) => {
      wantObject('prepareAccess', 'each part', part);
      if (part.mapping instanceof Mapping) return part.mapping.#specOf(part);
      throw wrongType('prepareAccess', 'mapping', 'a Mapping', part.mapping);
    });
    const open = services.access.prepare(specs, modesOf(modes), 'prepare_access');
    const brackets = parts.flatMap(({ mapping }, i) => {
      const access = open[i];
      return access === undefined ? [] : [mapping.#bracket(access)];
    });
    return new BracketSet(brackets);
  }

  /** Unmaps. EBUSY while a bracket is open. Harmless the second time. */
  close(): void {
    if (!this.#open) return;
    if (this.#brackets > 0) {
      const detail = `${this.#brackets} access brackets are open on buffer ${this.#record.ino}; finish them first`;
      throw new DmaBufError('EBUSY', 'munmap', detail);
    }
    this.#open = false;
    if (this.#watched) this.#s.handles.closed(this);
    this.#s.shadows?.close(this.#record.pointer);
    // Leaving the machine has unmapped it already.
    if (this.#s.holders.generationOf(this.#holder) !== this.#generation) return;
    dmaBufMunmap(this.#s, this.#holder);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Unmaps, and counts as if it had never been made: for a call of which mmap was the first half. */
  retract(): void {
    this.close();
    const { words } = this.#s.kernel;
    words.add(this.#record.pointer + BUFFER.MMAPS, -1);
    words.add(this.#record.pointer + BUFFER.OP_CALLS, -1);
  }

  #bracket(access: OpenAccess): Bracket {
    this.#brackets++;
    return new Bracket(this.#s, access, this.#place, () => {
      this.#brackets--;
      if (!this.#watched) this.close();
    });
  }

  #specOf(range: AccessRange): AccessSpec {
    wantObject('prepareAccess', 'options', range);
    const { read = false, write = false, discard = false, offset = 0 } = range;
    wantFlag('prepareAccess', 'read', read);
    wantFlag('prepareAccess', 'write', write);
    wantFlag('prepareAccess', 'discard', discard);
    wantNumberOrNone('prepareAccess', 'offset', offset);
    wantNumberOrNone('prepareAccess', 'length', range.length);
    if (!this.#open) {
      const detail = `the mapping of buffer ${this.#record.ino} is closed`;
      throw new DmaBufError('EINVAL', 'prepare_access', detail);
    }
    const length = range.length ?? this.length - offset;
    if (!read && !write) {
      throw new DmaBufError('EINVAL', 'prepare_access', 'neither read nor write was asked for');
    }
    if (write && !this.#writable) {
      const detail = `buffer ${this.#record.ino} was mapped by an fd that is for reading only; ask its giver for one that may write`;
      throw new DmaBufError('EACCES', 'prepare_access', detail);
    }
    const whole = Number.isInteger(offset) && Number.isInteger(length);
    if (!whole || offset < 0 || length <= 0 || offset + length > this.length) {
      const detail = `bytes ${offset} to ${offset + length} are not inside the mapping of ${this.length} bytes`;
      throw new DmaBufError('EINVAL', 'prepare_access', detail);
    }
    return { record: this.#record, read, write, discard, offset: this.#offset + offset, length };
  }
}

function modesOf(modes: BracketModes): AccessOptions {
  wantObject('prepareAccess', 'options', modes);
  const { timeout = Infinity, sync = true, cache = true, limit } = modes;
  wantFlag('prepareAccess', 'sync', sync);
  wantFlag('prepareAccess', 'cache', cache);
  wantTimeout('prepareAccess', timeout);
  wantLimit('prepareAccess', limit);
  return { timeout, sync, cache, limit: limitWord(limit) };
}
