/** The shader cores as the front end has them: decides what is shared, and how it is cut into tiles. */
import { DmaBufError, type Machine } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { type KernelCallInfo, SCRATCH_SLACK, type Split } from './kernels/wasm.js';
import { ARGS_MAX } from './layout.js';
import { isGpuInfo } from './spec.js';
import { TileBoard } from './tile-board.js';

/** Smaller calls are done before a sleeping core is awake. */
const WORTH_PIXELS = 65536;

/** Tiles for each core: a core that comes late, or is slow, leaves some to the others. */
const TILES_A_CORE = 4;

/**
 * What shares calls with the cores of the GPU at `path`; undefined: it has none. EIO of a call: a core died, or
 * failed, in a tile of it.
 */
export function shaderCores(
  machine: Machine,
  door: DriverDoor,
  { path, scratchBytes }: { readonly path: string; readonly scratchBytes: () => number },
): Split | undefined {
  const { info } = machine.device(path);
  const paths = isGpuInfo(info) ? info.cores : [];
  if (paths.length === 0) return undefined;
  const cores = paths.map((core) => machine.device(core).actor);
  const board = new TileBoard(door);
  board.frontEnd = door.self;
  const ring = (): void => {
    for (const actor of cores) door.ring(actor);
  };
  return (call, whole) => {
    const tileRows = rowsOfTile(call, cores.length + 1);
    const needed = call.scratchStep * (cores.length + 1) + SCRATCH_SLACK;
    const room = call.scratchStep === 0 || scratchBytes() >= needed;
    if (tileRows === 0 || !room || call.args.length > ARGS_MAX) return whole(call.args);
    const result = board.run({ ...call, tileRows }, (_entry, args) => whole(args), ring);
    if (result !== undefined) return result;
    throw new DmaBufError('EIO', 'gpu_job', 'a shader core died in a tile; draw the frame again');
  };
}

/** Rows of a tile, even for the sake of chroma; 0: the call is not worth sharing. */
function rowsOfTile({ args, rowsAt, pixels }: KernelCallInfo, workers: number): number {
  if (pixels < WORTH_PIXELS) return 0;
  const rows = (args[rowsAt + 1] ?? 0) - (args[rowsAt] ?? 0);
  return 2 * Math.max(4, Math.ceil(rows / (2 * workers * TILES_A_CORE)));
}
