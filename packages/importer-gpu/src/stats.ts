/** Counters of a GPU, read from its words by any thread. A snapshot, not atomic as a whole. */
import type { DriverDoor } from '@dmabuf/core/driver';
import { ImageTable } from './image-table.js';
import { KernelTable } from './kernel-table.js';
import { GPU } from './layout.js';
import { TileBoard } from './tile-board.js';

export interface GpuStats {
  /** Jobs that ran without a fault. */
  readonly jobs: number;
  /** Jobs that failed, or were cancelled because something that they needed had failed. */
  readonly failed: number;
  /** Pixels written by all commands. */
  readonly pixels: number;
  /** Bytes that `copy` commands moved. Rendering (blit, blend) is not counted as a copy. */
  readonly bytesCopied: number;
  /** Commands that ran as wasm SIMD on pool memory, and as TypeScript. */
  readonly wasmRuns: number;
  readonly plainRuns: number;
  /** Tiles that were done by shader cores beside the one that takes the jobs. */
  readonly coreTiles: number;
  /** Of the latter: scalings on pool memory that lacked scratch (see `GpuContext.create`). */
  readonly plainForScratch: number;
  /** Bytes of scratch that the device has now. */
  readonly scratch: number;
  /** Images now imported, those included that only queued jobs hold. */
  readonly images: number;
  /** Kernels of the user's now registered, those included that only queued jobs hold. */
  readonly kernels: number;
}

export function readStats(door: DriverDoor): GpuStats {
  const { words, base } = door;
  return {
    jobs: words.get(base + GPU.JOBS),
    failed: words.get(base + GPU.FAILED),
    pixels: words.getDouble(base + GPU.PIXELS),
    bytesCopied: words.getDouble(base + GPU.COPIED),
    wasmRuns: words.get(base + GPU.WASM),
    plainRuns: words.get(base + GPU.PLAIN),
    coreTiles: new TileBoard(door).byCores,
    plainForScratch: words.get(base + GPU.NO_SCRATCH),
    scratch: words.get(base + GPU.SCRATCH),
    images: new ImageTable(door).live,
    kernels: new KernelTable(door).live,
  };
}
