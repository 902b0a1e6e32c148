/**
 * The rules of attachments on kernel memory: attach, map, pin, their opposites (dma_buf_attach,
 * dma_buf_map_attachment, dma_buf_pin). `Attachment` is the handle; this is what it does, by holder
 * record, so that the same can be undone for a process that is gone.
 *
 * attach and detach call the exporter unlocked; everything else runs under the buffer's LOCK, which
 * also orders deferred allocation: whoever gets it first allocates, the others find the memory there.
 * A static importer (one that is told nothing of moves) pins the buffer while it has it mapped.
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { BUFFER, HOLDER, HOLDER_FLAG, HOLDER_KIND } from '../memory/layout.js';
import type { Regions } from '../memory/regions.js';
import type { Buffers } from './buffers.js';
import type { Holders } from './holders.js';
import type { ImportingDevices } from './importing-devices.js';
import {
  type BufferRecord,
  contiguousOps,
  type Direction,
  type Importer,
  type Reach,
  type SgEntry,
  type SgTable,
} from './ops.js';
import { checkList, checkPermit, checkPlace, mustBeWhole, noMemory } from './reach.js';

export const DIRECTIONS: readonly Direction[] = ['bidirectional', 'to_device', 'from_device'];

export class Importers {
  readonly #k: Kernel;
  readonly #regions: Regions;
  readonly #buffers: Buffers;
  readonly #holders: Holders;
  readonly devices: ImportingDevices;

  constructor(
    kernel: Kernel,
    regions: Regions,
    buffers: Buffers,
    holders: Holders,
    devices: ImportingDevices,
  ) {
    this.#k = kernel;
    this.#regions = regions;
    this.#buffers = buffers;
    this.#holders = holders;
    this.devices = devices;
  }

  /** Runs `call` under the buffer's LOCK. */
  locked<T>(buffer: number, call: () => T): T {
    const { locks } = this.#k;
    locks.lock(buffer + BUFFER.LOCK);
    try {
      return call();
    } finally {
      locks.unlock(buffer + BUFFER.LOCK);
    }
  }

  /** A new attachment of `actor`. ESRCH, EINVAL, EPERM, ENFILE, and what the exporter refuses with. */
  attach(record: BufferRecord, actor: number, reach: Reach, dynamic: boolean): number {
    this.#k.mustLive(actor, 'attach');
    const importer = this.devices.importer(actor, reach);
    const ops = this.#buffers.opsOf(record);
    checkPermit(record, importer, ops, 'attach');
    if (record.region !== 0) {
      checkPlace(record, importer, record.offset, 'attach');
      this.#deliverWhole(record, actor);
    }
    const holder = this.#holders.take(
      {
        kind: HOLDER_KIND.ATTACHMENT,
        buffer: record.pointer,
        importer: actor,
        flags:
          (dynamic ? HOLDER_FLAG.DYNAMIC : 0) |
          (reach.pool === true ? HOLDER_FLAG.POOL : 0) |
          (reach.contiguous === true ? HOLDER_FLAG.CONTIGUOUS : 0),
        align: reach.align ?? 1,
      },
      'attach',
    );
    try {
      ops.attach?.(record, importer);
    } catch (error) {
      this.#holders.drop(holder);
      throw error;
    }
    this.#count(record, ops.attach);
    return holder;
  }

  /** Ends an attachment with all its maps and pins. */
  detach(holder: number): void {
    const { words } = this.#k;
    const record = this.recordOf(holder);
    const importer = this.importerOf(holder);
    this.locked(record.pointer, () => {
      if (words.get(holder + HOLDER.MAPS) > 0) this.#endMap(record, importer, holder);
      for (let pins = words.get(holder + HOLDER.PINS); pins > 0; pins--)
        this.#unpin(record, importer);
      words.set(holder + HOLDER.PINS, 0);
    });
    const ops = this.#buffers.opsOf(record);
    try {
      ops.detach?.(record, importer);
      this.#count(record, ops.detach);
    } finally {
      this.#holders.drop(holder);
    }
  }

  /** Maps for a device. ENOMEM, EBUSY (mapped for another direction), EINVAL (out of reach). */
  map(holder: number, direction: Direction, known: SgTable | undefined): SgTable {
    const { words } = this.#k;
    const record = this.recordOf(holder);
    const importer = this.importerOf(holder);
    const sg = this.locked(record.pointer, () => {
      const maps = words.get(holder + HOLDER.MAPS);
      if (maps > 0) this.#sameDirection(record, holder, direction);
      const sg =
        maps > 0 && known !== undefined ? known.sg : this.#map(record, importer, holder, direction);
      words.set(holder + HOLDER.MAPS, maps + 1);
      return sg;
    });
    if (!record.scattered) this.#deliverWhole(record, importer.actor);
    else for (const { region } of sg) this.#regions.deliver(region, importer.actor);
    return { sg, direction };
  }

  /** Ends one map. EINVAL without one. */
  unmap(holder: number): void {
    const { words } = this.#k;
    const record = this.recordOf(holder);
    this.locked(record.pointer, () => {
      const maps = words.get(holder + HOLDER.MAPS);
      if (maps === 0) {
        const detail = `buffer ${record.ino} is not mapped by this attachment; map and unmap go in pairs`;
        throw new DmaBufError('EINVAL', 'unmap_attachment', detail);
      }
      if (maps === 1) this.#endMap(record, this.importerOf(holder), holder);
      else words.set(holder + HOLDER.MAPS, maps - 1);
    });
  }

  /** Keeps the buffer where it is. EINVAL: a static attachment, which pins by mapping. */
  pin(holder: number): void {
    const { words } = this.#k;
    const record = this.recordOf(holder);
    if (!this.isDynamic(holder)) {
      const detail = `this attachment to buffer ${record.ino} is static: it pins the buffer while it is mapped`;
      throw new DmaBufError('EINVAL', 'dma_buf_pin', detail);
    }
    this.locked(record.pointer, () => {
      this.#pin(record, this.importerOf(holder));
      this.#count(record, this.#buffers.opsOf(record).pin);
      words.set(holder + HOLDER.PINS, words.get(holder + HOLDER.PINS) + 1);
    });
  }

  /** EINVAL without a pin. */
  unpin(holder: number): void {
    const { words } = this.#k;
    const record = this.recordOf(holder);
    this.locked(record.pointer, () => {
      const pins = words.get(holder + HOLDER.PINS);
      if (pins === 0) {
        const detail = `buffer ${record.ino} is not pinned by this attachment`;
        throw new DmaBufError('EINVAL', 'dma_buf_unpin', detail);
      }
      words.set(holder + HOLDER.PINS, pins - 1);
      this.#unpin(record, this.importerOf(holder));
      this.#count(record, this.#buffers.opsOf(record).unpin);
    });
  }

  /**
   * Hands an actor that is going to get jobs for a buffer its memory, allocating what was deferred. EPERM:
   * protected; EINVAL: out of what its device has declared to reach; ENOMEM.
   */
  deliver(record: BufferRecord, actor: number, syscall: string): void {
    const importer = this.devices.importer(actor);
    checkPermit(record, importer, this.#buffers.opsOf(record), syscall);
    const { region } = record;
    if (region !== 0 && !record.scattered) {
      checkPlace(record, importer, record.offset, syscall);
      this.#deliverWhole(record, actor);
      return;
    }
    for (const { region } of this.#piecesFor(record, importer, syscall)) {
      this.#regions.deliver(region, actor);
    }
  }

  /** Until the region is that which it lies in by now: it may move at any time (see moves.ts). */
  #deliverWhole(record: BufferRecord, actor: number): void {
    for (let region = 0; region !== record.region;) {
      region = record.region;
      try {
        this.#regions.deliver(region, actor);
      } catch (error) {
        if (record.region === region) throw error; // else it was given up meanwhile
      }
    }
  }

  /**
   * The pieces that a buffer consists of, for an actor that gets at it by jobs: one, unless it is a scatter
   * list. They stay where they are while a job claims the buffer. Allocates what was deferred. ENOMEM.
   */
  pieces(record: BufferRecord, actor: number, syscall: string): readonly SgEntry[] {
    return this.#piecesFor(record, this.devices.importer(actor, {}), syscall);
  }

  /** For ops that should have allocated. */
  mustHaveMemory(record: BufferRecord, syscall: string): void {
    if (record.region === 0) throw noMemory(record, syscall);
  }

  recordOf(holder: number): BufferRecord {
    return this.#buffers.record(this.#k.words.get(holder + HOLDER.BUFFER));
  }

  importerOf(holder: number): Importer {
    const { words } = this.#k;
    const actor = words.get(holder + HOLDER.IMPORTER);
    const flags = words.get(holder + HOLDER.FLAGS);
    const reach = {
      pool: (flags & HOLDER_FLAG.POOL) !== 0,
      contiguous: (flags & HOLDER_FLAG.CONTIGUOUS) !== 0,
      align: words.get(holder + HOLDER.ALIGN),
    };
    return this.devices.importer(actor, reach);
  }

  isDynamic(holder: number): boolean {
    return (this.#k.words.get(holder + HOLDER.FLAGS) & HOLDER_FLAG.DYNAMIC) !== 0;
  }

  #piecesFor(record: BufferRecord, importer: Importer, syscall: string): readonly SgEntry[] {
    const whole = (): readonly SgEntry[] => {
      checkPlace(record, importer, record.offset, syscall);
      return contiguousOps.map(record, importer, 'bidirectional') ?? [];
    };
    if (!record.scattered) return whole();
    return this.locked(record.pointer, () => {
      if (!record.scattered) return whole();
      const ops = this.#buffers.opsOf(record);
      const sg = this.#listOf(record, importer, 'bidirectional', syscall);
      ops.unmap(record, importer, 'bidirectional');
      if (record.scattered) mustBeWhole(record, sg, syscall);
      this.#count(record, ops.map, ops.unmap);
      return sg;
    });
  }

  #map(
    record: BufferRecord,
    importer: Importer,
    holder: number,
    direction: Direction,
  ): readonly SgEntry[] {
    const { words } = this.#k;
    if (words.get(holder + HOLDER.MAPS) > 0) {
      // It has moved since: the importer gets the new list for all its maps.
      this.#buffers.opsOf(record).unmap(record, importer, direction);
      return this.#listOf(record, importer, direction);
    }
    const ops = this.#buffers.opsOf(record);
    const dynamic = this.isDynamic(holder);
    if (!dynamic) this.#pin(record, importer);
    try {
      const sg = this.#listOf(record, importer, direction);
      words.set(holder + HOLDER.DIRECTION, DIRECTIONS.indexOf(direction));
      words.set(
        record.pointer + BUFFER.DEVICE_MAPS,
        words.get(record.pointer + BUFFER.DEVICE_MAPS) + 1,
      );
      this.#count(record, ops.map, dynamic ? undefined : ops.pin);
      return sg;
    } catch (error) {
      if (!dynamic) this.#unpin(record, importer);
      throw error;
    }
  }

  /** The exporter's scatter list, checked. */
  #listOf(
    record: BufferRecord,
    importer: Importer,
    direction: Direction,
    syscall: string = 'map_attachment',
  ): readonly SgEntry[] {
    const ops = this.#buffers.opsOf(record);
    const sg = ops.map(record, importer, direction);
    if (sg === undefined || sg === null || sg.length === 0) {
      const detail = `the exporter of buffer ${record.ino} has no memory for it`;
      throw new DmaBufError('ENOMEM', syscall, detail);
    }
    try {
      checkList(record, importer, sg, syscall);
    } catch (error) {
      ops.unmap(record, importer, direction);
      throw error;
    }
    return sg;
  }

  #endMap(record: BufferRecord, importer: Importer, holder: number): void {
    const { words } = this.#k;
    const direction = DIRECTIONS[words.get(holder + HOLDER.DIRECTION)] ?? 'bidirectional';
    words.set(holder + HOLDER.MAPS, 0);
    words.set(
      record.pointer + BUFFER.DEVICE_MAPS,
      words.get(record.pointer + BUFFER.DEVICE_MAPS) - 1,
    );
    const ops = this.#buffers.opsOf(record);
    ops.unmap(record, importer, direction);
    this.#count(record, ops.unmap);
    if (this.isDynamic(holder)) return;
    this.#unpin(record, importer);
    this.#count(record, ops.unpin);
  }

  #pin(record: BufferRecord, importer: Importer): void {
    const { words } = this.#k;
    this.#buffers.opsOf(record).pin?.(record, importer);
    words.set(record.pointer + BUFFER.PINS, words.get(record.pointer + BUFFER.PINS) + 1);
  }

  #unpin(record: BufferRecord, importer: Importer): void {
    const { words } = this.#k;
    words.set(record.pointer + BUFFER.PINS, words.get(record.pointer + BUFFER.PINS) - 1);
    this.#buffers.opsOf(record).unpin?.(record, importer);
  }

  #sameDirection(record: BufferRecord, holder: number, direction: Direction): void {
    const mapped = DIRECTIONS[this.#k.words.get(holder + HOLDER.DIRECTION)];
    if (mapped === direction) return;
    const detail = `this attachment has buffer ${record.ino} mapped ${mapped}; unmap it before mapping it ${direction}`;
    throw new DmaBufError('EBUSY', 'map_attachment', detail);
  }

  /** Counts calls of ops that the exporter has, after they succeeded. */
  #count(record: BufferRecord, ...called: readonly unknown[]): void {
    const calls = called.filter((op) => op !== undefined).length;
    if (calls > 0) this.#k.words.add(record.pointer + BUFFER.OP_CALLS, calls);
  }
}
