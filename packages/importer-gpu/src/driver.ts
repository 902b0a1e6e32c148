/** The driver half that every thread of a machine loads. The GPU imports buffers and exports none. */
import type { Driver } from '@dmabuf/core/driver';
import { ImageTable } from './image-table.js';
import { KernelTable } from './kernel-table.js';
import { GPU } from './layout.js';
import { TileBoard } from './tile-board.js';

export const driver: Driver = {
  init() {
    return undefined;
  },
  died(door, dead) {
    TileBoard.died(door, dead);
    new ImageTable(door).died(dead);
    new KernelTable(door).died(dead);
    door.freeLockOf(dead, door.base + GPU.LOCK); // a record is there when its STATE is
  },
};
