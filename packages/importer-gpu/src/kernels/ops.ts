/**
 * The seam between the checked front (front.ts) and the two implementations (plain.ts, wasm.ts):
 * rectangles have become addresses of their first pixel, and nothing needs checking any more.
 * Rows y0..y1 are those of the destination rectangle that this call does.
 */
import type { Coefficients } from './color.js';

/** Rows of bytes or of 32-bit pixels. */
export interface Span {
  readonly memory: ArrayBufferLike;
  /** Byte address in `memory` of the rectangle's first pixel. */
  readonly base: number;
  readonly pitch: number;
}

/** 4:2:0 rows: the luma span, and the chroma samples that its first pixel uses. */
export interface YuvSpan extends Span {
  readonly u: number;
  readonly uPitch: number;
  readonly v: number;
  readonly vPitch: number;
  /** Bytes from one chroma sample to the next: 1 planar, 2 interleaved. */
  readonly step: 1 | 2;
  /** 1 if the rectangle starts on an odd column or row, in the middle of a chroma sample. */
  readonly xOdd: 0 | 1;
  readonly yOdd: 0 | 1;
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
  /** Set where the source is YCbCr. */
  readonly yuv?: { readonly src: YuvSpan; readonly k: Coefficients };
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

export interface KernelOps {
  convert(dst: Span, src: YuvSpan, width: number, k: Coefficients, y0: number, y1: number): void;
  scale(op: ScaleOp, y0: number, y1: number): void;
  blend(op: BlendOp, y0: number, y1: number): void;
  fill(dst: Span, width: number, pixel: number, y0: number, y1: number): void;
  copy(dst: Span, src: Span, bytes: number, orMask: number, y0: number, y1: number): void;
}
