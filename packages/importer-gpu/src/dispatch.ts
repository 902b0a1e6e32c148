/** What submit checks of a dispatch. */
import { DmaBufError } from '@dmabuf/core';
import type { GpuImage } from './image.js';
import type { KernelTable } from './kernel-table.js';
import { MAX_SIZE } from './kernels/scale-map.js';
import type { DispatchStep } from './step.js';
import { checkArity, outOfPool } from './wasm-abi.js';

/** EINVAL: the grid, an image twice, a frame that would be written, what the kernel cannot reach or is not made for. */
export function checkDispatch(
  { kernel, uses, grid, args }: DispatchStep,
  images: readonly GpuImage[],
  kernels: KernelTable,
): void {
  const { width, height } = grid;
  if (width < 1 || height < 1 || width > MAX_SIZE || height > MAX_SIZE) {
    fail(`a grid of ${width}x${height}; grids go from 1x1 to ${MAX_SIZE}x${MAX_SIZE}`);
  }
  const mine = uses.map(({ image }) => image);
  const twice = mine.find((image, i) => mine.indexOf(image) !== i);
  if (twice !== undefined) {
    fail(`image ${images[twice]?.id} is named twice; name it once, 'readwrite' if need be`);
  }
  const named = uses.flatMap(({ image, access }) => {
    const found = images[image];
    return found === undefined ? [] : [{ image: found, access }];
  });
  for (const { image, access } of named) {
    if (image.frame && access !== 'read') {
      fail('it writes a frame, whose geometry is its writer’s; import it as an image');
    }
  }
  const { kind } = kernels.info(kernel);
  if (kind !== 'wasm') return;
  if (named.some(({ image }) => !image.buffer.record.inPool)) throw outOfPool();
  // Of a frame nobody knows yet how many planes it will have: the device looks.
  if (named.some(({ image }) => image.frame)) return;
  const planes = named.map(({ image }) => image.surface.image?.planes.length ?? 0);
  checkArity(kernels.arity(kernel), planes, args.length);
}

function fail(detail: string): never {
  throw new DmaBufError('EINVAL', 'dispatch', detail);
}
