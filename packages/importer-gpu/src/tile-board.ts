/**
 * The tile board: how one kernel call is shared by several shader cores, in the GPU's words of kernel memory.
 * The call is a list of numbers (core-calls.ts), cut along the two that say from where to where it goes.
 *
 * The front end (the device that takes the jobs) posts a call: it writes all of {@link TILES}, then stores OPEN, which
 * publishes them, and rings the cores. Whoever works, the front end too, takes tiles by adding to NEXT
 * while OPEN is what it was. A core looks at OPEN, and stays, under a lock word of its own. The front end closes
 * the board and then takes each core's lock once: when it has had them all, no core is in a tile, and none comes in.
 * DONE then says whether all tiles were done; if not, a core has died in one, and the job fails.
 *
 * A call may throw in a core, when it is a kernel of the user's. The first core to which that happens takes FAILED, writes
 * the text and then how long it is; all stop taking tiles, and the front end throws it once no core is in a tile. A core
 * that dies between the two leaves an empty text.
 *
 * A core that dies is in its lock or in nothing: `died` frees the lock, and the front end goes on with what DONE
 * says. When the front end dies, `died` closes the board and waits until the cores have left it, before core
 * ends the job and with it the claim on the buffers: nobody writes into a buffer that is no longer the job's.
 * Nothing else has to be mended: the next post writes all words anew.
 */
import { DmaBufError } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { coresOf, FAILURE_WORDS, TILES, tilesAt } from './layout.js';

export type BoardDoor = Pick<DriverDoor, 'spec' | 'base' | 'words' | 'locks'>;
export type RecoveryDoor = BoardDoor & Pick<DriverDoor, 'freeLockOf' | 'isDead'>;

/** A call of a kernel, as it is posted. */
export interface TileCall {
  /** What it is: see core-calls.ts. */
  readonly entry: number;
  readonly args: readonly number[];
  /** Which two of the arguments are the rows (or columns), from and to. */
  readonly rowsAt: number;
  /** Which one is the scratch's address, −1: none; core i has its own, i * `scratchStep` bytes on. */
  readonly scratchAt: number;
  readonly scratchStep: number;
  readonly tileRows: number;
}

/** Does a part of a call, with its own rows and scratch; the kernel's result, 0 if it has none. */
export type DoTile = (args: readonly number[]) => number;

/** Makes a core ready for a call: its memory, its module. What it throws keeps the core out of that call. */
export type Prepare = (entry: number, args: readonly number[]) => DoTile;

/** Sleeps (of the reaper's: 2 ms each) after which a core hangs in its tile: one of ours takes about a millisecond. */
const MOST_SLEEPS = 500;

export class TileBoard {
  readonly #door: BoardDoor;
  readonly #at: number;
  /** Cores beside the front end. */
  readonly #cores: number;

  constructor(door: BoardDoor) {
    this.#door = door;
    this.#at = door.base + tilesAt(door.spec.options);
    this.#cores = coresOf(door.spec.options) - 1;
  }

  /**
   * Does a call with all cores; by the front end alone. `ring` wakes the cores. Returns the sum of the tiles'
   * results, undefined if a tile was lost. Throws what `doTile` throws here; EIO with its text if it threw in a core.
   * Blocks until no core is in a tile.
   */
  run(call: TileCall, doTile: DoTile, ring: () => void): number | undefined {
    const { words, locks } = this.#door;
    const at = this.#at;
    const from = call.args[call.rowsAt] ?? 0;
    const rows = (call.args[call.rowsAt + 1] ?? 0) - from;
    const tiles = Math.ceil(rows / call.tileRows);
    this.#post(call, tiles);
    const turn = (words.get(at + TILES.TURN) & 0x3fffffff) + 1;
    words.set(at + TILES.TURN, turn);
    words.store(at + TILES.OPEN, turn);
    ring();
    try {
      this.#work(0, turn, doTile);
    } finally {
      words.store(at + TILES.OPEN, 0);
      for (let core = 0; core < this.#cores; core++) {
        locks.lock(at + TILES.LOCKS + core);
        locks.unlock(at + TILES.LOCKS + core);
      }
    }
    if (words.load(at + TILES.FAILED) !== 0) throw this.#failure();
    return words.load(at + TILES.DONE) === tiles ? words.load(at + TILES.RESULT) : undefined;
  }

  #post(call: TileCall, tiles: number): void {
    const { words } = this.#door;
    const at = this.#at;
    words.set(at + TILES.ENTRY, call.entry);
    words.set(at + TILES.ARGS_COUNT, call.args.length);
    words.set(at + TILES.ROWS_AT, call.rowsAt);
    words.set(at + TILES.SCRATCH_AT, call.scratchAt);
    words.set(at + TILES.SCRATCH_STEP, call.scratchStep);
    words.set(at + TILES.TILE_ROWS, call.tileRows);
    words.set(at + TILES.TILES, tiles);
    call.args.forEach((value, i) => words.setDouble(at + TILES.ARGS + 2 * i, value));
    words.store(at + TILES.NEXT, 0);
    words.store(at + TILES.DONE, 0);
    words.store(at + TILES.RESULT, 0);
    words.store(at + TILES.FAILURE_BYTES, 0);
    words.store(at + TILES.FAILED, 0);
  }

  /** Takes part in what is posted, if anything is; by core `core`, 1 to the number of cores. */
  serve(core: number, prepare: Prepare): void {
    const { words, locks } = this.#door;
    const at = this.#at;
    if (words.load(at + TILES.OPEN) === 0) return;
    locks.lock(at + TILES.LOCKS + core - 1);
    try {
      const turn = words.load(at + TILES.OPEN);
      if (turn !== 0) this.#work(core, turn, this.#joined(core, prepare));
    } finally {
      locks.unlock(at + TILES.LOCKS + core - 1);
    }
  }

  /** What core `core` does tiles with; undefined: it takes none of this call. */
  #joined(core: number, prepare: Prepare): DoTile | undefined {
    const { words } = this.#door;
    let part: DoTile;
    try {
      part = prepare(words.get(this.#at + TILES.ENTRY), this.#args());
    } catch {
      return undefined; // the front end could, and does what this core leaves
    }
    return (args) => {
      try {
        return part(args);
      } catch (error) {
        this.#fail(core, error);
        return 0;
      }
    };
  }

  /** Tells the front end what was thrown in a core; the first to come does. */
  #fail(core: number, error: unknown): void {
    const { words } = this.#door;
    const at = this.#at;
    if (!words.cas(at + TILES.FAILED, 0, core)) return;
    const detail = error instanceof DmaBufError ? error.detail : String(error);
    const text = new TextEncoder().encode(detail).subarray(0, FAILURE_WORDS * 4);
    for (let i = 0; i < text.length; i += 4) {
      const [a = 0, b = 0, c = 0, d = 0] = text.subarray(i, i + 4);
      words.set(at + TILES.FAILURE + (i >> 2), a | (b << 8) | (c << 16) | (d << 24));
    }
    words.store(at + TILES.FAILURE_BYTES, text.length);
  }

  #failure(): DmaBufError {
    const { words } = this.#door;
    const at = this.#at;
    const text = Uint8Array.from({ length: words.load(at + TILES.FAILURE_BYTES) }, (_, i) => {
      return words.get(at + TILES.FAILURE + (i >> 2)) >>> ((i & 3) * 8);
    });
    const core = words.load(at + TILES.FAILED);
    const detail = new TextDecoder().decode(text) || `a kernel failed in shader core ${core}`;
    return new DmaBufError('EIO', 'gpu_job', detail);
  }

  /** The arguments of the call that is posted. */
  #args(): number[] {
    const { words } = this.#door;
    return Array.from({ length: words.get(this.#at + TILES.ARGS_COUNT) }, (_, i) =>
      words.getDouble(this.#at + TILES.ARGS + 2 * i),
    );
  }

  #work(worker: number, turn: number, doTile: DoTile | undefined): void {
    if (doTile === undefined) return;
    const { words } = this.#door;
    const at = this.#at;
    const tiles = words.get(at + TILES.TILES);
    const tileRows = words.get(at + TILES.TILE_ROWS);
    const rowsAt = words.get(at + TILES.ROWS_AT);
    const args = this.#args();
    const [from = 0, to = 0] = args.slice(rowsAt, rowsAt + 2);
    const scratchAt = words.get(at + TILES.SCRATCH_AT);
    if (scratchAt >= 0) {
      args[scratchAt] = (args[scratchAt] ?? 0) + worker * words.get(at + TILES.SCRATCH_STEP);
    }
    while (words.load(at + TILES.OPEN) === turn && words.load(at + TILES.FAILED) === 0) {
      const tile = words.add(at + TILES.NEXT, 1);
      if (tile >= tiles) return;
      args[rowsAt] = from + tile * tileRows;
      args[rowsAt + 1] = Math.min(to, from + (tile + 1) * tileRows);
      const result = doTile(args);
      words.add(at + TILES.RESULT, result);
      words.add(at + TILES.DONE, 1); // after the tile's last store: who sees it sees the pixels
      if (worker > 0) words.add(at + TILES.BY_CORES, 1);
    }
  }

  /** Cores beside the front end, from 1 on, that are in a call, or died in one. */
  busy(): number[] {
    const { words } = this.#door;
    const cores = Array.from({ length: this.#cores }, (_, i) => i + 1);
    return cores.filter((core) => words.load(this.#at + TILES.LOCKS + core - 1) !== 0);
  }

  /** Tiles that cores beside the front end ever did. */
  get byCores(): number {
    return this.#door.words.load(this.#at + TILES.BY_CORES);
  }

  /**
   * Frees a dead core's lock; and when the front end is dead, closes the board and waits until the cores have left it.
   * A core that is dead as well has left, and keeps its lock until it is settled. By the reaper. May be called twice.
   */
  static died(door: RecoveryDoor, dead: number): void {
    const board = new TileBoard(door);
    const locks = Array.from({ length: board.#cores }, (_, core) => board.#at + TILES.LOCKS + core);
    for (const lock of locks) door.freeLockOf(dead, lock);
    if (board.frontEnd !== dead) return;
    door.words.store(board.#at + TILES.OPEN, 0);
    let sleeps = 0;
    const worth = (core: number): boolean => !door.isDead(core) && sleeps++ < MOST_SLEEPS;
    for (const lock of locks) if (door.locks.lockWhile(lock, worth)) door.locks.unlock(lock);
  }

  /** Who the front end is, for {@link TileBoard.died}: its actor id, stored by it before it posts. */
  set frontEnd(actor: number) {
    this.#door.words.store(this.#at + TILES.FRONT_END, actor);
  }

  get frontEnd(): number {
    return this.#door.words.load(this.#at + TILES.FRONT_END);
  }
}
