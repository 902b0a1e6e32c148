/**
 * The driver half's module, as every thread of the machine loads it; applications call VideoDevice. What a death leaves
 * behind in the table of files is mended here.
 *
 * It exports what a decoder that works in place needs: CAPTURE buffers that move from picture to picture, and the
 * decoder's memory itself. That is coherent, and a region is given up by core with its last buffer.
 */
import { contiguousOps, type DmaBufOps, type Driver, type DriverDoor } from '@dmabuf/core/driver';
import { FILE, fileRecord, MAX_FILES, tableLock } from './file-table.js';

/** Frees the locks of the dead, closes the files that it had opened, gives its queues up. */
function died(door: DriverDoor, dead: number): void {
  const { words, locks } = door;
  if (locks.inherit(tableLock(door), dead)) locks.unlock(tableLock(door));
  for (let file = 0; file < MAX_FILES; file++) {
    const record = fileRecord(door, file);
    if (locks.inherit(record + FILE.LOCK, dead)) locks.unlock(record + FILE.LOCK);
    const state = words.load(record + FILE.STATE);
    if (state <= 0) continue;
    words.cas(record + FILE.SOURCE_OWNER, dead, 0);
    words.cas(record + FILE.SINK_OWNER, dead, 0);
    if (words.get(record + FILE.OWNER) !== dead) continue;
    if (words.cas(record + FILE.STATE, state, -state)) door.ring(words.get(record + FILE.ACTOR));
  }
}

const ops: DmaBufOps = {
  ...contiguousOps,
  // Core does not move what is pinned: the device then copies.
  pin() {},
  unpin() {},
  mmap() {},
  vmap() {},
  vunmap() {},
  prepareAccess() {},
  finishAccess() {},
  release() {},
};

export const driver: Driver = { init: () => ops, died };
