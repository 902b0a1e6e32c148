/**
 * The CPU's way to an image's pixels: glReadPixels and glTexSubImage2D on imported buffers.
 *
 * Both map the buffer by its exporter's own op (GpuImage.mmap), open one access bracket over the bytes of
 * the rectangle alone, and copy rows. So they wait, as any CPU access, for the jobs that were queued on the
 * buffer before; a read bracket writes no cache line back. Formats are converted outside the
 * bracket, in memory of this thread.
 */
import { types } from 'node:util';
import type { Bracket } from '@dmabuf/core';
import type { FourCC } from './fourcc.js';
import type { GpuImage } from './image.js';
import { checkRect, fail, RGB32 } from './kernels/check.js';
import type { ColorSpec } from './kernels/color.js';
import type { Image, Kernels, Rect } from './kernels/kernels.js';
import { plainKernels } from './kernels/plain.js';
import {
  blockHull,
  bytesOf,
  type Extent,
  extentOf,
  gather,
  knownFormat,
  packedImage,
  scatter,
  wholeOf,
} from './plane-rows.js';
import { checkingKernels, type Surface } from './step.js';

/** How pixels are read. */
export interface ReadPixelsOptions {
  /** Default: all of the image (of a frame: its visible part). */
  readonly from?: Rect;
  /** Format of the result: the image's own (default), or what `blit` could convert it to. */
  readonly fourcc?: FourCC;
  /** Where to put them, from its start on; default: a new array. */
  readonly into?: Uint8Array;
  /** ms to wait for the buffer's queue; 0 = only try. Default: no limit. */
  readonly timeout?: number;
}

/** How pixels are written. */
export interface TexSubImageOptions {
  /** Default: all of the image. */
  readonly to?: Rect;
  /** Format of `pixels`: the image's own (default), or what can be converted to it. */
  readonly fourcc?: FourCC;
  /** Bytes from row to row of `pixels`, for formats of one plane; default: rows without gaps. */
  readonly pitch?: number;
  /** ms to wait for the buffer's queue; 0 = only try. Default: no limit. */
  readonly timeout?: number;
}

const READ = 'read_pixels';
const WRITE = 'tex_sub_image';

/** See `GpuContext.readPixels`. */
export function readPixels(
  image: GpuImage,
  options: ReadPixelsOptions,
): Uint8Array<ArrayBufferLike> {
  const { timeout = Infinity } = options;
  // Of a frame nobody knows the geometry before its writer is done.
  const known = image.frame ? undefined : planRead(image.surface, options);
  using mapping = image.mmap();
  using bracket = mapping.prepareAccess({ read: true, timeout, ...rangeOf(known?.extent) });
  const plan = known ?? planRead(image.describeFrame(READ), options);
  plan.gather({ bytes: plainBytes(bracket), base: known?.extent.offset ?? 0 });
  bracket.finish();
  return plan.result();
}

/** See `GpuContext.texSubImage2D`. */
export function texSubImage2D(
  image: GpuImage,
  pixels: Uint8Array,
  options: TexSubImageOptions,
): void {
  const { timeout = Infinity, to = wholeOf(image) } = options;
  const { image: target, color } = image.surface;
  if (target === undefined) {
    fail(WRITE, 'the image is a frame, whose geometry is its writer’s; import it as an image');
  }
  checkRect(WRITE, 'destination', target, to);
  const source = sourceOf(target.fourcc, to, pixels, options);
  transfer(checkingKernels, target, to, source, wholeOf(source), color);
  const packed = packedImage(target.fourcc, to, WRITE);
  transfer(plainKernels, packed, wholeOf(packed), source, wholeOf(source), color);
  const extent = extentOf(target, to, WRITE);
  const discard = extent.dense && extent.length === image.buffer.size;
  using mapping = image.mmap();
  using bracket = mapping.prepareAccess({ write: true, discard, timeout, ...rangeOf(extent) });
  scatter(target, to, { bytes: bracket.bytes, base: extent.offset }, packed);
  bracket.finish();
}

function rangeOf(extent: Extent | undefined): { offset?: number; length?: number } {
  return extent === undefined ? {} : { offset: extent.offset, length: extent.length };
}

/** Guard views are slow to read piece by piece: of those a copy is read. */
function plainBytes(bracket: Bracket): Uint8Array<ArrayBufferLike> {
  const { bytes } = bracket;
  return types.isProxy(bytes) ? bracket.copy() : bytes;
}

/** A rectangle that is going to be read, and where its pixels go. */
interface ReadPlan {
  readonly extent: Extent;
  gather(from: { readonly bytes: Uint8Array<ArrayBufferLike>; readonly base: number }): void;
  result(): Uint8Array<ArrayBufferLike>;
}

/** Checks a read and allocates what it needs. */
function planRead(surface: Surface, options: ReadPixelsOptions): ReadPlan {
  const source = surface.image;
  if (source === undefined) throw new RangeError('readPixels: a surface without an image');
  const part = options.from ?? wholeOf(surface);
  checkRect(READ, 'source', surface, part);
  const from = { ...part, x: part.x + surface.x, y: part.y + surface.y };
  const { fourcc = source.fourcc } = options;
  const target = packedImage(fourcc, from, READ, options.into);
  transfer(checkingKernels, target, wholeOf(target), source, from, surface.color);
  if (fourcc === source.fourcc) {
    return {
      extent: extentOf(source, from, READ),
      gather: (content) => gather(source, from, content, target),
      result: () => bytesOf(target),
    };
  }
  // Whole blocks come out of the buffer; what was asked for is then cut out of them.
  const hull = blockHull(source, from, READ);
  const raw = packedImage(source.fourcc, hull, READ);
  const inner = { ...from, x: from.x - hull.x, y: from.y - hull.y };
  return {
    extent: extentOf(source, hull, READ),
    gather: (content) => gather(source, hull, content, raw),
    result: () => {
      transfer(plainKernels, target, wholeOf(target), raw, inner, surface.color);
      return bytesOf(target);
    },
  };
}

/** Copies pixels of equal size, converting them where the formats differ. */
function transfer(
  kernels: Kernels,
  dst: Image,
  to: Rect,
  src: Image,
  from: Rect,
  color: ColorSpec,
): void {
  const verbatim = dst.fourcc === src.fourcc || [dst, src].every((i) => RGB32.includes(i.fourcc));
  if (verbatim) kernels.copy(dst, to, src, from);
  else if (!RGB32.includes(dst.fourcc)) kernels.pack(dst, to, src, from, color);
  else kernels.scale(dst, to, src, from, { filter: 'nearest', color });
}

/** The caller's pixels as an image. */
function sourceOf(own: FourCC, to: Rect, pixels: Uint8Array, options: TexSubImageOptions): Image {
  if (!(pixels instanceof Uint8Array)) {
    throw new TypeError(`texSubImage2D: pixels must be a Uint8Array, got ${typeof pixels}`);
  }
  const { fourcc = own, pitch } = options;
  if (pitch === undefined) return packedImage(fourcc, to, WRITE, pixels);
  if (knownFormat(fourcc, WRITE).planes.length > 1) {
    fail(WRITE, 'a pitch is for formats of one plane; the planes of others are packed');
  }
  const { buffer: memory, byteOffset, byteLength } = pixels;
  const { width, height } = to;
  const planes = [{ offset: 0, pitch }];
  return { memory, byteOffset, byteLength, fourcc, width, height, planes };
}
