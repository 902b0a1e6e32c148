/** gpu(): the GPU as boot takes it. */
import type { DriverSpec } from '@dmabuf/core';
import { gpuWords, MAX_RECORDS } from './layout.js';

export interface GpuOptions {
  /** Name of the device's actor; default `'gpu0'`. */
  readonly name?: string;
  /** Its path; default `'/dev/dri/renderD128'`. */
  readonly path?: string;
  /** Name of the driver, for a second GPU in one machine; default `'gpu'`. */
  readonly driver?: string;
  /** Images that can be imported at one time, 128 bytes each; default 256, at most 4096. */
  readonly images?: number;
  /** Kernels of the user's that can be registered at one time, 640 bytes each; default 16, at most 4096. */
  readonly kernels?: number;
  /**
   * Refuse buffers outside the pool, which only the slower TypeScript kernels reach; default
   * false.
   */
  readonly poolOnly?: boolean;
  /** Modules of the two halves, for bundlers that move them. */
  readonly urls?: { readonly driver?: string; readonly device?: string };
}

/** What the driver half reads in the directory. */
export interface GpuInfo {
  readonly class: 'gpu';
}

/** A GPU for `boot({ drivers: [gpu()] })`. RangeError for a bad `images` or `kernels`. */
export function gpu(options: GpuOptions = {}): DriverSpec {
  const { name = 'gpu0', path = '/dev/dri/renderD128', poolOnly = false } = options;
  const { images = 256, kernels = 16 } = options;
  for (const [what, count] of Object.entries({ images, kernels })) {
    if (Number.isInteger(count) && count >= 1 && count <= MAX_RECORDS) continue;
    throw new RangeError(`gpu: ${what} must be an integer from 1 to ${MAX_RECORDS}, not ${count}`);
  }
  const info: GpuInfo = { class: 'gpu' };
  const reach = { contiguous: true, pool: poolOnly };
  const { urls } = options;
  const device = urls?.device ?? new URL('./device.js', import.meta.url).href;
  return {
    name: options.driver ?? 'gpu',
    module: urls?.driver ?? new URL('./driver.js', import.meta.url).href,
    words: gpuWords({ images, kernels }),
    options: { images, kernels },
    devices: [{ name, path, module: device, info, reach }],
  };
}

/** Whether a device node's description is that of a GPU. */
export function isGpuInfo(info: unknown): info is GpuInfo {
  return typeof info === 'object' && info !== null && 'class' in info && info.class === 'gpu';
}
