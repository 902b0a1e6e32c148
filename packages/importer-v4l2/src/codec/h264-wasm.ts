/**
 * H264Wasm: one h264bsd context in one wasm memory, through the module of the h264decoder package.
 *
 * Owned by one H264Decoder. The package's own wrapper is not used, for it asks for output
 * reordering (which 23 of 29 conformance streams fail with), has an unchecked input buffer of
 * 1 MiB, and cannot start anew. The module's data, stack and heap have absolute addresses, so a
 * memory holds one context; it exports no free, so starting anew clears the whole memory and
 * instantiates again: the same state as a fresh one, and nothing for the collector to find. Where pictures are left
 * in place the memory is shared between threads, and one in which a picture is still looked at is left to
 * whoever looks.
 */
import { DmaBufError } from '@dmabuf/core';
import { sharedWasmMemory, type WasmMemory } from '@dmabuf/core/driver';
import { H264Dpb } from './h264-dpb.js';
import { sharedH264Module } from './h264-module.js';

/** What h264bsd's decode returns, as far as it matters; 3 is "error", 4 "parameter set error". */
export const H264BSD_PIC_RDY = 1;
export const H264BSD_MEMALLOC_ERROR = 5;
/** Not of h264bsd: the module trapped. The context is unusable until `renew`. */
export const H264BSD_TRAP = -1;

const PAGE = 65536;
const INITIAL_PAGES = 256;
/** 512 MiB: twice what 17 frames of level 5.1, the largest accepted, take. */
const MAXIMUM_PAGES = 8192;
/** Shared memory grows by so much at least: whoever looks at it is given it anew each time. */
const SHARED_GROWTH_PAGES = 256;
/** Address of the word that holds the heap's end, and where the heap begins (its dist/index.js). */
const DYNAMICTOP_PTR = 8752;
const DYNAMIC_BASE = 5251792;
const INPUT_BYTES = 1 << 20;
/** No access unit of a level that is accepted here comes near this. */
export const MAX_INPUT_BYTES: number = 16 << 20;

type WasmFunction = (...args: number[]) => number;

function wasmFunction(exports: Readonly<Record<string, unknown>>, name: string): WasmFunction {
  const found = exports[name];
  if (typeof found !== 'function') {
    const detail = `h264decoder exports no ${name}: version 1.0.0 is needed, npm install h264decoder@1.0.0`;
    throw new DmaBufError('ENOENT', 'open_codec', detail);
  }
  return (...args) => Number(Reflect.apply(found, undefined, args));
}

interface Context {
  readonly malloc: WasmFunction;
  readonly decode: WasmFunction;
  readonly storage: number;
  /** Address of three words: picture, width, height. */
  readonly results: number;
}

/** The frame that the last decode returned: I420 planes one after the other, `width` bytes a row. */
export interface H264Frame {
  readonly address: number;
  readonly width: number;
  readonly height: number;
}

export class H264Wasm {
  readonly #module: WebAssembly.Module;
  readonly #shared: boolean;
  #memory: WasmMemory;
  #bytes: Uint8Array<ArrayBufferLike>;
  #words: Uint32Array<ArrayBufferLike>;
  #dpb: H264Dpb;
  #context: Context;
  #input = 0;
  #inputSize = 0;

  private constructor(module: WebAssembly.Module, shared: boolean) {
    this.#module = module;
    this.#shared = shared;
    this.#memory = newMemory(shared);
    this.#bytes = new Uint8Array(this.#memory.buffer);
    this.#words = new Uint32Array(this.#memory.buffer);
    this.#context = this.#start();
    this.#dpb = new H264Dpb(this.#context.storage);
  }

  /**
   * Loads the module (once a thread) and starts a context in a memory of its own, which threads can share or not.
   * ENOENT: not the version of the package that is known.
   */
  static async open(shared: boolean = false): Promise<H264Wasm> {
    if (shared) return new H264Wasm(sharedH264Module(), true);
    const { h264Module } = await import('h264decoder/dist/h264.wasm.js');
    return new H264Wasm(h264Module, false);
  }

  /** The memory of the context; another one after a `renew` that left it. */
  get memory(): WasmMemory {
    return this.#memory;
  }

  /** Its decoded picture buffer, in {@link words}. */
  get dpb(): H264Dpb {
    return this.#dpb;
  }

  /** The wasm memory; a new array after it has grown, so ask again after every decode. */
  get bytes(): Uint8Array<ArrayBufferLike> {
    if (this.#bytes.buffer !== this.#memory.buffer)
      this.#bytes = new Uint8Array(this.#memory.buffer);
    return this.#bytes;
  }

  /** The same as 32-bit words; as lasting as {@link bytes}. */
  get words(): Uint32Array<ArrayBufferLike> {
    if (this.#words.buffer !== this.#memory.buffer)
      this.#words = new Uint32Array(this.#memory.buffer);
    return this.#words;
  }

  /**
   * Forgets everything: parameter sets, references, and whatever a trap has left behind. With `leave` in a new memory:
   * the old one stays as it is.
   */
  renew(leave: boolean = false): void {
    if (leave) this.#memory = newMemory(this.#shared);
    else this.bytes.fill(0);
    this.#context = this.#start();
    this.#dpb = new H264Dpb(this.#context.storage);
  }

  /** Address of so many bytes, which are never freed; 0: no memory. */
  malloc(bytes: number): number {
    return this.#context.malloc(bytes) >>> 0;
  }

  /** Decodes a list of Annex B pieces as one access unit; returns an H264BSD_ code. */
  decode(pieces: readonly Uint8Array<ArrayBufferLike>[]): number {
    const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
    try {
      if (!this.#reserve(size)) return H264BSD_MEMALLOC_ERROR;
      let at = this.#input;
      for (const piece of pieces) {
        this.bytes.set(piece, at);
        at += piece.length;
      }
      const { decode, storage, results } = this.#context;
      return decode(storage, this.#input, size, results, results + 4, results + 8);
    } catch {
      return H264BSD_TRAP;
    }
  }

  /** The picture of a decode that returned H264BSD_PIC_RDY; undefined if it lies nowhere. */
  frame(): H264Frame | undefined {
    const bytes = this.bytes;
    const words = new DataView(bytes.buffer, this.#context.results, 12);
    const address = words.getUint32(0, true);
    const width = words.getUint32(4, true);
    const height = words.getUint32(8, true);
    const size = (width * height * 3) / 2;
    if (address === 0 || size === 0 || address + size > bytes.length) return undefined;
    return { address, width, height };
  }

  #start(): Context {
    new DataView(this.#memory.buffer).setUint32(DYNAMICTOP_PTR, DYNAMIC_BASE, true);
    const memory = this.#memory;
    const instance = new WebAssembly.Instance(this.#module, {
      h264: {
        memory,
        memcpy: (to: number, from: number, size: number) => {
          this.bytes.copyWithin(to >>> 0, from >>> 0, (from >>> 0) + (size >>> 0));
        },
        resize: (size: number) => this.#grow(size >>> 0),
      },
    });
    const malloc = wasmFunction(instance.exports, 'malloc');
    const storage = wasmFunction(instance.exports, 'h264alloc')();
    const results = malloc(12);
    // 1: no output reordering, every picture comes out with its own packet.
    wasmFunction(instance.exports, 'init')(storage, 1);
    this.#input = 0;
    this.#inputSize = 0;
    return { malloc, decode: wasmFunction(instance.exports, 'decode'), storage, results };
  }

  #grow(size: number): boolean {
    const pages = this.#memory.buffer.byteLength / PAGE;
    const need = Math.ceil(size / PAGE) - pages;
    const least = this.#shared ? Math.min(SHARED_GROWTH_PAGES, MAXIMUM_PAGES - pages) : 0;
    try {
      if (need > 0) this.#memory.grow(Math.max(need, least));
      return true;
    } catch {
      return false;
    }
  }

  /** An input buffer of at least `size` bytes. Outgrown ones cannot be freed: they at least double. */
  #reserve(size: number): boolean {
    if (size <= this.#inputSize) return true;
    if (size > MAX_INPUT_BYTES) return false;
    let wanted = Math.max(INPUT_BYTES, this.#inputSize);
    while (wanted < size) wanted *= 2;
    const address = this.#context.malloc(wanted);
    if (address === 0) return false;
    this.#input = address;
    this.#inputSize = wanted;
    return true;
  }
}

function newMemory(shared: boolean): WasmMemory {
  if (shared) return sharedWasmMemory({ initial: INITIAL_PAGES, maximum: MAXIMUM_PAGES });
  return new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: MAXIMUM_PAGES });
}
