/**
 * dma-bufs in kernel memory: export, references, release (drivers/dma-buf/dma-buf.c).
 *
 * A buffer lives while anything refers to it (REFS: fds, mappings, attachments, messages in flight)
 * or its queue has links (queued jobs). Jobs take no reference, so that adding one costs
 * nothing here: when the last reference goes the queue is marked ORPHAN under its lock, and whoever
 * takes the last link out of an orphaned queue frees both. ORPHAN then names that actor, so that its
 * recoverer can go on.
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { BUFFER, BUFFER_FLAG, HEADER, ORPHAN, QUEUE, REGION } from '../memory/layout.js';
import type { Regions } from '../memory/regions.js';
import { writeName } from '../memory/tables.js';
import { formatQueue } from '../sync/queue.js';
import { BufferRecord, type DmaBufOps } from './ops.js';

/** What an exporter says of a new buffer. */
export interface ExportInfo {
  /** 0: no memory yet; an op that runs locked allocates it and says so by {@link Buffers.back}. */
  readonly region: number;
  readonly offset: number;
  readonly size: number;
  /** Index of the driver whose ops serve it. */
  readonly exporter: number;
  readonly flags: number;
  readonly name: string;
  /** First words of the exporter's own. */
  readonly priv: readonly number[];
}

export class Buffers {
  readonly #k: Kernel;
  readonly #regions: Regions;
  readonly #ops: readonly (DmaBufOps | undefined)[];

  constructor(kernel: Kernel, regions: Regions, ops: readonly (DmaBufOps | undefined)[]) {
    this.#k = kernel;
    this.#regions = regions;
    this.#ops = ops;
  }

  /**
   * Makes a dma-buf without a reference: the caller installs it as an fd. ENFILE when a table is
   * full: a region that was made for this buffer alone is then given up, too.
   */
  export(info: ExportInfo): number {
    const { words, locks, buffers, queues, self } = this.#k;
    locks.lock(HEADER.BUFFER_LOCK);
    const buffer = buffers.findFree();
    const queue = buffer === 0 ? 0 : queues.findFree();
    if (queue === 0) {
      const { region } = info;
      const empty = region !== 0 && words.get(region + REGION.BUFFERS) === 0;
      const unused = empty && this.#regions.leave(region);
      locks.unlock(HEADER.BUFFER_LOCK);
      if (unused) this.#regions.dropped(info.region);
      throw this.#full(buffer === 0 ? 'buffers' : 'queues');
    }
    formatQueue(words, queue, buffer);
    const gen = (words.get(buffer + BUFFER.GEN) + 1) & 0x7fffffff || 1;
    for (let i = 0; i < BUFFER.WORDS; i++) words.set(buffer + i, 0);
    words.set(buffer + BUFFER.GEN, gen);
    words.set(buffer + BUFFER.QUEUE, queue);
    words.set(buffer + BUFFER.REGION, info.region);
    words.setDouble(buffer + BUFFER.OFFSET, info.offset);
    words.setDouble(buffer + BUFFER.SIZE, info.size);
    words.set(buffer + BUFFER.EXPORTER, info.exporter);
    words.set(buffer + BUFFER.FLAGS, info.flags);
    words.set(buffer + BUFFER.INO, words.add(HEADER.NEXT_INO, 1) + 1);
    words.set(buffer + BUFFER.OWNER, self);
    info.priv.forEach((word, i) => words.set(buffer + BUFFER.PRIV + i, word));
    writeName(words, buffer + BUFFER.NAME, 8, info.name);
    if (info.region !== 0) this.#enter(info.region);
    this.#count(info.size, 1);
    words.store(buffer + BUFFER.STATE, gen);
    locks.unlock(HEADER.BUFFER_LOCK);
    return buffer;
  }

  /** Gives a buffer that was exported without memory its place. Its LOCK is held by the caller. */
  back(record: BufferRecord, region: number, offset: number): void {
    const { words, locks } = this.#k;
    locks.lock(HEADER.BUFFER_LOCK);
    this.#enter(region);
    words.setDouble(record.pointer + BUFFER.OFFSET, offset);
    words.store(record.pointer + BUFFER.REGION, region);
    locks.unlock(HEADER.BUFFER_LOCK);
  }

  /** Puts a buffer elsewhere; its old region is given up with its last buffer. LOCK is held. */
  rebase(record: BufferRecord, region: number, offset: number): void {
    const old = record.region;
    const { words, locks } = this.#k;
    locks.lock(HEADER.BUFFER_LOCK);
    this.#enter(region);
    words.setDouble(record.pointer + BUFFER.OFFSET, offset);
    words.store(record.pointer + BUFFER.REGION, region);
    const dropped = this.#regions.leave(old);
    locks.unlock(HEADER.BUFFER_LOCK);
    if (dropped) this.#regions.dropped(old);
  }

  record(buffer: number): BufferRecord {
    return new BufferRecord(this.#k, buffer);
  }

  opsOf(record: BufferRecord): DmaBufOps {
    const ops = this.#ops[record.exporter];
    if (ops !== undefined) return ops;
    throw new DmaBufError(
      'ENODEV',
      'dma_buf',
      `buffer ${record.ino} was exported by driver ${record.exporter}, which this thread has not loaded`,
    );
  }

  makerOf(buffer: number): number {
    return this.#k.words.get(buffer + BUFFER.OWNER);
  }

  /** The last reference is gone: released now, or when no job is queued on it any more. */
  last(buffer: number): void {
    const { words, locks, self } = this.#k;
    const queue = words.get(buffer + BUFFER.QUEUE);
    locks.lock(queue + QUEUE.LOCK);
    const orphan = queue + QUEUE.ORPHAN;
    if (words.get(orphan) === ORPHAN.NO) words.set(orphan, ORPHAN.WAITING);
    const idle = words.get(orphan) === ORPHAN.WAITING && words.get(queue + QUEUE.HEAD) === 0;
    if (idle) words.set(orphan, -self);
    locks.unlock(queue + QUEUE.LOCK);
    if (idle) this.release(queue);
  }

  /**
   * Frees the buffer of an orphaned, empty queue, and the queue. By the actor that ORPHAN names; can be done
   * again by its recoverer, who then may call the exporter's release a second time.
   */
  release(queue: number): void {
    const { words, locks } = this.#k;
    const buffer = words.get(queue + QUEUE.BUFFER);
    const record = this.record(buffer);
    const mine = record.queue === queue && words.load(buffer + BUFFER.STATE) !== 0;
    if (mine && (record.flags & BUFFER_FLAG.RELEASED) === 0) {
      this.opsOf(record).release(record);
      words.set(buffer + BUFFER.FLAGS, record.flags | BUFFER_FLAG.RELEASED);
    }
    locks.lock(HEADER.BUFFER_LOCK);
    const dropped = mine ? this.#free(record) : 0;
    words.store(queue + QUEUE.STATE, 0);
    locks.unlock(HEADER.BUFFER_LOCK);
    if (dropped !== 0) this.#regions.dropped(dropped);
  }

  /** Frees a buffer's record; its region, if that is to be let go. BUFFER_LOCK is held. */
  #free(record: BufferRecord): number {
    const { words } = this.#k;
    const { region, size, pointer } = record;
    words.store(pointer + BUFFER.REGION, 0);
    const dropped = region !== 0 && this.#regions.leave(region);
    this.#count(size, -1);
    words.store(pointer + BUFFER.STATE, 0);
    return dropped ? region : 0;
  }

  /**
   * Counts buffers, bytes and what lies in each region anew, and frees queues that were left without their
   * buffer: half made, or half freed. A buffer that was half moved has the new offset in its old region: its content is
   * lost with its mover, and where it lies must be inside. BUFFER_LOCK is held, taken over from the dead.
   */
  recount(): void {
    const { words, buffers, queues, regions } = this.#k;
    for (const queue of queues.live()) {
      const buffer = words.get(queue + QUEUE.BUFFER);
      if (buffer === 0) continue;
      const there = words.load(buffer + BUFFER.STATE) !== 0;
      if (there && words.get(buffer + BUFFER.QUEUE) === queue) continue;
      words.store(queue + QUEUE.STATE, 0);
    }
    let bytes = 0;
    let live = 0;
    const inside = new Map<number, number>();
    for (const buffer of buffers.live()) {
      live++;
      bytes += words.getDouble(buffer + BUFFER.SIZE);
      const region = words.load(buffer + BUFFER.REGION);
      if (region !== 0) this.#keepInside(this.record(buffer));
      inside.set(region, (inside.get(region) ?? 0) + 1);
    }
    words.setDouble(HEADER.BYTES_EXPORTED, bytes);
    words.set(HEADER.BUFFERS_LIVE, live);
    for (const region of regions.live()) {
      words.set(region + REGION.BUFFERS, inside.get(region) ?? 0);
    }
  }

  #keepInside({ pointer, region, offset, size }: BufferRecord): void {
    const { words } = this.#k;
    const bytes = words.getDouble(region + REGION.BYTES);
    if (offset + size > bytes) words.setDouble(pointer + BUFFER.OFFSET, 0);
  }

  #enter(region: number): void {
    const { words } = this.#k;
    words.set(region + REGION.BUFFERS, words.get(region + REGION.BUFFERS) + 1);
    words.set(region + REGION.USED, 1);
  }

  #count(bytes: number, buffers: 1 | -1): void {
    const { words } = this.#k;
    const now = words.getDouble(HEADER.BYTES_EXPORTED) + bytes * buffers;
    words.setDouble(HEADER.BYTES_EXPORTED, now);
    words.set(HEADER.BUFFERS_LIVE, words.get(HEADER.BUFFERS_LIVE) + buffers);
  }

  #full(table: 'buffers' | 'queues'): DmaBufError {
    return new DmaBufError(
      'ENFILE',
      'dma_buf_export',
      `all ${this.#k[table].count} ${table} of the machine are in use; close some, or boot with a larger tables.${table}`,
    );
  }
}
