/**
 * Steps: commands with images replaced by their place in the job's list. The driver half makes and
 * packs them, the device unpacks and does them; `apply` is the one meaning that both share, so that
 * what submit checks is what the device runs.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Command } from './command.js';
import type { GpuImage } from './image.js';
import type { ColorSpec } from './kernels/color.js';
import { checkImage, checkRect, checkSameSize, RGB32 } from './kernels/check.js';
import { makeFront } from './kernels/front.js';
import type { BlendMode, Image, Kernels, Rect } from './kernels/kernels.js';
import type { KernelOps } from './kernels/ops.js';
import { DRM_FORMAT_XRGB8888, formatInfo } from './fourcc.js';

/** In the order of their numbers in a payload. */
const OPS = ['blit', 'blend', 'fill', 'clear', 'copy'] as const;
const FILTERS = ['bilinear', 'nearest'] as const;
const MODES: readonly BlendMode[] = ['premultiplied', 'coverage', 'none'];

/** A command of a job; `dst` and `src` are indexes into its list of images (−1: no source). */
export interface Step {
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
  const { op, dst } = command;
  if (!OPS.includes(op)) {
    throw new TypeError(
      `submit: a command's op must be one of ${OPS.join(', ')}, got ${String(op)}`,
    );
  }
  const bare: Step = {
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
  if (command.op === 'fill') return { ...bare, pixel: integer(command.pixel, 'pixel') >>> 0 };
  if (command.op !== 'blend') return bare;
  const alpha = integer(command.alpha ?? 255, 'alpha');
  if (alpha < 0 || alpha > 255) {
    throw new DmaBufError('EINVAL', 'blend', `alpha ${alpha} is outside 0..255`);
  }
  return { ...bare, mode: named(command.mode, MODES, 'mode'), alpha };
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

/** Whether a step overwrites every pixel of its destination. */
export function overwritesAll(step: Step, dst: { width: number; height: number }): boolean {
  if (step.op === 'blend') return false;
  const { to } = step;
  if (to === undefined) return true;
  return to.x === 0 && to.y === 0 && to.width === dst.width && to.height === dst.height;
}

/** The destination rectangle of a step. */
export function targetOf(step: Step, dst: Surface): Rect {
  return step.to ?? { x: 0, y: 0, width: dst.width, height: dst.height };
}

/** The source rectangle of a step, in the coordinates of the visible part. */
export function originOf(step: Step, src: Surface): Rect {
  return step.from ?? { x: 0, y: 0, width: src.width, height: src.height };
}

/** Does a step with some kernels. Their errors pass through; nothing is touched before them. */
export function apply(kernels: Kernels, step: Step, dst: Surface, src: Surface | undefined): void {
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
  return kernels.scale(target, to, src.image, from, { filter: step.filter, color: src.color });
}

function known(step: Step, dst: Surface): Image {
  if (dst.image !== undefined) return dst.image;
  const detail =
    'the destination is a frame, whose geometry is its writer’s; import it as an image';
  throw new DmaBufError('EINVAL', step.op, detail);
}

/** What can be said before the geometry of the source is known. */
function checkUnknown(step: Step, dst: Image, to: Rect, from: Rect): void {
  const formats = step.op === 'copy' ? undefined : RGB32;
  checkImage(step.op, 'destination', dst, step.op === 'blend' ? [DRM_FORMAT_XRGB8888] : formats);
  checkRect(step.op, 'destination', dst, to);
  if (step.op !== 'blit' && step.from !== undefined) checkSameSize(step.op, to, from);
}

const NOTHING: KernelOps = {
  convert() {},
  scale() {},
  blend() {},
  fill() {},
  copy() {},
};

/** Kernels that find every fault and do nothing else: what submit checks commands with. */
export const checkingKernels: Kernels = makeFront(
  'plain',
  () => true,
  () => NOTHING,
);

// Head word of a packed step: op (3 bits), TO, FROM, filter (1), mode (2), alpha (8).
const TO = 8;
const FROM = 16;
const FILTER_SHIFT = 5;
const MODE_SHIFT = 6;
const ALPHA_SHIFT = 8;

/** Packs a job into small integers: [images, id …, step …]. msgpack keeps most in 1 to 3 bytes. */
export function encodeSteps(images: readonly number[], steps: readonly Step[]): number[] {
  const out = [images.length, ...images];
  for (const step of steps) {
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
  return out;
}

/** Unpacks a job; EINVAL for anything that {@link encodeSteps} cannot have made. */
export function decodeSteps(payload: unknown): { images: number[]; steps: Step[] } {
  if (!Array.isArray(payload)) throw malformed('it is no array');
  const values: unknown[] = payload;
  let at = 0;
  const next = (): number => {
    const value = values[at++];
    if (typeof value === 'number' && Number.isInteger(value)) return value;
    throw malformed(`entry ${at - 1} is no integer`);
  };
  const rect = (): Rect => ({ x: next(), y: next(), width: next(), height: next() });
  const images: number[] = [];
  for (let count = next(); count > 0; count--) images.push(next());
  const index = (): number => {
    const i = next();
    if (i >= 0 && i < images.length) return i;
    throw malformed(`image ${i} of ${images.length}`);
  };
  const steps: Step[] = [];
  while (at < values.length) {
    const head = next();
    const op = OPS[head & 7];
    const mode = MODES[(head >> MODE_SHIFT) & 3];
    if (op === undefined || mode === undefined) throw malformed(`command word ${head}`);
    steps.push({
      op,
      dst: index(),
      src: op === 'fill' || op === 'clear' ? -1 : index(),
      to: (head & TO) === 0 ? undefined : rect(),
      from: (head & FROM) === 0 ? undefined : rect(),
      filter: ((head >> FILTER_SHIFT) & 1) === 1 ? 'nearest' : 'bilinear',
      mode,
      alpha: op === 'blend' ? (head >> ALPHA_SHIFT) & 255 : 255,
      pixel: op === 'fill' ? next() >>> 0 : 0,
    });
  }
  return { images, steps };
}

function malformed(what: string): DmaBufError {
  return new DmaBufError(
    'EINVAL',
    'gpu_job',
    `the payload is no command list of a GpuContext: ${what}`,
  );
}

/** Whether a format is known to be YCbCr. */
export function isYuv(image: Image): boolean {
  return formatInfo(image.fourcc)?.isYuv === true;
}
