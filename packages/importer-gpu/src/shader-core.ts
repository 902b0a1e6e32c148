/**
 * A shader core: an actor that takes no jobs, and does tiles of the front end's kernel calls when it is rung
 * (tile-board.ts). Without a pool there is nothing that it could reach, and it sleeps.
 */
import { DmaBufError } from '@dmabuf/core';
import type { DeviceFactory } from '@dmabuf/core/driver';
import { kernelEntries } from './kernels/wasm.js';
import { TileBoard } from './tile-board.js';

export const createDevice: DeviceFactory = ({ door, spec }) => {
  const core = coreOf(spec.options);
  const board = new TileBoard(door);
  const call = door.hasPool ? kernelEntries(door.poolMemory()) : undefined;
  return {
    run() {
      throw new DmaBufError('EINVAL', 'gpu_job', 'a shader core takes tiles of its GPU, no jobs');
    },
    tick() {
      if (call !== undefined) board.serve(core, call);
      return Infinity;
    },
  };
};

function coreOf(options: unknown): number {
  if (typeof options === 'object' && options !== null && 'core' in options) {
    if (typeof options.core === 'number') return options.core;
  }
  throw new TypeError('the options of a shader core are what gpu() made');
}
