/**
 * Allocation: which heap, in which order, and what it takes to make a dma-buf of it (ion_alloc).
 *
 * Runs in the calling thread from start to end. A failure at any step gives back what the steps
 * before it took.
 */
import { type DmaBuf, DmaBufError, type Machine } from '@dmabuf/core';
import { BUFFER_FLAG, checkReach, type Reach } from '@dmabuf/core/driver';
import type { Heap, HeapRequest, HeapUser } from './heap.js';
import type { Ion } from './ion.js';
import { PRIV } from './layout.js';
import { ION_FLAG } from './options.js';
import type { RecordOwner, Records } from './records.js';

/** What a buffer is asked for with. */
export interface AllocOptions {
  /** Bytes; EINVAL unless a positive integer. The buffer is that long; its heap rounds up. */
  readonly size: number;
  /** Bytes, a power of two. Default: what the heap's pages are aligned to. */
  readonly align?: number;
  /**
   * Which heaps may serve it. Names: in that order. A mask of heap ids (`1 << id`): higher ids first,
   * as in Linux 3.10. Left out: every heap but protected ones, lower ids first, so the system
   * heap where it will do.
   */
  readonly heaps?: number | string | readonly string[];
  /** ION_FLAG.* and, in the upper 16 bits, the heap's own. */
  readonly flags?: number;
  /** Name of the buffer, for bufinfo. */
  readonly name?: string;
  /**
   * Who will use it: devices by their paths, or what somebody can reach. Only heaps that suit all of them are
   * asked, and the buffer is aligned for all.
   */
  readonly for?: readonly BufferUser[];
}

/** Somebody who will use a buffer: `/dev/dri/card0`, whose driver has declared what it reaches; or that itself. */
export type BufferUser =
  | string
  | (Reach & {
      readonly name?: string;
      /** Its actor id, if it is known: memory that it had before may then serve again. */
      readonly actor?: number;
    });

/** Who allocates. */
export interface Allocator extends Pick<
  RecordOwner,
  'client' | 'clientGeneration' | 'clientName' | 'actor'
> {
  readonly machine: Pick<Machine, 'device' | 'actorStats'>;
}

const HANDED_ON: readonly string[] = ['ENOMEM', 'ENODEV', 'EINVAL'];

/** A checked request. */
interface Request extends HeapRequest {
  readonly name: string;
  /** Those that may be asked and suit everybody, in order; and why each of the others does not. */
  readonly heaps: readonly Heap[];
  readonly unsuited: readonly string[];
}

/** Allocates a buffer; the caller owns its fd. EINVAL, ENODEV, ENOMEM, ENOSPC, ENFILE, EMFILE. */
export function allocate(
  ion: Ion,
  records: Records,
  who: Allocator,
  options: AllocOptions,
): DmaBuf {
  const request = checkRequest(ion, who, options);
  const failures: DmaBufError[] = [];
  for (const heap of request.heaps) {
    try {
      return fromHeap(ion, records, who, heap, request);
    } catch (error) {
      // A heap that cannot hands on to the next; a table that is full would be full for all of them.
      if (!(error instanceof DmaBufError) || !HANDED_ON.includes(error.code)) throw error;
      failures.push(error);
    }
  }
  const last = failures.findLast((error) => error.code === 'ENOMEM') ?? failures.at(-1);
  if (last === undefined) throw noHeap(ion, options, request.unsuited);
  throw new DmaBufError(last.code, 'ion_alloc', failures.map(({ detail }) => detail).join('; '));
}

function fromHeap(
  ion: Ion,
  records: Records,
  who: Allocator,
  heap: Heap,
  request: Request,
): DmaBuf {
  const index = ion.heaps.indexOf(heap);
  const { size, flags, name } = request;
  const { client, clientGeneration, clientName, actor } = who;
  const owner = { client, clientGeneration, clientName, actor };
  const record = records.claim({ ...owner, heap: index, size, flags });
  const generation = records.generation(record);
  try {
    const place = heap.allocate(request, record);
    const priv: number[] = [];
    priv[PRIV.HEAP] = index;
    priv[PRIV.RECORD] = record - ion.base;
    priv[PRIV.GEN] = generation;
    priv[PRIV.FLAGS] = flags;
    const buffer = ion.door.export({ ...place, size, flags: bufferFlags(heap, flags), name, priv });
    records.publish(record, buffer.record.ino);
    return buffer;
  } catch (error) {
    // After EMFILE core has released the buffer by now: releasing again does nothing.
    heap.release(record, generation);
    throw error;
  }
}

/** BUFFER_FLAG.* of a buffer: NEEDS_SYNC is of cached memory only, as in ion_buffer_fault_user_mappings. */
function bufferFlags(heap: Heap, flags: number): number {
  const cached = (flags & ION_FLAG.CACHED) !== 0 && (flags & ION_FLAG.CACHED_NEEDS_SYNC) !== 0;
  return heap.bufferFlags | (cached ? BUFFER_FLAG.NEEDS_SYNC : 0);
}

function checkRequest(ion: Ion, who: Allocator, options: AllocOptions): Request {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError('ion_alloc: give an object with the size in it');
  }
  const { size, flags = 0, name = '' } = options;
  if (typeof size !== 'number')
    throw new TypeError(`ion_alloc: size must be a number, not ${String(size)}`);
  if (!Number.isSafeInteger(size) || size <= 0) {
    throw invalid(`a buffer of ${size} bytes; give a positive integer`);
  }
  const users = usersOf(who, options.for ?? []);
  const align = Math.max(options.align ?? 1, ...users.map(({ reach }) => reach.align ?? 1));
  if (!Number.isSafeInteger(align) || align < 1 || align > 2 ** 32 || !isPowerOfTwo(align)) {
    throw invalid(`an alignment of ${align} bytes; give a power of two`);
  }
  const known = ION_FLAG.CACHED | ION_FLAG.CACHED_NEEDS_SYNC;
  if (!Number.isInteger(flags) || (flags & 0xffff & ~known) !== 0) {
    throw invalid(
      `flags 0x${flags.toString(16)}; the low 16 bits are CACHED and CACHED_NEEDS_SYNC`,
    );
  }
  if (Buffer.byteLength(name) > 31) throw invalid(`the name '${name}' is longer than 31 bytes`);
  const heaps: Heap[] = [];
  const unsuited: string[] = [];
  for (const heap of candidates(ion, options.heaps)) {
    const why = users.flatMap((user) => heap.refusal(user) ?? []);
    if (why.length === 0) heaps.push(heap);
    else unsuited.push(`${heap.label}: ${why.join(', ')}`);
  }
  const actors = [who.actor, ...users.flatMap(({ actor }) => actor ?? [])];
  return { size, align, flags, name, actors, heaps, unsuited };
}

/** ENOENT: no device of that path; EINVAL, TypeError: no such reach. */
function usersOf(who: Allocator, users: readonly BufferUser[]): (HeapUser & { actor?: number })[] {
  const given: unknown = users;
  if (!Array.isArray(given)) {
    throw new TypeError('ion_alloc: `for` must be an array of device paths and reaches');
  }
  return users.map((user, i) => {
    if (typeof user !== 'string') {
      checkReach('ion_alloc', `for[${i}]`, user);
      const { name = `for[${i}]`, actor } = user;
      const known = { name, reach: user, protected: false };
      return actor === undefined ? known : { ...known, actor };
    }
    const { machine } = who;
    const node = machine.device(user);
    const { name } = machine.actorStats(node.actor);
    return { name, reach: node.reach, protected: node.protected, actor: node.actor };
  });
}

/** The heaps that may be asked, in the order in which they are. */
function candidates(ion: Ion, heaps: AllocOptions['heaps']): Heap[] {
  const byId = [...ion.heaps].sort((a, b) => a.config.id - b.config.id);
  if (heaps === undefined) return byId.filter((heap) => !heap.config.protected);
  if (typeof heaps === 'number') {
    return byId.reverse().filter((heap) => ((heaps >>> heap.config.id) & 1) === 1);
  }
  const names = typeof heaps === 'string' ? [heaps] : heaps;
  return names.map((name) => {
    const heap = ion.named(name);
    if (heap === undefined) throw noHeap(ion, { size: 0, heaps: [name] }, []);
    return heap;
  });
}

function noHeap(ion: Ion, options: AllocOptions, unsuited: readonly string[]): DmaBufError {
  const { heaps } = options;
  const wanted =
    heaps === undefined
      ? 'no heap'
      : typeof heaps === 'number'
        ? `no heap of mask 0x${(heaps >>> 0).toString(16)}`
        : `no heap '${[heaps].flat().join("' or '")}'`;
  if (unsuited.length > 0) {
    const detail = `there is ${wanted} that all of \`for\` can use: ${unsuited.join('; ')}`;
    return new DmaBufError('ENODEV', 'ion_alloc', detail);
  }
  const known = ion.heaps.map((heap) => `${heap.config.name} (${heap.config.id})`).join(', ');
  return new DmaBufError('ENODEV', 'ion_alloc', `there is ${wanted}; heaps (ids): ${known}`);
}

function invalid(detail: string): DmaBufError {
  return new DmaBufError('EINVAL', 'ion_alloc', detail);
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}
