/** gpu(): the GPU as boot takes it. */
import type { DriverSpec } from '@dmabuf/core';
import { gpuWords, MAX_IMAGES } from './layout.js';

export interface GpuOptions {
  /** Name of the device's actor; default `'gpu0'`. */
  readonly name?: string;
  /** Its path; default `'/dev/dri/renderD128'`. */
  readonly path?: string;
  /** Name of the driver, for a second GPU in one machine; default `'gpu'`. */
  readonly driver?: string;
  /** Images that can be imported at one time, 128 bytes each; default 256, at most 4096. */
  readonly images?: number;
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

/** A GPU for `boot({ drivers: [gpu()] })`. RangeError for a bad `images`. */
export function gpu(options: GpuOptions = {}): DriverSpec {
  const { name = 'gpu0', path = '/dev/dri/renderD128', images = 256, poolOnly = false } = options;
  if (!Number.isInteger(images) || images < 1 || images > MAX_IMAGES) {
    throw new RangeError(`gpu: images must be an integer from 1 to ${MAX_IMAGES}, not ${images}`);
  }
  const info: GpuInfo = { class: 'gpu' };
  const reach = { contiguous: true, pool: poolOnly };
  const { urls } = options;
  const device = urls?.device ?? new URL('./device.js', import.meta.url).href;
  return {
    name: options.driver ?? 'gpu',
    module: urls?.driver ?? new URL('./driver.js', import.meta.url).href,
    words: gpuWords(images),
    devices: [{ name, path, module: device, info, reach }],
  };
}

/** Whether a device node's description is that of a GPU. */
export function isGpuInfo(info: unknown): info is GpuInfo {
  return typeof info === 'object' && info !== null && 'class' in info && info.class === 'gpu';
}
