/**
 * Rows of rectangles, plane by plane, between a buffer and an image that is packed tightly in memory of this
 * thread's own: what CPU access to pixels consists of.
 */
import { formatInfo, formatName, packedLayout, type FourCC, type FormatInfo } from './fourcc.js';
import { blocks, fail } from './kernels/check.js';
import type { Image, Rect } from './kernels/kernels.js';

/** A range of a buffer in bytes from its start. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
  /** Whether a rectangle covers every byte of it. */
  readonly dense: boolean;
}

/** The format of an image that is made here. EINVAL: unknown. */
export function knownFormat(fourcc: FourCC, call: string): FormatInfo {
  return formatInfo(fourcc) ?? fail(call, `pixel format ${formatName(fourcc)} is not known here`);
}

/** The whole of something. */
export function wholeOf({ width, height }: { width: number; height: number }): Rect {
  return { x: 0, y: 0, width, height };
}

/** A tightly packed image, in `into` from its start on or in memory of its own. EINVAL: no room for it. */
export function packedImage(
  fourcc: FourCC,
  { width, height }: { width: number; height: number },
  call: string,
  into?: Uint8Array<ArrayBufferLike>,
): Image {
  const { name } = knownFormat(fourcc, call);
  const { planes, size } = packedLayout(fourcc, width, height);
  const room = into ?? new Uint8Array(size);
  if (room.byteLength < size) {
    const what = `${width}x${height} pixels of ${name}`;
    fail(call, `${what} are ${size} bytes; there is room for ${room.byteLength}`);
  }
  const { buffer: memory, byteOffset } = room;
  return { memory, byteOffset, byteLength: size, fourcc, width, height, planes };
}

/** The bytes of an image that {@link packedImage} made. */
export function bytesOf({ memory, byteOffset, byteLength }: Image): Uint8Array<ArrayBufferLike> {
  return new Uint8Array(memory, byteOffset, byteLength);
}

/** The same rectangle with no block of its format cut. */
export function blockHull(image: Image, rect: Rect, call: string): Rect {
  const { planes } = knownFormat(image.fourcc, call);
  const hsub = Math.max(...planes.map((plane) => plane.hsub));
  const vsub = Math.max(...planes.map((plane) => plane.vsub));
  const x = rect.x - (rect.x % hsub);
  const y = rect.y - (rect.y % vsub);
  const right = Math.min(image.width, Math.ceil((rect.x + rect.width) / hsub) * hsub);
  const bottom = Math.min(image.height, Math.ceil((rect.y + rect.height) / vsub) * vsub);
  return { x, y, width: right - x, height: bottom - y };
}

/** The range of its buffer that a rectangle of an image lies in. */
export function extentOf(image: Image, rect: Rect, call: string): Extent {
  const parts = blocks({ ...image, byteOffset: 0 }, knownFormat(image.fourcc, call), rect);
  const ends = parts.map((part) => part.base + (part.rows - 1) * part.pitch + part.rowBytes);
  const offset = Math.min(...parts.map((part) => part.base));
  const length = Math.max(...ends) - offset;
  const covered = parts.reduce((sum, { rowBytes, rows }) => sum + rowBytes * rows, 0);
  return { offset, length, dense: covered === length };
}

/** Calls `move` for each row of a rectangle: where it is in the buffer, in the packed image, and its length. */
function eachRow(
  image: Image,
  rect: Rect,
  packed: Image,
  move: (at: number, packedAt: number, bytes: number) => void,
): void {
  const info = knownFormat(image.fourcc, 'rows');
  const outer = blocks({ ...image, byteOffset: 0 }, info, rect);
  const inner = blocks({ ...packed, byteOffset: 0 }, info, wholeOf(packed));
  for (const [i, from] of outer.entries()) {
    const to = inner[i];
    if (to === undefined) return;
    for (let y = 0; y < from.rows; y++) {
      move(from.base + y * from.pitch, to.base + y * to.pitch, from.rowBytes);
    }
  }
}

/** Copies a rectangle of an image out of its buffer, of which `bytes` are those from `base` on. */
export function gather(
  image: Image,
  rect: Rect,
  { bytes, base }: { readonly bytes: Uint8Array<ArrayBufferLike>; readonly base: number },
  packed: Image,
): void {
  const target = bytesOf(packed);
  eachRow(image, rect, packed, (at, packedAt, count) => {
    target.set(bytes.subarray(at - base, at - base + count), packedAt);
  });
}

/** Copies a packed image into a rectangle. */
export function scatter(
  image: Image,
  rect: Rect,
  { bytes, base }: { readonly bytes: Uint8Array<ArrayBufferLike>; readonly base: number },
  packed: Image,
): void {
  const source = bytesOf(packed);
  eachRow(image, rect, packed, (at, packedAt, count) => {
    bytes.set(source.subarray(packedAt, packedAt + count), at - base);
  });
}
