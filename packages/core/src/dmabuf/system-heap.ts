/**
 * Core's own exporter: the system heap, one region per buffer (design D4). It isolates buffer by
 * buffer, since only who holds an fd ever gets the region. A buffer may be allocated as late as its first
 * use: then the op that needs the memory, under the buffer's lock, makes the region. The region is
 * given up by core when its last buffer is gone, so release has nothing left to do.
 */
import type { Regions } from '../memory/regions.js';
import type { Buffers } from './buffers.js';
import { type BufferRecord, contiguousOps, type DmaBufOps } from './ops.js';

export const PAGE_SIZE = 4096;

/** The system heap's ops. Its memory is coherent and stays where it is, so most have nothing to do. */
export function systemHeapOps(regions: Regions, buffers: Buffers): DmaBufOps {
  const populate = (buffer: BufferRecord): void => {
    if (buffer.region === 0) buffers.back(buffer, regions.make(pageAlign(buffer.size)), 0);
  };
  return {
    attach() {},
    detach() {},
    pin: populate,
    unpin() {},
    map(buffer, importer, direction) {
      populate(buffer);
      return contiguousOps.map(buffer, importer, direction);
    },
    unmap() {},
    mmap: populate,
    vmap: populate,
    vunmap() {},
    prepareAccess() {},
    finishAccess() {},
    release() {},
  };
}

/** Bytes rounded up to whole pages. */
export function pageAlign(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}
