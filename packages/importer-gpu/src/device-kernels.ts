/**
 * The user's kernels in the device, and in each of its shader cores: loads them by the kernel table, once a thread, and runs
 * them on parts of a grid.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { DmaBufError } from '@dmabuf/core';
import { formatInfo, planeHeight, minPitch } from './fourcc.js';
import { type KernelInfo, KernelTable } from './kernel-table.js';
import type { Image, Rect } from './kernels/kernels.js';
import type { TableDoor } from './record-table.js';
import type { DispatchStep, Surface } from './step.js';
import type { KernelFunction, KernelImage, KernelPlane } from './user-kernel.js';
import { checkArity, outOfPool } from './wasm-abi.js';

const require = createRequire(import.meta.url);

type WasmFunction = (...args: number[]) => unknown;

type Loaded =
  | { readonly kind: 'module'; readonly run: KernelFunction }
  | { readonly kind: 'wasm'; readonly run: WasmFunction };

/** A surface with its memory. */
export type KernelSurface = Surface & { readonly image: Image };

/** Runs a dispatch on a part of its grid. EIO: the kernel threw. */
export type RunPart = (part: Rect) => void;

export class DeviceKernels {
  readonly #table: KernelTable;
  readonly #pool: WebAssembly.Memory | undefined;
  readonly #loaded: Map<number, Loaded> = new Map();

  constructor(door: TableDoor, pool: WebAssembly.Memory | undefined) {
    this.#table = new KernelTable(door);
    this.#pool = pool;
  }

  /**
   * Loads a kernel, if that has not been done. ENOENT: no such kernel or module; EINVAL: it cannot be
   * loaded, or exports no such function; ENODEV: a wasm kernel on a machine without a pool.
   */
  load(id: number): Loaded {
    const known = this.#loaded.get(id);
    if (known !== undefined && this.#table.has(id)) return known;
    const info = this.#table.info(id);
    const loaded = info.kind === 'wasm' ? this.#instantiate(info) : required(info);
    if (loaded.kind === 'wasm') this.#table.setArity(id, loaded.run.length);
    this.#loaded.set(id, loaded);
    return loaded;
  }

  /** Whether a kernel runs in wasm. */
  isWasm(id: number): boolean {
    return this.load(id).kind === 'wasm';
  }

  /** Drops a job's reference. */
  unref(id: number): void {
    this.#table.unref(id);
  }

  /** Forgets kernels that are gone. */
  sweep(): void {
    for (const id of this.#loaded.keys()) {
      if (!this.#table.has(id)) this.#loaded.delete(id);
    }
  }

  /** Checks a dispatch against what its images turn out to be. EINVAL. */
  check(step: DispatchStep, surfaces: readonly KernelSurface[]): void {
    const kernel = this.load(step.kernel);
    if (kernel.kind === 'module') return;
    for (const { image } of surfaces) {
      if (image.memory !== this.#pool?.buffer) throw outOfPool();
    }
    const planes = surfaces.map(({ image }) => image.planes.length);
    checkArity(kernel.run.length, planes, step.args.length);
  }

  /** What runs parts of a dispatch in this thread. Loads its kernel; errors as of {@link load}. */
  prepare(step: DispatchStep, surfaces: readonly KernelSurface[]): RunPart {
    const kernel = this.load(step.kernel);
    const { entry } = this.#table.info(step.kernel);
    const call =
      kernel.kind === 'wasm'
        ? onNumbers(kernel.run, step, surfaces)
        : onViews(kernel.run, step, surfaces);
    return (part) => {
      try {
        call(part.x, part.y, part.x + part.width, part.y + part.height);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new DmaBufError('EIO', 'gpu_job', `kernel '${entry}' failed: ${why}`);
      }
    };
  }

  #instantiate({ url, entry }: KernelInfo): Loaded {
    if (this.#pool === undefined) {
      const detail =
        'wasm kernels work on the pool, and the machine has none; boot with `pool: bytes`';
      throw new DmaBufError('ENODEV', 'load_kernel', detail);
    }
    const env = { memory: this.#pool };
    const made = attempt(url, () => {
      const module = new WebAssembly.Module(readFileSync(fileURLToPath(url)));
      return new WebAssembly.Instance(module, { env }).exports[entry];
    });
    if (isWasmFunction(made)) return { kind: 'wasm', run: made };
    throw noEntry(url, entry);
  }
}

/** Calls a kernel for the part from x0, y0 to x1, y1. */
type PartCall = (x0: number, y0: number, x1: number, y1: number) => void;

function onNumbers(
  run: WasmFunction,
  { args }: DispatchStep,
  surfaces: readonly KernelSurface[],
): PartCall {
  const images = surfaces.flatMap(numbersOf);
  return (x0, y0, x1, y1) => void run(x0, y0, x1, y1, ...images, ...args);
}

function onViews(
  run: KernelFunction,
  { args, grid }: DispatchStep,
  surfaces: readonly KernelSurface[],
): PartCall {
  return (x0, y0, x1, y1) => {
    run({ images: surfaces.map(imageOf), args: [...args], x0, y0, x1, y1, grid }); // its own: it may keep or change them
  };
}

/** Loads a JavaScript module, ES or CommonJS, without leaving the handler. */
function required({ url, entry }: KernelInfo): Loaded {
  const made = attempt(url, () => {
    const module: unknown = require(fileURLToPath(url));
    return typeof module === 'object' && module !== null ? Reflect.get(module, entry) : undefined;
  });
  if (isKernelFunction(made)) return { kind: 'module', run: made };
  throw noEntry(url, entry);
}

function attempt(url: string, load: () => unknown): unknown {
  try {
    return load();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const missing = error instanceof Error && 'code' in error && isMissing(error.code);
    const detail = `cannot load ${url}: ${why.split('\n', 1).join()}`;
    throw new DmaBufError(missing ? 'ENOENT' : 'EINVAL', 'load_kernel', detail);
  }
}

function isMissing(code: unknown): boolean {
  return code === 'ENOENT' || code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND';
}

function isKernelFunction(value: unknown): value is KernelFunction {
  return typeof value === 'function';
}

function isWasmFunction(value: unknown): value is WasmFunction {
  return typeof value === 'function';
}

function noEntry(url: string, entry: string): DmaBufError {
  return new DmaBufError('EINVAL', 'load_kernel', `${url} exports no function '${entry}'`);
}

function numbersOf({ image }: KernelSurface): number[] {
  const { width, height, byteOffset, planes } = image;
  return [width, height, ...planes.flatMap(({ offset, pitch }) => [byteOffset + offset, pitch])];
}

function imageOf({ image, x, y, width, height, color }: KernelSurface): KernelImage {
  return {
    fourcc: image.fourcc,
    width: image.width,
    height: image.height,
    visible: { x, y, width, height },
    color,
    planes: image.planes.map((_, i) => planeOf(image, i)),
  };
}

function planeOf(image: Image, index: number): KernelPlane {
  const info = formatInfo(image.fourcc)?.planes[index];
  const { offset = 0, pitch = 0 } = image.planes[index] ?? {};
  if (info === undefined) throw new RangeError(`no plane ${index} in this format`);
  const start = image.byteOffset + offset;
  const length = (planeHeight(info, image.height) - 1) * pitch + minPitch(info, image.width);
  const bytes = new Uint8Array(image.memory, start, length);
  const aligned = ((start | pitch | length) & 3) === 0;
  const words = aligned ? new Uint32Array(image.memory, start, length >> 2) : undefined;
  return { bytes, words, pitch };
}
