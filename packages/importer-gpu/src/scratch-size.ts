/** How much scratch an application gives a context (`GpuContext.create`). */
import { scaleScratchBytes } from './kernels/scale-map.js';
import { SCRATCH_SLACK } from './kernels/wasm.js';

/**
 * Bytes of scratch for scaling pictures of up to `sourceWidth` pixels to up to `width` pixels,
 * whatever their format and the filter. 61,455 from 1920 to 1920.
 */
export function scratchBytes(sourceWidth: number, width: number): number {
  return scaleScratchBytes(sourceWidth, width) + SCRATCH_SLACK;
}
