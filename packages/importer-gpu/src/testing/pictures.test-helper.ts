/**
 * Naive pictures: what the GPU must compute, pixel by pixel and from the published formulas alone,
 * without a line of the kernels. Slow on purpose.
 */
import type { Rect } from '../kernels/kernels.js';
import type { PlaneLayout } from '../fourcc.js';

/** Bytes B, G, R, A. */
export type Pixel = readonly [number, number, number, number];

export interface Picture {
  readonly width: number;
  readonly height: number;
  at(x: number, y: number): Pixel;
}

/** Fills bytes with slopes, edges and some noise, another picture for each seed. */
export function paint(bytes: Uint8Array<ArrayBufferLike>, seed: number): void {
  let noise = (seed * 2654435761) >>> 0 || 1;
  const row = Uint8Array.from(bytes, (_, i) => {
    noise ^= noise << 13;
    noise ^= noise >>> 17;
    noise ^= noise << 5;
    const slope = (i * 3 + (i >> 7) * (seed + 2)) & 255;
    const edge = ((i >> 5) + seed) % 11 === 0 ? 90 : 0;
    return (slope + edge + (noise & 15)) & 255;
  });
  bytes.set(row);
}

export function painted(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  paint(bytes, seed);
  return bytes;
}

/** A picture of 32-bit pixels. `opaque`: the fourth byte reads as 255. */
export function rgbPicture(
  bytes: Uint8Array,
  width: number,
  height: number,
  opaque: boolean,
): Picture {
  const at = (x: number, y: number): Pixel => {
    const [b = 0, g = 0, r = 0, a = 0] = bytes.subarray((y * width + x) * 4);
    return [b, g, r, opaque ? 255 : a];
  };
  return { width, height, at };
}

export interface YuvShape {
  readonly planes: readonly PlaneLayout[];
  /** Bytes from one chroma sample to the next, and where Cb and Cr are: plane, byte. */
  readonly step: 1 | 2;
  readonly cb: readonly [number, number];
  readonly cr: readonly [number, number];
}

export const I420: Omit<YuvShape, 'planes'> = { step: 1, cb: [1, 0], cr: [2, 0] };
export const NV12: Omit<YuvShape, 'planes'> = { step: 2, cb: [1, 0], cr: [1, 1] };
export const NV21: Omit<YuvShape, 'planes'> = { step: 2, cb: [1, 1], cr: [1, 0] };

/** 4:2:0 YCbCr to RGB with the matrices of ITU-R BT.601 and BT.709 in 1/8192, rounded. */
export function yuvPicture(
  bytes: Uint8Array,
  size: { width: number; height: number },
  shape: YuvShape,
  matrix: 601 | 709,
  full: boolean,
): Picture {
  const [kr, kb] = matrix === 601 ? [0.299, 0.114] : [0.2126, 0.0722];
  const kg = 1 - kr - kb;
  const luma = full ? 1 : 255 / 219;
  const chroma = full ? 1 : 255 / 224;
  const q = (value: number): number => Math.round(value * 8192);
  const cy = q(luma);
  const crv = q(2 * (1 - kr) * chroma);
  const cbu = q(2 * (1 - kb) * chroma);
  const cgu = q((-2 * (1 - kb) * kb * chroma) / kg);
  const cgv = q((-2 * (1 - kr) * kr * chroma) / kg);
  const { planes, step, cb, cr } = shape;
  const byte = (plane: number, x: number, y: number): number => {
    const { offset = 0, pitch = 0 } = planes[plane] ?? {};
    return bytes[offset + y * pitch + x] ?? NaN;
  };
  const clamp = (value: number): number => Math.min(255, Math.max(0, Math.floor(value / 8192)));
  const at = (x: number, y: number): Pixel => {
    const l = cy * (byte(0, x, y) - (full ? 0 : 16)) + 4096;
    const u = byte(cb[0], (x >> 1) * step + cb[1], y >> 1) - 128;
    const v = byte(cr[0], (x >> 1) * step + cr[1], y >> 1) - 128;
    return [clamp(l + cbu * u), clamp(l + cgu * u + cgv * v), clamp(l + crv * v), 255];
  };
  return { ...size, at };
}

export function crop(picture: Picture, { x: left, y: top, width, height }: Rect): Picture {
  return { width, height, at: (x, y) => picture.at(x + left, y + top) };
}

/** Pixel-centre scaling in 16.16 fixed point, with 8-bit weights. */
export function scaled(
  picture: Picture,
  width: number,
  height: number,
  filter: 'nearest' | 'bilinear',
): Picture {
  if (picture.width === width && picture.height === height) return picture;
  const stepX = Math.floor((picture.width * 65536) / width);
  const stepY = Math.floor((picture.height * 65536) / height);
  const nearest = (i: number, step: number): number => (i * step + (step >> 1)) >> 16;
  const linear = (i: number, step: number, size: number): [number, number, number] => {
    const p = Math.min(Math.max(i * step + (step >> 1) - 32768, 0), (size - 1) << 16);
    return [p >> 16, Math.min((p >> 16) + 1, size - 1), (p >> 8) & 255];
  };
  const at = (x: number, y: number): Pixel => {
    if (filter === 'nearest') return picture.at(nearest(x, stepX), nearest(y, stepY));
    const [x0, x1, fx] = linear(x, stepX, picture.width);
    const [y0, y1, fy] = linear(y, stepY, picture.height);
    const [p00, p01, p10, p11] = [
      picture.at(x0, y0),
      picture.at(x1, y0),
      picture.at(x0, y1),
      picture.at(x1, y1),
    ];
    const mix = (c: 0 | 1 | 2 | 3): number => {
      const upper = (256 - fx) * p00[c] + fx * p01[c];
      const lower = (256 - fx) * p10[c] + fx * p11[c];
      return Math.floor(((256 - fy) * upper + fy * lower + 32768) / 65536);
    };
    return [mix(0), mix(1), mix(2), mix(3)];
  };
  return { width, height, at };
}

/** A canvas of opaque 32-bit pixels, tightly packed. */
export class Canvas {
  readonly bytes: Uint8Array;
  readonly width: number;

  constructor(bytes: Uint8Array, width: number) {
    this.bytes = bytes;
    this.width = width;
  }

  draw(picture: Picture, x0: number, y0: number): void {
    for (let y = 0; y < picture.height; y++) {
      for (let x = 0; x < picture.width; x++) {
        const [b, g, r] = picture.at(x, y);
        this.bytes.set([b, g, r, 255], ((y0 + y) * this.width + x0 + x) * 4);
      }
    }
  }

  /** Premultiplied src-over with a plane alpha. */
  blend(picture: Picture, x0: number, y0: number, alpha: number): void {
    const div = (n: number): number => Math.floor((n + 128 + Math.floor((n + 128) / 256)) / 256);
    for (let y = 0; y < picture.height; y++) {
      for (let x = 0; x < picture.width; x++) {
        const source = picture.at(x, y);
        const a = div(source[3] * alpha);
        const at = ((y0 + y) * this.width + x0 + x) * 4;
        for (const c of [0, 1, 2] as const) {
          const under = this.bytes[at + c] ?? NaN;
          this.bytes[at + c] = Math.min(255, div(alpha * source[c]) + div((255 - a) * under));
        }
        this.bytes[at + 3] = 255;
      }
    }
  }
}

/** Where two images differ first; '' if nowhere. */
export function difference(got: Uint8Array, expected: Uint8Array): string {
  if (got.length !== expected.length) return `${got.length} bytes instead of ${expected.length}`;
  const at = got.findIndex((byte, i) => byte !== expected[i]);
  return at < 0 ? '' : `byte ${at} is ${got[at]}, should be ${expected[at]}`;
}
