/**
 * udmabuf (drivers/dma-buf/udmabuf.c): dma-bufs of memory that the caller has already, a shared array buffer or a
 * shared `WebAssembly.Memory`, so that existing code shares its frames without a copy.
 *
 * The memory stays the caller's: it is neither zeroed, nor given back, nor kept from the caller while others use it
 * (claims order those that make them, as everywhere). Who imports such a buffer gets the whole memory that it is a
 * part of: share what may be seen as a whole. It is coherent in every machine, since the caller has it mapped.
 */
import { type DmaBuf, DmaBufError, type Machine } from '@dmabuf/core';
import { BUFFER_FLAG, PAGE_SIZE } from '@dmabuf/core/driver';
import type { Extent } from './adopted-memory.js';
import { Ion } from './ion.js';
import { PRIV } from './layout.js';
import { NO_CLIENT, Records } from './records.js';
import { bytesText } from './text.js';

/** Memory that threads can share. */
export type SharedMemory = ArrayBufferLike | { readonly buffer: ArrayBufferLike };

/** struct udmabuf_create, but for the flags: fds are closed with their process here. */
export interface UdmabufCreate {
  /** A shared array buffer, or a WebAssembly.Memory made with `shared: true`. */
  readonly memory: SharedMemory;
  /** Bytes, a multiple of 4096. Default 0. */
  readonly offset?: number;
  /** Bytes, a multiple of 4096. Default: up to the end. */
  readonly size?: number;
  /** Name of the buffer, for bufinfo. */
  readonly name?: string;
}

/** struct udmabuf_create_list. */
export interface UdmabufCreateList {
  readonly memory: SharedMemory;
  /** At most `ion({ udmabuf: { listLimit } })`; each a multiple of 4096 in both. */
  readonly list: readonly { readonly offset: number; readonly size: number }[];
  readonly name?: string;
}

const SYSCALL = 'udmabuf_create';

export class Udmabuf {
  readonly #machine: Machine;
  readonly #ion: Ion;
  readonly #records: Records;

  /** By {@link udmabuf} alone. */
  constructor(machine: Machine, ion: Ion) {
    this.#machine = machine;
    this.#ion = ion;
    this.#records = new Records(ion);
  }

  /**
   * A dma-buf of a range of memory; the caller owns the fd, and the memory as before. Does not block. EBADFD: memory
   * that cannot be shared; EINVAL: not in whole pages, none, not inside the memory, or above the size limit;
   * ENOSPC, ENFILE, EMFILE: a table is full.
   */
  create({ memory, offset = 0, size, name = '' }: UdmabufCreate): DmaBuf {
    const length = size ?? bytesOf(memory) - offset;
    return this.#make(memory, [{ offset, length }], name);
  }

  /**
   * A dma-buf of several ranges of one memory, in this order: devices get them as a scatter list; unless they lie one
   * after the other there is no CPU mapping (ENODEV). Errors as of {@link create}; EINVAL: too many ranges.
   */
  createList({ memory, list, name = '' }: UdmabufCreateList): DmaBuf {
    const { listLimit } = this.#ion.config.udmabuf;
    const given: unknown = list;
    if (!Array.isArray(given)) throw new TypeError('udmabuf_create: `list` must be an array');
    if (list.length === 0 || list.length > listLimit) {
      throw invalid(`a list of ${list.length} ranges; give 1 to ${listLimit}`);
    }
    const extents = list.map(({ offset, size }) => ({ offset, length: size }));
    return this.#make(memory, extents, name);
  }

  /** Bytes of such buffers that are alive, machine-wide. */
  get bytes(): number {
    return this.#ion.adopted.bytes;
  }

  #make(memory: SharedMemory, extents: readonly Extent[], name: string): DmaBuf {
    const size = this.#check(memory, extents, name);
    const joined = join(extents);
    const { self: actor, name: clientName } = this.#machine;
    const heap = this.#ion.heaps.length;
    const owner = { client: NO_CLIENT, clientGeneration: 0, clientName, actor };
    const record = this.#records.claim({ ...owner, heap, size, flags: 0 });
    const generation = this.#records.generation(record);
    const { adopted, door, base } = this.#ion;
    try {
      adopted.note(joined, record);
      const priv: number[] = [];
      priv[PRIV.HEAP] = heap;
      priv[PRIV.RECORD] = record - base;
      priv[PRIV.GEN] = generation;
      priv[PRIV.FLAGS] = 0;
      const flags = joined.length > 1 ? BUFFER_FLAG.SCATTER | BUFFER_FLAG.NO_MMAP : 0;
      const region = door.adoptRegion(memory, SYSCALL);
      const offset = joined[0]?.offset ?? 0;
      const buffer = door.export({ region, offset, size, flags, name, priv });
      this.#records.publish(record, buffer.record.ino);
      return buffer;
    } catch (error) {
      adopted.release(record, generation);
      throw error;
    }
  }

  /** Bytes in all. EINVAL. */
  #check(memory: SharedMemory, extents: readonly Extent[], name: string): number {
    if (Buffer.byteLength(name) > 31) throw invalid(`the name '${name}' is longer than 31 bytes`);
    const bytes = bytesOf(memory);
    let sum = 0;
    for (const { offset, length } of extents) {
      for (const [what, value] of [
        ['offset', offset],
        ['size', length],
      ] as const) {
        if (Number.isSafeInteger(value) && value >= 0 && value % PAGE_SIZE === 0) continue;
        throw invalid(`${what} of ${value}; give a multiple of the page size, ${PAGE_SIZE}`);
      }
      if (length === 0) throw invalid('a range of no bytes');
      if (offset + length > bytes) {
        throw invalid(`bytes ${offset} to ${offset + length} of a memory of ${bytes}`);
      }
      sum += length;
    }
    const { sizeLimit } = this.#ion.config.udmabuf;
    if (sum <= sizeLimit) return sum;
    const detail = `a buffer of ${bytesText(sum)}; the limit is ${bytesText(sizeLimit)}: give ion() a larger \`udmabuf.sizeLimit\``;
    throw invalid(detail);
  }
}

/** The door to udmabuf of this thread. ENODEV: the machine has no ION driver. */
export function udmabuf(machine: Machine): Udmabuf {
  return new Udmabuf(machine, Ion.of(machine.driver('ion')));
}

/** Ranges that lie one after the other are one. */
function join(extents: readonly Extent[]): Extent[] {
  const joined: Extent[] = [];
  for (const { offset, length } of extents) {
    const last = joined.at(-1);
    if (last === undefined || last.offset + last.length !== offset) joined.push({ offset, length });
    else joined[joined.length - 1] = { offset: last.offset, length: last.length + length };
  }
  return joined;
}

/** Bytes of memory, whatever its kind; EBADFD: none. Core looks whether it can be shared. */
function bytesOf(memory: SharedMemory): number {
  const given: unknown = memory;
  const buffer =
    typeof given === 'object' && given !== null && 'buffer' in given ? given.buffer : given;
  if (typeof buffer === 'object' && buffer !== null && 'byteLength' in buffer) {
    return Number(buffer.byteLength);
  }
  const detail = `memory is ${given === null ? 'null' : typeof given}; give a shared array buffer or a shared WebAssembly.Memory`;
  throw new DmaBufError('EBADFD', SYSCALL, detail);
}

function invalid(detail: string): DmaBufError {
  return new DmaBufError('EINVAL', SYSCALL, detail);
}
