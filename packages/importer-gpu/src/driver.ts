/** The driver half that every thread of a machine loads. The GPU imports buffers and exports none. */
import type { Driver } from '@dmabuf/core/driver';

export const driver: Driver = {
  init() {
    return undefined;
  },
};
