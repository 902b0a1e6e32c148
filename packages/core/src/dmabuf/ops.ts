/**
 * What an exporter is: a table of functions (struct dma_buf_ops, include/linux/dma-buf.h).
 *
 * The ops run in whichever thread makes the call, on state in shared memory: an exporter is a
 * module without closures, loaded by every thread that joins the machine.
 */
import type { Kernel } from '../kernel.js';
import { BUFFER, BUFFER_FLAG, REGION, REGION_KIND } from '../memory/layout.js';
import { readName, writeName } from '../memory/tables.js';

/** What an importer can reach; `attach` and `map` refuse a buffer that it cannot (design D4). */
export interface Reach {
  /** Only memory of the shared pool (SIMD kernels work on it in place). */
  readonly pool?: boolean;
  /** Byte alignment that the start of the buffer must have; a power of two. */
  readonly align?: number;
  /** Only one piece: a scatter list of several entries is refused. */
  readonly contiguous?: boolean;
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

  /** Bytes from the start of its region. Stable while the buffer is claimed, mapped or pinned. */
  get offset(): number {
    return this.#k.words.getDouble(this.pointer + BUFFER.OFFSET);
  }

  /** Its region; 0 while an exporter that defers has not allocated it. As stable as {@link offset}. */
  get region(): number {
    return this.#k.words.load(this.pointer + BUFFER.REGION);
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
    const { region } = this;
    return region !== 0 && this.#k.words.get(region + REGION.KIND) === REGION_KIND.POOL;
  }

  /** Whether its memory is in pieces, which its exporter's `map` lists. */
  get scattered(): boolean {
    return this.region === 0 || (this.flags & BUFFER_FLAG.SCATTER) !== 0;
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
  /** Whether it is a device, not a process. */
  readonly device: boolean;
  /** A device that declares that it keeps protected memory to itself (`DeviceSpec.protected`). */
  readonly protected: boolean;
}

/** Which way a device moves data (enum dma_data_direction). */
export type Direction = 'bidirectional' | 'to_device' | 'from_device';

/** One piece of a buffer's memory. */
export interface SgEntry {
  readonly region: number;
  /** Bytes from the start of the region. */
  readonly offset: number;
  readonly length: number;
}

/** A buffer's memory as a device is given it (struct sg_table), for one direction. */
export interface SgTable {
  readonly sg: readonly SgEntry[];
  readonly direction: Direction;
}

/** Direction and range of a CPU access. */
export interface CpuUse {
  readonly read: boolean;
  readonly write: boolean;
  /** Bytes from the start of the buffer: whole 64-byte cache lines, cut at the buffer's ends. */
  readonly offset: number;
  readonly length: number;
}

/**
 * An exporter's ops. Mandatory: `map`, `unmap`, `release`; `pin` and `unpin` go together; `prepareAccess`
 * and `finishAccess` are mandatory for an exporter that offers `mmap`. A table that breaks these
 * rules is refused with EINVAL when its driver is loaded. An op may throw a DmaBufError, which the
 * caller gets; what was done before it is undone then.
 *
 * "Locked" ops run under the buffer's own lock, one at a time machine-wide: there an exporter may
 * allocate what it deferred (`door.back`). They must not block on jobs, nor call core on the same
 * buffer. The others may run in several threads at once.
 */
export interface DmaBufOps {
  /** A device is about to use the buffer: EBUSY or EINVAL when it cannot be moved to where it can. */
  attach?(buffer: BufferRecord, importer: Importer): void;
  detach?(buffer: BufferRecord, importer: Importer): void;
  /**
   * Protected buffers only: whether an importer may use one, before it attaches (`syscall` attach) or is given a job
   * (submit). May refuse with EPERM. Without this op: the devices that declare `protected`.
   */
  permit?(buffer: BufferRecord, importer: Importer, syscall: string): void;
  /** Locked. The memory stays where it is until `unpin`. EBUSY when it cannot. */
  pin?(buffer: BufferRecord, importer: Importer): void;
  unpin?(buffer: BufferRecord, importer: Importer): void;
  /** Locked. The pieces of memory that the device uses; undefined counts as ENOMEM. */
  map(
    buffer: BufferRecord,
    importer: Importer,
    direction: Direction,
  ): readonly SgEntry[] | undefined;
  unmap(buffer: BufferRecord, importer: Importer, direction: Direction): void;
  /** Locked. CPU mapping; without this op `mmap` fails with ENODEV. May refuse (protected memory: EPERM). */
  mmap?(buffer: BufferRecord, offset: number, length: number): void;
  /** Locked. A kernel mapping of all of it; called for the first of its users only. */
  vmap?(buffer: BufferRecord): void;
  /** Locked. The last user of the kernel mapping is gone. */
  vunmap?(buffer: BufferRecord): void;
  /** Cache maintenance before CPU access. Called for buffers with BUFFER_FLAG.NEEDS_SYNC only. */
  prepareAccess?(buffer: BufferRecord, use: CpuUse): void;
  /** After it: once for each prepareAccess; `write` says whether there is anything to write back. */
  finishAccess?(buffer: BufferRecord, use: CpuUse): void;
  /** The last reference is gone and the queue is empty: give the memory back. */
  release(buffer: BufferRecord): void;
}

/** `map` and `unmap` of an exporter whose buffers are one piece each: spread them into its table. */
export const contiguousOps: Pick<DmaBufOps, 'map' | 'unmap'> = {
  map: (buffer) => [{ region: buffer.region, offset: buffer.offset, length: buffer.size }],
  unmap() {},
};
