/**
 * The driver half's module, as every thread of the machine loads it. A codec exports no buffers, so
 * there is nothing to set up here: applications call VideoDevice.
 */
import type { Driver } from '@dmabuf/core/driver';

export const driver: Driver = { init: () => undefined };
