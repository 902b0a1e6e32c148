/** Kernels that the tests register, as a user would write them. */
import type { KernelCall } from '../user-kernel.js';

/** Adds args[0] to every word of the first image, into the second. */
export function add({ images, args, x0, y0, x1, y1 }: KernelCall): void {
  const [src, dst] = images.map(({ planes }) => planes[0]);
  if (src === undefined || dst === undefined) throw new RangeError('two images, please');
  const [from, to] = [new DataView(src.bytes.buffer, src.bytes.byteOffset), dst.bytes];
  const out = new DataView(to.buffer, to.byteOffset);
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const sum = from.getUint32(y * src.pitch + x * 4, true) + (args[0] ?? 0);
      out.setUint32(y * dst.pitch + x * 4, sum, true);
    }
  }
}

/** Writes into each pixel where it is: x | y << 16. */
export function where({ images: [dst], x0, y0, x1, y1 }: KernelCall): void {
  const plane = dst?.planes[0];
  if (plane?.words === undefined) throw new RangeError('one image with words, please');
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) plane.words[(y * plane.pitch) / 4 + x] = x | (y << 16);
  }
}

/** Inverts the luma of a frame's visible part into an image. */
export function luma({ images: [src, dst], x0, y0, x1, y1 }: KernelCall): void {
  const [from, to] = [src?.planes[0], dst?.planes[0]];
  if (src === undefined || from === undefined || to?.words === undefined) throw new RangeError();
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const value = from.bytes[(y + src.visible.y) * from.pitch + x + src.visible.x] ?? 0;
      to.words[(y * to.pitch) / 4 + x] = 255 - value;
    }
  }
}

export function broken(): void {
  throw new Error('out of order');
}

/** Throws for rows from args[0] on. */
export function brokenFrom({ args: [row = 0], y1 }: KernelCall): void {
  if (y1 > row) throw new RangeError(`no row ${y1 - 1}`);
}

/** Writes outside of its plane, which a view has no place for. */
export function outside({ images: [dst] }: KernelCall): void {
  const bytes = dst?.planes[0]?.bytes;
  if (bytes === undefined) return;
  bytes[bytes.length] = 1;
  bytes[-1] = 1;
}

export const nothing = 7;

/** Says that it is here (word 0 becomes 1), and stays until it reads 2 there, or for ten seconds. */
export function gate({ images: [dst] }: KernelCall): void {
  const words = dst?.planes[0]?.words;
  if (words === undefined) throw new RangeError('one image with words, please');
  words[0] = 1;
  const until = performance.now() + 10_000;
  while (words[0] !== 2) if (performance.now() > until) throw new RangeError('the gate is shut');
}

/** Spends args[0] ms. */
export function spend({ args: [ms = 0] }: KernelCall): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}
