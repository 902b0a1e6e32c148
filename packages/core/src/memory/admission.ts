/**
 * Admission: holds up who makes regions faster than the host collects those that were given up (design D4).
 *
 * In three steps, each only if the one before did not do: this thread collects what it has let go of itself; everybody
 * is asked to (COLLECT is raised, the broker told, sleepers that have a share rung); and then it waits, at most
 * {@link BOUND_MS}. No table's lock is held meanwhile. A buffer's own may be, if its memory was deferred: who waits for
 * that one does not collect, so it is held up for the bound at most and its share counts as somebody's who is busy.
 */
import { DmaBufError } from '../errno.js';
import { type Kernel, WAIT_BOUND_MS } from '../kernel.js';
import { awaiting, awaitingRegions, sharers } from './collection.js';
import { HEADER } from './layout.js';

/** ms that an allocation waits for others to collect. */
const BOUND_MS = 1000;

/** What an admission needs done. */
export interface CollectParts {
  /** Collects in this thread. */
  collect(): void;
  /** Asks the broker to. */
  ask(): void;
  /** Wakes an actor that sleeps. */
  ring(actor: number): void;
}

export class Admission {
  readonly #k: Kernel;
  readonly #parts: CollectParts;

  constructor(kernel: Kernel, parts: CollectParts) {
    this.#k = kernel;
    this.#parts = parts;
  }

  /**
   * Returns when a region of that many bytes may be made. ENOMEM: what awaits collection does not become less; it says
   * in whose hands it is.
   */
  admit(bytes: number): void {
    if (this.#room(bytes)) return;
    this.#parts.collect();
    if (this.#room(bytes)) return;
    this.#askAll();
    if (this.#wait(() => this.#room(bytes))) return;
    const { regions, bytes: held } = awaiting(this.#k);
    const limit = this.#k.words.get(HEADER.UNCOLLECTED) * 1024;
    const detail = `${held} bytes in ${regions} regions that were given up await collection in ${this.#holders()}, more than the ${limit} that may; let go of views of closed buffers, or boot with a larger \`uncollected\``;
    throw new DmaBufError('ENOMEM', 'alloc', detail);
  }

  /** Frees what it can when the host has no memory left; whether that was anything. */
  free(): boolean {
    const before = awaiting(this.#k).bytes;
    if (before === 0) return false;
    this.#parts.collect();
    this.#askAll();
    return this.#wait(() => awaiting(this.#k).bytes < before);
  }

  /** Always if nothing awaits; else within the limit, and if the table has a record left. */
  #room(bytes: number): boolean {
    const now = awaiting(this.#k);
    if (now.regions === 0) return true;
    const within = now.bytes + bytes <= this.#k.words.get(HEADER.UNCOLLECTED) * 1024;
    return within && now.free > 0;
  }

  #askAll(): void {
    const { words, self } = this.#k;
    words.add(HEADER.COLLECT, 1);
    this.#parts.ask();
    const asked = new Set<number>([self]);
    for (const region of awaitingRegions(this.#k)) {
      for (const actor of sharers(this.#k, region)) {
        if (asked.has(actor)) continue;
        asked.add(actor);
        this.#parts.ring(actor);
      }
    }
  }

  #wait(enough: () => boolean): boolean {
    const { words, seam } = this.#k;
    const until = performance.now() + BOUND_MS;
    for (let idle = 0; idle * WAIT_BOUND_MS < BOUND_MS && performance.now() < until;) {
      const seen = words.load(HEADER.COLLECTED);
      if (enough()) return true;
      this.#parts.collect(); // of what others have given up meanwhile this thread may be the last to have it
      if (enough()) return true;
      this.#k.check('alloc');
      if (seam.wait(words.i32, HEADER.COLLECTED, seen, WAIT_BOUND_MS) === 'timeout') idle++;
    }
    return enough();
  }

  #holders(): string {
    const names = new Set<string>();
    for (const region of awaitingRegions(this.#k)) {
      for (const actor of sharers(this.#k, region)) names.add(this.#k.nameOf(actor));
    }
    return [...names].join(', ') || 'nobody';
  }
}
