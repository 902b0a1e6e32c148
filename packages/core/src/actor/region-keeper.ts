/**
 * RegionKeeper: the broker's part in memory (design D5). It has the tokens of all regions and hands them to
 * whoever imports an fd, or is delivered a region; so an fd is a capability. Having them it is one of those that are to
 * let go of a region that was given up, and it speaks for those that died with one in their hands.
 */
import type { MessagePort } from 'node:worker_threads';
import { errno } from '../errno.js';
import { kindOf, openFds, pointerOf } from '../fd/fd-table.js';
import { BROKER, type Kernel } from '../kernel.js';
import { ACTOR, BUFFER, OBJECT, REGION, REGION_KIND } from '../memory/layout.js';
import {
  awaitingRegions,
  Collection,
  endShare,
  markImporter,
  sharers,
  unmarkImporter,
} from '../memory/collection.js';
import type { RegionToken } from '../substrate/memory.js';
import type { FromBroker, ToBroker } from './broker-port.js';

interface Held {
  readonly generation: number;
  readonly token: RegionToken;
}
interface Waiting {
  readonly region: number;
  readonly generation: number;
  readonly serve: (token: RegionToken) => void;
}

export class RegionKeeper {
  readonly #k: Kernel;
  readonly #ports: ReadonlyMap<number, MessagePort>;
  readonly #regions: Map<number, Held> = new Map();
  /** Requests for regions whose maker's message has not arrived yet. */
  readonly #waiting: Waiting[] = [];
  readonly #collection: Collection;

  /** Index of the driver that an actor is a device of; 0: of none. */
  readonly #driverOf: (actor: number) => number;

  constructor(
    kernel: Kernel,
    ports: ReadonlyMap<number, MessagePort>,
    driverOf: (actor: number) => number,
  ) {
    this.#k = kernel;
    this.#ports = ports;
    this.#driverOf = driverOf;
    this.#collection = new Collection(kernel);
  }

  arrived(region: number, generation: number, token: RegionToken): void {
    const { words } = this.#k;
    if (words.load(region + REGION.STATE) !== generation) {
      // Given up meanwhile, by somebody whose word was here before its maker's.
      endShare(this.#k, region, generation, BROKER);
      return;
    }
    this.#regions.set(region, { generation, token });
    if (words.get(region + REGION.KIND) === REGION_KIND.SYSTEM) {
      this.#collection.hold(region, generation, token);
    }
    for (const wait of this.#waiting.splice(0)) {
      if (wait.region === region && wait.generation === generation) wait.serve(token);
      else this.#waiting.push(wait);
    }
  }

  dropped(region: number): void {
    if (this.#regions.delete(region)) this.#collection.letGo(region);
  }

  /** Lets go of all that was given up, and has it collected. */
  collect(): void {
    this.tend();
    this.#collection.collect();
  }

  /** Finds what was given up without a word here, and ends the shares of those that are gone. */
  tend(): void {
    const { words } = this.#k;
    for (const [region, { generation }] of this.#regions) {
      if (words.load(region + REGION.STATE) !== generation) this.dropped(region);
    }
    for (const region of awaitingRegions(this.#k)) {
      const generation = words.load(region + REGION.AWAITS);
      const gone = sharers(this.#k, region).filter((actor) =>
        actor === BROKER ? !this.#collection.holds(region, generation) : !this.#ports.has(actor),
      );
      for (const actor of gone) endShare(this.#k, region, generation, actor);
    }
  }

  /** An actor asks for a region itself. */
  import(actor: number, { region, generation, id }: Extract<ToBroker, { type: 'import' }>): void {
    if (!this.#mayImport(actor, region)) return this.#refuse(actor, id);
    if (this.#isGone(region, generation)) return this.#refuseGone(actor, id);
    this.#withRegion(region, generation, (token) => {
      markImporter(this.#k, region, actor);
      this.answer(actor, { type: 'region', region, generation, token, id });
    });
  }

  /** An actor asks that another be given a region. */
  request(actor: number, message: Extract<ToBroker, { type: 'deliver' }>): void {
    const { region, generation, actor: to, id } = message;
    if (!this.#mayImport(actor, region)) return this.#refuse(actor, id);
    if (this.#isGone(region, generation)) return this.#refuseGone(actor, id);
    this.#withRegion(region, generation, (token) => {
      this.#deliver(to, region, { generation, token });
      this.answer(actor, { type: 'done', id });
    });
  }

  /** The pool, for an actor that is about to start: attaching then costs nothing. */
  deliverPool(to: number): void {
    const { words } = this.#k;
    for (const [region, held] of this.#regions) {
      if (words.get(region + REGION.KIND) === REGION_KIND.POOL) this.#deliver(to, region, held);
    }
  }

  /** All that an actor had imported in its earlier life. */
  deliverAgain(to: number): void {
    const { words } = this.#k;
    this.#endShares(to);
    for (const [region, held] of this.#regions) {
      const had = words.load(region + REGION.IMPORTERS + (to >> 5)) & (1 << (to & 31));
      const live = words.load(region + REGION.STATE) === held.generation;
      if (had !== 0 && live) this.#deliver(to, region, held);
    }
  }

  /** An actor's place becomes free: whoever gets it next has no memory yet. */
  forget(actor: number): void {
    for (const region of this.#k.regions.live()) unmarkImporter(this.#k, region, actor);
    this.#endShares(actor);
  }

  /** What was given up and was in the hands of an earlier life. */
  #endShares(actor: number): void {
    const { words } = this.#k;
    for (const region of awaitingRegions(this.#k)) {
      endShare(this.#k, region, words.load(region + REGION.AWAITS), actor);
    }
  }

  answer(actor: number, message: FromBroker): void {
    const { words, seam, actors } = this.#k;
    this.#ports.get(actor)?.postMessage(message);
    const bell = actors.at(actor) + ACTOR.PORT_BELL;
    words.add(bell, 1);
    seam.notify(words.i32, bell, 1);
  }

  #deliver(to: number, region: number, held: Held): void {
    const { generation, token } = held;
    markImporter(this.#k, region, to);
    this.answer(to, { type: 'region', region, generation, token, id: 0 });
  }

  /** Calls `serve` with the region's token, now or when its maker's message is here. */
  #withRegion(region: number, generation: number, serve: (token: RegionToken) => void): void {
    const held = this.#regions.get(region);
    if (held?.generation === generation) serve(held.token);
    else this.#waiting.push({ region, generation, serve });
  }

  /** Whether it was given up before the request was read, as by a move of its last buffer. */
  #isGone(region: number, generation: number): boolean {
    return generation === 0 || this.#k.words.load(region + REGION.STATE) !== generation;
  }

  #refuseGone(actor: number, id: number): void {
    const detail = 'that memory was given up meanwhile';
    this.answer(actor, { type: 'error', errno: -errno.ENOENT, detail, id });
  }

  #refuse(actor: number, id: number): void {
    const detail = `actor ${actor} has no fd of a buffer in that memory`;
    this.answer(actor, { type: 'error', errno: -errno.EACCES, detail, id });
  }

  /** An fd is a capability: whoever has one to a buffer in the region, or has the region, may. */
  #mayImport(actor: number, region: number): boolean {
    const { words } = this.#k;
    // The pool isolates as a whole: allocators zero ranges of it before there is an fd (design D4).
    if (words.get(region + REGION.KIND) === REGION_KIND.POOL) return true;
    if ((words.load(region + REGION.IMPORTERS + (actor >> 5)) & (1 << (actor & 31))) !== 0)
      return true;
    // Its keeper's devices see to it while no buffer is in it.
    const keeper = words.get(region + REGION.KEEPER);
    if (keeper !== 0 && keeper === this.#driverOf(actor)) return true;
    for (const { object } of openFds(this.#k, actor)) {
      if (kindOf(object) !== OBJECT.DMABUF) continue;
      if (words.get(pointerOf(object) + BUFFER.REGION) === region) return true;
    }
    return false;
  }
}
