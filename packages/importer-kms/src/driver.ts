/**
 * Driver half of the display, as every thread loads it. It exports no buffers, and its state is in the
 * registers: applications reach it through Display.
 */
import type { Driver } from '@dmabuf/core/driver';
import { REG } from './registers.js';

export const driver: Driver = {
  init: () => undefined,
  // What the locks protect is whole at every instruction: records are published by their STATE word.
  died(door, dead) {
    for (const lock of [REG.FLIP_LOCK, REG.FB_LOCK]) door.freeLockOf(dead, door.base + lock);
  },
};
