/**
 * The composer: draws planes one after the other onto a frame (vkms_composer.c).
 *
 * Owned by the writeback worker. Source rows are copied into a few line buffers in memory of its own,
 * like the line FIFOs of a display controller, so it does not matter what heap a framebuffer is in. There
 * they become 32-bit pixels, are scaled, and are blended onto the frame.
 *
 * Scaling takes the nearest pixel: column x of a plane shows column
 * `floor((SRC_X + floor((2x + 1)·SRC_W / (2·CRTC_W))) / 65536)` of its framebuffer, x counted from CRTC_X,
 * and rows likewise. What lies behind all planes is black.
 */
import { DmaBufError } from '@dmabuf/core';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_YUV420,
  minPitch,
  planeHeight,
  formatInfo,
  fourccName,
} from '../fourcc.js';
import {
  DRM_MODE_BLEND_PIXEL_NONE,
  DRM_MODE_BLEND_PREMULTI,
  type PlaneState,
} from '../plane-state.js';
import { type RowOps, yuvCoefficients } from './ops.js';
import { plainOps } from './plain.js';
import { wasmOps } from './wasm.js';

/** A framebuffer in the memory of its buffer. */
export interface Source {
  readonly bytes: Uint8Array<ArrayBufferLike>;
  readonly fourcc: number;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Bytes, one entry for each plane of the format. */
  readonly pitches: readonly number[];
  readonly offsets: readonly number[];
}

/** Bytes of a line buffer: the widest row of 32-bit pixels, and slack for vectors. */
const LINE = 8192 * 4 + 64;
/** Where the line buffers begin, and behind them the frame. */
const RAW = 0;
const U = LINE;
const V = 2 * LINE;
const PIXELS = 3 * LINE;
const SCALED = 4 * LINE;
const MAP = 5 * LINE;
const FRAME = 6 * LINE;
const PAGE = 65536;
const OPAQUE = 0xff000000;

/** `floor((start + floor((2k + 1)·size / (2·count))) / 65536)`, exactly, and inside the framebuffer. */
function sourceAt(k: number, start: number, size: number, count: number, limit: number): number {
  // Products stay below 2^48, quotients are whole multiples of 1/(2·count) below 2^30: floor is exact.
  const at = start + Math.floor(((2 * k + 1) * size) / (2 * count));
  return Math.min(limit - 1, Math.floor(at / 65536));
}

export class Composer {
  readonly #memory: WebAssembly.Memory;
  readonly #ops: (memory: WebAssembly.Memory) => RowOps;
  #rows: RowOps;
  #bytes: Uint8Array;
  #words: Uint32Array;
  #width = 0;
  #height = 0;

  /** `plain`: without SIMD, for tests. ENOENT: the kernels are not where this module is. */
  constructor(plain = false) {
    this.#memory = new WebAssembly.Memory({ initial: Math.ceil(FRAME / PAGE) });
    this.#ops = plain ? (memory) => plainOps(memory.buffer) : wasmOps;
    this.#rows = this.#ops(this.#memory);
    this.#bytes = new Uint8Array(this.#memory.buffer);
    this.#words = new Uint32Array(this.#memory.buffer);
  }

  get width(): number {
    return this.#width;
  }

  get height(): number {
    return this.#height;
  }

  /** The frame, row by row without padding, 0xFFRRGGBB. Its memory is the composer's: copy what is to stay. */
  get pixels(): Uint32Array {
    return this.#words.subarray(FRAME / 4, FRAME / 4 + this.#width * this.#height);
  }

  /** Begins a frame: black. */
  clear(width: number, height: number): void {
    const needed = FRAME + width * height * 4 + 64;
    const have = this.#memory.buffer.byteLength;
    if (needed > have) {
      this.#memory.grow(Math.ceil((needed - have) / PAGE));
      this.#rows = this.#ops(this.#memory);
      this.#bytes = new Uint8Array(this.#memory.buffer);
      this.#words = new Uint32Array(this.#memory.buffer);
    }
    this.#width = width;
    this.#height = height;
    this.pixels.fill(OPAQUE);
  }

  /** Draws a plane over what is there. EINVAL: the framebuffer is not inside its memory; EINVAL: its format. */
  draw(source: Source, state: PlaneState): void {
    checkSource(source);
    const { crtcX, crtcY, crtcW, crtcH, srcX, srcY, srcW, srcH } = state;
    const left = Math.max(0, crtcX);
    const right = Math.min(this.#width, crtcX + crtcW);
    const top = Math.max(0, crtcY);
    const bottom = Math.min(this.#height, crtcY + crtcH);
    if (left >= right || top >= bottom || srcW === 0 || srcH === 0) return;
    const column = (x: number): number => sourceAt(x - crtcX, srcX, srcW, crtcW, source.width);
    const first = column(left);
    const last = column(right - 1);
    const n = right - left;
    const scaled = last - first + 1 !== n || srcW !== crtcW * 65536;
    if (scaled) for (let i = 0; i < n; i++) this.#words[MAP / 4 + i] = column(left + i) - first;
    let fetched = -1;
    for (let y = top; y < bottom; y++) {
      const row = sourceAt(y - crtcY, srcY, srcH, crtcH, source.height);
      if (row !== fetched) {
        this.#fetch(source, state, row, first, last - first + 1);
        if (scaled) this.#rows.gather(SCALED, PIXELS, MAP, n);
        fetched = row;
      }
      this.#blend(source, state, FRAME + (y * this.#width + left) * 4, scaled ? SCALED : PIXELS, n);
    }
  }

  #blend({ fourcc }: Source, state: PlaneState, dst: number, src: number, n: number): void {
    const noAlpha = fourcc !== DRM_FORMAT_ARGB8888 || state.blend === DRM_MODE_BLEND_PIXEL_NONE;
    const coverage = state.blend === DRM_MODE_BLEND_PREMULTI ? 0 : 1;
    this.#rows.blend(dst, src, n, coverage, planeAlpha(state), noAlpha ? OPAQUE | 0 : 0);
  }

  /** `n` pixels of a row, from column `x`, into the line of 32-bit pixels. */
  #fetch(source: Source, state: PlaneState, row: number, x: number, n: number): void {
    const { fourcc } = source;
    const at = (plane: number, y: number): number =>
      (source.offsets[plane] ?? 0) + y * (source.pitches[plane] ?? 0);
    if (fourcc === DRM_FORMAT_NV12 || fourcc === DRM_FORMAT_YUV420) {
      this.#copy(source, RAW, at(0, row) + x, n);
      const [cx, cy] = [x >> 1, row >> 1];
      const samples = ((x + n - 1) >> 1) - cx + 1;
      const k = yuvCoefficients(state.encoding, state.range);
      if (fourcc === DRM_FORMAT_NV12) {
        this.#copy(source, U, at(1, cy) + cx * 2, samples * 2);
        this.#rows.yuv(PIXELS, RAW, U, U + 1, 2, x & 1, n, ...k);
      } else {
        this.#copy(source, U, at(1, cy) + cx, samples);
        this.#copy(source, V, at(2, cy) + cx, samples);
        this.#rows.yuv(PIXELS, RAW, U, V, 1, x & 1, n, ...k);
      }
    } else if (fourcc === DRM_FORMAT_RGB565) {
      this.#copy(source, RAW, at(0, row) + x * 2, n * 2);
      this.#rows.expand565(PIXELS, RAW, n);
    } else {
      this.#copy(source, PIXELS, at(0, row) + x * 4, n * 4);
    }
  }

  #copy({ bytes }: Source, to: number, from: number, length: number): void {
    this.#bytes.set(bytes.subarray(from, from + length), to);
  }
}

/** Plane alpha of 16 bits as 8, rounded. */
export function planeAlpha({ alpha }: PlaneState): number {
  return Math.round(alpha / 257);
}

function checkSource({ bytes, fourcc, width, height, pitches, offsets }: Source): void {
  const info = formatInfo(fourcc);
  if (info === undefined) {
    throw new DmaBufError('EINVAL', 'compose', `no plane scans out ${fourccName(fourcc)}`);
  }
  for (let plane = 0; plane < info.cpp.length; plane++) {
    const rows = planeHeight(info, plane, height);
    const row = minPitch(info, plane, width);
    const end = (offsets[plane] ?? 0) + (rows - 1) * (pitches[plane] ?? 0) + row;
    if ((pitches[plane] ?? 0) >= row && end <= bytes.byteLength) continue;
    const detail = `plane ${plane} of the framebuffer ends at byte ${end} of a buffer of ${bytes.byteLength}`;
    throw new DmaBufError('EINVAL', 'compose', detail);
  }
}
