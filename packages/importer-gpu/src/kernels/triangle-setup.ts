/**
 * Triangle setup, the same for both implementations: edges and gradients of a triangle from its three vertices.
 *
 * Edges are exact: a pixel is drawn if its centre lies inside, or on a top or left edge (the top-left rule of GL and
 * Direct3D), so that triangles that share an edge draw each pixel of it once. Values across a triangle are planes in
 * doubles, by the formula of {@link Plane}, which leaves no choice of the order of operations.
 */
import { VERTEX_WORDS, type Mesh } from './vertex.js';

/** `at + x * column + y * row` is at least 0 on the inner side of an edge. Integers below 2^53. */
export interface Edge {
  /** At the centre of pixel (0, 0). */
  readonly at: number;
  readonly x: number;
  readonly y: number;
}

/**
 * A value across a triangle: `(at + y * dy) + x * dx` at a centre that lies dx, dy from the first vertex, in 1/256
 * pixel; each product and sum is rounded to a double. With vertices 0, 1, 2 in clockwise order and A twice the area,
 * x is `((a1-a0)*(y2-y0) - (a2-a0)*(y1-y0)) / A` and y is `((a2-a0)*(x1-x0) - (a1-a0)*(x2-x0)) / A`.
 */
export interface Plane {
  readonly at: number;
  readonly x: number;
  readonly y: number;
}

export interface Triangle {
  /** The first vertex, 1/256 pixel. */
  readonly x: number;
  readonly y: number;
  readonly edges: readonly [Edge, Edge, Edge];
  /** 0 to 255. */
  readonly blue: Plane;
  readonly green: Plane;
  readonly red: Plane;
  readonly alpha: Plane;
  /** 1/256 pixel of the texture. */
  readonly u: Plane;
  readonly v: Plane;
  /** Rows that have centres in it: top <= row < bottom. */
  readonly top: number;
  readonly bottom: number;
}

/** The `index`th triangle of a mesh; undefined: it has no area. */
export function setupTriangle({ vertices, indices }: Mesh, index: number): Triangle | undefined {
  const [i = 0, j = 0, k = 0] = [0, 1, 2].map((n) => indices?.[index * 3 + n] ?? index * 3 + n);
  const word = (vertex: number, field: number): number =>
    vertices[vertex * VERTEX_WORDS + field] ?? 0;
  const area = doubleArea(
    [word(i, 0), word(i, 1)],
    [word(j, 0), word(j, 1)],
    [word(k, 0), word(k, 1)],
  );
  if (area === 0) return undefined;
  // Clockwise on the screen, y down: the area is positive.
  const corners: Corners = area > 0 ? [i, j, k] : [i, k, j];
  const [a, b, c] = corners;
  const [ax, ay] = [word(a, 0), word(a, 1)];
  const [bx, by] = [word(b, 0), word(b, 1)];
  const [cx, cy] = [word(c, 0), word(c, 1)];
  const plane = (value: (vertex: number) => number): Plane => {
    const at = value(a);
    const [db, dc] = [value(b) - at, value(c) - at];
    return {
      at,
      x: (db * (cy - ay) - dc * (by - ay)) / Math.abs(area),
      y: (dc * (bx - ax) - db * (cx - ax)) / Math.abs(area),
    };
  };
  const channel = (shift: number): Plane => plane((vertex) => (word(vertex, 2) >>> shift) & 255);
  return {
    x: ax,
    y: ay,
    edges: [edge(ax, ay, bx, by), edge(bx, by, cx, cy), edge(cx, cy, ax, ay)],
    blue: channel(0),
    green: channel(8),
    red: channel(16),
    alpha: channel(24),
    u: plane((vertex) => word(vertex, 3)),
    v: plane((vertex) => word(vertex, 4)),
    top: Math.ceil((Math.min(ay, by, cy) - 128) / 256),
    bottom: Math.floor((Math.max(ay, by, cy) - 128) / 256) + 1,
  };
}

type Corners = readonly [number, number, number];
type Point = readonly [number, number];

function doubleArea([ax, ay]: Point, [bx, by]: Point, [cx, cy]: Point): number {
  return (bx - ax) * (cy - ay) - (cx - ax) * (by - ay);
}

/** From one corner to the next in clockwise order. */
function edge(px: number, py: number, qx: number, qy: number): Edge {
  const [dx, dy] = [qx - px, qy - py];
  const owned = dy < 0 || (dy === 0 && dx > 0);
  return {
    at: dx * (128 - py) - dy * (128 - px) - (owned ? 0 : 1),
    x: -dy * 256,
    y: dx * 256,
  };
}
