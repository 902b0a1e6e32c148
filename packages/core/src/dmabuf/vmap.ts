/**
 * Vmap: a kernel mapping of a whole buffer, for driver halves (dma_buf_vmap). The exporter is asked once
 * for any number of users in any threads; the last one's `vunmap` is told to it. The buffer stays
 * where it is meanwhile. No bracket is implied: whoever uses it claims the buffer by a job or a hold.
 */
import { DmaBufError } from '../errno.js';
import { BUFFER, BUFFER_FLAG, HOLDER, HOLDER_KIND } from '../memory/layout.js';
import type { BufferServices } from './dmabuf.js';
import type { BufferRecord } from './ops.js';

type VmapServices = Pick<BufferServices, 'kernel' | 'importers' | 'holders' | 'buffers'>;

/** One user's share of the mapping. */
export class Vmap {
  readonly record: BufferRecord;
  readonly #s: BufferServices;
  readonly #holder: number;
  readonly #generation: number;
  #bytes: Uint8Array<ArrayBufferLike> | undefined;
  #open = true;

  constructor(services: BufferServices, record: BufferRecord) {
    this.#s = services;
    this.record = record;
    this.#holder = vmap(services, record);
    this.#generation = services.holders.generationOf(this.#holder);
    services.regions.get(record.region);
    services.shadows?.open(record);
  }

  /** All of the buffer. EINVAL after {@link vunmap}. */
  get bytes(): Uint8Array<ArrayBufferLike> {
    this.#check('vmap');
    const { region, offset, size } = this.record;
    const { regions, shadows } = this.#s;
    this.#bytes ??= shadows?.view(this.record, 0, size) ?? regions.view(region, offset, size);
    return this.#bytes;
  }

  /** Ends this user's share. EINVAL the second time. */
  vunmap(): void {
    this.#check('dma_buf_vunmap');
    this.#open = false;
    this.#s.shadows?.close(this.record.pointer);
    // Leaving the machine has unmapped it already.
    if (this.#s.holders.generationOf(this.#holder) !== this.#generation) return;
    vunmap(this.#s, this.#holder);
  }

  [Symbol.dispose](): void {
    if (this.#open) this.vunmap();
  }

  #check(syscall: string): void {
    if (this.#open) return;
    const detail = `this kernel mapping of buffer ${this.record.ino} has ended`;
    throw new DmaBufError('EINVAL', syscall, detail);
  }
}

/** Adds a user; its holder. EINVAL: the exporter has no vmap; EPERM: protected; or the exporter's refusal. */
function vmap(s: VmapServices, record: BufferRecord): number {
  const { words } = s.kernel;
  const ops = s.buffers.opsOf(record);
  if (ops.vmap === undefined) {
    const detail = `the exporter of buffer ${record.ino} offers no kernel mapping`;
    throw new DmaBufError('EINVAL', 'dma_buf_vmap', detail);
  }
  if ((record.flags & BUFFER_FLAG.PROTECTED) !== 0) {
    throw new DmaBufError(
      'EPERM',
      'dma_buf_vmap',
      `buffer ${record.ino} is protected: devices only`,
    );
  }
  if ((record.flags & BUFFER_FLAG.SCATTER) !== 0) {
    const detail = `buffer ${record.ino} is a scatter list; map an attachment instead`;
    throw new DmaBufError('EINVAL', 'dma_buf_vmap', detail);
  }
  const holder = s.holders.take({ kind: HOLDER_KIND.VMAP, buffer: record.pointer }, 'dma_buf_vmap');
  try {
    s.importers.locked(record.pointer, () => {
      const users = words.get(record.pointer + BUFFER.VMAPS);
      if (users === 0) {
        ops.vmap?.(record);
        s.importers.mustHaveMemory(record, 'dma_buf_vmap');
        words.add(record.pointer + BUFFER.OP_CALLS, 1);
      }
      words.set(record.pointer + BUFFER.VMAPS, users + 1);
      words.set(holder + HOLDER.MAPS, 1);
    });
  } catch (error) {
    s.holders.drop(holder);
    throw error;
  }
  return holder;
}

/** Takes a user out: the holder's, whoever owned it. */
export function vunmap(s: VmapServices, holder: number): void {
  const { words } = s.kernel;
  const record = s.importers.recordOf(holder);
  try {
    s.importers.locked(record.pointer, () => {
      if (words.get(holder + HOLDER.MAPS) === 0) return; // its thread died in vmap or vunmap
      words.set(holder + HOLDER.MAPS, 0);
      const users = words.get(record.pointer + BUFFER.VMAPS) - 1;
      words.set(record.pointer + BUFFER.VMAPS, users);
      if (users > 0) return;
      s.buffers.opsOf(record).vunmap?.(record);
      words.add(record.pointer + BUFFER.OP_CALLS, 1);
    });
  } finally {
    s.holders.drop(holder);
  }
}
