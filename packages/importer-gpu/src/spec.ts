/** gpu(): the GPU as boot takes it. */
import type { DriverSpec, Machine } from '@dmabuf/core';
import { CORES_MAX, gpuWords, MAX_RECORDS } from './layout.js';

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
  /**
   * Threads that share a command's work in tiles, the one that takes the jobs among them; default 1, at most
   * 16. The result is the same. Worth it where the machine has that many cores to spare, and for large images.
   */
  readonly shaderCores?: number;
  /** Modules of the two halves and of a shader core, for bundlers that move them. */
  readonly urls?: { readonly driver?: string; readonly device?: string; readonly core?: string };
}

/** What the driver half reads in the directory. */
export interface GpuInfo {
  readonly class: 'gpu';
  /** Paths of its shader cores beside the device itself. */
  readonly cores: readonly string[];
}

/** A GPU for `boot({ drivers: [gpu()] })`. RangeError for a bad `images`, `kernels` or `shaderCores`. */
export function gpu(options: GpuOptions = {}): DriverSpec {
  const { name = 'gpu0', path = '/dev/dri/renderD128', poolOnly = false } = options;
  const { images = 256, kernels = 16, shaderCores = 1 } = options;
  for (const [what, count] of Object.entries({ images, kernels })) {
    if (Number.isInteger(count) && count >= 1 && count <= MAX_RECORDS) continue;
    throw new RangeError(`gpu: ${what} must be an integer from 1 to ${MAX_RECORDS}, not ${count}`);
  }
  if (!Number.isInteger(shaderCores) || shaderCores < 1 || shaderCores > CORES_MAX) {
    throw new RangeError(
      `gpu: shaderCores must be an integer from 1 to ${CORES_MAX}, not ${shaderCores}`,
    );
  }
  const others = Array.from({ length: shaderCores - 1 }, (_, i) => i + 1);
  const info: GpuInfo = { class: 'gpu', cores: others.map((core) => `${path}.core${core}`) };
  const reach = { contiguous: true, pool: poolOnly };
  const { urls } = options;
  const device = urls?.device ?? new URL('./device.js', import.meta.url).href;
  const coreModule = urls?.core ?? new URL('./shader-core.js', import.meta.url).href;
  const cores = others.map((core) => ({
    name: `${name}-core${core}`,
    path: `${path}.core${core}`,
    module: coreModule,
    options: { core },
  }));
  return {
    name: options.driver ?? 'gpu',
    module: urls?.driver ?? new URL('./driver.js', import.meta.url).href,
    words: gpuWords({ images, kernels }),
    options: { images, kernels, shaderCores },
    devices: [{ name, path, module: device, info, reach }, ...cores],
  };
}

/** Whether a device node's description is that of a GPU. */
export function isGpuInfo(info: unknown): info is GpuInfo {
  return typeof info === 'object' && info !== null && 'class' in info && info.class === 'gpu';
}

/** Actor ids of the shader cores of the GPU at `path`, the device itself apart. ENOENT: no such device. */
export function coreActors(machine: Machine, path: string): readonly number[] {
  const { info } = machine.device(path);
  const paths = isGpuInfo(info) ? info.cores : [];
  return paths.map((core) => machine.device(core).actor);
}
