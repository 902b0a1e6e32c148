/**
 * @dmabuf/core/driver: what the authors of drivers need beside the public API.
 */
export { DriverDoor } from './actor/door.js';
export type {
  Device,
  DeviceEnv,
  DeviceFactory,
  DeviceSpec,
  Driver,
  DriverSpec,
} from './actor/spec.js';
export type { IoctlHandler } from './actor/ipc.js';
export type { Handlers } from './actor/server.js';
export type { ExportInfo } from './dmabuf/buffers.js';
export {
  BufferRecord,
  contiguousOps,
  type CpuUse,
  type Direction,
  type DmaBufOps,
  type Importer,
  type Reach,
  type SgEntry,
  type SgTable,
} from './dmabuf/ops.js';
export { checkReach, notPermitted } from './dmabuf/reach.js';
export type { Place } from './dmabuf/moves.js';
export { Vmap } from './dmabuf/vmap.js';
export { CACHE_LINE } from './dmabuf/cache.js';
export { BUFFER_FLAG } from './memory/layout.js';
export { Locks } from './memory/lock.js';
export { Words } from './memory/words.js';
export { sharedWasmMemory, type WasmMemory } from './substrate/memory.js';
export { TRACE_KIND } from './trace/ring.js';
export { PAGE_SIZE, pageAlign } from './dmabuf/system-heap.js';
