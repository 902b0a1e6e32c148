/**
 * Holders in kernel memory: who holds a buffer otherwise than by an fd: attachments, CPU mappings,
 * kernel mappings.
 *
 * A record names its owner, so that what a process held can be taken back for it after it has left or
 * died. A holder is a reference on its buffer: record and count change as one step (see References).
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { objectWord } from '../fd/object-word.js';
import type { References } from '../fd/references.js';
import { BUFFER, HEADER, HOLDER, HOLDER_FLAG, HOLDER_KIND, OBJECT } from '../memory/layout.js';

/** What {@link Holders.take} is told; what is left out is 0. */
export interface HolderInfo {
  readonly kind: number;
  readonly buffer: number;
  readonly importer?: number;
  readonly flags?: number;
  readonly align?: number;
  readonly offset?: number;
  readonly length?: number;
}

export class Holders {
  readonly #k: Kernel;
  readonly #references: References;

  constructor(kernel: Kernel, references: References) {
    this.#k = kernel;
    this.#references = references;
  }

  /** A new holder of this actor's, with its reference on the buffer. ENFILE when the table is full. */
  take(info: HolderInfo, syscall: string): number {
    const { locks } = this.#k;
    locks.lock(HEADER.BUFFER_LOCK);
    const holder = this.#take(info);
    locks.unlock(HEADER.BUFFER_LOCK);
    if (holder !== 0) return holder;
    throw new DmaBufError(
      'ENFILE',
      syscall,
      `all ${this.#k.holders.count} attachments and mappings of the machine are in use; close some, or boot with a larger tables.holders`,
    );
  }

  /** Keeps a buffer for a look at it; 0 when it is going, or the table is full. */
  pin(buffer: number): number {
    const object = objectWord(OBJECT.DMABUF, buffer);
    return this.#references.locked(() => {
      if (this.#references.count(object) === 0) return 0;
      return this.#take({ kind: HOLDER_KIND.PIN, buffer });
    });
  }

  #take(info: HolderInfo): number {
    const { words, holders, self } = this.#k;
    const holder = holders.findFree();
    if (holder !== 0) {
      const gen = (words.get(holder + HOLDER.GEN) + 1) & 0x7fffffff || 1;
      words.set(holder + HOLDER.GEN, gen);
      words.set(holder + HOLDER.KIND, info.kind);
      words.set(holder + HOLDER.BUFFER, info.buffer);
      words.set(holder + HOLDER.OWNER, self);
      words.set(holder + HOLDER.IMPORTER, info.importer ?? 0);
      words.set(holder + HOLDER.FLAGS, info.flags ?? 0);
      words.set(holder + HOLDER.ALIGN, info.align ?? 0);
      words.set(holder + HOLDER.MAPS, 0);
      words.set(holder + HOLDER.DIRECTION, 0);
      words.set(holder + HOLDER.PINS, 0);
      words.set(holder + HOLDER.MOVES, 0);
      words.setDouble(holder + HOLDER.OFFSET, info.offset ?? 0);
      words.setDouble(holder + HOLDER.LENGTH, info.length ?? 0);
      words.store(holder + HOLDER.STATE, gen);
      this.#references.add(objectWord(OBJECT.DMABUF, info.buffer));
      if (info.kind === HOLDER_KIND.ATTACHMENT) this.#countAttachment(info.buffer, 1);
    }
    return holder;
  }

  /** Frees the record and drops its reference. */
  drop(holder: number): void {
    const { words } = this.#k;
    const buffer = words.get(holder + HOLDER.BUFFER);
    const object = objectWord(OBJECT.DMABUF, buffer);
    const attached = words.get(holder + HOLDER.KIND) === HOLDER_KIND.ATTACHMENT;
    const last = this.#references.locked(() => {
      words.store(holder + HOLDER.STATE, 0);
      if (attached) this.#countAttachment(buffer, -1);
      return this.#references.drop(object);
    });
    if (last) this.#references.onLast(object);
  }

  #countAttachment(buffer: number, by: 1 | -1): void {
    const { words } = this.#k;
    const index = buffer + BUFFER.ATTACHMENTS;
    words.set(index, words.get(index) + by);
  }

  /** Counts attachments anew. BUFFER_LOCK is held, taken over from the dead. */
  recount(): void {
    const { words, buffers, holders } = this.#k;
    for (const buffer of buffers.live()) words.set(buffer + BUFFER.ATTACHMENTS, 0);
    for (const holder of holders.live()) {
      if (words.get(holder + HOLDER.KIND) !== HOLDER_KIND.ATTACHMENT) continue;
      this.#countAttachment(words.get(holder + HOLDER.BUFFER), 1);
    }
  }

  /**
   * Counts the mappings and pins of a buffer anew, from what its holders say. Its LOCK is held, taken over
   * from the dead.
   */
  recountMaps(buffer: number): void {
    const { words } = this.#k;
    const counts = { maps: 0, vmaps: 0, deviceMaps: 0, pins: 0 };
    for (const holder of this.of(buffer)) {
      const mapped = words.get(holder + HOLDER.MAPS) > 0 ? 1 : 0;
      const kind = words.get(holder + HOLDER.KIND);
      if (kind === HOLDER_KIND.MAPPING) counts.maps += mapped;
      else if (kind === HOLDER_KIND.VMAP) counts.vmaps += mapped;
      else if (kind === HOLDER_KIND.ATTACHMENT) {
        const dynamic = (words.get(holder + HOLDER.FLAGS) & HOLDER_FLAG.DYNAMIC) !== 0;
        counts.deviceMaps += mapped;
        counts.pins += words.get(holder + HOLDER.PINS) + (dynamic ? 0 : mapped);
      }
    }
    words.set(buffer + BUFFER.MAPPINGS, counts.maps);
    words.set(buffer + BUFFER.VMAPS, counts.vmaps);
    words.set(buffer + BUFFER.DEVICE_MAPS, counts.deviceMaps);
    words.set(buffer + BUFFER.PINS, counts.pins);
  }

  /** Whether a holder that this actor took on a buffer is still there: leaving gives all back. */
  isOurs(holder: number, buffer: number): boolean {
    const { words, self } = this.#k;
    if (words.load(holder + HOLDER.STATE) === 0) return false;
    return (
      words.get(holder + HOLDER.OWNER) === self && words.get(holder + HOLDER.BUFFER) === buffer
    );
  }

  /** Generation of a live holder, by which a handle knows later whether it still is the same. */
  generationOf(holder: number): number {
    return this.#k.words.load(holder + HOLDER.STATE);
  }

  /** Those of one buffer. */
  *of(buffer: number): Generator<number> {
    for (const holder of this.#k.holders.live()) {
      if (this.#k.words.get(holder + HOLDER.BUFFER) === buffer) yield holder;
    }
  }

  /** Those of one process. */
  *ownedBy(actor: number): Generator<number> {
    for (const holder of this.#k.holders.live()) {
      if (this.#k.words.get(holder + HOLDER.OWNER) === actor) yield holder;
    }
  }
}
