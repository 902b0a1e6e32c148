/**
 * Driver half of the display, as every thread loads it. It exports no buffers, and its state is in the
 * registers: applications reach it through Display.
 */
import type { Driver } from '@dmabuf/core/driver';

export const driver: Driver = {
  init: () => undefined,
};
