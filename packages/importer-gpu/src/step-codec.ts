/**
 * How steps travel in a job's payload: an array of numbers, [images, id …, step …]. msgpack keeps most of them
 * in 1 to 3 bytes. The device trusts none of it: what was not made by {@link encodeSteps} is EINVAL.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Rect } from './kernels/kernels.js';
import { QUERIES_MAX } from './layout.js';
import { type DispatchStep, FILTERS, MODES, OPS, type PixelStep, type Step } from './step.js';
import type { TrianglesStep } from './triangles.js';
import { KERNEL_ACCESS } from './user-kernel.js';

// Head word of a packed step: op (3 bits), TO, FROM, filter (1), mode (2), alpha (8). Of a
// dispatch or a query: op alone. Of triangles: op, TO for a clip, FROM for a texture, filter, then BLEND and the two places.
const OP_MASK = 7;
const DISPATCH = 5;
const TRIANGLES = 6;
const QUERY_TIME = 7;
const TO = 8;
const FROM = 16;
const FILTER_SHIFT = 5;
const MODE_SHIFT = 6;
const ALPHA_SHIFT = 8;
const REPLACE = 64;
// Where vertices and indices are: an image of the list, or numbers in the payload.
const VERTICES_INLINE = 128;
const INDICES = 256;
const INDICES_INLINE = 512;
const TRIANGLE_FLAGS = 1023 & ~OP_MASK;

export function encodeSteps(images: readonly number[], steps: readonly Step[]): number[] {
  const out = [images.length, ...images];
  for (const step of steps) {
    if (step.op === 'dispatch') encodeDispatch(out, step);
    else if (step.op === 'queryTime') out.push(QUERY_TIME);
    else if (step.op === 'triangles') encodeTriangles(out, step);
    else encodePixels(out, step);
  }
  return out;
}

function encodePixels(out: number[], step: PixelStep): void {
  const alpha = step.op === 'blend' ? step.alpha << ALPHA_SHIFT : 0;
  const flags = (step.to === undefined ? 0 : TO) | (step.from === undefined ? 0 : FROM);
  const filter = FILTERS.indexOf(step.filter) << FILTER_SHIFT;
  const mode = MODES.indexOf(step.mode) << MODE_SHIFT;
  out.push(OPS.indexOf(step.op) | flags | filter | mode | alpha, step.dst);
  if (step.src >= 0) out.push(step.src);
  for (const rect of [step.to, step.from]) {
    if (rect !== undefined) out.push(rect.x, rect.y, rect.width, rect.height);
  }
  if (step.op === 'fill') out.push(step.pixel);
}

function encodeTriangles(out: number[], step: TrianglesStep): void {
  const { dst, vertices, indices, texture, clip } = step;
  const parts = [
    clip === undefined ? 0 : TO,
    texture < 0 ? 0 : FROM,
    FILTERS.indexOf(step.filter) << FILTER_SHIFT,
    step.blend === 'replace' ? REPLACE : 0,
    typeof vertices === 'number' ? 0 : VERTICES_INLINE,
    indices === undefined ? 0 : INDICES,
    typeof indices === 'object' ? INDICES_INLINE : 0,
  ];
  out.push(
    parts.reduce((head, part) => head | part, TRIANGLES),
    dst,
  );
  if (texture >= 0) out.push(texture);
  if (clip !== undefined) out.push(clip.x, clip.y, clip.width, clip.height);
  for (const source of [vertices, indices]) {
    if (typeof source === 'number') out.push(source);
    else if (source !== undefined) out.push(source.length, ...source);
  }
}

function encodeDispatch(out: number[], { kernel, uses, grid, args }: DispatchStep): void {
  out.push(DISPATCH, kernel, grid.width, grid.height, uses.length);
  for (const { image, access } of uses) out.push(image, KERNEL_ACCESS.indexOf(access));
  out.push(args.length, ...args);
}

/** Unpacks a job. EINVAL. */
export function decodeSteps(payload: unknown): { images: number[]; steps: Step[] } {
  const reader = new Reader(payload);
  const images = reader.list(() => reader.integer());
  const index = (): number => {
    const i = reader.integer();
    if (i >= 0 && i < images.length) return i;
    throw malformed(`image ${i} of ${images.length}`);
  };
  const steps: Step[] = [];
  while (!reader.atEnd) {
    const head = reader.integer();
    if ((head & OP_MASK) === DISPATCH) steps.push(decodeDispatch(reader, head, index));
    else if (head === QUERY_TIME) steps.push({ op: 'queryTime' });
    else if ((head & OP_MASK) === TRIANGLES) steps.push(decodeTriangles(reader, head, index));
    else steps.push(decodePixels(reader, head, index));
  }
  const queries = steps.filter(({ op }) => op === 'queryTime').length;
  if (queries > QUERIES_MAX) throw malformed(`${queries} queries`);
  return { images, steps };
}

function decodePixels(reader: Reader, head: number, index: () => number): PixelStep {
  const op = OPS[head & OP_MASK];
  const mode = MODES[(head >> MODE_SHIFT) & 3];
  if (op === undefined || mode === undefined) throw malformed(`command word ${head}`);
  return {
    op,
    dst: index(),
    src: op === 'fill' || op === 'clear' ? -1 : index(),
    to: (head & TO) === 0 ? undefined : reader.rect(),
    from: (head & FROM) === 0 ? undefined : reader.rect(),
    filter: ((head >> FILTER_SHIFT) & 1) === 1 ? 'nearest' : 'bilinear',
    mode,
    alpha: op === 'blend' ? (head >> ALPHA_SHIFT) & 255 : 255,
    pixel: op === 'fill' ? reader.integer() >>> 0 : 0,
  };
}

function decodeTriangles(reader: Reader, head: number, index: () => number): TrianglesStep {
  if ((head & ~(TRIANGLE_FLAGS | OP_MASK)) !== 0) throw malformed(`command word ${head}`);
  const words = (): readonly number[] => reader.list(() => reader.integer());
  return {
    op: 'triangles',
    dst: index(),
    texture: (head & FROM) === 0 ? -1 : index(),
    clip: (head & TO) === 0 ? undefined : reader.rect(),
    filter: ((head >> FILTER_SHIFT) & 1) === 1 ? 'nearest' : 'bilinear',
    blend: (head & REPLACE) === 0 ? 'premultiplied' : 'replace',
    vertices: (head & VERTICES_INLINE) === 0 ? index() : words(),
    indices: (head & INDICES) === 0 ? undefined : (head & INDICES_INLINE) === 0 ? index() : words(),
  };
}

function decodeDispatch(reader: Reader, head: number, index: () => number): DispatchStep {
  if (head !== DISPATCH) throw malformed(`command word ${head}`);
  const kernel = reader.integer();
  const grid = { width: reader.integer(), height: reader.integer() };
  const uses = reader.list(() => {
    const image = index();
    const access = KERNEL_ACCESS[reader.integer()];
    if (access === undefined) throw malformed('an access that is none');
    return { image, access };
  });
  return { op: 'dispatch', kernel, grid, uses, args: reader.list(() => reader.number()) };
}

/** The numbers of a payload, one after the other. */
class Reader {
  readonly #values: readonly unknown[];
  #at = 0;

  constructor(payload: unknown) {
    if (!Array.isArray(payload)) throw malformed('it is no array');
    this.#values = payload;
  }

  get atEnd(): boolean {
    return this.#at >= this.#values.length;
  }

  number(): number {
    const value = this.#values[this.#at++];
    if (typeof value === 'number') return value;
    throw malformed(`entry ${this.#at - 1} is no number`);
  }

  integer(): number {
    const value = this.number();
    if (Number.isInteger(value)) return value;
    throw malformed(`entry ${this.#at - 1} is no integer`);
  }

  rect(): Rect {
    return { x: this.integer(), y: this.integer(), width: this.integer(), height: this.integer() };
  }

  /** A count and so many entries. */
  list<T>(entry: () => T): T[] {
    const count = this.integer();
    if (count < 0 || count > this.#values.length) throw malformed(`a list of ${count}`);
    return Array.from({ length: count }, entry);
  }
}

function malformed(what: string): DmaBufError {
  const detail = `the payload is no command list of a GpuContext: ${what}`;
  return new DmaBufError('EINVAL', 'gpu_job', detail);
}
