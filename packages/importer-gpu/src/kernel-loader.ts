/** KernelLoader: the user's kernels as one context registers and opens them. */
import { DmaBufError, type Machine } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { IOCTL } from './ioctl.js';
import { KernelTable } from './kernel-table.js';
import type { RecordHandle } from './record-table.js';
import { GpuKernel, kernelInfo, type KernelRequest } from './user-kernel.js';

export class KernelLoader {
  readonly table: KernelTable;
  readonly #machine: Machine;
  readonly #door: DriverDoor;
  readonly #actor: number;
  /** Actor ids of the GPU's shader cores. */
  readonly #cores: readonly number[];

  constructor(machine: Machine, door: DriverDoor, actor: number, cores: readonly number[]) {
    this.table = new KernelTable(door);
    this.#machine = machine;
    this.#door = door;
    this.#actor = actor;
    this.#cores = cores;
  }

  /** See `GpuContext.loadKernel`. */
  load(request: KernelRequest): GpuKernel {
    const kernel = this.#kernelOf(this.table.register(kernelInfo(request)));
    try {
      this.#machine.ioctl(this.#actor, IOCTL.LOAD_KERNEL, kernel.id);
      for (const core of this.#cores) this.#loadInCore(core, kernel.id);
      return kernel;
    } catch (error) {
      kernel.close();
      throw error;
    }
  }

  /** See `GpuContext.kernelById`. */
  open(id: number): GpuKernel {
    return this.#kernelOf(this.table.open(id));
  }

  #kernelOf(handle: RecordHandle): GpuKernel {
    // The device may hold on to the module of a kernel that is gone: it looks when it is rung.
    return new GpuKernel(this.table, handle, this.#actor, () => {
      for (const each of [this.#actor, ...this.#cores]) this.#door.ring(each);
    });
  }

  /** Lets a shader core load a kernel before it is needed. One that is just started again does so when it is. */
  #loadInCore(core: number, id: number): void {
    try {
      this.#machine.ioctl(core, IOCTL.LOAD_KERNEL, id);
    } catch (error) {
      if (!(error instanceof DmaBufError) || error.code !== 'EOWNERDEAD') throw error;
    }
  }
}
