/**
 * What an exporter is: a table of optional functions (struct dma_buf_ops, include/linux/dma-buf.h).
 *
 * The ops run in whichever thread makes the call, on state in shared memory: an exporter is a
 * module without closures, loaded by every thread that joins the machine.
 */
import type { Kernel } from '../kernel.js';
import { BUFFER, REGION, REGION_KIND } from '../memory/layout.js';
import { readName, writeName } from '../memory/tables.js';

/** What an importer can reach; `attach` refuses a buffer that it cannot (design D4). */
export interface Reach {
  /** Only memory of the shared pool (SIMD kernels work on it in place). */
  readonly pool?: boolean;
  /** Byte alignment that the start of the buffer must have; a power of two. */
  readonly align?: number;
}

/** A dma-buf as its exporter and the kernel see it. */
export class BufferRecord {
  readonly #k: Kernel;
  /** Pointer of the record in kernel memory. */
  readonly pointer: number;

  constructor(kernel: Kernel, pointer: number) {
    this.#k = kernel;
    this.pointer = pointer;
  }

  /** Inode number: unique for the machine's life. */
  get ino(): number {
    return this.#k.words.get(this.pointer + BUFFER.INO);
  }

  /** Bytes; invariant for life. */
  get size(): number {
    return this.#k.words.getDouble(this.pointer + BUFFER.SIZE);
  }

  /** Bytes from the start of its region. */
  get offset(): number {
    return this.#k.words.getDouble(this.pointer + BUFFER.OFFSET);
  }

  get region(): number {
    return this.#k.words.get(this.pointer + BUFFER.REGION);
  }

  get queue(): number {
    return this.#k.words.get(this.pointer + BUFFER.QUEUE);
  }

  /** Index of the driver whose ops serve it; 0 is core's own system heap. */
  get exporter(): number {
    return this.#k.words.get(this.pointer + BUFFER.EXPORTER);
  }

  /** BUFFER_FLAG.* */
  get flags(): number {
    return this.#k.words.get(this.pointer + BUFFER.FLAGS);
  }

  /** Whether it lies in the shared pool. */
  get inPool(): boolean {
    return this.#k.words.get(this.region + REGION.KIND) === REGION_KIND.POOL;
  }

  get name(): string {
    return readName(this.#k.words, this.pointer + BUFFER.NAME, 8);
  }

  set name(name: string) {
    writeName(this.#k.words, this.pointer + BUFFER.NAME, 8, name);
  }

  /** One of the eight words that are the exporter's own. */
  priv(index: number): number {
    return this.#k.words.get(this.pointer + BUFFER.PRIV + index);
  }

  setPriv(index: number, value: number): void {
    this.#k.words.set(this.pointer + BUFFER.PRIV + index, value);
  }
}

/** The importer that attaches. */
export interface Importer {
  /** Its actor id. */
  readonly actor: number;
  readonly name: string;
  readonly reach: Reach;
}

/** Every op but `release` is optional. An op may throw a DmaBufError, which the caller gets. */
export interface DmaBufOps {
  /** A device is about to use the buffer: EBUSY or EINVAL when it cannot be moved to where it can. */
  attach?(buffer: BufferRecord, importer: Importer): void;
  detach?(buffer: BufferRecord, importer: Importer): void;
  /** CPU mapping; without this op `mmap` fails with ENODEV. May refuse (protected memory: EPERM). */
  mmap?(buffer: BufferRecord, offset: number, length: number): void;
  /** Cache maintenance before / after CPU access. Mandatory for an exporter that offers mmap. */
  prepareAccess?(buffer: BufferRecord, use: CpuUse): void;
  finishAccess?(buffer: BufferRecord, use: CpuUse): void;
  /** The last reference is gone and the queue is empty: give the memory back. */
  release(buffer: BufferRecord): void;
}

/** Direction and range of a CPU access. */
export interface CpuUse {
  readonly read: boolean;
  readonly write: boolean;
  /** Bytes from the start of the buffer. */
  readonly offset: number;
  readonly length: number;
}
