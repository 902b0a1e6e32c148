/**
 * Regions in one thread: which blocks of memory this thread has, and how it gets others (design D4,
 * D5).
 *
 * Making a region is synchronous: the maker keeps it, registers it in kernel memory and posts it to
 * the broker. Whoever holds a buffer in it imports it through the broker's port, blocking until it is
 * there; importing again is a map look-up. A region whose last buffer is gone is dropped: its generation
 * grows, and each thread lets go of its own reference the next time it looks at its regions. What that leaves to be
 * done, and how it holds up who allocates faster than the host collects, is in collection.ts.
 */
import type { BrokerPort } from '../actor/broker-port.js';
import { DmaBufError } from '../errno.js';
import { BROKER, type Kernel } from '../kernel.js';
import type { RegionMemory } from '../substrate/memory.js';
import { Admission } from './admission.js';
import { awaiting, Collection, markImporter, tendWhenAsked, askToCollect } from './collection.js';
import { HEADER, REGION, REGION_KIND } from './layout.js';
import { RegionViews } from './region-views.js';

/** A driver that keeps a region beyond its last buffer, and its word of it at first. */
export interface Keep {
  readonly keeper: number;
  readonly kept: number;
}
const NOT_KEPT: Keep = { keeper: 0, kept: 0 };

interface Local {
  readonly generation: number;
  readonly memory: RegionMemory;
  readonly views: RegionViews;
}

export class Regions {
  readonly #k: Kernel;
  readonly #port: BrokerPort;
  readonly #local: Map<number, Local> = new Map();
  readonly #collection: Collection;
  readonly #admission: Admission;
  /** HEADER.COLLECT when this thread last collected. */
  #collected: number;
  #tending = false;

  /** `ring` wakes an actor that sleeps. */
  constructor(kernel: Kernel, port: BrokerPort, ring: (actor: number) => void) {
    this.#k = kernel;
    this.#port = port;
    this.#collection = new Collection(kernel);
    this.#admission = new Admission(kernel, {
      collect: () => this.collect(),
      ask: () => {
        port.post({ type: 'collect' });
        askToCollect(kernel);
      },
      ring,
    });
    this.#collected = kernel.words.load(HEADER.COLLECT);
  }

  /**
   * Makes a region of the system heap; returns its pointer. Blocks, for a second at most, while more than
   * `boot({ uncollected })` awaits collection. ENOSPC, ENOMEM.
   */
  make(bytes: number, keep: Keep = NOT_KEPT): number {
    this.#admission.admit(bytes);
    const memory = this.#allocate(bytes);
    for (;;) {
      const region = this.#share(REGION_KIND.SYSTEM, memory, keep);
      if (region !== 0) return region;
      // Of several that are admitted to the last record of the table one gets it; the others wait for the next.
      const { regions, free } = awaiting(this.#k);
      if (regions + free === 0) throw this.#full();
      this.#admission.admit(bytes);
    }
  }

  /** Gives up a region that a driver kept; with its last buffer if there is one in it. */
  giveUp(region: number): void {
    const { words, locks } = this.#k;
    locks.lock(HEADER.BUFFER_LOCK);
    words.set(region + REGION.USED, 1); // so that a death from here on leaves it to leaveEmpty()
    words.set(region + REGION.KEEPER, 0);
    const dropped = words.get(region + REGION.BUFFERS) === 0 && this.leave(region);
    locks.unlock(HEADER.BUFFER_LOCK);
    if (dropped) this.dropped(region);
  }

  /**
   * Makes a region of memory that the caller has already; its pointer. The memory stays the caller's: it is neither
   * zeroed nor given back. EBADFD: it is of no kind that threads can share; ENOSPC. Does not block.
   */
  adoptMemory(given: unknown, syscall: string): number {
    const memory = this.#k.mem.adopt(given);
    if (memory !== undefined) {
      const region = this.#share(REGION_KIND.ADOPTED, memory);
      if (region !== 0) return region;
      throw this.#full();
    }
    const detail =
      'threads can share a shared array buffer and a WebAssembly.Memory made with `shared: true`; this is neither';
    throw new DmaBufError('EBADFD', syscall, detail);
  }

  /** Registers memory and tells the broker; 0: the table is full. */
  #share(kind: number, memory: RegionMemory, keep: Keep = NOT_KEPT): number {
    const { locks } = this.#k;
    locks.lock(HEADER.BUFFER_LOCK);
    const region = this.#register(kind, memory.buffer.byteLength, keep);
    locks.unlock(HEADER.BUFFER_LOCK);
    if (region === 0) return 0;
    const generation = this.#gen(region);
    this.#keep(region, generation, memory);
    this.#port.post({ type: 'region', region, generation, token: memory.token });
    return region;
  }

  /** Registers the pool, which boot made. Returns its pointer. */
  adopt(kind: number, memory: RegionMemory): number {
    const region = this.#register(kind, memory.buffer.byteLength);
    this.#keep(region, this.#gen(region), memory);
    return region;
  }

  /** The memory of a region, imported if this thread does not have it. Blocks in that case. */
  get(region: number): RegionMemory {
    return this.#find(region).memory;
  }

  /** A view of `length` bytes of a region at `offset`. Blocks on the first look at the region. */
  view(region: number, offset: number, length: number): Uint8Array<ArrayBufferLike> {
    return this.#find(region).views.bytes(offset, length);
  }

  /** The whole 32-bit words of such a view; `offset` is a multiple of four. */
  words(region: number, offset: number, length: number): Uint32Array<ArrayBufferLike> {
    return this.#find(region).views.words(offset, length);
  }

  has(region: number): boolean {
    return this.#local.get(region)?.generation === this.#k.words.load(region + REGION.STATE);
  }

  /** Sees to it that `actor` has the region before a job for it can arrive there. Blocks once. */
  deliver(region: number, actor: number): void {
    if (this.#isImporter(region, actor)) return;
    this.#port.request({ type: 'deliver', region, generation: this.#gen(region), actor });
  }

  /** Counts a buffer out of its region; true if the region is to be dropped. Under BUFFER_LOCK. */
  leave(region: number): boolean {
    const { words } = this.#k;
    const left = Math.max(0, words.get(region + REGION.BUFFERS) - 1);
    words.set(region + REGION.BUFFERS, left);
    const stays = words.get(region + REGION.KEEPER) !== 0;
    if (left > 0 || stays || words.get(region + REGION.KIND) === REGION_KIND.POOL) return false;
    if (words.get(region + REGION.KIND) === REGION_KIND.SYSTEM) {
      words.store(region + REGION.AWAITS, this.#gen(region));
    }
    words.store(region + REGION.STATE, 0);
    return true;
  }

  /** Regions that nothing lies in any more, since a thread died before it could say so. BUFFER_LOCK is held. */
  leaveEmpty(dead: number): number[] {
    const { words, regions } = this.#k;
    return [...regions.live()].filter((region) => {
      if (words.get(region + REGION.BUFFERS) > 0) return false;
      if (words.get(region + REGION.KEEPER) !== 0) return false; // its driver sees to it
      const unused = words.get(region + REGION.USED) === 0;
      return (!unused || words.get(region + REGION.OWNER) === dead) && this.leave(region);
    });
  }

  /** Lets go of a region that {@link leave} gave up, here and in the broker. */
  dropped(region: number): void {
    this.#letGo(region);
    this.#port.post({ type: 'dropped', region });
  }

  /** Lets go of regions that others dropped. */
  sweep(): void {
    for (const [region, local] of this.#local) {
      if (this.#k.words.load(region + REGION.STATE) !== local.generation) this.#letGo(region);
    }
  }

  /** Lets go of what others dropped, and has it collected; of what was delivered and never used, too. */
  collect(): void {
    this.#collected = this.#k.words.load(HEADER.COLLECT);
    this.#drain();
    this.sweep();
    this.#collection.collect();
  }

  /** Collects if somebody has asked for it: after the thread's bounded sleeps, and by a message. */
  tend(): void {
    if (this.#k.words.load(HEADER.COLLECT) !== this.#collected) this.collect();
  }

  #letGo(region: number): void {
    if (this.#local.delete(region)) this.#collection.letGo(region);
  }

  #find(region: number): Local {
    const local = this.#local.get(region);
    if (local !== undefined && local.generation === this.#gen(region)) return local;
    this.sweep();
    this.#drain();
    const delivered = this.#local.get(region);
    if (delivered !== undefined && delivered.generation === this.#gen(region)) return delivered;
    const generation = this.#gen(region);
    return this.#keep(region, generation, this.#port.importRegion(region, generation));
  }

  #drain(): void {
    this.#port.drain((region, generation, memory) => this.#keep(region, generation, memory));
  }

  #keep(region: number, generation: number, memory: RegionMemory): Local {
    const local = { generation, memory, views: new RegionViews(memory.buffer) };
    this.#local.set(region, local);
    if (this.#k.words.get(region + REGION.KIND) === REGION_KIND.SYSTEM) {
      this.#collection.hold(region, generation, memory.buffer);
      this.#lookAfter();
    }
    return local;
  }

  #lookAfter(): void {
    if (this.#tending) return;
    this.#tending = true;
    tendWhenAsked<Regions>(this.#k, this, (regions) => {
      regions.tend();
      regions.#tending = !regions.#collection.empty;
      return regions.#tending;
    });
  }

  #allocate(bytes: number): RegionMemory {
    try {
      return this.#k.mem.makeRegion(bytes);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      if (this.#admission.free()) return this.#allocate(bytes);
      const detail = `the host has no memory for a region of ${bytes} bytes; free buffers first`;
      throw new DmaBufError('ENOMEM', 'alloc', detail);
    }
  }

  #register(kind: number, bytes: number, keep: Keep = NOT_KEPT): number {
    const { words, regions } = this.#k;
    const region = regions.findFree(REGION.AWAITS);
    if (region === 0) return 0;
    const gen = (words.get(region + REGION.GEN) + 1) & 0x7fffffff || 1;
    words.set(region + REGION.GEN, gen);
    words.set(region + REGION.KIND, kind);
    words.setDouble(region + REGION.BYTES, bytes);
    words.set(region + REGION.BUFFERS, 0);
    words.set(region + REGION.USED, 0);
    words.set(region + REGION.OWNER, this.#k.self);
    words.set(region + REGION.KEEPER, keep.keeper);
    words.store(region + REGION.KEPT, keep.kept);
    words.store(region + REGION.IMPORTERS, 0);
    words.store(region + REGION.IMPORTERS + 1, 0);
    // The maker has it, and the broker is about to: neither is to be waited for in vain if it dies before it says so.
    for (const actor of [this.#k.self, BROKER]) markImporter(this.#k, region, actor);
    words.store(region + REGION.STATE, gen);
    return region;
  }

  #full(): DmaBufError {
    return new DmaBufError(
      'ENOSPC',
      'alloc',
      `all ${this.#k.regions.count - 1} regions are in use, ${awaiting(this.#k).regions} of them awaiting collection; free buffers, or boot with a larger tables.regions`,
    );
  }

  #gen(region: number): number {
    return this.#k.words.load(region + REGION.STATE);
  }

  #isImporter(region: number, actor: number): boolean {
    const word = this.#k.words.load(region + REGION.IMPORTERS + (actor >> 5));
    return (word & (1 << (actor & 31))) !== 0;
  }
}

export { markImporter, unmarkImporter } from './collection.js';
