/**
 * The GPU's pixel kernels: one interface, in wasm SIMD on pool memory and in TypeScript on any.
 *
 * Both give the same bytes. Kernels keep no state, take no locks and wait for nothing: whoever
 * calls holds the images (a granted job, or a CPU bracket). All arithmetic is on integers, and is
 * specified in full by color.ts (YCbCr), scale-map.ts (positions) and the methods here.
 *
 * Opaque formats: an XRGB8888 source reads as alpha 255, and every kernel but a verbatim copy
 * writes 255 into the X byte of an XRGB8888 destination.
 *
 * `rows` splits a call: {y0, y1} are rows of the destination rectangle (0 is its first). Calls
 * over disjoint ranges that make up 0..height, in any order and in any workers, give the same
 * result as one call.
 *
 * Errors, before anything is touched: DmaBufError EINVAL (a rectangle outside its image, a pitch
 * too small, a plane outside its buffer, a format that the kernel does not take, overlap, memory
 * that this implementation cannot reach); ENOMEM (scratch too small). TypeError for arguments
 * that are no integers or no known name.
 */
import type { FourCC, PlaneLayout } from '../fourcc.js';
import type { ColorSpec } from './color.js';
import type { Mesh } from './vertex.js';

/** An image in shared memory. Plain data: build one per attached buffer and keep it. */
export interface Image {
  /** The region: the pool's own `memory.buffer`, or a system-heap buffer. */
  readonly memory: ArrayBufferLike;
  /** The buffer's range in the region; no plane may leave it. */
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly fourcc: FourCC;
  readonly width: number;
  readonly height: number;
  /** Offsets count from `byteOffset`; any alignment, any pitch from the least one up. */
  readonly planes: readonly PlaneLayout[];
}

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Rows of the destination rectangle to do: y0 <= y < y1. */
export interface Rows {
  readonly y0: number;
  readonly y1: number;
}

/**
 * DRM's "pixel blend mode": `'premultiplied'` ("Pre-multiplied", colour already times alpha),
 * `'coverage'` ("Coverage", straight alpha), `'none'` ("None", alpha ignored, taken as 255).
 */
export type BlendMode = 'premultiplied' | 'coverage' | 'none';

export interface ScaleOptions {
  readonly filter: 'nearest' | 'bilinear';
  /** For a YCbCr source; default BT.709 limited. */
  readonly color?: ColorSpec;
}

export interface BlendOptions {
  /** Default `'premultiplied'`, as in DRM. */
  readonly mode?: BlendMode;
  /** Plane alpha, 0..255; default 255. */
  readonly alpha?: number;
}

export interface TriangleOptions {
  /** XRGB8888, ARGB8888, or what {@link Kernels.convert} takes; none: the vertices' colour alone. */
  readonly texture?: Image;
  /** The part of it that is the texture, its top left being (0, 0); default: all of it. */
  readonly part?: Rect;
  /** For a YCbCr texture; default BT.709 limited. */
  readonly color?: ColorSpec;
  /** Default `'bilinear'`. */
  readonly filter?: 'nearest' | 'bilinear';
  /** Default `'premultiplied'`; `'replace'` overwrites. */
  readonly blend?: TriangleBlend;
}

/** How triangles are put onto what is there. */
export type TriangleBlend = 'premultiplied' | 'replace';

export interface Kernels {
  readonly name: 'wasm' | 'plain' | 'either';

  /** True if this implementation can work on the image where it lies. */
  reaches(image: Image): boolean;

  /**
   * YUV420, NV12, NV21, YUYV, P010 or RGB565 to XRGB8888 or ARGB8888, same size, by the formula of color.ts. Of
   * P010 all ten bits count; of RGB565 the high bits of each channel are repeated below it. The source rectangle
   * may start on odd columns and rows.
   */
  convert(dst: Image, to: Rect, src: Image, from: Rect, color?: ColorSpec, rows?: Rows): void;

  /**
   * XRGB8888 or ARGB8888 to YUV420, NV12, NV21, YUYV or RGB565, same size, by color.ts; alpha is ignored, RGB565
   * takes the high bits. The destination rectangle starts on the sampling grid and ends on it or on the image's edge;
   * the second luma of a YUYV pair that the edge cuts is that of the first.
   */
  pack(dst: Image, to: Rect, src: Image, from: Rect, color?: ColorSpec, rows?: Rows): void;

  /**
   * Scales XRGB8888, ARGB8888, or what {@link convert} takes, to XRGB8888 or ARGB8888, up or down, by
   * scale-map.ts. Bilinear: with weights fx, fy in 1/256 of the right and lower of four pixels,
   * each byte (alpha too: use premultiplied colour) is
   * `((256-fy)*((256-fx)*p00 + fx*p01) + fy*((256-fx)*p10 + fx*p11) + 32768) >> 16`.
   * Another source gives what `convert` of the whole image and scaling of that would: the two
   * steps are fused, not merged.
   */
  scale(dst: Image, to: Rect, src: Image, from: Rect, options: ScaleOptions, rows?: Rows): void;

  /**
   * Src-over of ARGB8888 or XRGB8888 onto XRGB8888, same size. With S, A the source's colour and
   * alpha, P the plane alpha, D the destination's colour, div(x) = (x+128 + (x+128 >> 8)) >> 8
   * (x / 255, rounded), and a = div(A*P):
   * premultiplied `min(255, div(P*S) + div((255-a)*D))`; coverage `div(a*S + (255-a)*D)`; none as
   * coverage with A = 255. At P = 255 within 0.5 of the real-valued formula, else within 1.5.
   */
  blend(dst: Image, to: Rect, src: Image, from: Rect, options?: BlendOptions, rows?: Rows): void;

  /** Sets pixels of an XRGB8888 or ARGB8888 image to the word 0xAARRGGBB. */
  fill(dst: Image, to: Rect, pixel: number, rows?: Rows): void;

  /** The whole image black (XRGB8888) or transparent (ARGB8888). */
  clear(dst: Image, rows?: Rows): void;

  /**
   * Copies between images of one format (any known one, verbatim) or between XRGB8888 and
   * ARGB8888. Rectangles of subsampled formats start on their sampling grid and end on it or on
   * the image's edge. Source and destination may overlap if they are planes of one pitch and
   * format without subsampling, and the copy is not split into rows.
   */
  copy(dst: Image, to: Rect, src: Image, from: Rect, rows?: Rows): void;

  /**
   * Triangles into a part of an XRGB8888 or ARGB8888 image, one after the other; either winding. A pixel is drawn
   * if its centre lies inside, or on a top or left edge: exactly, so triangles that share an edge draw each of its pixels
   * once. Colour (premultiplied) and texture coordinates go linearly over the triangle, without perspective,
   * by the formula of triangle-setup.ts; rounded, `floor(a + 0.5)`, to 0..255 and to 1/256 pixel of the texture.
   * Nearest takes pixel `u >> 8`; bilinear mixes the four around `u - 128` as {@link scale} does; the texture's
   * edge pixels are repeated. Of another format it is what `convert` gives, pixel by pixel. A texture's byte T and a colour's byte C give `div(T*C)` (see {@link blend}).
   * `'premultiplied'` is `min(255, S + div((255-a)*D))` of all four bytes. Without a texture within 1 of the
   * real-valued formula. Returns how many pixels it drew.
   * Also EINVAL: what checkMesh finds.
   */
  triangles(dst: Image, clip: Rect, mesh: Mesh, options?: TriangleOptions, rows?: Rows): number;
}
