/**
 * Collection: what becomes of the memory of regions that were given up (design D4).
 *
 * A region's last buffer is gone, but shared memory cannot be taken back from the threads that have it: the host frees
 * it when the last of them has let go of it and its garbage collector has seen so. Until then the region *awaits
 * collection*: its record stays taken (AWAITS names the life that ended), so that what awaits is a sum over the table and
 * can be had after any death, and no thread's late word can hit the record's next life.
 *
 * Who has the memory is what IMPORTERS says: a bit for each actor, the broker's among them. A thread's bit ends when
 * its collector has collected the memory (FinalizationRegistry, in threads that turn their event loop), or, under
 * pressure, when it has let go and had the collector run. Whoever takes the last bit out ends AWAITS, and with it the
 * record's life. A view of the memory that user code keeps is not seen by the second way: it keeps the memory, and
 * nobody is told.
 *
 * Pressure is HEADER.COLLECT: an allocation that finds too much awaiting adds 1, and each thread compares the word with
 * what it saw last, when it next looks at its regions, goes to sleep as a server, or hears of it by a message.
 */
import { BroadcastChannel } from 'node:worker_threads';
import type { Kernel } from '../kernel.js';
import { HEADER, REGION } from './layout.js';

interface Share {
  readonly region: number;
  readonly generation: number;
  /** The thread has let go of it: only garbage keeps it. */
  letGo: boolean;
}

/** One thread's shares in the memory of regions. */
export class Collection {
  readonly #k: Kernel;
  readonly #shares: Map<number, Share> = new Map();
  readonly #registry: FinalizationRegistry<Share>;

  constructor(kernel: Kernel) {
    this.#k = kernel;
    this.#registry = new FinalizationRegistry((share) => this.#end(share));
  }

  /** Whether there is memory here that may be let go of some time. */
  get empty(): boolean {
    return this.#shares.size === 0;
  }

  /** This thread has got the memory of a region, as `memory`. */
  hold(region: number, generation: number, memory: object): void {
    const known = this.#shares.get(region);
    if (known !== undefined) this.#registry.unregister(known);
    const share = { region, generation, letGo: false };
    this.#shares.set(region, share);
    this.#registry.register(memory, share, share);
  }

  /** Whether it has the memory of that life of a region, or garbage of it. */
  holds(region: number, generation: number): boolean {
    return this.#shares.get(region)?.generation === generation;
  }

  /** It has let go of it. */
  letGo(region: number): void {
    const share = this.#shares.get(region);
    if (share !== undefined) share.letGo = true;
  }

  /** Has the collector run, and ends the shares of all that was let go of. */
  collect(): void {
    const ended = [...this.#shares.values()].filter((share) => share.letGo);
    if (ended.length === 0) return;
    this.#k.mem.collect();
    for (const share of ended) {
      this.#registry.unregister(share);
      this.#end(share);
    }
  }

  #end(share: Share): void {
    if (this.#shares.get(share.region) === share) this.#shares.delete(share.region);
    endShare(this.#k, share.region, share.generation, this.#k.self);
  }
}

/** What awaits collection now. */
export interface Awaiting {
  readonly regions: number;
  readonly bytes: number;
  /** Records of the table that are free. */
  readonly free: number;
}

export function awaiting(kernel: Kernel): Awaiting {
  const { words, regions: table } = kernel;
  let [regions, bytes, free] = [0, 0, 0];
  for (let i = table.first; i < table.count; i++) {
    const region = table.at(i);
    if (words.get(region + REGION.STATE) !== 0) continue;
    if (words.load(region + REGION.AWAITS) === 0) {
      free++;
      continue;
    }
    regions++;
    bytes += words.getDouble(region + REGION.BYTES);
  }
  return { regions, bytes, free };
}

/** Pointers of the records of regions that await collection. */
export function* awaitingRegions(kernel: Kernel): Generator<number> {
  const { words, regions } = kernel;
  for (let i = regions.first; i < regions.count; i++) {
    const region = regions.at(i);
    if (words.load(region + REGION.AWAITS) === 0) continue;
    if (words.load(region + REGION.STATE) === 0) yield region;
  }
}

/** Actors that have not collected a region yet. */
export function sharers(kernel: Kernel, region: number): number[] {
  const { words, actors } = kernel;
  const has = (actor: number): boolean =>
    (words.load(region + REGION.IMPORTERS + (actor >> 5)) & (1 << (actor & 31))) !== 0;
  return Array.from({ length: actors.count }, (_, actor) => actor).filter(has);
}

/** An actor's share of a region that was given up has ended. Does nothing in another life of the record. */
export function endShare(kernel: Kernel, region: number, generation: number, actor: number): void {
  const { words, seam } = kernel;
  const awaits = region + REGION.AWAITS;
  if (words.load(awaits) !== generation || words.load(region + REGION.STATE) !== 0) return;
  unmarkImporter(kernel, region, actor);
  const left = words.load(region + REGION.IMPORTERS) | words.load(region + REGION.IMPORTERS + 1);
  if (left !== 0 || !words.cas(awaits, generation, 0)) return;
  words.add(HEADER.COLLECTED, 1);
  seam.notify(words.i32, HEADER.COLLECTED, 0x7fffffff);
}

/** Notes that an actor has, or is about to find in its port, a region. */
export function markImporter(kernel: Kernel, region: number, actor: number): void {
  const { words } = kernel;
  const index = region + REGION.IMPORTERS + (actor >> 5);
  for (;;) {
    const old = words.load(index);
    if (words.cas(index, old, old | (1 << (actor & 31)))) return;
  }
}

/** Notes that an actor is gone, or has let go of a region. */
export function unmarkImporter(kernel: Kernel, region: number, actor: number): void {
  const { words } = kernel;
  const index = region + REGION.IMPORTERS + (actor >> 5);
  for (;;) {
    const old = words.load(index);
    if (words.cas(index, old, old & ~(1 << (actor & 31)))) return;
  }
}

/** Closes the channel of who has been collected. */
const channels = new FinalizationRegistry<BroadcastChannel>((channel) => channel.close());

function channelOf({ words }: Kernel): BroadcastChannel {
  const channel = new BroadcastChannel(`dmabuf ${words.getDouble(HEADER.MACHINE_ID)}`);
  channel.unref();
  return channel;
}

/**
 * Calls `tend` when somebody asks all to collect, in a thread that turns its event loop then, until it says that
 * there is nothing more to look after. Keeps neither the process alive nor `of`. A message, not a timer: who
 * has nothing to do with it must not be woken for it.
 */
export function tendWhenAsked<T extends object>(
  kernel: Kernel,
  of: T,
  tend: (of: T) => boolean,
): void {
  const weak = new WeakRef(of);
  const channel = channelOf(kernel);
  channels.register(of, channel);
  channel.onmessage = (): void => {
    const target = weak.deref();
    if (target === undefined || !tend(target)) channel.close();
  };
}

/** Asks all threads that turn their event loops. */
export function askToCollect(kernel: Kernel): void {
  const channel = channelOf(kernel);
  channel.postMessage(0);
  channel.close();
}
