/**
 * The table of the user's kernels in the GPU's shared words: which module and which export of it an id names. The
 * device (and each of its cores) loads a kernel by it, again after a restart.
 */

import { KERNEL, kernelsAt, sizesOf } from './layout.js';
import { RecordTable, type RecordHandle, type TableDoor } from './record-table.js';

/** 'module': a function over typed views; 'wasm': one on the pool's memory. KIND is an index into it. */
const KERNEL_KINDS = ['module', 'wasm'] as const;
export type KernelKind = (typeof KERNEL_KINDS)[number];

/** What a kernel is. */
export interface KernelInfo {
  readonly kind: KernelKind;
  /** URL of its module. */
  readonly url: string;
  /** Name of the export. */
  readonly entry: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class KernelTable extends RecordTable {
  readonly #door: TableDoor;

  constructor(door: TableDoor) {
    const sizes = sizesOf(door.spec.options);
    const at = kernelsAt(sizes);
    super(door, { what: 'kernel', at, words: KERNEL.WORDS, count: sizes.kernels });
    this.#door = door;
  }

  /** Adds a kernel with one handle, which the caller owns. Its texts fit (KERNEL_TEXT_BYTES). ENOSPC when full. */
  register({ kind, url, entry }: KernelInfo): RecordHandle {
    const { words } = this.#door;
    const urlBytes = encoder.encode(url);
    const entryBytes = encoder.encode(entry);
    return this.add('load_kernel', (at) => {
      words.set(at + KERNEL.KIND, KERNEL_KINDS.indexOf(kind));
      words.set(at + KERNEL.ARITY, 0);
      words.set(at + KERNEL.URL_BYTES, urlBytes.length);
      words.set(at + KERNEL.ENTRY_BYTES, entryBytes.length);
      const text = new Uint8Array([...urlBytes, ...entryBytes]);
      for (let i = 0; i < text.length; i += 4) {
        const [a = 0, b = 0, c = 0, d = 0] = text.subarray(i, i + 4);
        words.set(at + KERNEL.TEXT + (i >> 2), a | (b << 8) | (c << 16) | (d << 24));
      }
    });
  }

  /** What a live kernel is. ENOENT when it is gone. */
  info(id: number): KernelInfo {
    const { words } = this.#door;
    const at = this.find(id);
    const urlBytes = words.get(at + KERNEL.URL_BYTES);
    const length = urlBytes + words.get(at + KERNEL.ENTRY_BYTES);
    const text = Uint8Array.from({ length }, (_, i) => {
      return words.get(at + KERNEL.TEXT + (i >> 2)) >>> ((i & 3) * 8);
    });
    return {
      kind: KERNEL_KINDS[words.get(at + KERNEL.KIND)] ?? 'module',
      url: decoder.decode(text.subarray(0, urlBytes)),
      entry: decoder.decode(text.subarray(urlBytes)),
    };
  }

  /** Parameters of a wasm function, once the device has loaded it. ENOENT. */
  arity(id: number): number {
    return this.#door.words.load(this.find(id) + KERNEL.ARITY);
  }

  /** By the device that has loaded it, and by its cores: they all say the same. ENOENT. */
  setArity(id: number, parameters: number): void {
    this.#door.words.store(this.find(id) + KERNEL.ARITY, parameters);
  }
}
