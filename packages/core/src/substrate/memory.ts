/**
 * Mem, second of the three substrate interfaces (design D2): how memory is made, sent and imported.
 *
 * For worker threads a region is a SharedArrayBuffer, or the buffer of a shared
 * `WebAssembly.Memory` (the pool that SIMD kernels and decoders work on in place), and its token is
 * the object itself: posting it through a MessagePort shares it.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * A WebAssembly.Memory, by its shape: published types do not name the global, which TypeScript knows
 * only with its dom lib.
 */
export interface WasmMemory {
  readonly buffer: ArrayBufferLike;
  grow(pages: number): number;
}

/** A region as one thread has it. */
export interface RegionMemory {
  readonly buffer: ArrayBufferLike;
  /** The pool's wasm memory; undefined for a plain region. */
  readonly wasm: WasmMemory | undefined;
  /** What is posted to another thread to share the region. */
  readonly token: SharedArrayBuffer | WasmMemory;
}
export type RegionToken = RegionMemory['token'];

export interface Mem {
  /** A zeroed region of `bytes`. Throws RangeError where the host has no memory left. */
  makeRegion(bytes: number): RegionMemory;
  /** A zeroed pool: shared wasm memory of `bytes`, a multiple of 64 KiB, that never grows. */
  makePool(bytes: number): RegionMemory;
  importRegion(token: RegionToken): RegionMemory;
  /** Memory that somebody else made, if it is of a kind that can be shared as a region; else undefined. */
  adopt(memory: unknown): RegionMemory | undefined;
  /** Has this thread give back memory that nothing here refers to any more, if the host can be asked to. Blocks. */
  collect(): void;
}

export const WASM_PAGE = 65536;

/**
 * Wasm memory that threads share and that grows, for a wasm module of a driver's own. It is no region until
 * `door.adoptRegion` makes it one, of the bytes that it then has. RangeError: the host has no address space left for it.
 */
export function sharedWasmMemory(pages: {
  readonly initial: number;
  readonly maximum: number;
}): WasmMemory {
  return new WebAssembly.Memory({ ...pages, shared: true });
}

export const threadMem: Mem = {
  makeRegion(bytes) {
    const buffer = new SharedArrayBuffer(bytes);
    return { buffer, wasm: undefined, token: buffer };
  },
  makePool(bytes) {
    const pages = Math.ceil(bytes / WASM_PAGE);
    const wasm = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    return { buffer: wasm.buffer, wasm, token: wasm };
  },
  importRegion(token) {
    if (token instanceof SharedArrayBuffer) return { buffer: token, wasm: undefined, token };
    return { buffer: token.buffer, wasm: token, token };
  },
  adopt(memory) {
    if (memory instanceof SharedArrayBuffer) return threadMem.importRegion(memory);
    if (!isWasmMemory(memory) || !(memory.buffer instanceof SharedArrayBuffer)) return undefined;
    return threadMem.importRegion(memory);
  },
  collect() {
    gc ??= exposedGc();
    gc();
  },
};

let gc: (() => void) | undefined;

/** The engine's collector; nothing where it cannot be had. A context that is made while the flag is set has it. */
function exposedGc(): () => void {
  setFlagsFromString('--expose-gc');
  const exposed: unknown = runInNewContext('typeof gc === "function" && (() => void gc())');
  setFlagsFromString('--no-expose-gc');
  return isCall(exposed) ? exposed : () => {};
}

function isCall(value: unknown): value is () => void {
  return typeof value === 'function';
}

function isWasmMemory(memory: unknown): memory is WasmMemory {
  return memory instanceof WebAssembly.Memory;
}
