/**
 * Options of the ION driver, and what becomes of them: a plain description of every heap that travels
 * to all threads (struct ion_platform_heap, drivers/staging/android/uapi/ion.h).
 */
import { totalmem } from 'node:os';
import { CLIENT, HEAP, ION, PIECE, RECORD } from './layout.js';
import { MAX_PAGES } from './page-map.js';

/** enum ion_heap_type. */
export const ION_HEAP_TYPE = {
  SYSTEM: 0,
  SYSTEM_CONTIG: 1,
  CARVEOUT: 2,
  CHUNK: 3,
  DMA: 4,
  CUSTOM: 5,
} as const;

/** Flags of an allocation. The upper 16 bits are the heap's own. */
export const ION_FLAG = { CACHED: 1, CACHED_NEEDS_SYNC: 2 } as const;

/**
 * Kinds of heap that come with the package.
 *
 * - `system`: a region of its own for each buffer; isolates buffer by buffer. Id 0.
 * - `system-contig`: the pool, at most 4 MiB a buffer, as kmalloc gives. Id 1.
 * - `carveout`: the pool, best fit. Id 2.
 * - `chunk`: the pool, pieces of one size as a scatter list; devices only. Id 3.
 * - `cma`: the pool, first fit, aligned to the buffer's own order up to 1 MiB. Id 4.
 * - `protected`: the pool, never mapped for the CPU; only devices that it names or that declare it. Id 8.
 */
export type HeapKind = 'system' | 'system-contig' | 'carveout' | 'chunk' | 'cma' | 'protected';

/** One heap of the machine. */
export interface HeapOptions {
  /** A {@link HeapKind}, or one that the driver module brings along (see `createDriver`). */
  readonly type: HeapKind | (string & {});
  /** Unique; default: the type. */
  readonly name?: string;
  /** Heap id, 0 to 31: the bit in masks. Unique; default: that of the kind. */
  readonly id?: number;
  /**
   * Bytes. In the pool: its part of it (one heap may leave it out and gets what is left). Else the
   * most that its buffers may take together; default: no limit.
   */
  readonly size?: number;
  /** `protected`: names of the devices that may use it. Default: those that declare it (`DeviceSpec.protected`). */
  readonly devices?: readonly string[];
  /** `chunk`: bytes of a piece, a power of two of 4096 at least. Default 65536. */
  readonly chunk?: number;
  /** Leave it to the heap thread to zero what was freed (default true). */
  readonly defer?: boolean;
  /** `system`: bytes of freed regions that are kept for the next buffers, for 10 s (default 64 MiB; 0: none). */
  readonly recycle?: number;
  /** For a type of your own: its memory is part of the pool (default false). */
  readonly inPool?: boolean;
  /** For a type of your own: whatever it needs; plain data. */
  readonly config?: unknown;
}

/** Options of `ion()`. */
export interface IonOptions {
  /** Default: `system`, and `carveout` with the whole pool. */
  readonly heaps?: readonly HeapOptions[];
  /** Buffers alive at one time, from all heaps. Default 512. */
  readonly buffers?: number;
  /** Clients open at one time. Default 64. */
  readonly clients?: number;
  /**
   * Words for the page maps of the pool heaps, together. A page is 4 KiB, or as much more (8, 16, …)
   * as makes the pool fit. Default 65536: 4 KiB pages up to a pool of 256 MiB.
   */
  readonly pages?: number;
  /** Bytes at the start of the pool that no heap gets, for wasm modules with static data. Default 0. */
  readonly poolReserve?: number;
  /** What `udmabuf()` takes. */
  readonly udmabuf?: {
    /** Most bytes of one buffer. Default 64 MiB. */
    readonly sizeLimit?: number;
    /** Most pieces of one buffer. Default 1024. */
    readonly listLimit?: number;
    /** Pieces at one time, of all buffers that are made of several. Default 1024. */
    readonly pieces?: number;
  };
  /** Bytes that each client may hold, unless it opens with a quota of its own. Default: no limit. */
  readonly quota?: number;
  /** URL of the driver module, when it has heap types of your own or a bundler moved it. */
  readonly module?: string;
  /** URL of the heap thread's module, when a bundler moved it. */
  readonly deviceModule?: string;
}

/** A heap as all threads are told of it. */
export interface HeapConfig {
  readonly type: string;
  readonly name: string;
  readonly id: number;
  /** Bytes; 0: what is left of the pool, or no limit. */
  readonly size: number;
  readonly inPool: boolean;
  readonly protected: boolean;
  readonly devices: readonly string[];
  readonly defer: boolean;
  /** Bytes of freed regions that are kept. */
  readonly recycle: number;
  /** Bytes of a piece. */
  readonly chunk: number;
  /** Most bytes of one buffer. */
  readonly most: number;
  readonly policy: 'best' | 'first';
  /** Buffers are aligned to the power of two at or above their size, up to this many bytes. */
  readonly naturalAlign: number;
  readonly config: unknown;
}

/** What travels with the driver's spec. */
export interface IonConfig {
  readonly heaps: readonly HeapConfig[];
  readonly buffers: number;
  readonly clients: number;
  readonly pages: number;
  readonly poolReserve: number;
  readonly quota: number;
  readonly udmabuf: {
    readonly sizeLimit: number;
    readonly listLimit: number;
    readonly pieces: number;
  };
}

type Kind = Pick<HeapConfig, 'inPool' | 'most' | 'policy' | 'naturalAlign'> & {
  readonly id: number;
};

const POOL = { inPool: true, most: Infinity, policy: 'best', naturalAlign: 1 } as const;
const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  // A single buffer above half the memory is refused, as ion_system_heap_allocate does.
  [
    'system',
    { ...POOL, id: ION_HEAP_TYPE.SYSTEM, inPool: false, most: Math.floor(totalmem() / 2) },
  ],
  ['system-contig', { ...POOL, id: ION_HEAP_TYPE.SYSTEM_CONTIG, most: 4 << 20 }],
  ['carveout', { ...POOL, id: ION_HEAP_TYPE.CARVEOUT }],
  ['chunk', { ...POOL, id: ION_HEAP_TYPE.CHUNK }],
  ['cma', { ...POOL, id: ION_HEAP_TYPE.DMA, policy: 'first', naturalAlign: 1 << 20 }],
  ['protected', { ...POOL, id: 8 }],
]);

const DEFAULT_HEAPS: readonly HeapOptions[] = [{ type: 'system' }, { type: 'carveout' }];

/** Checks the options and fills in the defaults. RangeError or TypeError says which is wrong. */
export function resolveOptions(options: IonOptions): IonConfig {
  const heaps = (options.heaps ?? DEFAULT_HEAPS).map(resolveHeap);
  if (heaps.length === 0) throw new RangeError('ion: heaps is empty; leave it out for the default');
  unique(
    heaps.map((heap) => heap.name),
    'name',
  );
  unique(
    heaps.map((heap) => heap.id),
    'id',
  );
  const greedy = heaps.filter((heap) => heap.inPool && heap.size === 0);
  if (greedy.length > 1) {
    const names = greedy.map((heap) => heap.name).join(', ');
    throw new RangeError(`ion: only one pool heap can have what is left; give a size to ${names}`);
  }
  return {
    heaps,
    buffers: integer('buffers', options.buffers ?? 512, 1, 1 << 16),
    clients: integer('clients', options.clients ?? 64, 1, 1 << 16),
    pages: integer('pages', options.pages ?? 65536, heaps.length, MAX_PAGES),
    poolReserve: integer('poolReserve', options.poolReserve ?? 0, 0, 2 ** 32),
    quota: options.quota ?? Infinity,
    udmabuf: resolveUdmabuf(options.udmabuf ?? {}),
  };
}

/** Words of kernel memory that a driver with these options needs. */
export function wordsFor(config: IonConfig): number {
  const { heaps, clients, buffers, pages, udmabuf } = config;
  const tables = (heaps.length + 1) * HEAP.WORDS + clients * CLIENT.WORDS + buffers * RECORD.WORDS;
  return ION.WORDS + tables + udmabuf.pieces * PIECE.WORDS + pages;
}

/** How messages and records call the memory of udmabufs. It is no heap that could be asked for memory. */
export const UDMABUF: HeapConfig = {
  ...{ type: 'udmabuf', name: 'udmabuf', id: -1, size: 0, inPool: false, protected: false },
  ...{
    devices: [],
    defer: false,
    recycle: 0,
    chunk: 0,
    most: Infinity,
    policy: 'best',
    naturalAlign: 1,
  },
  config: undefined,
};

function resolveUdmabuf(options: NonNullable<IonOptions['udmabuf']>): IonConfig['udmabuf'] {
  const { sizeLimit = 64 << 20, listLimit = 1024, pieces = 1024 } = options;
  return {
    sizeLimit: integer('udmabuf.sizeLimit', sizeLimit, 4096, 2 ** 40),
    listLimit: integer('udmabuf.listLimit', listLimit, 1, 1 << 16),
    pieces: integer('udmabuf.pieces', pieces, 0, 1 << 16),
  };
}

function resolveHeap(heap: HeapOptions): HeapConfig {
  const kind = KINDS.get(heap.type);
  const name = heap.name ?? heap.type;
  if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > 31) {
    throw new TypeError(`ion: a heap's name must be 1 to 31 bytes, not '${String(name)}'`);
  }
  const id = heap.id ?? kind?.id;
  if (id === undefined) {
    throw new TypeError(`ion: heap '${name}' of type '${heap.type}' needs an id (0 to 31)`);
  }
  integer(`id of heap '${name}'`, id, 0, 31);
  const size =
    heap.size === undefined ? 0 : integer(`size of heap '${name}'`, heap.size, 1, 2 ** 40);
  const custom: Omit<Kind, 'id'> = { ...POOL, inPool: heap.inPool ?? false };
  const { inPool, most, policy, naturalAlign } = kind ?? custom;
  return {
    ...{ type: heap.type, name, id, size, inPool, most, policy, naturalAlign },
    protected: heap.type === 'protected',
    devices: heap.devices ?? [],
    defer: heap.defer ?? true,
    recycle: integer(`recycle of heap '${name}'`, heap.recycle ?? 64 << 20, 0, 2 ** 40),
    chunk: chunkSize(name, heap.chunk ?? 65536),
    config: heap.config,
  };
}

function chunkSize(name: string, bytes: number): number {
  integer(`chunk of heap '${name}'`, bytes, 4096, 2 ** 30);
  if (Number.isInteger(Math.log2(bytes))) return bytes;
  throw new RangeError(`ion: chunk of heap '${name}' must be a power of two, not ${bytes}`);
}

function unique(values: readonly (string | number)[], what: string): void {
  const twice = values.find((value, i) => values.indexOf(value) !== i);
  if (twice !== undefined) throw new RangeError(`ion: two heaps have the ${what} ${twice}`);
}

function integer(what: string, value: number, low: number, high: number): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw new RangeError(`ion: ${what} must be an integer from ${low} to ${high}, not ${value}`);
}
