/** The numbers that a wasm kernel of the user's is called with (see user-kernel.ts), counted. */
import { DmaBufError } from '@dmabuf/core';

/** Numbers that a wasm kernel takes for the grid, each image and each plane. */
const GRID_NUMBERS = 4;
const IMAGE_NUMBERS = 2;
const PLANE_NUMBERS = 2;

/** How many numbers a wasm kernel is called with. */
export function wasmArity(planes: readonly number[], args: number): number {
  const images = planes.reduce((sum, count) => sum + IMAGE_NUMBERS + count * PLANE_NUMBERS, 0);
  return GRID_NUMBERS + images + args;
}

/** EINVAL: a wasm kernel takes another number of parameters than it would be called with. */
export function checkArity(arity: number, planes: readonly number[], args: number): void {
  const given = wasmArity(planes, args);
  if (given === arity) return;
  const detail =
    `the kernel takes ${arity} numbers and would be called with ${given}: 4 for the part of the grid, ` +
    `${given - args - GRID_NUMBERS} for ${planes.length} images, ${args} arguments`;
  throw new DmaBufError('EINVAL', 'dispatch', detail);
}

/** EINVAL: a wasm kernel and an image outside the pool. */
export function outOfPool(): DmaBufError {
  const detail = 'a wasm kernel reaches the pool alone; an image lies outside it, use a module';
  return new DmaBufError('EINVAL', 'dispatch', detail);
}
