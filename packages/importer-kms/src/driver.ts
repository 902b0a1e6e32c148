/**
 * Driver half of the display, as every thread loads it. It exports no buffers, and its state is in the
 * registers: applications reach it through Display.
 */
import type { Driver, DriverDoor } from '@dmabuf/core/driver';
import { REG } from './registers.js';

/** A record of a framebuffer is there when its id is, and a flip is queued or not: the locks cover nothing half done. */
function died(door: DriverDoor, dead: number): void {
  for (const lock of [REG.FLIP_LOCK, REG.FB_LOCK]) door.freeLockOf(dead, door.base + lock);
}

export const driver: Driver = {
  init: () => undefined,
  died,
};
