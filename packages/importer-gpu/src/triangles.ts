/**
 * The triangles command as a step: where its vertices and indices are, and how they become a mesh.
 *
 * A vertex buffer is recorded as an image of 32-bit words, one row a vertex, and an index buffer as one row a triangle: so
 * claims, references and bounds are those of every image, and a kernel of the user's may write either. Their
 * words are copied before they are checked: what is drawn is what was checked, whoever writes there meanwhile.
 */
import { DmaBufError, type DmaBuf } from '@dmabuf/core';
import type { TrianglesCommand } from './command.js';
import { DRM_FORMAT_ARGB8888 } from './fourcc.js';
import type { GpuImage, ImageRequest } from './image.js';
import { checkImage, checkRect, planeAt, RGB32 } from './kernels/check.js';
import type { Image, Kernels, Rect, TriangleBlend, TriangleOptions } from './kernels/kernels.js';
import { checkMesh, type Mesh, packVertices, VERTEX_WORDS } from './kernels/vertex.js';
import type { Surface } from './step.js';

/** What `importVertices` is told. */
export interface VertexRequest {
  readonly buffer: DmaBuf;
  /** Vertices, at most 16384. */
  readonly count: number;
  /** Bytes from the start of the buffer; default 0. */
  readonly offset?: number;
  /** Bytes from vertex to vertex; default 20, without gaps. */
  readonly stride?: number;
}

/** What `importIndices` is told. */
export interface IndexRequest {
  readonly buffer: DmaBuf;
  /** Triangles of three int32 each, at most 16384. */
  readonly triangles: number;
  /** Bytes from the start of the buffer; default 0. */
  readonly offset?: number;
}

/** Indices of a triangle, the words of a row of an index buffer. */
const CORNERS = 3;

/** A triangles command; images by their place in the job's list. */
export interface TrianglesStep {
  readonly op: 'triangles';
  readonly dst: number;
  /** −1: none. */
  readonly texture: number;
  readonly clip: Rect | undefined;
  readonly filter: 'bilinear' | 'nearest';
  readonly blend: TriangleBlend;
  /** An image, or the words themselves. */
  readonly vertices: number | readonly number[];
  readonly indices: number | readonly number[] | undefined;
}

/** The image that records a vertex buffer. */
export function vertexImage({ buffer, count, offset = 0, stride }: VertexRequest): ImageRequest {
  const pitch = stride ?? VERTEX_WORDS * 4;
  const shape = { width: VERTEX_WORDS, height: count, offsets: [offset], pitches: [pitch] };
  return { buffer, fourcc: DRM_FORMAT_ARGB8888, ...shape };
}

/** The image that records an index buffer. */
export function indexImage({ buffer, triangles, offset = 0 }: IndexRequest): ImageRequest {
  const shape = { width: CORNERS, height: triangles, offsets: [offset] };
  return { buffer, fourcc: DRM_FORMAT_ARGB8888, ...shape };
}

/** TypeError, EINVAL: see packVertices and `triangles`. */
export function toTriangles(
  command: TrianglesCommand,
  indexOf: (image: GpuImage) => number,
): TrianglesStep {
  const { dst, vertices, indices, texture, clip } = command;
  const { filter = 'bilinear', blend = 'premultiplied' } = command;
  return {
    op: 'triangles',
    dst: indexOf(dst),
    texture: texture === undefined ? -1 : indexOf(texture),
    clip,
    filter,
    blend,
    vertices: isList(vertices) ? [...packVertices(vertices)] : indexOf(vertices),
    indices:
      indices === undefined ? undefined : isList(indices) ? integers(indices) : indexOf(indices),
  };
}

function isList<T>(value: GpuImage | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

function integers(indices: readonly number[]): readonly number[] {
  for (const index of indices) {
    if (!Number.isInteger(index)) {
      throw new TypeError(`submit: indices must be integers, got ${String(index)}`);
    }
  }
  return [...indices];
}

/** The images that a step reads, its destination apart. */
export function sourcesOf({ texture, vertices, indices }: TrianglesStep): readonly number[] {
  return [texture, vertices, indices].filter((i): i is number => typeof i === 'number' && i >= 0);
}

/**
 * What submit can say: everything about the images, of a texture that is a frame apart, and about vertices and indices
 * that travel in the job. EINVAL, TypeError.
 */
export function checkTriangles(
  kernels: Kernels,
  step: TrianglesStep,
  surfaces: readonly (Surface | undefined)[],
): void {
  const target = known(surfaces[step.dst], 'the destination');
  checkImage(step.op, 'destination', target, RGB32);
  checkRect(step.op, 'clip', target, step.clip ?? whole(target));
  for (const image of sourcesOf(step)) {
    if (image !== step.dst) continue;
    refuse('an image is drawn into that the command reads; use another buffer');
  }
  kernels.triangles(
    target,
    step.clip ?? whole(target),
    foreseen(step, surfaces),
    optionsOf(step, surfaces),
  );
}

/** The mesh as far as it is known before the job runs: of what lies in buffers its size, with zeros in it. */
function foreseen(step: TrianglesStep, surfaces: readonly (Surface | undefined)[]): Mesh {
  const sized = (source: number | readonly number[], columns: number, what: string): Int32Array => {
    if (typeof source !== 'number') return Int32Array.from(source);
    return new Int32Array(rowsOf(source, surfaces, columns, what).height * columns);
  };
  const vertices = sized(step.vertices, VERTEX_WORDS, 'vertices');
  if (step.indices === undefined) return { vertices };
  return { vertices, indices: sized(step.indices, CORNERS, 'indices') };
}

/** Draws a step; how many pixels that were. */
export function drawTriangles(
  kernels: Kernels,
  step: TrianglesStep,
  surfaces: readonly (Surface | undefined)[],
  mesh: Mesh,
): number {
  const target = known(surfaces[step.dst], 'the destination');
  return kernels.triangles(target, step.clip ?? whole(target), mesh, optionsOf(step, surfaces));
}

/** The vertices and indices of a step, copied from where they are. EINVAL: they make no sense. */
export function checkedMesh(step: TrianglesStep, surfaces: readonly Surface[]): Mesh {
  const vertices = wordsOf(step.vertices, surfaces, VERTEX_WORDS, 'vertices');
  const mesh: Mesh =
    step.indices === undefined
      ? { vertices }
      : { vertices, indices: wordsOf(step.indices, surfaces, CORNERS, 'indices') };
  checkMesh(mesh);
  return mesh;
}

function optionsOf(
  { texture, filter, blend }: TrianglesStep,
  surfaces: readonly (Surface | undefined)[],
): TriangleOptions {
  const surface = surfaces[texture];
  // Of a frame nobody knows yet what it is: the device looks.
  if (surface?.image === undefined) return { filter, blend };
  const { image, x, y, width, height, color } = surface;
  return { filter, blend, texture: image, part: { x, y, width, height }, color };
}

/** Rows of words of an image, without gaps; or those that travelled. */
function wordsOf(
  source: number | readonly number[],
  surfaces: readonly (Surface | undefined)[],
  columns: number,
  what: string,
): Int32Array {
  if (typeof source !== 'number') return Int32Array.from(source);
  const image = rowsOf(source, surfaces, columns, what);
  const { memory, byteOffset, height } = image;
  const { offset, pitch } = planeAt(image, 0);
  const view = new DataView(memory, byteOffset + offset);
  return Int32Array.from({ length: height * columns }, (_, i) => {
    const row = Math.floor(i / columns);
    return view.getInt32(row * pitch + (i - row * columns) * 4, true);
  });
}

/** The image that records a buffer of words. EINVAL: it is another kind of image. */
function rowsOf(
  source: number,
  surfaces: readonly (Surface | undefined)[],
  columns: number,
  what: string,
): Image {
  const image = known(surfaces[source], what);
  if (image.fourcc === DRM_FORMAT_ARGB8888 && image.width === columns) return image;
  return refuse(
    `${what} must be what importVertices or importIndices gave, ${columns} words a row`,
  );
}

function known(surface: Surface | undefined, what: string): Image {
  if (surface?.image !== undefined) return surface.image;
  return refuse(`${what} is a frame, whose geometry is its writer’s; import it as an image`);
}

function whole({ width, height }: Image): Rect {
  return { x: 0, y: 0, width, height };
}

function refuse(detail: string): never {
  throw new DmaBufError('EINVAL', 'triangles', detail);
}
