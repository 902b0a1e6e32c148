/**
 * The device half: the heap thread. It zeroes what was freed, so that allocations find clean memory (ion_heap_deferred_free
 * and the refill of page pools, in one), and gives up what the pools keep beyond their limits or for too long (the
 * shrinker).
 *
 * It keeps nothing of its own: what there is to do is in the page maps. Killed at any moment it leaves a
 * range marked as being zeroed; its successor makes that dirty again and zeroes it once more.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Device, DeviceFactory } from '@dmabuf/core/driver';
import { Ion } from './ion.js';
import { ION } from './layout.js';

/** Pieces (of 1 MiB; of a system heap regions) between two looks at the mailbox. */
const PIECES = 4;
/** ms between two calls of the shrinker, while there is something that it could give up. */
const SHRINK_MS = 1000;

export const createDevice: DeviceFactory = ({ machine, door }): Device => {
  const ion = Ion.of(door);
  for (const heap of ion.heaps) heap.restart();
  ion.words.store(ion.base + ION.DIRTY, 1);
  ion.words.store(ion.base + ION.HEAP_THREAD, machine.self);
  return {
    run() {
      throw new DmaBufError('EOPNOTSUPP', 'submit', 'the heap thread takes no jobs');
    },
    tick(now) {
      if (work(ion)) return now;
      const kept = ion.heaps.filter((heap) => heap.shrink());
      return kept.length > 0 ? now + SHRINK_MS : Infinity;
    },
  };
};

/** Does a few pieces; true if there is more to do. */
function work(ion: Ion): boolean {
  if (ion.words.load(ion.base + ION.DIRTY) === 0) return false;
  // Cleared before looking: what is freed from here on sets it again.
  ion.words.store(ion.base + ION.DIRTY, 0);
  let left = PIECES;
  for (const heap of ion.heaps) {
    if (!heap.config.defer) continue;
    while (left > 0 && heap.background()) left--;
  }
  if (left > 0) return false;
  ion.words.store(ion.base + ION.DIRTY, 1);
  return true;
}
