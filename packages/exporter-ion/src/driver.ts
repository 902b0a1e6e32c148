/**
 * The driver half: loaded by every thread that joins. It makes the thread's door to the heaps, and
 * serves as exporter ops of their buffers (ion_dma_buf_*).
 *
 * The memory is coherent between threads, so cache maintenance has nothing to do; the ops are there
 * because an exporter that offers mmap must offer them. Core calls them, and counts the cache lines,
 * for buffers that were allocated CACHED | CACHED_NEEDS_SYNC.
 */
import {
  type BufferRecord,
  type DmaBufOps,
  type Driver,
  type DriverDoor,
  type Importer,
  notPermitted,
} from '@dmabuf/core/driver';
import { type Heap, mayUseProtected } from './heap.js';
import { type HeapFactory, Ion } from './ion.js';
import { PRIV } from './layout.js';
import { recoverActor } from './recover.js';

/** The driver half with heap types of your own: `export const driver = createDriver({ mine })`. */
export function createDriver(types: Readonly<Record<string, HeapFactory>> = {}): Driver {
  return {
    init(door) {
      return opsOf(new Ion(door, types));
    },
    died(door, actor) {
      recoverActor(Ion.of(door), actor, (record, generation) => isBacked(door, record, generation));
    },
  };
}

/** Whether a live buffer has these two private words. */
function isBacked(door: DriverDoor, record: number, generation: number): boolean {
  for (const buffer of door.buffers()) {
    if (buffer.priv(PRIV.RECORD) === record && buffer.priv(PRIV.GEN) === generation) return true;
  }
  return false;
}

/** The driver half with the package's own heap types. */
export const driver: Driver = createDriver();

function opsOf(ion: Ion): DmaBufOps {
  const heapOf = (buffer: BufferRecord): Heap => ion.heap(buffer.priv(PRIV.HEAP));
  const recordOf = (buffer: BufferRecord): number => ion.base + buffer.priv(PRIV.RECORD);
  return {
    map: (buffer) => heapOf(buffer).pieces(buffer, recordOf(buffer)),
    unmap() {},
    permit: (buffer, importer, syscall) => permit(ion, buffer, importer, syscall),
    mmap() {},
    vmap() {},
    vunmap() {},
    prepareAccess() {},
    finishAccess() {},
    release(buffer) {
      heapOf(buffer).release(recordOf(buffer), buffer.priv(PRIV.GEN));
    },
  };
}

/** Protected memory is for the devices that its heap names; for those that declare it if it names none. */
function permit(ion: Ion, buffer: BufferRecord, importer: Importer, syscall: string): void {
  const { config, label } = ion.heap(buffer.priv(PRIV.HEAP));
  if (importer.device && mayUseProtected(config, importer)) return;
  const whom =
    config.devices.length > 0
      ? `${label} is for ${config.devices.join(', ')}`
      : `${label} is for devices that declare \`protected\``;
  throw notPermitted(buffer, importer, syscall, whom);
}
