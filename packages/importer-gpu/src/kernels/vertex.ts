/**
 * Vertices and indices as words: what a vertex buffer holds, and the mesh that a kernel is given. All numbers are
 * integers, so that every thread and every kernel draws the same triangle.
 *
 * A vertex is five little-endian int32: x and y in 1/256 pixel of the destination (the centre of the top left
 * pixel is 128, 128), colour 0xAARRGGBB, u and v in 1/256 pixel of the texture (its top left corner is 0, 0).
 * Indices are int32, three a triangle.
 */
import { fail } from './check.js';

/** Words of a vertex. */
export const VERTEX_WORDS = 5;

/** Steps of a position or texture coordinate to the pixel. */
export const SUBPIXELS = 256;

/** Positions and texture coordinates go from -VERTEX_LIMIT to VERTEX_LIMIT pixels, so that doubles hold all products. */
export const VERTEX_LIMIT = 32768;

/** A corner of a triangle, as an application writes it down. */
export interface Vertex {
  /** Pixels of the destination, rounded to 1/256. */
  readonly x: number;
  readonly y: number;
  /** 0xAARRGGBB, premultiplied where it is blended; default opaque white. */
  readonly color?: number;
  /** Pixels of the texture, rounded to 1/256; default 0. */
  readonly u?: number;
  readonly v?: number;
}

/** Triangles: every three indices, or every three vertices. A kernel reads it and keeps nothing of it. */
export interface Mesh {
  /** {@link VERTEX_WORDS} words a vertex. */
  readonly vertices: Int32Array;
  readonly indices?: Int32Array;
}

/**
 * Vertices as the words of a vertex buffer; the caller's own. TypeError: a number that is none; EINVAL: beyond
 * {@link VERTEX_LIMIT}.
 */
export function packVertices(vertices: readonly Vertex[]): Int32Array<ArrayBuffer> {
  const words = new Int32Array(vertices.length * VERTEX_WORDS);
  vertices.forEach(({ x, y, color = 0xffffffff, u = 0, v = 0 }, i) => {
    if (!Number.isInteger(color)) {
      throw new TypeError(`vertex ${i}: color must be an integer, got ${String(color)}`);
    }
    const at = (value: number, name: string): number => fixed(value, i, name);
    words.set([at(x, 'x'), at(y, 'y'), color | 0, at(u, 'u'), at(v, 'v')], i * VERTEX_WORDS);
  });
  return words;
}

function fixed(value: number, index: number, name: string): number {
  if (typeof value !== 'number' || Number.isNaN(value)) {
    throw new TypeError(`vertex ${index}: ${name} must be a number, got ${String(value)}`);
  }
  if (Math.abs(value) > VERTEX_LIMIT) tooFar(index, name, value);
  return Math.round(value * SUBPIXELS);
}

function tooFar(index: number, name: string, value: number): never {
  const detail = `${name} of vertex ${index} is ${value}; it goes from -${VERTEX_LIMIT} to ${VERTEX_LIMIT}`;
  return fail('triangles', detail);
}

/** How many triangles a mesh has. EINVAL: no whole number of them, a vertex too far out, an index of no vertex. */
export function checkMesh({ vertices, indices }: Mesh): number {
  const count = vertices.length / VERTEX_WORDS;
  if (!Number.isInteger(count)) {
    fail('triangles', `${vertices.length} words of vertices; one has ${VERTEX_WORDS}`);
  }
  const corners = indices?.length ?? count;
  if (corners % 3 !== 0 || corners === 0) {
    const what = indices === undefined ? 'vertices' : 'indices';
    fail('triangles', `${corners} ${what} make no whole number of triangles; give three for each`);
  }
  vertices.forEach((value, i) => {
    const name = ['x', 'y', '', 'u', 'v'][i % VERTEX_WORDS] ?? '';
    const far = Math.abs(value) > VERTEX_LIMIT * SUBPIXELS;
    if (far && name !== '') tooFar(Math.floor(i / VERTEX_WORDS), name, value / SUBPIXELS);
  });
  indices?.forEach((index, i) => {
    if (index >= 0 && index < count) return;
    fail('triangles', `index ${i} is ${index}; there are ${count} vertices`);
  });
  return corners / 3;
}
