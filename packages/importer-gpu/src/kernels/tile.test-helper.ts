/** A worker of module.test.ts: scales its rows again and again on memory that others use too. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Image, Rect, Rows } from './kernels.js';
import { wasmKernels } from './wasm.js';

export interface TileTask {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly scratch: { readonly byteOffset: number; readonly byteLength: number };
  readonly dst: Omit<Image, 'memory'>;
  readonly to: Rect;
  readonly src: Omit<Image, 'memory'>;
  readonly from: Rect;
  readonly rows: Rows;
  readonly times: number;
}

const task = workerData as TileTask;
const kernels = wasmKernels(task.memory, { scratch: task.scratch, module: task.module });
const { buffer: memory } = task.memory;
for (let i = 0; i < task.times; i++) {
  const options = { filter: 'bilinear' } as const;
  kernels.scale(
    { ...task.dst, memory },
    task.to,
    { ...task.src, memory },
    task.from,
    options,
    task.rows,
  );
}
parentPort?.postMessage('done');
