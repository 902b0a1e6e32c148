/**
 * The shader cores as the front end has them: decides what is shared, cuts it into tiles, and sees to it that the cores
 * have the memory.
 *
 * Never shared: what is done before a sleeping core is awake (the bounds below); copies within one image whose
 * rectangles may overlap, as their rows go in order; a scaling in wasm without scratch for each core; a dispatch of more
 * images and arguments than the board has room for. Triangles go one after the other, each by rows: so blends keep
 * their order, and a mesh of small ones stays with the front end.
 */
import { DmaBufError, type Machine } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import {
  COLUMNS_AT,
  type CoreCall,
  encodeCall,
  encodeDispatch,
  partOf,
  type RegionOf,
  ROWS_AT,
} from './core-calls.js';
import type { KernelSurface, RunPart } from './device-kernels.js';
import type { CallPart, FlatCall } from './kernels/flat-call.js';
import { SCRATCH_SLACK } from './kernels/wasm.js';
import { ARGS_MAX } from './layout.js';
import { coreActors } from './spec.js';
import type { DispatchStep } from './step.js';
import { TileBoard, type TileCall } from './tile-board.js';

/** Smaller calls are done before a sleeping core is awake: pixels in wasm, and in TypeScript. */
const WORTH_PIXELS = 65536;
const WORTH_PLAIN = 8192;
/** Cells of a grid: nobody knows what a user's kernel does with one. */
const WORTH_CELLS = 1024;

/** Tiles for each core: a core that comes late, or is slow, leaves some to the others. */
const TILES_A_CORE = 4;

/** What the front end knows of the job in hand. */
export interface JobMemory {
  readonly regionOf: RegionOf;
  /** Bytes of scratch, of all cores together. */
  readonly scratchBytes: () => number;
}

/** How a call is cut: what {@link TileCall} has beside it. */
type Cut = Omit<TileCall, 'entry' | 'args'>;

export class ShaderCores {
  readonly #door: DriverDoor;
  readonly #board: TileBoard;
  readonly #actors: readonly number[];
  readonly #memory: JobMemory;

  /** The cores of the GPU at `path`; undefined: it has none. By the front end alone. */
  static of(
    machine: Machine,
    door: DriverDoor,
    path: string,
    memory: JobMemory,
  ): ShaderCores | undefined {
    const actors = coreActors(machine, path);
    return actors.length === 0 ? undefined : new ShaderCores(machine, door, actors, memory);
  }

  private constructor(
    machine: Machine,
    door: DriverDoor,
    actors: readonly number[],
    memory: JobMemory,
  ) {
    this.#door = door;
    this.#actors = actors;
    this.#memory = memory;
    this.#board = new TileBoard(door);
    this.#board.frontEnd = door.self;
    for (const core of this.#board.busy()) {
      // The front end that it worked for has died, and a kernel of the user's may never come back.
      const actor = actors[core - 1];
      if (actor === undefined || door.isDead(actor)) continue;
      machine.resetDevice(actor, 'its front end died and it went on');
    }
  }

  /** Does a call of one of our kernels, with the cores if it is worth it. EIO: a core died in a tile. */
  split(call: FlatCall, part: CallPart): number {
    const least = call.plain ? WORTH_PLAIN : WORTH_PIXELS;
    const needed = call.scratchStep * this.#workers + SCRATCH_SLACK;
    const room = call.scratchStep === 0 || this.#memory.scratchBytes() >= needed;
    if (call.pixels < least || !room) return part(call.args);
    const { rowsAt, scratchAt, scratchStep } = call;
    const tileRows = this.#tileOf(rowsIn(call.args, rowsAt));
    const coded = encodeCall(call, this.#memory.regionOf);
    return this.#run(coded, { rowsAt, scratchAt, scratchStep, tileRows }, part) ?? part(call.args);
  }

  /** Runs a dispatch, with the cores if it is worth it. EIO: its kernel threw, or a core died in a tile. */
  dispatch(step: DispatchStep, surfaces: readonly KernelSurface[], run: RunPart): void {
    const { width, height } = step.grid;
    const whole = { x: 0, y: 0, width, height };
    if (width * height < WORTH_CELLS) return run(whole);
    // A flat grid has too few rows for all: it is cut into columns.
    const flat = height < 2 * TILES_A_CORE * this.#workers && width > height;
    const rowsAt = flat ? COLUMNS_AT : ROWS_AT;
    const tileRows = this.#tileOf(flat ? width : height);
    const coded = encodeDispatch(step, surfaces, this.#memory.regionOf);
    const cut = { rowsAt, scratchAt: -1, scratchStep: 0, tileRows };
    const part = (args: readonly number[]): number => {
      run(partOf(args));
      return 0;
    };
    if (this.#run(coded, cut, part) === undefined) run(whole);
  }

  get #workers(): number {
    return this.#actors.length + 1;
  }

  /** Rows of a tile, even for the sake of chroma. */
  #tileOf(rows: number): number {
    return 2 * Math.max(4, Math.ceil(rows / (2 * this.#workers * TILES_A_CORE)));
  }

  /** Does a call with all cores; undefined: it does not fit the board. */
  #run(call: CoreCall | undefined, cut: Cut, part: CallPart): number | undefined {
    if (call === undefined || call.args.length > ARGS_MAX) return undefined;
    for (const region of call.regions) {
      for (const actor of this.#actors) this.#door.deliver(region, actor);
    }
    const ring = (): void => {
      for (const actor of this.#actors) this.#door.ring(actor);
    };
    const { entry, args } = call;
    const result = this.#board.run({ entry, args, ...cut }, part, ring);
    if (result !== undefined) return result;
    throw new DmaBufError('EIO', 'gpu_job', 'a shader core died in a tile; draw the frame again');
  }
}

function rowsIn(args: readonly number[], rowsAt: number): number {
  return (args[rowsAt + 1] ?? 0) - (args[rowsAt] ?? 0);
}
