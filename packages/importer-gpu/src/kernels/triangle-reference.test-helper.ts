/**
 * Triangles as the rules define them, pixel by pixel, in exact integers: what the kernels are tested against. It shares no
 * code with them. Coverage asks every pixel of the image for its side of each edge; values are quotients of
 * BigInts, with the barycentric weights of the pixel.
 */
import { VERTEX_WORDS, type Mesh } from './vertex.js';

/** A picture in exact terms: bytes B, G, R, A of a pixel. */
export type Pixel = readonly [number, number, number, number];

export interface Reference {
  /** Whether the pixel's centre belongs to the triangle. */
  covers(x: number, y: number): boolean;
  /** A field of the vertices at a pixel, as a rational number. */
  value(field: Field, x: number, y: number): number;
}

export type Field = 'b' | 'g' | 'r' | 'a' | 'u' | 'v';

const FIELDS: Record<Field, (words: Int32Array, at: number) => number> = {
  b: (words, at) => (words[at + 2] ?? 0) & 255,
  g: (words, at) => ((words[at + 2] ?? 0) >> 8) & 255,
  r: (words, at) => ((words[at + 2] ?? 0) >> 16) & 255,
  a: (words, at) => ((words[at + 2] ?? 0) >> 24) & 255,
  u: (words, at) => words[at + 3] ?? 0,
  v: (words, at) => words[at + 4] ?? 0,
};

interface Corner {
  readonly x: bigint;
  readonly y: bigint;
  readonly at: number;
}

/** The `index`th triangle of a mesh. */
export function reference({ vertices, indices }: Mesh, index: number): Reference {
  const corner = (n: number): Corner => {
    const at =
      (indices === undefined ? index * 3 + n : (indices[index * 3 + n] ?? 0)) * VERTEX_WORDS;
    return { x: BigInt(vertices[at] ?? 0), y: BigInt(vertices[at + 1] ?? 0), at };
  };
  const corners = [corner(0), corner(1), corner(2)] as const;
  const side = (p: Corner, q: Corner, x: bigint, y: bigint): bigint =>
    (q.x - p.x) * (y - p.y) - (q.y - p.y) * (x - p.x);
  const area = side(corners[0], corners[1], corners[2].x, corners[2].y);
  const turn = area < 0n ? -1n : 1n;
  const centre = (pixel: number): bigint => BigInt(pixel) * 256n + 128n;
  // The weight of each corner is the side of the edge that is opposite to it.
  const weights = (x: number, y: number): bigint[] => {
    const [a, b, c] = corners;
    return (
      [
        [b, c],
        [c, a],
        [a, b],
      ] as const
    ).map(([p, q]) => turn * side(p, q, centre(x), centre(y)));
  };
  const owns = (p: Corner, q: Corner): boolean => {
    const [dx, dy] = [(q.x - p.x) * turn, (q.y - p.y) * turn];
    const left = dy < 0n; // goes up the screen: the inside is to its right
    const top = dy === 0n && dx > 0n;
    return left || top;
  };
  return {
    covers(x, y) {
      const [a, b, c] = corners;
      const edges = [
        [b, c],
        [c, a],
        [a, b],
      ] as const;
      if (area === 0n) return false;
      return weights(x, y).every((w, i) => {
        const [p, q] = edges[i] ?? [a, a];
        return w > 0n || (w === 0n && owns(p, q));
      });
    },
    value(field, x, y) {
      const sum = weights(x, y).reduce(
        (total, w, i) => total + w * BigInt(FIELDS[field](vertices, corners[i]?.at ?? 0)),
        0n,
      );
      // To 1/2^20, by integer division: far below what rounding can tell.
      return Number((sum << 20n) / (area * turn)) / 2 ** 20;
    },
  };
}
