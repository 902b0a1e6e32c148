/**
 * What /sys/kernel/debug/ion/heaps prints (ion_debug_heap_show), all heaps one after the other.
 */
import type { Ion } from './ion.js';
import { heapStats, type HeapHolder, type HeapStats } from './stats.js';

const LINE = '-'.repeat(56);

/** `nameOf` turns an actor id into its name. */
export function debugfsText(ion: Ion, nameOf: (actor: number) => string): string {
  return heapStats(ion)
    .map((heap) => heapText(heap, nameOf))
    .join('\n');
}

function heapText(heap: HeapStats, nameOf: (actor: number) => string): string {
  const row = (holder: HeapHolder): string =>
    columns(holder.client, `${holder.actor} ${nameOf(holder.actor)}`, holder.bytes);
  const clients = heap.holders.filter((holder) => !holder.orphaned);
  const orphans = heap.holders.filter((holder) => holder.orphaned);
  const sum = orphans.reduce((bytes, holder) => bytes + holder.bytes, 0);
  const lines = [
    `heap ${heap.id} ${heap.name} (${heap.type})`,
    columns('client', 'actor', 'size'),
    LINE,
    ...clients.map(row),
    LINE,
    'orphaned allocations (the client has closed, somebody has an fd):',
    ...orphans.map(row),
    LINE,
    columns('total orphaned', '', sum),
    columns('total', '', heap.allocated),
    columns('peak', '', heap.peak),
    columns('deferred free', '', heap.deferred),
  ];
  if (heap.type === 'system') lines.push(columns('page pool', '', heap.pooled));
  if (heap.total !== Infinity) {
    const percent = `${(heap.fragmentation * 100).toFixed(0)} %`;
    lines.push(columns('free', `of ${heap.total}`, heap.free));
    lines.push(columns('largest free', `fragmentation ${percent}`, heap.largest));
  }
  return `${lines.join('\n')}\n`;
}

function columns(first: string, second: string, third: string | number): string {
  return `${first.padEnd(20)} ${second.padEnd(20)} ${String(third).padStart(14)}`;
}
