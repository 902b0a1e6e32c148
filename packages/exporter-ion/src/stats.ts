/**
 * What the heaps hold, read out of kernel memory: by any thread, at any time.
 */
import { Clients } from './clients.js';
import type { Ion } from './ion.js';
import { HEAP } from './layout.js';
import { NO_CLIENT, Records } from './records.js';

/** A share of a heap. */
export interface HeapHolder {
  /** Name of the client, and the actor that it is (or was) in. */
  readonly client: string;
  readonly actor: number;
  readonly bytes: number;
  readonly buffers: number;
  /** The client has closed; somebody else still has an fd. */
  readonly orphaned: boolean;
}

/** One heap. Bytes, unless said otherwise. */
export interface HeapStats {
  readonly name: string;
  readonly type: string;
  readonly id: number;
  /** Infinity: only the host sets a limit. */
  readonly total: number;
  readonly allocated: number;
  readonly peak: number;
  readonly free: number;
  /** The largest buffer that could be had now. */
  readonly largest: number;
  /** 0: all free memory is one run; towards 1: it is in crumbs. */
  readonly fragmentation: number;
  /** Maximal runs of free memory. */
  readonly holes: number;
  /** Freed, but not yet zeroed (deferred free). */
  readonly deferred: number;
  /** Of a system heap: regions that were freed and are kept for the next buffers. */
  readonly pooled: number;
  /** Buffers that got one of those, and how many were given up instead (by the shrinker). */
  readonly recycled: number;
  readonly shrunk: number;
  /** Buffers now. */
  readonly buffers: number;
  /** Allocations ever, and those that were refused for lack of memory. */
  readonly allocations: number;
  readonly failures: number;
  /** Zeroed by the heap thread, and by allocating threads that found no clean memory. */
  readonly zeroedInBackground: number;
  readonly zeroedInAlloc: number;
  readonly holders: readonly HeapHolder[];
}

export function heapStats(ion: Ion): HeapStats[] {
  const { words } = ion;
  const holders = holdersByHeap(ion);
  return ion.heaps.map((heap, index) => {
    const { pointer, config, granule } = heap;
    const { total, free, largest, dirty, holes, pooled } = heap.usage();
    return {
      ...{ name: config.name, type: config.type, id: config.id, total, free, largest, holes },
      allocated: words.getDouble(pointer + HEAP.ALLOCATED),
      peak: words.getDouble(pointer + HEAP.PEAK),
      fragmentation: free === 0 || free === Infinity ? 0 : 1 - largest / free,
      deferred: dirty,
      pooled,
      recycled: words.load(pointer + HEAP.RECYCLED),
      shrunk: words.load(pointer + HEAP.SHRUNK),
      buffers: words.get(pointer + HEAP.COUNT),
      allocations: words.get(pointer + HEAP.ALLOCS),
      failures: words.get(pointer + HEAP.FAILED),
      zeroedInBackground: words.load(pointer + HEAP.ZEROED_BACK) * granule,
      zeroedInAlloc: words.load(pointer + HEAP.ZEROED_FRONT) * granule,
      holders: holders.get(index) ?? [],
    };
  });
}

/** Adds the records up by heap and client; of closed clients only their names are left. */
function holdersByHeap(ion: Ion): Map<number, HeapHolder[]> {
  const open = new Set([`${NO_CLIENT}.0`]);
  for (const { index, generation } of new Clients(ion).live()) open.add(`${index}.${generation}`);
  const byHeap = new Map<number, Map<string, HeapHolder>>();
  const records = new Records(ion);
  for (const pointer of records.live()) {
    const record = records.read(pointer);
    const owner = `${record.client}.${record.clientGeneration}`;
    const key = `${owner}.${record.actor}`;
    const clients = byHeap.get(record.heap) ?? new Map<string, HeapHolder>();
    byHeap.set(record.heap, clients);
    const sum = clients.get(key);
    clients.set(key, {
      client: record.clientName,
      actor: record.actor,
      bytes: record.bytes + (sum?.bytes ?? 0),
      buffers: 1 + (sum?.buffers ?? 0),
      orphaned: !open.has(owner),
    });
  }
  return new Map([...byHeap].map(([heap, clients]) => [heap, [...clients.values()]]));
}
