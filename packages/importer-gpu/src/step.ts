/**
 * Steps: commands with images replaced by their place in the job's list. The driver half makes
 * them, the device does them; `apply` is the one meaning of fixed functions that both share, so that
 * what submit checks is what the device runs. step-codec.ts packs them.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Command, DispatchCommand, Size } from './command.js';
import type { GpuImage } from './image.js';
import { KERNEL_ACCESS, type KernelAccess } from './user-kernel.js';
import type { ColorSpec } from './kernels/color.js';
import { checkImage, checkRect, checkSameSize, RGB32 } from './kernels/check.js';
import { makeFront } from './kernels/front.js';
import type { BlendMode, Image, Kernels, Rect } from './kernels/kernels.js';
import type { KernelOps } from './kernels/ops.js';
import { DRM_FORMAT_XRGB8888, formatInfo } from './fourcc.js';
import { sourcesOf, toTriangles, type TrianglesStep } from './triangles.js';

/** Fixed functions, in the order of their numbers in a payload. */
export const OPS = ['blit', 'blend', 'fill', 'clear', 'copy'] as const;
export const FILTERS = ['bilinear', 'nearest'] as const;
export const MODES: readonly BlendMode[] = ['premultiplied', 'coverage', 'none'];

/** A command of fixed function; `dst` and `src` are indexes into the job's list of images (−1: no source). */
export interface PixelStep {
  readonly op: (typeof OPS)[number];
  readonly dst: number;
  readonly src: number;
  /** undefined: the whole image. */
  readonly to: Rect | undefined;
  readonly from: Rect | undefined;
  readonly filter: (typeof FILTERS)[number];
  readonly mode: BlendMode;
  readonly alpha: number;
  readonly pixel: number;
}

/** A run of a user's kernel. */
export interface DispatchStep {
  readonly op: 'dispatch';
  /** Id in the kernel table. */
  readonly kernel: number;
  /** Its images, by their indexes. */
  readonly uses: readonly { readonly image: number; readonly access: KernelAccess }[];
  readonly grid: Size;
  readonly args: readonly number[];
}

/** A look at the clock. */
export interface TimeStep {
  readonly op: 'queryTime';
}

/** A command of a job, as its payload carries it. */
export type Step = PixelStep | TrianglesStep | DispatchStep | TimeStep;

/** What a step does with an image. */
export interface Touch {
  readonly image: number;
  readonly reads: boolean;
  readonly writes: boolean;
  /** It overwrites all of it. */
  readonly whole: boolean;
}

/** An image as a step finds it. */
export interface Surface {
  /** undefined in the driver half for a frame, whose geometry nobody knows yet. */
  readonly image: Image | undefined;
  /** Where its visible part starts, and how large that is (of an unknown frame: at most). */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly color: ColorSpec;
}

/** Turns a command into a step. `indexOf` gives an image its place. TypeError: no such command. */
export function toStep(command: Command, indexOf: (image: GpuImage) => number): Step {
  if (command.op === 'dispatch') return toDispatch(command, indexOf);
  if (command.op === 'queryTime') return { op: 'queryTime' };
  if (command.op === 'triangles') return toTriangles(command, indexOf);
  const { op, dst } = command;
  if (!OPS.includes(op)) {
    const known = [...OPS, 'triangles', 'dispatch', 'queryTime'].join(', ');
    throw new TypeError(`submit: a command's op must be one of ${known}, got ${String(op)}`);
  }
  const bare: PixelStep = {
    op,
    dst: indexOf(dst),
    src: 'src' in command ? indexOf(command.src) : -1,
    to: 'to' in command ? command.to : undefined,
    from: 'from' in command ? command.from : undefined,
    filter: 'bilinear',
    mode: 'premultiplied',
    alpha: 255,
    pixel: 0,
  };
  if (command.op === 'blit') return { ...bare, filter: named(command.filter, FILTERS, 'filter') };
  if (command.op === 'fill') return { ...bare, pixel: pixelOf(command.pixel) };
  if (command.op !== 'blend') return bare;
  const alpha = integer(command.alpha ?? 255, 'alpha');
  if (alpha < 0 || alpha > 255) {
    throw new DmaBufError('EINVAL', 'blend', `alpha ${alpha} is outside 0..255`);
  }
  return { ...bare, mode: named(command.mode, MODES, 'mode'), alpha };
}

function toDispatch(command: DispatchCommand, indexOf: (image: GpuImage) => number): DispatchStep {
  const { kernel, images, args = [], grid } = command;
  const uses = images.map(({ image, access }) => {
    return { image: indexOf(image), access: named(access, KERNEL_ACCESS, 'access') };
  });
  const written = images.find(({ access }) => access !== 'read')?.image;
  const size = grid ?? written;
  if (size === undefined) {
    throw new DmaBufError('EINVAL', 'dispatch', 'it writes no image, so say how large its grid is');
  }
  for (const arg of args) {
    if (typeof arg !== 'number') throw new TypeError(`submit: args are numbers, got ${typeof arg}`);
  }
  const width = integer(size.width, 'grid.width');
  const height = integer(size.height, 'grid.height');
  return { op: 'dispatch', kernel: kernel.id, uses, grid: { width, height }, args: [...args] };
}

/** A word 0xAARRGGBB; one that was made by `|` may be negative. */
function pixelOf(value: number): number {
  const pixel = integer(value, 'pixel');
  if (pixel >= -0x80000000 && pixel <= 0xffffffff) return pixel >>> 0;
  throw new DmaBufError('EINVAL', 'fill', `pixel ${pixel} is no word 0xAARRGGBB`);
}

function named<T>(value: T | undefined, names: readonly T[], what: string): T {
  const found = value ?? names[0];
  if (found !== undefined && names.includes(found)) return found;
  throw new TypeError(`submit: ${what} must be one of ${names.join(', ')}, got ${String(value)}`);
}

function integer(value: number, what: string): number {
  if (Number.isInteger(value)) return value;
  throw new TypeError(`submit: ${what} must be an integer, got ${String(value)}`);
}

/** What a step does with each image that it names; `sizes` of the images, by their indexes. */
export function touches(step: Step, sizes: readonly (Size | undefined)[]): readonly Touch[] {
  if (step.op === 'queryTime') return [];
  if (step.op === 'dispatch') {
    return step.uses.map(({ image, access }) => ({
      image,
      reads: access !== 'overwrite',
      writes: access !== 'read',
      whole: access === 'overwrite',
    }));
  }
  if (step.op === 'triangles') {
    const read = sourcesOf(step).map((image) => ({
      image,
      reads: true,
      writes: false,
      whole: false,
    }));
    return [...read, { image: step.dst, reads: true, writes: true, whole: false }];
  }
  const { src, dst, op } = step;
  const size = sizes[dst];
  const whole = size !== undefined && overwritesAll(step, size);
  const written = { image: dst, reads: op === 'blend', writes: true, whole };
  if (src < 0) return [written];
  return [{ image: src, reads: true, writes: false, whole: false }, written];
}

/** Whether a step overwrites every pixel of its destination. */
export function overwritesAll(step: PixelStep, dst: Size): boolean {
  if (step.op === 'blend') return false;
  const { to } = step;
  if (to === undefined) return true;
  return to.x === 0 && to.y === 0 && to.width === dst.width && to.height === dst.height;
}

/** The destination rectangle of a step. */
export function targetOf(step: PixelStep, dst: Surface): Rect {
  return step.to ?? { x: 0, y: 0, width: dst.width, height: dst.height };
}

/** The source rectangle of a step, in the coordinates of the visible part. */
export function originOf(step: PixelStep, src: Surface): Rect {
  return step.from ?? { x: 0, y: 0, width: src.width, height: src.height };
}

/** Does a step with some kernels. Their errors pass through; nothing is touched before them. */
export function apply(
  kernels: Kernels,
  step: PixelStep,
  dst: Surface,
  src: Surface | undefined,
): void {
  const to = targetOf(step, dst);
  const target = known(step, dst);
  if (step.op === 'clear') return kernels.clear(target);
  if (step.op === 'fill') return kernels.fill(target, to, step.pixel);
  if (src === undefined) throw new DmaBufError('EINVAL', step.op, 'the command names no source');
  const part = originOf(step, src);
  checkRect(step.op, 'source', src, part);
  if (src.image === undefined) return checkUnknown(step, target, to, part);
  const from = { ...part, x: part.x + src.x, y: part.y + src.y };
  if (step.op === 'copy') return kernels.copy(target, to, src.image, from);
  if (step.op === 'blend') {
    return kernels.blend(target, to, src.image, from, { mode: step.mode, alpha: step.alpha });
  }
  if (!RGB32.includes(target.fourcc)) return kernels.pack(target, to, src.image, from, dst.color);
  return kernels.scale(target, to, src.image, from, { filter: step.filter, color: src.color });
}

function known(step: PixelStep, dst: Surface): Image {
  if (dst.image !== undefined) return dst.image;
  const detail =
    'the destination is a frame, whose geometry is its writer’s; import it as an image';
  throw new DmaBufError('EINVAL', step.op, detail);
}

/** What can be said before the geometry of the source is known. */
function checkUnknown(step: PixelStep, dst: Image, to: Rect, from: Rect): void {
  const formats = step.op === 'copy' ? undefined : RGB32;
  checkImage(step.op, 'destination', dst, step.op === 'blend' ? [DRM_FORMAT_XRGB8888] : formats);
  checkRect(step.op, 'destination', dst, to);
  if (step.op !== 'blit' && step.from !== undefined) checkSameSize(step.op, to, from);
}

const NOTHING: KernelOps = {
  convert() {},
  pack() {},
  scale() {},
  blend() {},
  fill() {},
  copy() {},
  triangle: () => 0,
};

/** Kernels that find every fault and do nothing else: what submit checks commands with. */
export const checkingKernels: Kernels = makeFront(
  'plain',
  () => true,
  () => NOTHING,
);

/** Whether a format is known to be YCbCr. */
export function isYuv(image: Image): boolean {
  return formatInfo(image.fourcc)?.isYuv === true;
}
