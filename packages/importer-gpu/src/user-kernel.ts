/**
 * Kernels of the user's: a module that the GPU loads and runs over a grid (a compute shader).
 *
 * `'module'` (a JavaScript module): the export is a function that is called with a {@link KernelCall}: typed views of
 * the images, wherever they lie, and the part of the grid that it is to do.
 *
 * `'wasm'`: the module imports `env.memory`, which is the pool's (declare it shared, with a maximum that is not
 * below the pool's size), and nothing else. The export is called with numbers: x0, y0, x1, y1, then for each image
 * its width and height, then for each plane its address and pitch in bytes; then the arguments. Images must
 * lie in the pool. It may use no memory but its images'; the pool belongs to others too.
 *
 * A kernel is called for parts of the grid that make it up, in any order, and by several shader cores at once, each with
 * a module of its own. So it must not depend on what it writes elsewhere in the grid, nor on what its module remembers. It runs with the device's rights: as drivers, kernels are
 * trusted code.
 */
import { DmaBufError } from '@dmabuf/core';
import type { FourCC } from './fourcc.js';
import type { GpuImage } from './image.js';
import type { KernelInfo, KernelKind, KernelTable } from './kernel-table.js';
import type { ColorSpec } from './kernels/color.js';
import { KERNEL_TEXT_BYTES } from './layout.js';
import type { RecordHandle } from './record-table.js';

/**
 * What a kernel does with an image: `read`; `readwrite`; `overwrite`: all of it, without reading it, so that it
 * does not matter if an earlier writer failed. The order is that of their numbers in a payload.
 */
export const KERNEL_ACCESS = ['read', 'readwrite', 'overwrite'] as const;
export type KernelAccess = (typeof KERNEL_ACCESS)[number];

/** An image of a dispatch. */
export interface KernelImageUse {
  readonly image: GpuImage;
  readonly access: KernelAccess;
}

/** A plane as a kernel sees it. */
export interface KernelPlane {
  /** From its first row to the end of its last; row y begins at y * pitch. */
  readonly bytes: Uint8Array<ArrayBufferLike>;
  /** The same as 32-bit words; undefined where it does not begin at, or its pitch is no, multiple of 4. */
  readonly words: Uint32Array<ArrayBufferLike> | undefined;
  readonly pitch: number;
}

/** An image as a kernel sees it. */
export interface KernelImage {
  readonly fourcc: FourCC;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Of a frame: where its visible part starts and how large it is; else all of it. */
  readonly visible: {
    readonly x: number;
    readonly y: number;
    readonly width: number;
    readonly height: number;
  };
  readonly color: ColorSpec;
  readonly planes: readonly KernelPlane[];
}

/** What a kernel of a module is called with. */
export interface KernelCall {
  /** In the order of the dispatch. Views are good for this call alone. */
  readonly images: readonly KernelImage[];
  readonly args: readonly number[];
  /** The part of the grid that this call does: x0 <= x < x1, y0 <= y < y1. */
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
  /** The whole grid. */
  readonly grid: { readonly width: number; readonly height: number };
}

/** The export of a kernel's module. What it throws fails the job with EIO. */
export type KernelFunction = (call: KernelCall) => void;

/** What `loadKernel` is told. */
export interface KernelRequest {
  /** `file:` URL of the module. */
  readonly url: URL | string;
  /** Name of the export; default `'main'`. */
  readonly entry?: string;
  /** Default: `'wasm'` for a name that ends in .wasm, else `'module'`. */
  readonly kind?: KernelKind;
}

/** What a request means. EINVAL: no file URL; E2BIG: its texts are too long. */
export function kernelInfo({ url, entry = 'main', kind }: KernelRequest): KernelInfo {
  const href = String(url);
  if (typeof entry !== 'string' || entry === '') {
    throw new TypeError(`loadKernel: entry must be the name of an export, got ${String(entry)}`);
  }
  if (kind !== undefined && kind !== 'wasm' && kind !== 'module') {
    throw new TypeError(`loadKernel: kind must be 'wasm' or 'module', got ${String(kind)}`);
  }
  if (!URL.canParse(href) || new URL(href).protocol !== 'file:') {
    const detail = `'${href}' is no file: URL; give new URL('./kernel.js', import.meta.url)`;
    throw new DmaBufError('EINVAL', 'load_kernel', detail);
  }
  const bytes = Buffer.byteLength(href) + Buffer.byteLength(entry);
  if (bytes > KERNEL_TEXT_BYTES) {
    const detail = `the URL and the name of the export take ${bytes} bytes; there is room for ${KERNEL_TEXT_BYTES}`;
    throw new DmaBufError('E2BIG', 'load_kernel', detail);
  }
  const guess = new URL(href).pathname.endsWith('.wasm') ? 'wasm' : 'module';
  return { url: href, entry, kind: kind ?? guess };
}

/** A handle of a kernel. Made by `GpuContext.loadKernel` and `kernelById`. */
export class GpuKernel {
  /** Names it in every thread of the machine: `GpuContext.kernelById`. */
  readonly id: number;
  /** Actor id of the GPU that has it. */
  readonly actor: number;
  readonly kind: KernelKind;
  readonly url: string;
  readonly entry: string;
  readonly #table: KernelTable;
  readonly #handle: RecordHandle;
  readonly #gone: () => void;
  #open = true;

  /** By GpuContext alone. Takes the handle over; `gone` is called when the last reference has been dropped. */
  constructor(table: KernelTable, handle: RecordHandle, actor: number, gone: () => void) {
    const { kind, url, entry } = table.info(handle.id);
    this.id = handle.id;
    this.actor = actor;
    this.kind = kind;
    this.url = url;
    this.entry = entry;
    this.#table = table;
    this.#handle = handle;
    this.#gone = gone;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Closes this handle. Jobs that are queued still run. Harmless the second time. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#table.close(this.#handle)) this.#gone();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
