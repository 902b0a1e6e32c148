/**
 * Commands: what a job of the GPU does, as an application writes it down. Builders make plain
 * objects; `GpuContext.submit` checks them and takes what it needs, so they may be used again.
 *
 * Rectangles are in whole pixels, {x, y} from the image's top left. What a command computes is
 * specified to the byte by kernels/kernels.ts.
 */
import type { GpuImage } from './image.js';
import type { BlendMode, Rect, TriangleBlend } from './kernels/kernels.js';
import type { Vertex } from './kernels/vertex.js';
import type { GpuKernel, KernelImageUse } from './user-kernel.js';

/** A size in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface BlitCommand {
  readonly op: 'blit';
  readonly src: GpuImage;
  readonly dst: GpuImage;
  /** Part of `src`; default: all of it (of a frame: its visible part, as large as it then is). */
  readonly from?: Rect;
  /** Part of `dst`; default: all of it. */
  readonly to?: Rect;
  /** Default `'bilinear'`. Without effect where `from` and `to` are of one size. */
  readonly filter?: 'nearest' | 'bilinear';
}

export interface BlendCommand {
  readonly op: 'blend';
  readonly src: GpuImage;
  readonly dst: GpuImage;
  readonly from?: Rect;
  /** As large as `from`. */
  readonly to: Rect;
  /** Default `'premultiplied'`. */
  readonly mode?: BlendMode;
  /** Alpha of the whole source, 0 to 255; default 255. */
  readonly alpha?: number;
}

export interface FillCommand {
  readonly op: 'fill';
  readonly dst: GpuImage;
  readonly to?: Rect;
  /** 0xAARRGGBB */
  readonly pixel: number;
}

export interface ClearCommand {
  readonly op: 'clear';
  readonly dst: GpuImage;
}

export interface CopyCommand {
  readonly op: 'copy';
  readonly src: GpuImage;
  readonly dst: GpuImage;
  readonly from?: Rect;
  /** As large as `from`. */
  readonly to?: Rect;
}

export interface TrianglesCommand {
  readonly op: 'triangles';
  readonly dst: GpuImage;
  /** A vertex buffer (`importVertices`), or vertices that travel in the job: some eight of them. */
  readonly vertices: GpuImage | readonly Vertex[];
  /** An index buffer (`importIndices`), or indices that travel in the job. Default: 0, 1, 2, … */
  readonly indices?: GpuImage | readonly number[];
  /**
   * Of any known format: u and v count pixels of what is visible of it, which are converted as {@link blit} does. Default:
   * none, the vertices' colour alone.
   */
  readonly texture?: GpuImage;
  /** Of the texture; default `'bilinear'`. */
  readonly filter?: 'nearest' | 'bilinear';
  /** Default `'premultiplied'`. */
  readonly blend?: TriangleBlend;
  /** Part of `dst` outside which nothing is drawn (a scissor); default: all of it. */
  readonly clip?: Rect;
}

export interface DispatchCommand {
  readonly op: 'dispatch';
  readonly kernel: GpuKernel;
  /** Each image once. */
  readonly images: readonly KernelImageUse[];
  /** Numbers that the kernel is given. */
  readonly args?: readonly number[];
  /** Default: as large as the first image that is written. */
  readonly grid?: Size;
}

export interface QueryTimeCommand {
  readonly op: 'queryTime';
}

/** One command of a job. */
export type Command =
  | BlitCommand
  | BlendCommand
  | FillCommand
  | ClearCommand
  | CopyCommand
  | TrianglesCommand
  | DispatchCommand
  | QueryTimeCommand;

/**
 * Draws `src` into `dst`: conversion and scaling in one pass. `src` is of any known format, `dst` XRGB8888 or
 * ARGB8888; or, unscaled, from one of those two to YUV420, NV12, NV21, YUYV or RGB565. For bars around a picture of another
 * shape: {@link clear}, then `to: fit(src, dst)`.
 */
export function blit(command: Omit<BlitCommand, 'op'>): BlitCommand {
  return { ...command, op: 'blit' };
}

/** Src-over of an XRGB8888 or ARGB8888 image onto an XRGB8888 one, unscaled. */
export function blend(command: Omit<BlendCommand, 'op'>): BlendCommand {
  return { ...command, op: 'blend' };
}

/** Sets all pixels of a rectangle of an XRGB8888 or ARGB8888 image. */
export function fill(command: Omit<FillCommand, 'op'>): FillCommand {
  return { ...command, op: 'fill' };
}

/** Makes an image black (XRGB8888) or transparent (ARGB8888). */
export function clear(command: Omit<ClearCommand, 'op'>): ClearCommand {
  return { ...command, op: 'clear' };
}

/** Copies pixels verbatim between images of one format, or between XRGB8888 and ARGB8888. */
export function copy(command: Omit<CopyCommand, 'op'>): CopyCommand {
  return { ...command, op: 'copy' };
}

/**
 * Draws triangles into an XRGB8888 or ARGB8888 image: vertex colour times texture, src-over or replaced. Interpolation is
 * affine (2D: no perspective). What lies outside `dst` or `clip` is not drawn. Inline vertices and indices are checked by
 * submit; those in a buffer when the job runs, before it touches anything: EINVAL for an index of no vertex, or for a
 * vertex beyond 32768 pixels.
 */
export function triangles(command: Omit<TrianglesCommand, 'op'>): TrianglesCommand {
  return { ...command, op: 'triangles' };
}

/** Runs a kernel of the user's over a grid. See {@link KernelCall} for what it is called with. */
export function dispatch(command: Omit<DispatchCommand, 'op'>): DispatchCommand {
  return { ...command, op: 'dispatch' };
}

/**
 * Notes the time at which the commands before it are done (glQueryCounter, vkCmdWriteTimestamp), at most 8 in a job:
 * `GpuContext.timings(fence).queries` has them. One before and one after a command tell what it took.
 */
export function queryTime(): QueryTimeCommand {
  return { op: 'queryTime' };
}

/**
 * The largest rectangle of `src`'s shape inside `dst`, centred, in whole pixels: the side that
 * does not fill `dst` is rounded to the nearest pixel, and at least 1.
 */
export function fit(src: Size, dst: Size): Rect {
  for (const side of [src.width, src.height, dst.width, dst.height]) {
    if (!Number.isInteger(side) || side < 1) {
      throw new RangeError(`fit: sizes must be positive integers, got ${String(side)}`);
    }
  }
  const wide = src.width * dst.height >= dst.width * src.height;
  const scaled = (side: number, by: number, of: number): number =>
    Math.max(1, Math.round((side * by) / of));
  const width = wide ? dst.width : scaled(src.width, dst.height, src.height);
  const height = wide ? scaled(src.height, dst.width, src.width) : dst.height;
  const x = Math.floor((dst.width - width) / 2);
  const y = Math.floor((dst.height - height) / 2);
  return { x, y, width, height };
}
