/**
 * For tests: a driver module with a heap type of its own, as a user would write one. `tiles` deals in
 * ranges of the pool rounded up to 64 KiB tiles, and has one call of its own.
 */
import type { Driver } from '@dmabuf/core/driver';
import { createDriver, type HeapRequest, type Placement, RangeHeap } from './index.js';

const TILE = 65536;

class TileHeap extends RangeHeap {
  override allocate(request: HeapRequest, record: number): Placement {
    const size = Math.ceil(request.size / TILE) * TILE;
    return super.allocate({ ...request, size, align: Math.max(TILE, request.align) }, record);
  }

  override custom(command: number, argument: unknown): unknown {
    if (command === 1 && typeof argument === 'number') return Math.ceil(argument / TILE);
    return super.custom(command, argument);
  }
}

export const driver: Driver = createDriver({ tiles: (env) => new TileHeap(env) });
