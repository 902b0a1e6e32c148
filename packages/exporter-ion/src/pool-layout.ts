/**
 * How the pool is shared out among the heaps that lie in it, and how large their pages are.
 */
import type { IonConfig } from './options.js';
import { bytesText } from './text.js';

const PAGE = 4096;

/** A heap's part of the pool, in bytes. */
export interface Share {
  readonly offset: number;
  readonly bytes: number;
}

/** Bytes of a page: 4 KiB, doubled until the page maps hold the pool. */
export function granuleFor(poolBytes: number, config: IonConfig): number {
  let granule = PAGE;
  while (poolBytes / granule > config.pages) granule *= 2;
  return granule;
}

/**
 * Each heap's part, in the order of the options, undefined for heaps elsewhere. Sizes are rounded up
 * to pages. Without a pool all parts are empty. RangeError when they ask for more than there is.
 */
export function sharesOf(
  poolBytes: number,
  granule: number,
  config: IonConfig,
): (Share | undefined)[] {
  const up = (bytes: number): number => Math.ceil(bytes / granule) * granule;
  const whole = Math.floor(poolBytes / granule) * granule;
  const start = Math.min(up(config.poolReserve), whole);
  const fixed = config.heaps.reduce((sum, heap) => sum + (heap.inPool ? up(heap.size) : 0), 0);
  const rest = whole - start - fixed;
  if (poolBytes > 0 && rest < 0) {
    const wanted = bytesText(fixed + config.poolReserve);
    throw new RangeError(
      `ion: the heaps want ${wanted} of a pool of ${bytesText(poolBytes)}; boot with a larger pool, or give them a smaller size`,
    );
  }
  let at = start;
  return config.heaps.map((heap) => {
    if (!heap.inPool) return undefined;
    const bytes = poolBytes === 0 ? 0 : heap.size === 0 ? rest : up(heap.size);
    const share = { offset: at, bytes };
    at += bytes;
    return share;
  });
}
