/**
 * IonClient: one open of /dev/ion (struct ion_client; libion). A client lives in the thread that
 * opened it; what it allocates can be passed on by fd.
 *
 * Two ways to hold a buffer: `alloc` gives a DmaBuf, an fd, as ION does since Linux 4.12; `allocHandle`
 * gives a handle as before, from which fds are shared. `close()` gives up both kinds.
 */
import { type DmaBuf, DmaBufError, type Machine } from '@dmabuf/core';
import { allocate, type Allocator, type AllocOptions } from './allocate.js';
import { Clients } from './clients.js';
import { debugfsText } from './debugfs.js';
import { IonHandle } from './handle.js';
import { Ion } from './ion.js';
import { PRIV } from './layout.js';
import { Records } from './records.js';
import { heapStats, type HeapStats } from './stats.js';

export interface ClientOptions {
  /** Name in debugfs. Default: the thread's name in the machine. */
  readonly name?: string;
  /** Bytes that it may hold. Default: that of `ion({ quota })`. */
  readonly quota?: number;
}

/** A heap, as ION_IOC_HEAP_QUERY lists it. */
export interface HeapEntry {
  readonly name: string;
  readonly type: string;
  readonly id: number;
}

export class IonClient {
  readonly name: string;
  readonly #ion: Ion;
  readonly #records: Records;
  readonly #machine: Machine;
  readonly #index: number;
  readonly #who: Allocator;
  readonly #quota: number;
  /** fds that `alloc` gave out, by the record of their buffer. */
  readonly #buffers: Map<number, DmaBuf> = new Map();
  readonly #handles: Map<number, IonHandle> = new Map();
  #nextHandle = 1;
  #open = true;

  private constructor(machine: Machine, ion: Ion, options: ClientOptions) {
    this.name = options.name ?? machine.name;
    this.#machine = machine;
    this.#ion = ion;
    this.#records = new Records(ion);
    this.#quota = options.quota ?? ion.config.quota;
    const clients = new Clients(ion);
    this.#index = clients.open(this.name, machine.self, this.#quota);
    this.#who = {
      client: this.#index,
      clientGeneration: clients.generation(this.#index),
      clientName: this.name,
      actor: machine.self,
      machine,
    };
  }

  /** Opens /dev/ion. ENODEV: the machine has no ION driver; EMFILE: too many clients. */
  static open(machine: Machine, options: ClientOptions = {}): IonClient {
    return new IonClient(machine, Ion.of(machine.driver('ion')), options);
  }

  /**
   * Allocates a buffer of zeroed memory, in this thread, without waiting for anybody else's buffers.
   * The caller owns the fd (or leaves it to `close()`).
   *
   * EINVAL: size, alignment or flags; ENODEV: no heap matches, or the pool is missing; ENOMEM: no heap
   * that matches has room, or the quota is used up (the message names each heap and what was
   * free); ENOSPC, ENFILE, EMFILE: a table is full (the message says which).
   */
  alloc(options: AllocOptions): DmaBuf {
    this.#check('ion_alloc');
    this.#checkQuota(options.size);
    const buffer = allocate(this.#ion, this.#records, this.#who, options);
    // In place of an older one of the same record, whose buffer is gone by now.
    this.#buffers.set(buffer.record.priv(PRIV.RECORD), buffer);
    return buffer;
  }

  /** {@link alloc}, as a handle of this client with one reference (ION_IOC_ALLOC before 4.12). */
  allocHandle(options: AllocOptions): IonHandle {
    const buffer = this.alloc(options);
    this.#buffers.delete(buffer.record.priv(PRIV.RECORD));
    return this.#addHandle(buffer);
  }

  /**
   * A handle for a buffer that came by fd. A buffer that this client has a handle of already gives that
   * handle, with one more reference. The fd stays the caller's. EINVAL: not an ION buffer; EBADF.
   */
  import(source: DmaBuf | number): IonHandle {
    this.#check('ion_import');
    const buffer = this.#own(source, 'ion_import');
    const known = [...this.#handles.values()].find((handle) => handle.ino === buffer.record.ino);
    if (known === undefined) return this.#addHandle(buffer.dup());
    known.ref();
    return known;
  }

  /** The handle with an id of this client. EINVAL: none. */
  handle(id: number): IonHandle {
    this.#check('ion_handle');
    const handle = this.#handles.get(id);
    if (handle !== undefined) return handle;
    const detail = `client '${this.name}' has no handle ${id}; it may have been freed`;
    throw new DmaBufError('EINVAL', 'ion_handle', detail);
  }

  /** Drops a reference of a handle (ION_IOC_FREE). EINVAL: not one of this client's, or freed. */
  free(handle: IonHandle | number): void {
    const id = typeof handle === 'number' ? handle : handle.id;
    const own = this.handle(id);
    if (typeof handle !== 'number' && own !== handle) {
      throw new DmaBufError('EINVAL', 'ion_free', `handle ${id} belongs to another client`);
    }
    own.free();
  }

  /**
   * Writes back what the CPU wrote, for devices (ION_IOC_SYNC). Threads share their memory, so there is
   * nothing to write; what is checked is that the buffer is ION's. EINVAL, EBADF.
   */
  sync(source: DmaBuf | number): void {
    this.#check('ion_sync');
    this.#own(source, 'ion_sync');
  }

  /** Name of the heap that a buffer came from; `udmabuf` of memory that was there before. EINVAL: not ION's; EBADF. */
  heapOf(source: DmaBuf | number): string {
    this.#check('ion_heap_of');
    const buffer = this.#own(source, 'ion_heap_of');
    return this.#ion.heap(buffer.record.priv(PRIV.HEAP)).config.name;
  }

  /** A call of a heap's own (ION_IOC_CUSTOM). ENODEV: no such heap; ENOTTY: it has no such call. */
  custom(heap: string, command: number, argument?: unknown): unknown {
    this.#check('ion_custom');
    const found = this.#ion.named(heap);
    if (found !== undefined) return found.custom(command, argument);
    throw new DmaBufError('ENODEV', 'ion_custom', `there is no heap '${heap}'`);
  }

  /** The heaps of the machine, by id (ION_IOC_HEAP_QUERY). */
  heapQuery(): HeapEntry[] {
    this.#check('ion_heap_query');
    return this.#ion.heaps
      .map(({ config }) => ({ name: config.name, type: config.type, id: config.id }))
      .sort((a, b) => a.id - b.id);
  }

  /** Use of every heap: taken, free, fragmentation, who has it. */
  stats(): HeapStats[] {
    return heapStats(this.#ion);
  }

  /** What debugfs prints: a table per heap with its clients, the orphans, the totals. */
  debugfs(): string {
    return debugfsText(this.#ion, (actor) => this.#machine.actorStats(actor).name);
  }

  /** Bytes that this client holds by the records of the heaps. */
  get allocated(): number {
    return this.#records.bytesOf(this.#index, this.#who.clientGeneration);
  }

  /** Zeroes what was freed, in this thread, so that it need not wait for the heap thread. */
  drain(): void {
    for (const heap of this.#ion.heaps) heap.drain();
  }

  /**
   * Gives up all that the client holds: the fds that `alloc` gave and that are still open, and the
   * handles. Buffers live on where somebody else has an fd. Harmless the second time.
   */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    new Clients(this.#ion).close(this.#index);
    for (const handle of [...this.#handles.values()]) handle.drop();
    for (const buffer of this.#buffers.values()) buffer[Symbol.dispose]();
    this.#buffers.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #addHandle(buffer: DmaBuf): IonHandle {
    const id = this.#nextHandle++;
    const handle = new IonHandle(id, buffer, () => this.#handles.delete(id));
    this.#handles.set(id, handle);
    return handle;
  }

  #own(source: DmaBuf | number, syscall: string): DmaBuf {
    const buffer = typeof source === 'number' ? this.#machine.dmabuf(source) : source;
    if (buffer.record.exporter === this.#ion.door.index) return buffer;
    const detail = `buffer ${buffer.record.ino} (fd ${buffer.fd}) was not allocated by ION`;
    throw new DmaBufError('EINVAL', syscall, detail);
  }

  #checkQuota(size: number): void {
    if (this.#quota === Infinity) return;
    const used = this.allocated;
    if (used + size <= this.#quota) return;
    const detail = `client '${this.name}' holds ${used} of its quota of ${this.#quota} bytes, ${size} more do not fit; free buffers first`;
    throw new DmaBufError('ENOMEM', 'ion_alloc', detail);
  }

  #check(syscall: string): void {
    if (this.#open) return;
    throw new DmaBufError('EBADF', syscall, `client '${this.name}' is closed`);
  }
}
