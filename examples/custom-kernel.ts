// A kernel of your own on the GPU: this file exports `edges`, registers itself, and dispatches it over an image.
import { isMainThread } from 'node:worker_threads';
import { boot, DmaBufError } from '@dmabuf/core';
import {
  dispatch,
  DRM_FORMAT_XRGB8888,
  fill,
  GpuContext,
  gpu,
  type KernelCall,
} from '@dmabuf/importer-gpu';

const [WIDTH, HEIGHT] = [64, 24];

/** Sobel's operator on the green channel; the GPU calls it for a part of the grid, on one core or several. */
export function edges({ images: [src, dst], args: [gain = 1], x0, y0, x1, y1 }: KernelCall): void {
  const [from, to] = [src?.planes[0], dst?.planes[0]];
  if (src === undefined || from?.words === undefined || to?.words === undefined) {
    throw new DmaBufError('EINVAL', 'edges', 'takes two images of aligned 32-bit pixels');
  }
  const { words, pitch } = from;
  const green = (x: number, y: number): number => {
    const [cx, cy] = [
      Math.min(Math.max(x, 0), src.width - 1),
      Math.min(Math.max(y, 0), src.height - 1),
    ];
    return ((words[(cy * pitch) / 4 + cx] ?? 0) >> 8) & 255;
  };
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const column = (dx: number): number =>
        green(x + dx, y - 1) + 2 * green(x + dx, y) + green(x + dx, y + 1);
      const row = (dy: number): number =>
        green(x - 1, y + dy) + 2 * green(x, y + dy) + green(x + 1, y + dy);
      const edge = Math.abs(column(1) - column(-1)) + Math.abs(row(1) - row(-1));
      to.words[(y * to.pitch) / 4 + x] = 0xff000000 | (Math.min(255, edge * gain) * 0x010101);
    }
  }
}

async function main(): Promise<void> {
  const machine = await boot({ drivers: [gpu()] });
  const context = GpuContext.create(machine);
  const shape = { fourcc: DRM_FORMAT_XRGB8888, width: WIDTH, height: HEIGHT };
  const [src, dst] = [0, 1].map(() => {
    const buffer = machine.alloc(WIDTH * HEIGHT * 4);
    const image = context.importImage({ buffer, ...shape });
    buffer.close(); // the image has an fd of its own
    return image;
  });
  if (src === undefined || dst === undefined) throw new RangeError('no images');
  const kernel = context.loadKernel({ url: import.meta.url, entry: 'edges' });
  const images = [
    { image: src, access: 'read' },
    { image: dst, access: 'overwrite' },
  ] as const;
  context.submit({
    commands: [
      fill({ dst: src, pixel: 0xff202020 }),
      fill({ dst: src, to: { x: 8, y: 4, width: 24, height: 14 }, pixel: 0xffe0e0e0 }),
      fill({ dst: src, to: { x: 20, y: 9, width: 36, height: 11 }, pixel: 0xff808080 }),
      dispatch({ kernel, images, args: [0.5] }), // after the fills, in the same job
    ],
  });
  const pixels = context.readPixels(dst);
  for (let y = 0; y < HEIGHT; y++) {
    const row = pixels.subarray(y * WIDTH * 4, (y + 1) * WIDTH * 4);
    const shades = Array.from({ length: WIDTH }, (_, x) => ' .:-=+*#%@'[(row[x * 4] ?? 0) >> 5]);
    console.log(shades.join('').trimEnd());
  }
  for (const handle of [kernel, src, dst, context]) handle.close();
  await machine.shutdown();
}

if (isMainThread) void main(); // kernels are loaded synchronously: no top-level await in their module
