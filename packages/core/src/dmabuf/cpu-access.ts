/**
 * CpuAccess: what a bracket does (design D9): it synchronises with the queues (a shared claim to read, an
 * exclusive one to write, all buffers of the bracket as one atomic step), and it maintains caches.
 *
 * Caches are the exporter's: its ops are called for buffers that are not coherent (NEEDS_SYNC), and for
 * nothing else. The range that they are given is rounded out to whole 64-byte lines. Preparing to read
 * invalidates the lines; finishing writes them back if the bracket was open for writing and its
 * bytes were looked at. So a bracket that only read, or whose frame was never touched, costs no flush.
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { BUFFER, BUFFER_FLAG } from '../memory/layout.js';
import { type Access, CLAIM } from '../sync/context.js';
import type { Buffers } from './buffers.js';
import { type LineRange, linesOf } from './cache.js';
import type { CpuClaim, CpuClaims } from './cpu-claims.js';
import type { Importers } from './importers.js';
import type { BufferRecord, CpuUse } from './ops.js';
import type { Shadows } from './shadows.js';

/** One buffer of a bracket. The range is in bytes from the start of the buffer. */
export interface AccessSpec {
  readonly record: BufferRecord;
  readonly read: boolean;
  readonly write: boolean;
  /** The write overwrites everything: earlier content does not matter. */
  readonly discard: boolean;
  readonly offset: number;
  readonly length: number;
}

export interface AccessOptions {
  readonly timeout: number;
  readonly sync: boolean;
  readonly cache: boolean;
  /** JOB.LIMIT of its claims (default: the machine's). */
  readonly limit?: number;
}

/** One buffer of an open bracket. */
export interface OpenAccess {
  readonly spec: AccessSpec;
  /** What the exporter was told; undefined: nothing to maintain. */
  readonly use: CpuUse | undefined;
  readonly lines: number;
  /** Its claims; those of a set end with its last buffer. */
  readonly claims: SharedClaims;
}

interface SharedClaims {
  readonly claims: readonly CpuClaim[];
  open: number;
}

const NO_CLAIMS: readonly CpuClaim[] = [];

export class CpuAccess {
  readonly #k: Kernel;
  readonly #buffers: Buffers;
  readonly #importers: Importers;
  readonly #claims: CpuClaims;
  readonly #shadows: Shadows | undefined;
  #left = false;

  constructor(
    kernel: Kernel,
    buffers: Buffers,
    importers: Importers,
    claims: CpuClaims,
    shadows: Shadows | undefined,
  ) {
    this.#k = kernel;
    this.#buffers = buffers;
    this.#importers = importers;
    this.#claims = claims;
    this.#shadows = shadows;
  }

  /** Opens all or none. EINVAL: a buffer twice; ETIME, EDEADLK; a failed writer's errno; the exporter's. */
  prepare(specs: readonly AccessSpec[], options: AccessOptions, syscall: string): OpenAccess[] {
    if (specs.length > 1) mustBeOnce(specs, syscall);
    const claims = options.sync ? this.#claim(specs, options, syscall) : NO_CLAIMS;
    let opened: OpenAccess[];
    try {
      opened = this.#maintainAll(specs, options.cache, { claims, open: specs.length });
    } catch (error) {
      this.#claims.release(claims);
      throw error;
    }
    for (const { spec, use, lines } of opened) {
      this.#k.words.add(spec.record.pointer + BUFFER.PREPARES, 1);
      if (use !== undefined) this.#count(spec.record, use.read ? lines : 0);
    }
    return opened;
  }

  /**
   * Closes one buffer's part: caches first, then, with the last part, the claims. `touched` is whether
   * the CPU had its hands on the bytes. An exporter's failure passes through after the claim has ended.
   */
  finish({ spec, use, lines, claims }: OpenAccess, touched: boolean): void {
    if (this.#left) return;
    const { words } = this.#k;
    const { record } = spec;
    // What an evicted bracket wrote stays in its cache: the memory is others' by now.
    const write = spec.write && touched && !claims.claims.some(({ hold }) => hold.evicted);
    try {
      if (use === undefined) return;
      if (write) this.#shadows?.clean(record, use.offset, use.length);
      this.#buffers.opsOf(record).finishAccess?.(record, { ...use, write });
      this.#count(record, write ? lines : 0);
      if (write) words.add(record.pointer + BUFFER.FLUSHES, 1);
    } finally {
      words.add(record.pointer + BUFFER.FINISHES, 1);
      if (--claims.open === 0) this.#claims.release(claims.claims);
    }
  }

  /** The process leaves: what is open ends with its holds, and finishing it later does nothing. */
  close(): void {
    this.#left = true;
  }

  #claim(specs: readonly AccessSpec[], options: AccessOptions, syscall: string): CpuClaim[] {
    const { timeout, limit = 0 } = options;
    const what = `buffer ${specs.map(({ record }) => record.ino).join(', ')}`;
    const claims = specs.map((spec) => spec.record.queue | CLAIM[useOf(spec)]);
    const taken = this.#claims.take(claims, timeout, syscall, what, limit);
    const failed = taken.find(({ hold }) => hold.contentError !== 0);
    if (failed === undefined) return taken;
    const error = failed.hold.contentError;
    this.#claims.release(taken);
    throw DmaBufError.of(
      error,
      syscall,
      `the job that wrote ${what} failed, its content is not valid; overwrite it with discard`,
    );
  }

  /** Calls prepareAccess of all; on a refusal those that were prepared are finished again. */
  #maintainAll(specs: readonly AccessSpec[], cache: boolean, claims: SharedClaims): OpenAccess[] {
    const done: OpenAccess[] = [];
    try {
      for (const spec of specs) done.push(this.#maintain(spec, cache, claims));
      return done;
    } catch (error) {
      for (const { spec, use } of done) {
        if (use === undefined) continue;
        this.#buffers.opsOf(spec.record).finishAccess?.(spec.record, { ...use, write: false });
      }
      throw error;
    }
  }

  #maintain(spec: AccessSpec, cache: boolean, claims: SharedClaims): OpenAccess {
    const { record, write } = spec;
    const needed = cache && (record.flags & BUFFER_FLAG.NEEDS_SYNC) !== 0;
    const ops = needed ? this.#buffers.opsOf(record) : undefined;
    if (ops?.prepareAccess === undefined) return { spec, use: undefined, lines: 0, claims };
    const range: LineRange = linesOf(record, spec.offset, spec.length);
    // A write that leaves part of a line as it was needs that content.
    const read = spec.read || !spec.discard || range.length !== spec.length;
    const use = { read, write, offset: range.offset, length: range.length };
    ops.prepareAccess(record, use);
    if (read) this.#shadows?.invalidate(record, range.offset, range.length);
    return { spec, use, lines: range.lines, claims };
  }

  /** One successful call of an op, and the lines that it maintained. */
  #count(record: BufferRecord, lines: number): void {
    const { words } = this.#k;
    words.add(record.pointer + BUFFER.OP_CALLS, 1);
    if (lines === 0) return;
    const index = record.pointer + BUFFER.CACHE_LINES;
    this.#importers.locked(record.pointer, () => {
      words.setDouble(index, words.getDouble(index) + lines);
    });
  }
}

/** Only who overwrites all of the buffer makes its earlier content irrelevant. */
function useOf({ record, read, write, discard, length }: AccessSpec): Access {
  if (!write) return 'shared';
  return discard && !read && length === record.size ? 'discard' : 'exclusive';
}

function mustBeOnce(specs: readonly AccessSpec[], syscall: string): void {
  const seen = new Set<number>();
  for (const { record } of specs) {
    if (!seen.has(record.pointer)) seen.add(record.pointer);
    else
      throw new DmaBufError(
        'EINVAL',
        syscall,
        `buffer ${record.ino} is named twice in one bracket`,
      );
  }
}
