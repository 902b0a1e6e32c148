/**
 * DriverDoor: what core opens to the authors of drivers and to nobody else (`@dmabuf/core/driver`):
 * words of kernel memory of the driver's own, exporting buffers, regions, the trace.
 */
import { DmaBuf, type BufferServices } from '../dmabuf/dmabuf.js';
import type { ExportInfo } from '../dmabuf/buffers.js';
import type { Place } from '../dmabuf/moves.js';
import type { BufferRecord } from '../dmabuf/ops.js';
import { Vmap } from '../dmabuf/vmap.js';
import { DmaBufError } from '../errno.js';
import { BROKER, type Kernel } from '../kernel.js';
import { sharers } from '../memory/collection.js';
import type { Locks } from '../memory/lock.js';
import { FD_RDWR, objectWord } from '../fd/fd-table.js';
import { OBJECT, REGION, REGION_KIND } from '../memory/layout.js';
import type { Words } from '../memory/words.js';
import type { WasmMemory } from '../substrate/memory.js';
import type { Doorbell } from './doorbell.js';
import { countCopied, type JobBuffer } from './job.js';
import type { DriverSpec } from './spec.js';

export class DriverDoor {
  readonly spec: DriverSpec;
  /** Index of the driver: what a buffer that it exports names as its exporter. */
  readonly index: number;
  /** Word offset of the driver's own words in {@link words}. */
  readonly base: number;
  readonly words: Words;
  /** Owner locks, for lock words among the driver's own. */
  readonly locks: Locks;
  readonly #k: Kernel;
  readonly #s: BufferServices & { readonly bell: Doorbell };

  constructor(
    services: BufferServices & { readonly bell: Doorbell },
    spec: DriverSpec,
    index: number,
    base: number,
  ) {
    this.#s = services;
    this.#k = services.kernel;
    this.spec = spec;
    this.index = index;
    this.base = base;
    this.words = services.kernel.words;
    this.locks = services.kernel.locks;
  }

  /** Exports a buffer whose memory the driver has allocated; the caller owns the fd. ENFILE, EMFILE. */
  export(info: Omit<ExportInfo, 'exporter'>): DmaBuf {
    const buffer = this.#s.buffers.export({ ...info, exporter: this.index });
    return DmaBuf.fromExport(this.#s, buffer);
  }

  /**
   * Gives a buffer that was exported with `region: 0` its memory. By an op that core calls under the buffer's
   * lock (map, mmap, vmap, pin), when it finds `buffer.region` 0.
   */
  back(buffer: BufferRecord, place: Place): void {
    this.#s.buffers.back(buffer, place.region, place.offset);
  }

  /**
   * Moves a buffer of the driver's with its content (dma_buf_move_notify); returns its old place, which is
   * free. Blocks until the jobs that were queued before have ended; dynamic importers are told. EBUSY:
   * pinned, or mapped by a CPU; ETIME after `timeout` ms (default: no limit); EINVAL: the place.
   */
  move(buffer: BufferRecord, to: Place, timeout: number = Infinity): Place {
    return this.#s.moves.move(buffer, to, timeout);
  }

  /**
   * Points a buffer of the driver's at memory that its new content is in already; returns its old place, which is free. By
   * the device, while its job claims the buffer exclusively and before that is released; nothing is copied. What was
   * queued behind the job finds the buffer there; dynamic importers are told. Does not wait for anybody, but blocks
   * while an actor is handed that memory for the first time. EBUSY: pinned, mapped by a CPU, or used by jobs that
   * synchronise explicitly; EINVAL: the place, or an importer does not reach it; EPERM: the claim is shared.
   */
  relocate(buffer: JobBuffer, to: Place): Place {
    if (buffer.exclusive) return this.#s.moves.relocate(buffer.record, to);
    const detail = `the job claims buffer ${buffer.record.ino} shared; only an exclusive claim may move it`;
    throw new DmaBufError('EPERM', 'dma_buf_move', detail);
  }

  /** Whether CPU mappings are the memory itself: false in `boot({ coherency: 'noncoherent' })`. */
  get coherent(): boolean {
    return this.#s.shadows === undefined;
  }

  /** Actor id of this thread. */
  get self(): number {
    return this.#k.self;
  }

  /** Whether an actor has died and is not settled yet: its locks among the driver's words are then those of nobody. */
  isDead(actor: number): boolean {
    return this.#k.isDead(actor);
  }

  /** Frees a lock among the driver's words, if `dead` holds it: in {@link Driver.died}, when what it covers is whole. */
  freeLockOf(dead: number, index: number): void {
    if (this.locks.inherit(index, dead)) this.locks.unlock(index);
  }

  /**
   * An fd of this process for a live buffer by its record and inode number, as a device notes them in its words to
   * find its buffers again after its death. ENOENT: that buffer is gone. The caller owns the fd.
   */
  reopen(pointer: number, ino: number): DmaBuf {
    const { buffers, holders, fds } = this.#s;
    const pin = this.#k.buffers.owns(pointer) ? holders.pin(pointer) : 0;
    try {
      if (pin !== 0 && buffers.record(pointer).ino === ino) {
        return new DmaBuf(
          this.#s,
          fds.install(objectWord(OBJECT.DMABUF, pointer), FD_RDWR, 'open'),
        );
      }
    } finally {
      if (pin !== 0) holders.drop(pin);
    }
    throw new DmaBufError('ENOENT', 'open', `buffer ${ino} is gone`);
  }

  /** The live buffers of this driver's: what recovery goes by. */
  *buffers(): Generator<BufferRecord> {
    for (const pointer of this.#k.buffers.live()) {
      const record = this.#s.buffers.record(pointer);
      if (record.exporter === this.index) yield record;
    }
  }

  /** A kernel mapping of all of a buffer (dma_buf_vmap). The caller ends it. EINVAL: no such op; EPERM. */
  vmap(buffer: DmaBuf): Vmap {
    buffer.queuePointer('dma_buf_vmap'); // EBADF once closed
    return new Vmap(this.#s, buffer.record);
  }

  /**
   * Makes a region of its own for a buffer: page-sized, zeroed. With `kept` the driver keeps it beyond its last buffer,
   * until {@link dropRegion}; that is its word of it at first ({@link keptRegions}). Blocks while too much that was given
   * up awaits collection. ENOMEM, ENOSPC.
   */
  makeRegion(bytes: number, kept?: number): number {
    const keep = kept === undefined ? undefined : { keeper: this.index, kept };
    return this.#s.regions.make(bytes, keep);
  }

  /**
   * The regions that this driver keeps. Each has a word of the driver's own at {@link keptWord}, which is there for as
   * long as the region: what the driver has to know of it after any death. Devices of the driver may view them.
   */
  *keptRegions(): Generator<number> {
    const { words, regions } = this.#k;
    for (const region of regions.live()) {
      if (words.get(region + REGION.KEEPER) === this.index) yield region;
    }
  }

  /** Index of the driver's own word of a region that it keeps, in {@link words}. */
  keptWord(region: number): number {
    return region + REGION.KEPT;
  }

  /** Gives up a region that the driver keeps, at once or with the buffer that lies in it. Not twice. */
  dropRegion(region: number): void {
    this.#s.regions.giveUp(region);
  }

  /** Actors that have, or once had, the memory of a region: nobody can take it back from them. The broker is left out. */
  importersOf(region: number): number[] {
    return sharers(this.#k, region).filter((actor) => actor !== BROKER);
  }

  /**
   * Makes a region of memory that the calling thread has already, as it is: a shared array buffer, or a shared
   * wasm memory. It stays the caller's; whoever imports a buffer in it has all of it. The buffer that is exported
   * in it next takes it over. EBADFD: no such memory; ENOSPC.
   */
  adoptRegion(memory: unknown, syscall: string): number {
    return this.#s.regions.adoptMemory(memory, syscall);
  }

  /**
   * Hands a region that this device has to another device of the driver's, which may then {@link view} it. Blocks on
   * the first time. EACCES: it does not have it itself.
   */
  deliver(region: number, actor: number): void {
    this.#s.regions.deliver(region, actor);
  }

  /** Pointer of the pool's region. ENODEV when the machine was booted without a pool. */
  get pool(): number {
    for (const region of this.#k.regions.live()) {
      if (this.#k.words.get(region + REGION.KIND) === REGION_KIND.POOL) return region;
    }
    const detail = 'the machine has no pool; boot with `pool: bytes`';
    throw new DmaBufError('ENODEV', 'pool', detail);
  }

  /** Whether there is a pool. */
  get hasPool(): boolean {
    for (const region of this.#k.regions.live()) {
      if (this.#k.words.get(region + REGION.KIND) === REGION_KIND.POOL) return true;
    }
    return false;
  }

  /** The pool's wasm memory, for kernels that import it. Blocks on the first call of a thread. */
  poolMemory(): WasmMemory {
    const { wasm } = this.#s.regions.get(this.pool);
    if (wasm !== undefined) return wasm;
    throw new DmaBufError('ENODEV', 'pool', 'the pool of this machine is not wasm memory');
  }

  /** Bytes of a region. */
  regionBytes(region: number): number {
    return this.#k.words.getDouble(region + REGION.BYTES);
  }

  /** A view of memory in a region. Blocks on the first look of a thread at that region. */
  view(region: number, offset: number, length: number): Uint8Array<ArrayBufferLike> {
    return this.#s.regions.view(region, offset, length);
  }

  /** Wakes a device of the driver's, so that its `tick` looks at the driver's words. */
  ring(actor: number): void {
    this.#s.bell.ring(actor);
  }

  /** Now, ms of the machine's clock. */
  now(): number {
    return this.#k.clock.now();
  }

  /** Whether {@link now} only moves when a test advances it. */
  get manualClock(): boolean {
    return this.#k.clock.manual;
  }

  /** Records an event of the driver's in this actor's trace ring (TRACE_KIND). */
  trace(kind: number, seqno: number, a: number, b: number): void {
    this.#k.trace.emit(kind, 0, seqno, a, b);
  }

  /** Counts bytes of buffer content that were copied outside a job. */
  countCopied(bytes: number): void {
    countCopied(this.#k, bytes);
  }
}

/** The door of a driver by its name. ENODEV lists what was booted. */
export function doorOf(doors: readonly DriverDoor[], name: string): DriverDoor {
  const door = doors.find(({ spec }) => spec.name === name);
  if (door !== undefined) return door;
  const known = doors.map(({ spec }) => spec.name).join(', ') || 'none';
  const detail = `driver '${name}' was not booted with this machine (drivers: ${known})`;
  throw new DmaBufError('ENODEV', 'driver', detail);
}
