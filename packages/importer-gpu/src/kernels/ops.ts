/**
 * The seam between the checked front (front.ts) and the two implementations (plain.ts, wasm.ts):
 * rectangles have become addresses of their first pixel, and nothing needs checking any more.
 * Rows y0..y1 are those of the destination rectangle that this call does.
 */
import type { Coefficients, Forward } from './color.js';
import type { Triangle } from './triangle-setup.js';

/** Rows of bytes or of 32-bit pixels. */
export interface Span {
  readonly memory: ArrayBufferLike;
  /** Byte address in `memory` of the rectangle's first pixel. */
  readonly base: number;
  readonly pitch: number;
}

/** How the pixels of a {@link PackedSpan} lie; the numbers are those of assembly/. */
export const LAYOUT = { PLANAR: 1, SEMIPLANAR: 2, YUYV: 3, P010: 4, RGB565: 5 } as const;
export type Layout = (typeof LAYOUT)[keyof typeof LAYOUT];

/**
 * Rows that are not 32-bit pixels: the luma span, and the chroma samples that its first pixel uses. Of YUYV and
 * RGB565 the base alone, which is where the pair or pixel of the first column begins.
 */
export interface PackedSpan extends Span {
  readonly layout: Layout;
  readonly u: number;
  readonly uPitch: number;
  readonly v: number;
  readonly vPitch: number;
  /** 1 if the rectangle starts on an odd column or row, in the middle of a chroma sample. */
  readonly xOdd: 0 | 1;
  readonly yOdd: 0 | 1;
}

export interface PackOp {
  readonly dst: PackedSpan;
  readonly src: Span;
  readonly width: number;
  readonly height: number;
  readonly k: Forward;
}

export interface ScaleOp {
  readonly bilinear: boolean;
  readonly dst: Span;
  readonly width: number;
  readonly src: Span;
  readonly sourceWidth: number;
  readonly sourceHeight: number;
  readonly stepX: number;
  readonly stepY: number;
  /** ORed into every pixel: 0xff000000 where the result is to be opaque, or 0. */
  readonly orMask: number;
  /** Set where the source is not 32-bit pixels. */
  readonly packed?: { readonly src: PackedSpan; readonly k: Coefficients };
}

export interface BlendOp {
  readonly dst: Span;
  readonly src: Span;
  readonly width: number;
  readonly coverage: boolean;
  /** 0..255 */
  readonly alpha: number;
  readonly orMask: number;
}

export interface TriangleOp {
  readonly triangle: Triangle;
  /** From pixel (0, 0) of the image on: rows and columns are the image's own. */
  readonly dst: Span;
  /** Columns that may be drawn: left <= column < right. */
  readonly left: number;
  readonly right: number;
  readonly texture:
    | {
        readonly src: Span;
        readonly width: number;
        readonly height: number;
        readonly orMask: number;
        /** Set where it is not 32-bit pixels. */
        readonly packed?: { readonly src: PackedSpan; readonly k: Coefficients };
      }
    | undefined;
  readonly bilinear: boolean;
  readonly over: boolean;
  readonly orMask: number;
}

export interface KernelOps {
  convert(dst: Span, src: PackedSpan, width: number, k: Coefficients, y0: number, y1: number): void;
  pack(op: PackOp, y0: number, y1: number): void;
  scale(op: ScaleOp, y0: number, y1: number): void;
  blend(op: BlendOp, y0: number, y1: number): void;
  fill(dst: Span, width: number, pixel: number, y0: number, y1: number): void;
  copy(dst: Span, src: Span, bytes: number, orMask: number, y0: number, y1: number): void;
  /** Rows y0..y1 are the image's. How many pixels were drawn. */
  triangle(op: TriangleOp, y0: number, y1: number): number;
}
