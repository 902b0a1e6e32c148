/**
 * @dmabuf/exporter-ion: heaps that dma-bufs are allocated from.
 *
 * `ion()` is the driver, for `boot`. `IonClient.open(machine)` is the classic ION client; `dmaHeap(machine,
 * 'system')` the modern, plainer face of the same heaps.
 */
import type { DriverSpec } from '@dmabuf/core';
import { type IonOptions, resolveOptions, wordsFor } from './options.js';

/**
 * The ION driver: `boot({ drivers: [ion()], pool: 64 << 20 })`. Its device is the heap thread,
 * `/dev/ion`. TypeError and RangeError name the option that is wrong.
 */
export function ion(options: IonOptions = {}): DriverSpec {
  const config = resolveOptions(options);
  return {
    name: 'ion',
    module: options.module ?? new URL('./driver.js', import.meta.url).href,
    words: wordsFor(config),
    options: config,
    devices: [
      {
        name: 'ion',
        path: '/dev/ion',
        module: options.deviceModule ?? new URL('./device.js', import.meta.url).href,
      },
    ],
  };
}

export { IonClient, type ClientOptions, type HeapEntry } from './client.js';
export { IonHandle } from './handle.js';
export type { AllocOptions, BufferUser } from './allocate.js';
export {
  dmaHeap,
  dmaHeaps,
  DmaHeap,
  type DmaHeapAlloc,
  O_ACCMODE,
  O_CLOEXEC,
  O_RDONLY,
  O_RDWR,
} from './dma-heap.js';
export {
  type SharedMemory,
  udmabuf,
  Udmabuf,
  type UdmabufCreate,
  type UdmabufCreateList,
} from './udmabuf.js';
export type { HeapHolder, HeapStats } from './stats.js';
export {
  type HeapKind,
  type HeapOptions,
  ION_FLAG,
  ION_HEAP_TYPE,
  type IonOptions,
} from './options.js';
// For heap types of one's own, in a driver module of one's own (`ion({ module })`).
export { createDriver } from './driver.js';
export {
  Heap,
  type HeapEnv,
  type HeapRequest,
  type HeapDoor,
  type HeapUsage,
  type HeapUser,
  type Placement,
} from './heap.js';
export { ChunkHeap } from './chunk-heap.js';
export { PoolHeap } from './pool-heap.js';
export { RangeHeap } from './range-heap.js';
export { SystemHeap } from './system-heap.js';
export type { HeapConfig } from './options.js';
export type { HeapFactory } from './ion.js';
