/**
 * What the kernel tests share: a pool with random contents laid out twice (once for wasm, once for
 * plain), random images in it, and a comparison of *all* bytes with a reference that works on a
 * copy, so that a byte changed outside its rectangle is seen as well.
 */
import * as assert from 'uvu/assert';
import { DRM_FORMAT_YUV420, formatInfo, minPitch, planeHeight, type FourCC } from '../fourcc.js';
import type { Image, Kernels, Rect } from './kernels.js';
import { plainKernels } from './plain.js';
import { wasmKernels } from './wasm.js';

const PAGES = 24;
const SCRATCH = 131072;
const USED = PAGES * 65536 - SCRATCH;

// check-layers: allow shared-memory -- the kernels' contract is any shared wasm memory, whoever made it
/** Shared wasm memory of `pages`, zeroed, of any maximum. */
export function sharedMemory(pages: number, maximum: number = pages): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: pages, maximum, shared: true });
}

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from `low` to `high`, both included (mulberry32). */
  int(low: number, high: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return low + (((t ^ (t >>> 14)) >>> 0) % (high - low + 1));
  }

  pick<T>(choices: readonly T[]): T {
    const found = choices[this.int(0, choices.length - 1)];
    if (found === undefined) throw new RangeError('nothing to pick from');
    return found;
  }

  /** A rectangle inside width x height, often the whole, sometimes of the given size. */
  rect(width: number, height: number, size?: Rect): Rect {
    if (size === undefined && this.int(0, 3) === 0) return { x: 0, y: 0, width, height };
    const w = size?.width ?? this.int(1, width);
    const h = size?.height ?? this.int(1, height);
    return { x: this.int(0, width - w), y: this.int(0, height - h), width: w, height: h };
  }
}

/** Same images, same bytes, for the wasm kernels and for the plain ones. */
export class Bench {
  readonly random: Random;
  readonly memory: WebAssembly.Memory = sharedMemory(PAGES);
  readonly #wasmBytes = new Uint8Array(this.memory.buffer, 0, USED);
  readonly #plainBytes = new Uint8Array(USED);
  readonly #wasm: Kernels = wasmKernels(this.memory, {
    scratch: { byteOffset: USED + 3, byteLength: SCRATCH - 3 },
  });
  #top = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.scramble();
  }

  /** Forgets all images and fills memory with new noise, rich in extremes. */
  scramble(): void {
    const words = new Uint32Array(this.#plainBytes.buffer);
    for (let i = 0; i < words.length; i++) {
      const noise = this.random.int(0, 0xffffffff);
      words[i] = (i & 48) === 0 ? 0 : (i & 48) === 16 ? noise | 0xff000000 : noise;
    }
    this.#wasmBytes.set(this.#plainBytes);
    this.#top = 0;
  }

  /** An image at a random offset, with random pitches and gaps. */
  image(fourcc: FourCC, width: number, height: number): Image {
    const info = formatInfo(fourcc);
    if (info === undefined) throw new RangeError('unknown format');
    const byteOffset = this.#top + this.random.int(0, 70);
    let size = 0;
    const planes = info.planes.map((plane) => {
      const offset = size + this.random.int(0, 9);
      const pitch = minPitch(plane, width) + this.random.pick([0, 0, 1, 4, 13, 16]);
      size = offset + (planeHeight(plane, height) - 1) * pitch + minPitch(plane, width);
      return { offset, pitch };
    });
    this.#top = byteOffset + size;
    if (this.#top > USED) throw new RangeError('bench memory is full: scramble() first');
    return {
      memory: this.memory.buffer,
      byteOffset,
      byteLength: size,
      fourcc,
      width,
      height,
      planes,
    };
  }

  /**
   * Runs `call` with both implementations and `reference` on a copy of the bytes: all memory must
   * be equal afterwards.
   */
  compare(
    what: string,
    call: (kernels: Kernels, at: (image: Image) => Image) => void,
    reference: (bytes: Uint8Array) => void,
  ): void {
    const expected = this.#plainBytes.slice();
    reference(expected);
    call(plainKernels, (image) => ({ ...image, memory: this.#plainBytes.buffer }));
    call(this.#wasm, (image) => image);
    assert.ok(
      difference(this.#plainBytes, expected) === '',
      `plain: ${what}: ${difference(this.#plainBytes, expected)}`,
    );
    assert.ok(
      difference(this.#wasmBytes, expected) === '',
      `wasm: ${what}: ${difference(this.#wasmBytes, expected)}`,
    );
  }

  get wasm(): Kernels {
    return this.#wasm;
  }
}

function difference(got: Uint8Array<ArrayBufferLike>, expected: Uint8Array): string {
  if (Buffer.compare(Buffer.from(got.buffer, got.byteOffset, got.length), expected) === 0)
    return '';
  const at = expected.findIndex((byte, i) => byte !== got[i]);
  return `byte ${at} is ${got[at]}, should be ${expected[at]}`;
}

/** The address of a pixel of a 32-bit image. */
export function pixelAddress(image: Image, x: number, y: number): number {
  const { offset = 0, pitch = 0 } = image.planes[0] ?? {};
  return image.byteOffset + offset + y * pitch + x * 4;
}

/** Four bytes B, G, R, A of a 32-bit image. */
export function pixelAt(bytes: Uint8Array, image: Image, x: number, y: number): number[] {
  const at = pixelAddress(image, x, y);
  return [...bytes.subarray(at, at + 4)];
}

/** Y, Cb, Cr of a pixel of YUV420, NV12 or NV21 (named by its format's definition). */
export function yuvAt(
  bytes: Uint8Array,
  image: Image,
  x: number,
  y: number,
): [number, number, number] {
  const at = (plane: number, index: number, row: number): number => {
    const { offset = 0, pitch = 0 } = image.planes[plane] ?? {};
    return bytes[image.byteOffset + offset + row * pitch + index] ?? 0;
  };
  const cx = Math.floor(x / 2);
  const cy = Math.floor(y / 2);
  const luma = at(0, x, y);
  if (image.fourcc === DRM_FORMAT_YUV420) return [luma, at(1, cx, cy), at(2, cx, cy)];
  const pair: [number, number] = [at(1, 2 * cx, cy), at(1, 2 * cx + 1, cy)];
  const swapped = image.fourcc === 0x3132564e; // 'NV21'
  return swapped ? [luma, pair[1], pair[0]] : [luma, pair[0], pair[1]];
}

/** Row ranges that make up 0..height, in random order. */
export function splitRows(random: Random, height: number): { y0: number; y1: number }[] {
  const cuts = [0, random.int(0, height), random.int(0, height), height].sort((a, b) => a - b);
  const ranges = [0, 1, 2].map((i) => ({ y0: cuts[i] ?? 0, y1: cuts[i + 1] ?? height }));
  return random.int(0, 1) === 0 ? ranges.reverse() : ranges;
}
