/**
 * The driver half's module, as every thread of the machine loads it. A codec exports no buffers;
 * applications call VideoDevice. What a death leaves behind in the table of files is mended here.
 */
import type { Driver, DriverDoor } from '@dmabuf/core/driver';
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

export const driver: Driver = { init: () => undefined, died };
