/** Triangles in TypeScript, on any memory: the spans of a triangle, and the pixels of each. */
import type { TriangleOp } from './ops.js';
import { clamp8 } from './pixel.js';
import { pixelsOf } from './plain-convert.js';
import type { Edge, Plane } from './triangle-setup.js';

/** Draws the rows of one triangle; how many pixels that were. */
export function drawTriangle(op: TriangleOp, y0: number, y1: number): number {
  const { triangle, dst } = op;
  const view = new DataView(dst.memory);
  const shade = shader(op);
  let pixels = 0;
  for (let y = Math.max(y0, triangle.top); y < Math.min(y1, triangle.bottom); y++) {
    const { left, right } = spanOf(op, y);
    const row = dst.base + y * dst.pitch;
    const shadeAt = shade(y);
    for (let x = left; x < right; x++) {
      const at = row + x * 4;
      const s = shadeAt(x);
      const out = op.over ? over(s, view.getUint32(at, true)) : s;
      view.setUint32(at, (out | op.orMask) >>> 0, true);
    }
    pixels += Math.max(0, right - left);
  }
  return pixels;
}

/** The columns of a row whose centres lie in a triangle. */
function spanOf({ triangle, left, right }: TriangleOp, y: number): { left: number; right: number } {
  const span = { left, right };
  for (const edge of triangle.edges) narrow(span, edge, edge.at + edge.y * y);
  return span;
}

function narrow(span: { left: number; right: number }, edge: Edge, at: number): void {
  if (edge.x > 0) span.left = Math.max(span.left, -floorDiv(at, edge.x));
  else if (edge.x < 0) span.right = Math.min(span.right, floorDiv(at, -edge.x) + 1);
  else if (at < 0) span.right = span.left;
}

/** Floor of a quotient of integers below 2^53, exact: the double that division gives may be one off. */
function floorDiv(n: number, d: number): number {
  const q = Math.floor(n / d);
  const rest = n - q * d;
  if (rest < 0) return q - 1;
  return rest >= d ? q + 1 : q;
}

/** For a row, what each column's pixel is. */
function shader(op: TriangleOp): (y: number) => (x: number) => number {
  const { triangle } = op;
  const planes = [triangle.blue, triangle.green, triangle.red, triangle.alpha];
  const texel = op.texture === undefined ? undefined : sampler(op);
  return (y) => {
    const dy = y * 256 + 128 - triangle.y;
    const [blue, green, red, alpha] = planes.map((plane) => plane.at + plane.y * dy);
    const u = triangle.u.at + triangle.u.y * dy;
    const v = triangle.v.at + triangle.v.y * dy;
    return (x) => {
      const dx = x * 256 + 128 - triangle.x;
      const color =
        channel(blue, triangle.blue, dx) |
        (channel(green, triangle.green, dx) << 8) |
        (channel(red, triangle.red, dx) << 16) |
        (channel(alpha, triangle.alpha, dx) << 24);
      if (texel === undefined) return color;
      return modulate(color, texel(rounded(u, triangle.u, dx), rounded(v, triangle.v, dx)));
    };
  };
}

function rounded(row: number, plane: Plane, dx: number): number {
  return Math.floor(row + plane.x * dx + 0.5);
}

function channel(row: number | undefined, plane: Plane, dx: number): number {
  return Math.min(255, Math.max(0, rounded(row ?? 0, plane, dx)));
}

/** The texture at a position in 1/256 pixel. */
function sampler({ texture, bilinear }: TriangleOp): (u: number, v: number) => number {
  if (texture === undefined) return () => 0;
  const { src, width, height, orMask, packed } = texture;
  const view = new DataView(src.memory);
  const pixel =
    packed === undefined
      ? (x: number, y: number) => view.getUint32(src.base + y * src.pitch + x * 4, true) | orMask
      : pixelsOf(packed.src, packed.k);
  const load = (x: number, y: number): number => {
    const column = Math.min(width - 1, Math.max(0, x));
    const row = Math.min(height - 1, Math.max(0, y));
    return pixel(column, row);
  };
  if (!bilinear) return (u, v) => load(u >> 8, v >> 8);
  return (u, v) => {
    const [x, y] = [(u - 128) >> 8, (v - 128) >> 8];
    const [fx, fy] = [(u - 128) & 255, (v - 128) & 255];
    const upper = [load(x, y), load(x + 1, y)] as const;
    const lower = [load(x, y + 1), load(x + 1, y + 1)] as const;
    const mix = (shift: number): number => {
      const across = ([a, b]: readonly [number, number]): number =>
        (256 - fx) * ((a >>> shift) & 255) + fx * ((b >>> shift) & 255);
      return (((256 - fy) * across(upper) + fy * across(lower) + 32768) >>> 16) << shift;
    };
    return mix(0) | mix(8) | mix(16) | mix(24);
  };
}

/** round(x / 255) for x in 0..65025. */
function div255(x: number): number {
  const t = x + 128;
  return (t + (t >> 8)) >> 8;
}

function modulate(a: number, b: number): number {
  const product = (shift: number): number =>
    div255(((a >>> shift) & 255) * ((b >>> shift) & 255)) << shift;
  return product(0) | product(8) | product(16) | product(24);
}

/** Premultiplied src-over of all four channels; colour above its alpha saturates. */
function over(s: number, d: number): number {
  const rest = 255 - (s >>> 24);
  const sum = (shift: number): number =>
    clamp8(((s >>> shift) & 255) + div255(rest * ((d >>> shift) & 255))) << shift;
  return sum(0) | sum(8) | sum(16) | sum(24);
}
