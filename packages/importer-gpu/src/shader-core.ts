/**
 * A shader core: an actor that takes no jobs, and does tiles of the front end's kernel calls when it is rung
 * (tile-board.ts). It loads the user's kernels as the front end does, in its own thread.
 */
import { DmaBufError } from '@dmabuf/core';
import type { DeviceFactory, DriverDoor } from '@dmabuf/core/driver';
import { decodeDispatch, decodePlain, DISPATCH, partOf } from './core-calls.js';
import { DeviceKernels } from './device-kernels.js';
import { IOCTL, kernelId } from './ioctl.js';
import { plainPart } from './kernels/flat-call.js';
import { kernelEntries } from './kernels/wasm.js';
import { GPU } from './layout.js';
import { type DoTile, TileBoard } from './tile-board.js';

class ShaderCore {
  readonly #door: DriverDoor;
  readonly #core: number;
  readonly #board: TileBoard;
  readonly #wasm: ReturnType<typeof kernelEntries> | undefined;
  readonly #userKernels: DeviceKernels;
  #freed = 0;

  constructor(door: DriverDoor, core: number) {
    this.#door = door;
    this.#core = core;
    this.#board = new TileBoard(door);
    const pool = door.hasPool ? door.poolMemory() : undefined;
    this.#wasm = pool === undefined ? undefined : kernelEntries(pool);
    this.#userKernels = new DeviceKernels(door, pool);
  }

  tick(): number {
    const { words, base } = this.#door;
    const freed = words.load(base + GPU.FREED);
    if (freed !== this.#freed) {
      this.#freed = freed;
      this.#userKernels.sweep();
    }
    this.#board.serve(this.#core, (entry, args) => this.#prepare(entry, args));
    return Infinity;
  }

  load(id: number): void {
    this.#userKernels.load(id);
  }

  #prepare(entry: number, args: readonly number[]): DoTile {
    if (entry === DISPATCH) {
      const { step, surfaces } = decodeDispatch(args, this.#door);
      const run = this.#userKernels.prepare(step, surfaces);
      return (given) => {
        run(partOf(given));
        return 0;
      };
    }
    const plain = decodePlain(entry, args, this.#door);
    if (plain !== undefined) return plainPart(plain);
    const wasm = this.#wasm;
    if (wasm === undefined) throw new RangeError('a call on the pool of a machine without one');
    return (given) => wasm(entry, given);
  }
}

export const createDevice: DeviceFactory = ({ door, spec }) => {
  const core = new ShaderCore(door, coreOf(spec.options));
  return {
    run() {
      throw new DmaBufError('EINVAL', 'gpu_job', 'a shader core takes tiles of its GPU, no jobs');
    },
    tick: () => core.tick(),
    ioctl(request, args) {
      if (request !== IOCTL.LOAD_KERNEL) {
        throw new DmaBufError('ENOTTY', request, `a shader core knows ${IOCTL.LOAD_KERNEL}`);
      }
      core.load(kernelId(args));
      return null;
    },
  };
};

function coreOf(options: unknown): number {
  if (typeof options === 'object' && options !== null && 'core' in options) {
    if (typeof options.core === 'number') return options.core;
  }
  throw new TypeError('the options of a shader core are what gpu() made');
}
