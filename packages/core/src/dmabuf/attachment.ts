/**
 * Attachment: a device is going to use a buffer (struct dma_buf_attachment).
 *
 * Attaching checks that the device can reach the memory, tells the exporter, and hands the region to
 * the device's thread, so that no job ever waits for the broker. It keeps the buffer alive.
 *
 * A *static* attachment pins the buffer while it is mapped. A *dynamic* one has a `moveNotify`: the
 * exporter may move the buffer, and the importer maps it again before its next use. A move waits for the
 * jobs that were queued before it, so the old list stays valid until their fences have signalled.
 */
import { wantNumber, wantObject, wrongType } from '../args.js';
import { DmaBufError } from '../errno.js';
import { HOLDER } from '../memory/layout.js';
import type { BufferServices } from './dmabuf.js';
import { dmaBufMmap, type MmapOptions } from './dma-buf-mmap.js';
import { DIRECTIONS } from './importers.js';
import type { Mapping } from './mapping.js';
import type { BufferRecord, Direction, Importer, Reach, SgTable } from './ops.js';
import { checkReach } from './reach.js';

/** How an importer attaches. */
export interface AttachOptions {
  /**
   * Makes the attachment dynamic: called in the attaching thread after the buffer has moved, when that
   * thread next pumps, serves or uses the attachment, or from its event loop.
   */
  readonly moveNotify?: (attachment: Attachment) => void;
}

export class Attachment {
  readonly record: BufferRecord;
  readonly importer: Importer;
  readonly #s: BufferServices;
  readonly #holder: number;
  readonly #generation: number;
  #table: SgTable | undefined;
  /** HOLDER.MOVES when {@link #table} was made. */
  #moves = 0;
  /** Whether the fd that it was made by may write. */
  readonly #writable: boolean;
  #attached = true;

  constructor(
    services: BufferServices,
    record: BufferRecord,
    actor: number,
    reach: Reach,
    options: AttachOptions,
    writable: boolean,
  ) {
    checkArguments(actor, reach, options);
    const { moveNotify } = options;
    this.#s = services;
    this.record = record;
    this.#writable = writable;
    this.#holder = services.importers.attach(record, actor, reach, moveNotify !== undefined);
    this.#generation = services.holders.generationOf(this.#holder);
    this.importer = services.importers.importerOf(this.#holder);
    if (moveNotify !== undefined) {
      services.moves.watch(this.#holder, () => moveNotify(this));
    }
    services.handles.opened(
      this,
      `an attachment of ${this.importer.name} to buffer ${record.ino}`,
      'detach()',
    );
  }

  /**
   * Asks the exporter for the memory that the device uses, for one direction, and hands it to the device's
   * thread. Allocates what the exporter deferred. Maps nest; each is ended by {@link unmap}. ENOMEM:
   * no memory; EBUSY: mapped for another direction; EINVAL: out of the importer's reach.
   */
  map(direction: Direction = 'bidirectional'): SgTable {
    this.#check('map_attachment');
    if (typeof direction !== 'string') throw wrongType('map', 'direction', 'a string', direction);
    if (!DIRECTIONS.includes(direction)) {
      const detail = `direction '${String(direction)}'; give one of ${DIRECTIONS.join(', ')}`;
      throw new DmaBufError('EINVAL', 'map_attachment', detail);
    }
    this.#s.moves.run();
    const moves = this.#s.kernel.words.load(this.#holder + HOLDER.MOVES);
    const known = this.#moves === moves ? this.#table : undefined;
    this.#table = this.#s.importers.map(this.#holder, direction, known);
    this.#moves = moves;
    return this.#table;
  }

  /** Ends one {@link map}. EINVAL without one. */
  unmap(): void {
    this.#check('unmap_attachment');
    this.#s.importers.unmap(this.#holder);
    if (!this.mapped) this.#table = undefined;
  }

  /** Whether the device has it mapped. */
  get mapped(): boolean {
    return this.#attached && this.#s.kernel.words.load(this.#holder + HOLDER.MAPS) > 0;
  }

  /** Whether the buffer has moved since it was mapped: map it again before the next use. */
  get stale(): boolean {
    return this.mapped && this.#s.kernel.words.load(this.#holder + HOLDER.MOVES) !== this.#moves;
  }

  /** Keeps the buffer where it is, say for scan-out. Dynamic attachments only: EINVAL. EBUSY by the exporter. */
  pin(): void {
    this.#check('dma_buf_pin');
    this.#s.importers.pin(this.#holder);
  }

  /** EINVAL without a pin. */
  unpin(): void {
    this.#check('dma_buf_unpin');
    this.#s.importers.unpin(this.#holder);
  }

  /** A CPU mapping through the importer: the exporter's own mmap, and its refusal (dma_buf_mmap). */
  mmap(options: MmapOptions = {}): Mapping {
    this.#check('mmap');
    return dmaBufMmap(this.#s, this.record, options, this.#writable);
  }

  /** Ends it. EBUSY while mapped or pinned; harmless the second time. Jobs that are queued still run. */
  detach(): void {
    if (!this.#attached) return;
    if (this.#s.holders.generationOf(this.#holder) !== this.#generation) return this.#end();
    const { words } = this.#s.kernel;
    const pins = words.load(this.#holder + HOLDER.PINS);
    if (this.mapped || pins > 0) {
      const detail = `buffer ${this.record.ino} is still ${this.mapped ? 'mapped' : 'pinned'} by ${this.importer.name}`;
      throw new DmaBufError('EBUSY', 'detach', detail);
    }
    this.#end();
  }

  /** Ends it with its maps and pins. */
  [Symbol.dispose](): void {
    if (this.#attached) this.#end();
  }

  #end(): void {
    this.#attached = false;
    this.#s.handles.closed(this);
    this.#s.moves.forget(this.#holder);
    // Leaving the machine has detached it already.
    if (this.#s.holders.generationOf(this.#holder) !== this.#generation) return;
    this.#s.importers.detach(this.#holder);
  }

  #check(syscall: string): void {
    if (this.#attached && this.#s.holders.generationOf(this.#holder) === this.#generation) return;
    const detail = `${this.importer.name} has detached from buffer ${this.record.ino}`;
    throw new DmaBufError('EINVAL', syscall, detail);
  }
}

function checkArguments(actor: unknown, reach: Reach, options: AttachOptions): void {
  wantNumber('attach', 'actor', actor);
  checkReach('attach', 'reach', reach);
  wantObject('attach', 'options', options);
  const { moveNotify } = options;
  if ('moveNotify' in options && typeof moveNotify !== 'function') {
    throw wrongType('attach', 'moveNotify', 'a function', moveNotify);
  }
}
