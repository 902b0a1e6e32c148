/**
 * Mapping: a CPU mapping of a buffer, and the access brackets around its use (the 2012 thread's
 * PREPARE_ACCESS / FINISH_ACCESS, today's DMA_BUF_IOCTL_SYNC; design D9).
 *
 * A bracket does two things: it synchronises with the buffer's queue (a shared claim to read, an
 * exclusive one to write, like any job), and it calls the exporter's cache maintenance. `sync`
 * and `cache` select them one by one.
 */
import { DmaBufError } from '../errno.js';
import { BUFFER, BUFFER_FLAG } from '../memory/layout.js';
import type { BufferServices } from './dmabuf.js';
import { CLAIM } from '../sync/context.js';
import type { Hold } from '../sync/holds.js';
import type { BufferRecord, CpuUse } from './ops.js';

export interface BracketOptions {
  readonly read?: boolean;
  readonly write?: boolean;
  /** The write overwrites everything: earlier content, poisoned or not, does not matter. */
  readonly discard?: boolean;
  /** ms to wait for the queue; 0 = only try. Default: no limit. ETIME when it runs out. */
  readonly timeout?: number;
  /** Claim the buffer's queue (default true). */
  readonly sync?: boolean;
  /** Maintain caches (default true). */
  readonly cache?: boolean;
}

export class Mapping {
  /** Bytes. */
  readonly length: number;
  readonly #s: BufferServices;
  readonly #record: BufferRecord;
  readonly #offset: number;
  #brackets = 0;
  #open = true;

  constructor(services: BufferServices, record: BufferRecord, offset: number, length: number) {
    this.#s = services;
    this.#record = record;
    this.#offset = offset;
    this.length = length;
    this.#refuse();
    services.buffers.opsOf(record).mmap?.(record, offset, length);
    services.buffers.ref(record.pointer);
    services.kernel.words.add(record.pointer + BUFFER.MAPPINGS, 1);
  }

  /**
   * Opens a bracket: waits until the buffer's queue lets the CPU in. Blocks the thread. ETIME when
   * `timeout` runs out (nothing stays queued); the errno of a failed writer when the content that would
   * be read is poisoned. The bracket is the caller's, who must finish it (`using` does).
   */
  prepareAccess(options: BracketOptions & { readonly unmap?: boolean }): Bracket {
    const { read = false, write = false, discard = false } = options;
    this.#check('prepare_access');
    if (!read && !write) {
      throw new DmaBufError('EINVAL', 'prepare_access', 'neither read nor write was asked for');
    }
    const use = { read: read || (write && !discard), write, offset: this.#offset, length: this.length };
    const { buffers, kernel } = this.#s;
    const timeout = options.timeout ?? Infinity;
    const claim = !write ? 'shared' : discard && !read ? 'discard' : 'exclusive';
    const hold = options.sync === false ? undefined : this.#hold(CLAIM[claim], timeout);
    try {
      if (options.cache !== false) buffers.opsOf(this.#record).prepareAccess?.(this.#record, use);
    } catch (error) {
      hold?.release();
      throw error;
    }
    kernel.words.add(this.#record.pointer + BUFFER.PREPARES, 1);
    this.#brackets++;
    return new Bracket(this.#s, this.#record, use, hold, options.cache !== false, () => {
      this.#brackets--;
      if (options.unmap === true) this.close();
    });
  }

  #hold(claim: number, timeout: number): Hold {
    const record = this.#record;
    const claims = [record.queue | claim];
    const hold = this.#s.holds.wait(claims, timeout, 'prepare_access', `buffer ${record.ino}`);
    const error = hold.contentError;
    if (error === 0) return hold;
    hold.release();
    throw DmaBufError.of(
      error,
      'prepare_access',
      `the job that wrote buffer ${record.ino} failed, its content is not valid; overwrite it with discard`,
    );
  }

  /** Unmaps. EBUSY while a bracket is open. Harmless the second time. */
  close(): void {
    if (!this.#open) return;
    if (this.#brackets > 0) {
      const detail = `${this.#brackets} access brackets are open on buffer ${this.#record.ino}; finish them first`;
      throw new DmaBufError('EBUSY', 'munmap', detail);
    }
    this.#open = false;
    this.#s.kernel.words.add(this.#record.pointer + BUFFER.MAPPINGS, -1);
    this.#s.buffers.unref(this.#record.pointer);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #check(syscall: string): void {
    if (this.#open) return;
    throw new DmaBufError('EINVAL', syscall, `the mapping of buffer ${this.#record.ino} is closed`);
  }

  #refuse(): void {
    const record = this.#record;
    if (this.#s.buffers.opsOf(record).mmap === undefined) {
      const detail = `the exporter of buffer ${record.ino} offers no CPU mapping; use a device, or skip the buffer`;
      throw new DmaBufError('ENODEV', 'mmap', detail);
    }
    if ((record.flags & BUFFER_FLAG.PROTECTED) !== 0) {
      throw new DmaBufError('EPERM', 'mmap', `buffer ${record.ino} is protected: devices only`);
    }
    const end = this.#offset + this.length;
    const whole = Number.isInteger(this.#offset) && Number.isInteger(this.length);
    if (whole && this.#offset >= 0 && this.length > 0 && end <= record.size) return;
    throw new DmaBufError(
      'EINVAL',
      'mmap',
      `bytes ${this.#offset} to ${end} are not inside buffer ${record.ino} of ${record.size} bytes`,
    );
  }
}

/** An open access bracket: the view, until `finish()`. */
export class Bracket {
  readonly #s: BufferServices;
  readonly #record: BufferRecord;
  readonly #use: CpuUse;
  readonly #hold: Hold | undefined;
  readonly #cache: boolean;
  readonly #closed: () => void;
  #bytes: Uint8Array<ArrayBufferLike> | undefined;
  #open = true;

  constructor(
    services: BufferServices,
    record: BufferRecord,
    use: CpuUse,
    hold: Hold | undefined,
    cache: boolean,
    closed: () => void,
  ) {
    this.#s = services;
    this.#record = record;
    this.#use = use;
    this.#hold = hold;
    this.#cache = cache;
    this.#closed = closed;
  }

  /** The mapped bytes. EINVAL after finish. */
  get bytes(): Uint8Array<ArrayBufferLike> {
    if (!this.#open) {
      const detail = `the access bracket on buffer ${this.#record.ino} is finished`;
      throw new DmaBufError('EINVAL', 'access', detail);
    }
    const { offset, length } = this.#use;
    const { region, offset: start } = this.#record;
    this.#bytes ??= this.#s.regions.view(region, start + offset, length);
    return this.#bytes;
  }

  /** The mapped memory as 32-bit words; its offset must be a multiple of four. */
  get words(): Uint32Array<ArrayBufferLike> {
    const { bytes } = this;
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
  }

  /** Closes the bracket: cache maintenance, then the claim ends. EINVAL the second time. */
  finish(): void {
    if (!this.#open) {
      const detail = `the access bracket on buffer ${this.#record.ino} was finished before`;
      throw new DmaBufError('EINVAL', 'finish_access', detail);
    }
    this.#open = false;
    const { kernel, buffers } = this.#s;
    try {
      if (this.#cache) buffers.opsOf(this.#record).finishAccess?.(this.#record, this.#use);
    } finally {
      kernel.words.add(this.#record.pointer + BUFFER.FINISHES, 1);
      this.#hold?.release();
      this.#closed();
    }
  }

  [Symbol.dispose](): void {
    if (this.#open) this.finish();
  }
}
