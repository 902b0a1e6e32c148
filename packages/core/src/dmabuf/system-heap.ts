/**
 * Core's own exporter: the system heap, one region per buffer (design D4). It isolates buffer by
 * buffer, since only who holds an fd ever gets the region. The region itself is given up by
 * core when its last buffer is gone, so release has nothing left to do.
 */
import type { DmaBufOps } from './ops.js';

export const PAGE_SIZE = 4096;

export const systemHeapOps: DmaBufOps = {
  mmap() {},
  prepareAccess() {},
  finishAccess() {},
  release() {},
};

/** Bytes rounded up to whole pages. */
export function pageAlign(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}
