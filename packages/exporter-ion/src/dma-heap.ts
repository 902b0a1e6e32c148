/**
 * The modern face (drivers/dma-buf/dma-heap.c): one device per heap, no clients, no masks, no private
 * flags. The name is the contract.
 */
import { type DmaBuf, DmaBufError, type Machine } from '@dmabuf/core';
import { allocate, type Allocator } from './allocate.js';
import { Ion } from './ion.js';
import { ION_FLAG } from './options.js';
import { NO_CLIENT, Records } from './records.js';

/** fd flags, by their Linux values. */
export const O_ACCMODE = 3;
export const O_RDONLY = 0;
export const O_RDWR = 2;
export const O_CLOEXEC = 0o2000000;

/** struct dma_heap_allocation_data, but for what it returns. Fields beyond these are ignored. */
export interface DmaHeapAlloc {
  /** Subset of O_CLOEXEC | O_ACCMODE. Default: both of O_RDWR and O_CLOEXEC. */
  readonly fdFlags?: number;
  /** No heap has flags: 0. */
  readonly heapFlags?: number;
  /** Name of the buffer, for bufinfo. */
  readonly name?: string;
}

export class DmaHeap {
  /** `system` */
  readonly name: string;
  readonly #ion: Ion;
  readonly #records: Records;
  readonly #who: Allocator;

  constructor(machine: Machine, ion: Ion, name: string) {
    this.name = name;
    this.#ion = ion;
    this.#records = new Records(ion);
    const { self: actor, name: clientName } = machine;
    this.#who = { client: NO_CLIENT, clientGeneration: 0, clientName, actor, machine };
  }

  /**
   * Allocates `length` bytes of zeroed memory; the caller owns the fd. In a machine that is not coherent the memory is
   * cached and needs its brackets, as all of dma-heap's does in Linux. EINVAL: not a positive length,
   * unknown flags; ENOMEM: with what was free; ENODEV: the heap lies in the pool and there is none.
   */
  alloc(length: number, options: DmaHeapAlloc = {}): DmaBuf {
    const { fdFlags = O_RDWR | O_CLOEXEC, heapFlags = 0, name = '' } = options;
    if ((fdFlags & ~(O_CLOEXEC | O_ACCMODE)) !== 0 || heapFlags !== 0) {
      const detail = `heap '${this.name}': fd flags 0${fdFlags.toString(8)}, heap flags 0x${heapFlags.toString(16)}; O_CLOEXEC and O_ACCMODE are known, and no heap flags`;
      throw new DmaBufError('EINVAL', 'dma_heap_alloc', detail);
    }
    const flags = this.#ion.door.coherent ? 0 : ION_FLAG.CACHED | ION_FLAG.CACHED_NEEDS_SYNC;
    const request = { size: length, heaps: this.name, flags, name };
    const buffer = allocate(this.#ion, this.#records, this.#who, request);
    return (fdFlags & O_ACCMODE) === O_RDONLY ? readOnly(buffer) : buffer;
  }
}

/** The buffer by an fd that is for reading only, in place of the one that it came with. EMFILE. */
function readOnly(buffer: DmaBuf): DmaBuf {
  try {
    return buffer.dup('read');
  } finally {
    buffer.close();
  }
}

const PREFIX = '/dev/dma_heap/';

/**
 * Opens a heap by its name (`system`, or `/dev/dma_heap/system`). ENODEV: the machine has no ION driver;
 * ENOENT lists the heaps that there are.
 */
export function dmaHeap(machine: Machine, name: string): DmaHeap {
  const ion = Ion.of(machine.driver('ion'));
  const plain = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name;
  if (ion.named(plain) !== undefined) return new DmaHeap(machine, ion, plain);
  const known = dmaHeaps(machine).join(', ');
  throw new DmaBufError('ENOENT', 'open', `there is no heap '${plain}' (heaps: ${known})`);
}

/** The names of the heaps that there are (what /dev/dma_heap lists). ENODEV: the machine has no ION driver. */
export function dmaHeaps(machine: Machine): string[] {
  return Ion.of(machine.driver('ion')).heaps.map((heap) => heap.config.name);
}
