/**
 * What travels on the tile board: a call of a kernel in wasm (its own arguments), of one in TypeScript (the same, and
 * the regions that the addresses are in), or a dispatch of a kernel of the user's. Numbers below `ENTRIES.length` are wasm
 * functions, as many above them are kernels in TypeScript, then comes DISPATCH.
 *
 * Memory travels as a region of the machine's, which the front end sees to it that each core has. Geometry travels
 * too, not the ids of images: a core reads no table, and a frame is to all of them what it was to the front end.
 */
import type { DriverDoor } from '@dmabuf/core/driver';
import type { KernelSurface } from './device-kernels.js';
import { colorAt, colorIndex } from './image-table.js';
import { ENTRIES, type FlatCall } from './kernels/flat-call.js';
import type { DispatchStep } from './step.js';

const PLAIN: number = ENTRIES.length;
export const DISPATCH: number = 2 * ENTRIES.length;

/** Where a dispatch has its columns and its rows. */
export const COLUMNS_AT = 0;
export const ROWS_AT = 2;

export type CoreDoor = Pick<DriverDoor, 'view' | 'regionBytes'>;

/** The region that some memory is of; undefined: of none that is known. */
export type RegionOf = (memory: ArrayBufferLike) => number | undefined;

/** A call as it is posted. */
export interface CoreCall {
  readonly entry: number;
  readonly args: readonly number[];
  /** What the cores need to have. */
  readonly regions: readonly number[];
}

/** A call of one of our kernels. undefined: its memory is of no region. */
export function encodeCall(call: FlatCall, regionOf: RegionOf): CoreCall | undefined {
  const { entry, args } = call;
  if (!call.plain) return { entry, args, regions: [] };
  const [dst, src] = [regionOf(call.dst), regionOf(call.src)];
  if (dst === undefined || src === undefined) return undefined;
  return { entry: PLAIN + entry, args: [...args, dst, src], regions: [dst, src] };
}

/** A call of a kernel in TypeScript, as far as it is not in its arguments; undefined: it is of another kind. */
export function decodePlain(
  entry: number,
  args: readonly number[],
  door: CoreDoor,
): Pick<FlatCall, 'entry' | 'dst' | 'src'> | undefined {
  if (entry < PLAIN || entry >= DISPATCH) return undefined;
  const [dst, src] = args.slice(-2).map((region) => memoryOf(region, door));
  if (dst === undefined || src === undefined) throw new RangeError('a call without memory');
  return { entry: entry - PLAIN, dst, src };
}

function memoryOf(region: number, door: CoreDoor): ArrayBufferLike {
  return door.view(region, 0, door.regionBytes(region)).buffer;
}

/** A dispatch over all of its grid. undefined: memory of no region. */
export function encodeDispatch(
  { kernel, grid, args }: DispatchStep,
  surfaces: readonly KernelSurface[],
  regionOf: RegionOf,
): CoreCall | undefined {
  const regions = surfaces.flatMap(({ image }) => regionOf(image.memory) ?? []);
  if (regions.length < surfaces.length) return undefined;
  const whole = [0, grid.width, 0, grid.height];
  const images = surfaces.flatMap((surface, i) => numbersOf(surface, regions[i] ?? 0));
  const head = [...whole, kernel, grid.width, grid.height, args.length, ...args];
  return { entry: DISPATCH, args: [...head, surfaces.length, ...images], regions };
}

function numbersOf(surface: KernelSurface, region: number): readonly number[] {
  const { image, x, y, width, height, color } = surface;
  return [
    ...[region, image.byteOffset, image.byteLength, image.fourcc, image.width, image.height],
    ...[x, y, width, height, colorIndex(color), image.planes.length],
    ...image.planes.flatMap(({ offset, pitch }) => [offset, pitch]),
  ];
}

/** What a dispatch runs, and on what. */
export function decodeDispatch(
  numbers: readonly number[],
  door: CoreDoor,
): { step: DispatchStep; surfaces: KernelSurface[] } {
  let at = 4; // the part of the grid
  const next = (): number => numbers[at++] ?? 0;
  const list = <T>(entry: () => T): T[] => Array.from({ length: next() }, entry);
  const kernel = next();
  const grid = { width: next(), height: next() };
  const args = list(next);
  const surfaces = list((): KernelSurface => {
    const [region, byteOffset, byteLength] = [next(), next(), next()];
    const shape = { fourcc: next(), width: next(), height: next() };
    const visible = { x: next(), y: next(), width: next(), height: next() };
    const color = colorAt(next());
    const planes = list(() => ({ offset: next(), pitch: next() }));
    const memory = memoryOf(region, door);
    return { ...visible, color, image: { memory, byteOffset, byteLength, ...shape, planes } };
  });
  return { step: { op: 'dispatch', kernel, uses: [], grid, args }, surfaces };
}

/** The part of the grid that a call's arguments ask for. */
export function partOf([x0 = 0, x1 = 0, y0 = 0, y1 = 0]: readonly number[]): {
  x: number;
  y: number;
  width: number;
  height: number;
} {
  return { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
}
