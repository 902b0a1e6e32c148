/**
 * The kernels as wasm SIMD, in place on the pool's shared memory.
 *
 * The module imports its memory, declared as 1..65536 pages, shared: an import accepts every
 * memory whose maximum is not above the declared one, so the pool's maximum is its maker's choice.
 * It has no data, globals, stack or start function, so any number of workers may instantiate it on
 * one memory; the only bytes used besides the images are the caller's scratch (`scale` alone).
 */
import { existsSync, readFileSync } from 'node:fs';
import { DmaBufError } from '@dmabuf/core';
import { fail } from './check.js';
import { makeFront } from './front.js';
import {
  ENTRIES,
  type FlatCall,
  flatOps,
  plainPart,
  type ScratchOf,
  type Split,
} from './flat-call.js';
import type { Image, Kernels } from './kernels.js';
import type { KernelOps } from './ops.js';
import { plainOps } from './plain.js';

export interface WasmKernelOptions {
  /**
   * A range of the pool for this worker alone, any alignment; `scaleScratchBytes` says how long.
   * Without it `scale` is ENOMEM, and all else works.
   */
  readonly scratch?: { readonly byteOffset: number; readonly byteLength: number };
  /** The compiled module, where a bundler moved the file; default `loadKernelModule()`. */
  readonly module?: WebAssembly.Module;
  /** Shares calls with other threads, those of the kernels in TypeScript too; default: none are. */
  readonly split?: Split;
}

/** Bytes beyond `scaleScratchBytes` that a range needs, since it is used from a multiple of 16. */
export const SCRATCH_SLACK = 15;

let compiled: WebAssembly.Module | undefined;

/**
 * Reads and compiles kernels.wasm; blocks for some ms, once a thread. `url` if it is not beside
 * this file. The result may be posted to workers. ENOENT if there is no such file.
 */
export function loadKernelModule(url?: URL): WebAssembly.Module {
  if (url !== undefined) return new WebAssembly.Module(readModule(url));
  compiled ??= new WebAssembly.Module(readModule(new URL('./kernels.wasm', import.meta.url)));
  return compiled;
}

function readModule(url: URL): Uint8Array {
  if (!existsSync(url)) {
    throw new DmaBufError(
      'ENOENT',
      'load_kernels',
      `no kernel module at ${url.href}; run \`npm run build\`, or pass its URL where a bundler moved it`,
    );
  }
  return readFileSync(url);
}

type Entry = (...args: number[]) => number | undefined;

function isEntry(value: unknown): value is Entry {
  return typeof value === 'function';
}

/** An export of assembly/index.ts; the order of its arguments is there. */
function entry(exports: WebAssembly.Exports, name: string): Entry {
  const found = exports[name];
  if (!isEntry(found)) throw new TypeError(`kernel module has no function ${name}`);
  return found;
}

function calls(exports: WebAssembly.Exports): readonly Entry[] {
  return ENTRIES.map((name) => entry(exports, name));
}

/**
 * The kernels as a shader core calls them: by number, on arguments that the front end has checked. Called once by each
 * core.
 */
export function kernelEntries(
  memory: WebAssembly.Memory,
): (index: number, args: readonly number[]) => number {
  const instance = new WebAssembly.Instance(loadKernelModule(), { env: { memory } });
  const entries = calls(instance.exports);
  return (index, args) => entries[index]?.(...args) ?? 0;
}

/** Where a thread's part of a scaling's scratch begins: a multiple of 16 in the range. */
function scratchIn(pool: ArrayBufferLike, range: WasmKernelOptions['scratch']): ScratchOf {
  return (op, bytes) => {
    const need = bytes + SCRATCH_SLACK;
    const have = range?.byteLength ?? 0;
    if (range === undefined || have < need) {
      throw new DmaBufError(
        'ENOMEM',
        'scale',
        `${op.sourceWidth} to ${op.width} columns need ${need} bytes of scratch in the pool, have ${have}; ` +
          'make the kernels with a larger scratch range',
      );
    }
    if (range.byteOffset < 0 || range.byteOffset + have > pool.byteLength) {
      fail(
        'scale',
        `scratch, ${have} bytes from ${range.byteOffset}, leaves the pool of ${pool.byteLength}`,
      );
    }
    return Math.ceil(range.byteOffset / 16) * 16;
  };
}

interface Loaded {
  readonly ops: KernelOps;
  readonly reaches: (image: Image) => boolean;
}

function load(memory: WebAssembly.Memory, { scratch, module, split }: WasmKernelOptions): Loaded {
  const instance = new WebAssembly.Instance(module ?? loadKernelModule(), { env: { memory } });
  const pool = memory.buffer;
  const entries = calls(instance.exports);
  const sink = (call: FlatCall): number => {
    const part = (args: readonly number[]): number => entries[call.entry]?.(...args) ?? 0;
    return split === undefined ? part(call.args) : split(call, part);
  };
  return {
    ops: flatOps(sink, scratchIn(pool, scratch)),
    reaches: (image) => image.memory === pool,
  };
}

/**
 * Kernels for images in `memory` (a shared `WebAssembly.Memory` that does not grow). Called once
 * by each worker that uses the pool. An image elsewhere is EINVAL. LinkError from the host if the
 * memory is not shared; the caller keeps the memory.
 */
export function wasmKernels(memory: WebAssembly.Memory, options: WasmKernelOptions = {}): Kernels {
  const { ops, reaches } = load(memory, options);
  return makeFront('wasm', reaches, (call, dst, src) => {
    if (!reaches(dst)) fail(call, 'destination image is not in the pool; use plainKernels');
    if (src !== undefined && !reaches(src))
      fail(call, 'source image is not in the pool; use plainKernels');
    return ops;
  });
}

/**
 * Kernels for a device: wasm where every image of a call lies in the pool, plain otherwise (and
 * always, without a pool). The result is the same.
 */
export function eitherKernels(
  memory?: WebAssembly.Memory,
  options: WasmKernelOptions = {},
): Kernels {
  const loaded = memory === undefined ? undefined : load(memory, options);
  const plain = sharedPlainOps(options.split);
  return makeFront(
    'either',
    () => true,
    (_call, dst, src) => {
      const inPool = loaded?.reaches(dst) === true && (src === undefined || loaded.reaches(src));
      return inPool && loaded !== undefined ? loaded.ops : plain;
    },
  );
}

/** The kernels in TypeScript, with what they do shared as `split` does it. */
export function sharedPlainKernels(split: Split | undefined): Kernels {
  const ops = sharedPlainOps(split);
  return makeFront(
    'plain',
    () => true,
    () => ops,
  );
}

function sharedPlainOps(split: Split | undefined): KernelOps {
  if (split === undefined) return plainOps;
  return flatOps(
    (call) => split({ ...call, scratchAt: -1, scratchStep: 0, plain: true }, plainPart(call)),
    () => 0,
  );
}
