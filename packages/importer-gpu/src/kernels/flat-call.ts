/**
 * Calls of kernels as lists of numbers: what the wasm functions take, and what travels in shared words to the shader
 * cores. The order is that of the wasm functions in assembly/, for both implementations, so that a call can be cut into
 * rows, sent and done by whoever does not know what it is.
 */
import type { Coefficients, Forward, Weights } from './color.js';
import {
  type KernelOps,
  type Layout,
  LAYOUT,
  type PackedSpan,
  type ScaleOp,
  type Span,
  type TriangleOp,
} from './ops.js';
import { plainOps } from './plain.js';
import { scaleScratchBytes } from './scale-map.js';
import type { Plane } from './triangle-setup.js';

/** Kernels, in the order of their numbers, and which two of their arguments are the rows. */
export const ENTRIES = ['convert', 'pack', 'scale', 'blend', 'fill', 'copy', 'triangle'] as const;
export type EntryName = (typeof ENTRIES)[number];
const ROWS_AT = { convert: 12, pack: 11, scale: 5, blend: 5, fill: 3, copy: 5, triangle: 2 };
/** Which argument of `scale` is the scratch. */
const SCRATCH_AT = 1;

/** A call of a kernel. */
export interface FlatCall {
  /** Index into {@link ENTRIES}. */
  readonly entry: number;
  readonly args: readonly number[];
  /** Which two of them are the rows, from and to. */
  readonly rowsAt: number;
  /** Which one is the address of the scratch; −1: it needs none. */
  readonly scratchAt: number;
  /** Bytes that each thread needs of it. */
  readonly scratchStep: number;
  /** Pixels that it goes over, at most; 0 of a call whose rows must go in order. */
  readonly pixels: number;
  /** What the addresses are in; of a call without a source, `src` is `dst`. */
  readonly dst: ArrayBufferLike;
  readonly src: ArrayBufferLike;
  /** Whether it is for the kernels in TypeScript; else for those in wasm, and the memory is the pool's. */
  readonly plain: boolean;
}

/** Does a call; the kernel's result, 0 if it has none. */
export type Sink = (call: FlatCall) => number;

/** Does a part of a call, with its own rows and scratch in `args`. */
export type CallPart = (args: readonly number[]) => number;

/** Does a call, by other threads too or by `part` alone; the sum of the parts' results. */
export type Split = (call: FlatCall, part: CallPart) => number;

/** The address of a scaling's scratch. Throws what the kernels throw without enough. */
export type ScratchOf = (op: ScaleOp, bytes: number) => number;

/** Operations that become calls. */
export function flatOps(sink: Sink, scratchOf: ScratchOf): KernelOps {
  const call = (
    name: EntryName,
    pixels: number,
    dst: Span,
    src: Span | undefined,
    args: readonly number[],
    scratchStep: number = 0,
  ): number =>
    sink({
      ...{ entry: ENTRIES.indexOf(name), args, rowsAt: ROWS_AT[name], pixels, scratchStep },
      scratchAt: name === 'scale' ? SCRATCH_AT : -1,
      ...{ dst: dst.memory, src: (src ?? dst).memory, plain: false },
    });
  return {
    convert(dst, s, width, k, y0, y1) {
      call('convert', width * (y1 - y0), dst, s, [
        ...[dst.base, dst.pitch, s.base, s.pitch, s.u, s.uPitch, s.v, s.vPitch],
        ...[s.layout, s.xOdd, s.yOdd, width, y0, y1, ...numbersOf(k)],
      ]);
    },
    pack({ dst, src, width, height, k }, y0, y1) {
      call('pack', width * (y1 - y0), dst, src, [
        ...[dst.layout, dst.base, dst.pitch, dst.u, dst.uPitch, dst.v, dst.vPitch],
        ...[src.base, src.pitch, width, height, y0, y1, k.yo],
        ...[k.y, k.u, k.v].flatMap(({ b, g, r }) => [b, g, r]),
      ]);
    },
    scale(op, y0, y1) {
      const { dst, src, width } = op;
      const bytes = scratchBytesOf(op); // a multiple of 16, where each thread's part begins
      const args = [
        ...[op.bilinear ? 1 : 0, scratchOf(op, bytes), dst.base, dst.pitch, width, y0, y1],
        ...[src.base, src.pitch, op.sourceWidth, op.sourceHeight, op.stepX, op.stepY, op.orMask],
        ...chromaOf(op.packed?.src),
        ...numbersOf(op.packed?.k),
      ];
      call('scale', width * (y1 - y0), dst, src, args, bytes);
    },
    blend({ dst, src, width, coverage, alpha, orMask }, y0, y1) {
      call('blend', width * (y1 - y0), dst, src, [
        ...[dst.base, dst.pitch, src.base, src.pitch, width, y0, y1],
        ...[coverage ? 1 : 0, alpha, orMask],
      ]);
    },
    fill(dst, width, pixel, y0, y1) {
      const args = [dst.base, dst.pitch, width, y0, y1, pixel];
      call('fill', width * (y1 - y0), dst, undefined, args);
    },
    copy(dst, src, bytes, orMask, y0, y1) {
      // Rows that may overlap go in the order that the kernel chooses.
      const reach = Math.max(dst.pitch, src.pitch) * y1;
      const apart = dst.memory !== src.memory || Math.abs(dst.base - src.base) >= reach;
      const args = [dst.base, dst.pitch, src.base, src.pitch, bytes, y0, y1, orMask];
      call('copy', apart ? (bytes * (y1 - y0)) >> 2 : 0, dst, src, args);
    },
    triangle(op, y0, y1) {
      const { top, bottom } = op.triangle;
      const [first, end] = [Math.max(y0, top), Math.min(y1, bottom)];
      if (first >= end) return 0;
      const pixels = (op.right - op.left) * (end - first);
      return call('triangle', pixels, op.dst, op.texture?.src, triangleArgs(op, first, end));
    },
  };
}

function numbersOf(k: Coefficients | undefined): readonly number[] {
  if (k === undefined) return [0, 0, 0, 0, 0, 0];
  return [k.yo, k.cy, k.crv, k.cgu, k.cgv, k.cbu];
}

function chromaOf(s: PackedSpan | undefined): readonly number[] {
  if (s === undefined) return [0, 0, 0, 0, 0, 0, 0];
  return [s.u, s.uPitch, s.v, s.vPitch, s.layout, s.xOdd, s.yOdd];
}

/** What a scaling needs of scratch, from a multiple of 16; a multiple of 16 itself. */
function scratchBytesOf(op: ScaleOp): number {
  const packed = op.packed !== undefined;
  return scaleScratchBytes(op.sourceWidth, op.width, op.bilinear, packed);
}

function triangleArgs(op: TriangleOp, y0: number, y1: number): number[] {
  const { triangle: t, dst, texture } = op;
  const filter = texture === undefined ? 0 : op.bilinear ? 2 : 1;
  const { src, width = 0, height = 0, orMask = 0 } = texture ?? {};
  const planes = [...t.edges, t.blue, t.green, t.red, t.alpha, t.u, t.v];
  return [
    ...[dst.base, dst.pitch, y0, y1, op.left, op.right, op.orMask, op.over ? 1 : 0],
    ...[filter, src?.base ?? 0, src?.pitch ?? 0, width, height, orMask, t.x, t.y],
    ...planes.flatMap(({ at, x, y }) => [at, x, y]),
    ...chromaOf(texture?.packed?.src),
    ...numbersOf(texture?.packed?.k),
  ];
}

/** Does calls by the kernels in TypeScript, on any memory. */
export function plainPart({ entry, dst, src }: Pick<FlatCall, 'entry' | 'dst' | 'src'>): CallPart {
  const name = ENTRIES[entry];
  if (name === undefined) throw new RangeError(`no kernel ${entry}`);
  return (args) => PLAIN[name](new Numbers(args), dst, src);
}

/** The arguments of a call, one after the other. */
class Numbers {
  readonly #values: readonly number[];
  #at = 0;

  constructor(values: readonly number[]) {
    this.#values = values;
  }

  next(): number {
    return this.#values[this.#at++] ?? 0;
  }

  span(memory: ArrayBufferLike): Span {
    return { memory, base: this.next(), pitch: this.next() };
  }

  chroma(): Pick<PackedSpan, 'u' | 'uPitch' | 'v' | 'vPitch'> {
    return { u: this.next(), uPitch: this.next(), v: this.next(), vPitch: this.next() };
  }

  /** undefined: the pixels are 32-bit words. */
  layout(): Layout | undefined {
    const number = this.next();
    return Object.values(LAYOUT).find((layout) => layout === number);
  }

  odd(): Pick<PackedSpan, 'xOdd' | 'yOdd'> {
    return { xOdd: this.next() === 1 ? 1 : 0, yOdd: this.next() === 1 ? 1 : 0 };
  }

  coefficients(): Coefficients {
    const [yo, cy, crv] = [this.next(), this.next(), this.next()];
    return { yo, cy, crv, cgu: this.next(), cgv: this.next(), cbu: this.next() };
  }

  forward(): Forward {
    const yo = this.next();
    return { yo, y: this.#weights(), u: this.#weights(), v: this.#weights() };
  }

  #weights(): Weights {
    return { b: this.next(), g: this.next(), r: this.next() };
  }

  plane(): Plane {
    return { at: this.next(), x: this.next(), y: this.next() };
  }
}

type PlainCall = (n: Numbers, dst: ArrayBufferLike, src: ArrayBufferLike) => number;

/** The inverse of {@link flatOps}. */
const PLAIN: Readonly<Record<EntryName, PlainCall>> = {
  convert(n, dst, src) {
    const out = n.span(dst);
    const place = { ...n.span(src), ...n.chroma() };
    const from = { ...place, layout: n.layout() ?? LAYOUT.PLANAR, ...n.odd() };
    const [width, y0, y1] = [n.next(), n.next(), n.next()];
    plainOps.convert(out, from, width, n.coefficients(), y0, y1);
    return 0;
  },
  pack(n, dst, src) {
    const layout = n.layout() ?? LAYOUT.PLANAR;
    const out: PackedSpan = { layout, ...n.span(dst), ...n.chroma(), xOdd: 0, yOdd: 0 };
    const from = n.span(src);
    const [width, height, y0, y1] = [n.next(), n.next(), n.next(), n.next()];
    plainOps.pack({ dst: out, src: from, width, height, k: n.forward() }, y0, y1);
    return 0;
  },
  scale(n, dst, src) {
    const bilinear = n.next() === 1;
    n.next(); // scratch
    const [out, width, y0, y1] = [n.span(dst), n.next(), n.next(), n.next()];
    const from = n.span(src);
    const sizes = { sourceWidth: n.next(), sourceHeight: n.next() };
    const steps = { stepX: n.next(), stepY: n.next(), orMask: n.next() };
    const packed = packedOf(n, from);
    const op = { bilinear, dst: out, width, src: from, ...sizes, ...steps };
    plainOps.scale({ ...op, ...(packed && { packed }) }, y0, y1);
    return 0;
  },
  blend(n, dst, src) {
    const spans = { dst: n.span(dst), src: n.span(src), width: n.next() };
    const [y0, y1] = [n.next(), n.next()];
    const how = { coverage: n.next() === 1, alpha: n.next(), orMask: n.next() };
    plainOps.blend({ ...spans, ...how }, y0, y1);
    return 0;
  },
  fill(n, dst) {
    const [out, width, y0, y1] = [n.span(dst), n.next(), n.next(), n.next()];
    plainOps.fill(out, width, n.next(), y0, y1);
    return 0;
  },
  copy(n, dst, src) {
    const [out, from, bytes] = [n.span(dst), n.span(src), n.next()];
    const [y0, y1] = [n.next(), n.next()];
    plainOps.copy(out, from, bytes, n.next(), y0, y1);
    return 0;
  },
  triangle(n, dst, src) {
    const [out, y0, y1] = [n.span(dst), n.next(), n.next()];
    const clip = { left: n.next(), right: n.next(), orMask: n.next(), over: n.next() === 1 };
    const filter = n.next();
    const texture = { src: n.span(src), width: n.next(), height: n.next(), orMask: n.next() };
    const origin = { x: n.next(), y: n.next(), top: y0, bottom: y1 };
    const edges = [n.plane(), n.plane(), n.plane()] as const;
    const colors = { blue: n.plane(), green: n.plane(), red: n.plane(), alpha: n.plane() };
    const triangle = { ...origin, edges, ...colors, u: n.plane(), v: n.plane() };
    const packed = packedOf(n, texture.src);
    const sampled = filter === 0 ? undefined : { ...texture, ...(packed && { packed }) };
    const how = { dst: out, ...clip, bilinear: filter === 2 };
    return plainOps.triangle({ triangle, ...how, texture: sampled }, y0, y1);
  },
};

/** What {@link chromaOf} and {@link numbersOf} made of a source. */
function packedOf(n: Numbers, span: Span): ScaleOp['packed'] {
  const place = { ...span, ...n.chroma() };
  const layout = n.layout();
  const odd = n.odd();
  const k = n.coefficients();
  return layout === undefined ? undefined : { src: { ...place, layout, ...odd }, k };
}
