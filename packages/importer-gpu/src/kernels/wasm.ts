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
import type { Image, Kernels } from './kernels.js';
import type { KernelOps, ScaleOp, TriangleOp } from './ops.js';
import { plainOps } from './plain.js';
import { scaleScratchBytes } from './scale-map.js';

export interface WasmKernelOptions {
  /**
   * A range of the pool for this worker alone, any alignment; `scaleScratchBytes` says how long.
   * Without it `scale` is ENOMEM, and all else works.
   */
  readonly scratch?: { readonly byteOffset: number; readonly byteLength: number };
  /** The compiled module, where a bundler moved the file; default `loadKernelModule()`. */
  readonly module?: WebAssembly.Module;
  /** Shares calls with other threads; default: none are. */
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

/** Kernels, in the order of their numbers, and which two of their arguments are the rows. */
const ENTRIES = ['convert', 'pack', 'scale', 'blend', 'fill', 'copy', 'triangle'] as const;
const ROWS_AT = { convert: 12, pack: 11, scale: 5, blend: 5, fill: 3, copy: 5, triangle: 2 };
/** Which argument of `scale` is the scratch. */
const SCRATCH_AT = 1;

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

/** Does a call, by other threads too or by `whole`; the sum of the parts' results. */
export type Split = (call: KernelCallInfo, whole: (args: readonly number[]) => number) => number;

/** A call that may be split. */
export interface KernelCallInfo {
  readonly entry: number;
  readonly args: readonly number[];
  readonly rowsAt: number;
  /** −1: it needs none. */
  readonly scratchAt: number;
  /** Bytes that each thread needs of it. */
  readonly scratchStep: number;
  /** Pixels that it goes over, at most. */
  readonly pixels: number;
}

function makeOps(
  exports: WebAssembly.Exports,
  pool: ArrayBufferLike,
  scratch: WasmKernelOptions['scratch'],
  split: Split | undefined,
): KernelOps {
  const entries = calls(exports);
  const shared =
    (name: (typeof ENTRIES)[number]) =>
    (pixels: number, args: readonly number[], scratchStep: number = 0): number => {
      const index = ENTRIES.indexOf(name);
      const whole = (given: readonly number[]): number => entries[index]?.(...given) ?? 0;
      if (split === undefined) return whole(args);
      const scratchAt = name === 'scale' ? SCRATCH_AT : -1;
      const rowsAt = ROWS_AT[name];
      return split({ entry: index, args, rowsAt, scratchAt, scratchStep, pixels }, whole);
    };
  const kernels = {
    convert: shared('convert'),
    pack: shared('pack'),
    scale: shared('scale'),
    blend: shared('blend'),
    fill: shared('fill'),
    copy: shared('copy'),
    triangle: shared('triangle'),
  };
  return {
    convert(dst, s, width, k, y0, y1) {
      kernels.convert(width * (y1 - y0), [
        ...[dst.base, dst.pitch, s.base, s.pitch, s.u, s.uPitch, s.v, s.vPitch],
        ...[s.layout, s.xOdd, s.yOdd, width, y0, y1, k.yo, k.cy, k.crv, k.cgu, k.cgv, k.cbu],
      ]);
    },
    pack({ dst, src, width, height, k }, y0, y1) {
      kernels.pack(width * (y1 - y0), [
        ...[dst.layout, dst.base, dst.pitch, dst.u, dst.uPitch, dst.v, dst.vPitch],
        ...[src.base, src.pitch, width, height, y0, y1, k.yo],
        ...[k.y, k.u, k.v].flatMap(({ b, g, r }) => [b, g, r]),
      ]);
    },
    scale(op, y0, y1) {
      const room = scratchFor(op, scratch);
      const s = op.packed?.src;
      const k = op.packed?.k;
      const args = [
        ...[op.bilinear ? 1 : 0, room, op.dst.base, op.dst.pitch, op.width, y0, y1],
        ...[
          op.src.base,
          op.src.pitch,
          op.sourceWidth,
          op.sourceHeight,
          op.stepX,
          op.stepY,
          op.orMask,
        ],
        ...[
          s?.u ?? 0,
          s?.uPitch ?? 0,
          s?.v ?? 0,
          s?.vPitch ?? 0,
          s?.layout ?? 0,
          s?.xOdd ?? 0,
          s?.yOdd ?? 0,
        ],
        ...[k?.yo ?? 0, k?.cy ?? 0, k?.crv ?? 0, k?.cgu ?? 0, k?.cgv ?? 0, k?.cbu ?? 0],
      ];
      // Each thread's part begins at a multiple of 16.
      kernels.scale(op.width * (y1 - y0), args, scratchBytesOf(op));
    },
    blend({ dst, src, width, coverage, alpha, orMask }, y0, y1) {
      kernels.blend(width * (y1 - y0), [
        ...[dst.base, dst.pitch, src.base, src.pitch, width, y0, y1],
        ...[coverage ? 1 : 0, alpha, orMask],
      ]);
    },
    fill(dst, width, pixel, y0, y1) {
      kernels.fill(width * (y1 - y0), [dst.base, dst.pitch, width, y0, y1, pixel]);
    },
    copy(dst, src, bytes, orMask, y0, y1) {
      // Rows that may overlap go in the order that the kernel chooses.
      const reach = Math.max(dst.pitch, src.pitch) * y1;
      const apart = Math.abs(dst.base - src.base) >= reach;
      const pixels = apart ? (bytes * (y1 - y0)) >> 2 : 0;
      const args = [dst.base, dst.pitch, src.base, src.pitch, bytes, y0, y1, orMask];
      kernels.copy(pixels, args);
    },
    triangle(op, y0, y1) {
      const { top, bottom } = op.triangle;
      const [first, end] = [Math.max(y0, top), Math.min(y1, bottom)];
      if (first >= end) return 0;
      return kernels.triangle((op.right - op.left) * (end - first), triangleArgs(op, first, end));
    },
  };

  function scratchFor(op: ScaleOp, range: WasmKernelOptions['scratch']): number {
    const need = scratchBytesOf(op) + SCRATCH_SLACK;
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
  }
}

/** What a scaling needs of scratch, from a multiple of 16; a multiple of 16 itself. */
function scratchBytesOf(op: ScaleOp): number {
  const packed = op.packed !== undefined;
  return scaleScratchBytes(op.sourceWidth, op.width, op.bilinear, packed);
}

function triangleArgs(op: TriangleOp, y0: number, y1: number): number[] {
  const { triangle: t, dst, texture } = op;
  const filter = texture === undefined ? 0 : op.bilinear ? 2 : 1;
  const { src, width = 0, height = 0, orMask = 0 } = texture ?? {};
  const planes = [...t.edges, t.blue, t.green, t.red, t.alpha, t.u, t.v];
  return [
    ...[dst.base, dst.pitch, y0, y1, op.left, op.right, op.orMask, op.over ? 1 : 0],
    ...[filter, src?.base ?? 0, src?.pitch ?? 0, width, height, orMask, t.x, t.y],
    ...planes.flatMap(({ at, x, y }) => [at, x, y]),
  ];
}

interface Loaded {
  readonly ops: KernelOps;
  readonly reaches: (image: Image) => boolean;
}

function load(memory: WebAssembly.Memory, { scratch, module, split }: WasmKernelOptions): Loaded {
  const instance = new WebAssembly.Instance(module ?? loadKernelModule(), { env: { memory } });
  const pool = memory.buffer;
  return {
    ops: makeOps(instance.exports, pool, scratch, split),
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
  return makeFront(
    'either',
    () => true,
    (_call, dst, src) => {
      const inPool = loaded?.reaches(dst) === true && (src === undefined || loaded.reaches(src));
      return inPool && loaded !== undefined ? loaded.ops : plainOps;
    },
  );
}
