/**
 * Reaping: the broker's side of the reaper. It starts the worker, sends it the dead one by one, and when it dies
 * itself starts another, which recovers its predecessor first and then does the work again.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Kernel } from '../kernel.js';
import { ACTOR, ACTOR_STATE } from '../memory/layout.js';
import { type ActorModules, type Host, type Running, workerHost } from '../substrate/actors.js';
import type { BootToken } from './join.js';
import type { Reaped, ReaperTask } from './reaper.js';
import { EVICT } from './watchdog.js';

/** A recovery that takes longer than this, ms, hangs in an exporter's op: the reaper is put to death. */
const HUNG_MS = 10_000;
/** Reapers that may die over one dead before the machine is given up. */
const ATTEMPTS = 3;

/** What reaping needs of the broker. */
export interface ReapingParts {
  readonly kernel: Kernel;
  readonly modules: ActorModules;
  readonly boot: BootToken;
  /** Two places for reapers: one lives while the other is recovered. */
  readonly places: readonly [number, number];
  adopt(actor: number, port: MessagePort): void;
  settled(reaped: Reaped): void;
}

interface Reaper {
  readonly place: number;
  readonly work: MessagePort;
  readonly running: Running;
}

export class Reaping {
  readonly #parts: ReapingParts;
  /** Sent to the reaper, oldest first, with how often. */
  readonly #unsettled: Map<number, number> = new Map();
  #host: Host | undefined;
  #reaper: Reaper | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(parts: ReapingParts) {
    this.#parts = parts;
  }

  /**
   * Makes the reaper's thread, which loads nothing yet. With the machine's other threads: whenever Node makes
   * one, it tells the main thread, which has to turn its event loop once for that.
   */
  makeThread(): Host {
    return (this.#host ??= workerHost(this.#parts.modules, 1));
  }

  /** Starts the reaper ahead of the first death, which it then settles in a millisecond or two. */
  prepare(): void {
    if (!this.#stopping) this.#reaper ??= this.#start(this.#parts.places[0]);
  }

  /** Has a dead actor recovered; {@link ReapingParts.settled} is called when it is. */
  reap(dead: number): void {
    const attempts = (this.#unsettled.get(dead) ?? 0) + 1;
    this.#unsettled.set(dead, attempts);
    if (attempts > ATTEMPTS) {
      this.#done({ dead, failure: `${ATTEMPTS} reapers died over it`, took: 0 });
      return;
    }
    this.prepare();
    this.#reaper?.work.postMessage(dead);
    this.#timer ??= setTimeout(() => this.#reaper?.running.kill(), HUNG_MS).unref();
  }

  /** Has holds and fences that are past their limits evicted. Looked for again at the next beat. */
  evict(): void {
    this.prepare();
    this.#reaper?.work.postMessage(EVICT);
  }

  /** A reaper's port has closed: if that was not our doing, it has died. */
  portClosed(actor: number): void {
    const reaper = this.#reaper;
    if (reaper?.place !== actor || this.#stopping) return;
    const { kernel, places } = this.#parts;
    kernel.words.store(kernel.actors.at(actor) + ACTOR.STATE, ACTOR_STATE.DEAD);
    reaper.work.close();
    this.#rest();
    const other = places[0] === actor ? places[1] : places[0];
    const pending = [...this.#unsettled.keys()].filter((dead) => dead !== actor);
    this.#reaper = this.#start(other);
    for (const dead of [actor, ...pending]) this.reap(dead);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#rest();
    this.#reaper?.work.close();
    await this.#host?.destroy();
  }

  #start(place: number): Reaper {
    const { boot, kernel, adopt, places } = this.#parts;
    kernel.words.store(kernel.actors.at(place) + ACTOR.STATE, ACTOR_STATE.RESERVED);
    const life = new MessageChannel();
    const work = new MessageChannel();
    adopt(place, life.port2);
    const spare = places[0] === place ? places[1] : places[0];
    const task: ReaperTask = { actor: place, spare, port: life.port1, boot, work: work.port1 };
    const running = this.makeThread().start(task, [life.port1, work.port1]);
    running.ended.catch(() => {}); // its port tells
    work.port2.on('message', (reaped: Reaped) => this.#done(reaped));
    return { place, work: work.port2, running };
  }

  #done(reaped: Reaped): void {
    this.#unsettled.delete(reaped.dead);
    this.#rest();
    if (this.#unsettled.size > 0) {
      this.#timer = setTimeout(() => this.#reaper?.running.kill(), HUNG_MS).unref();
    }
    const { kernel, places, settled } = this.#parts;
    if (!places.includes(reaped.dead)) settled(reaped);
    else if (reaped.failure !== undefined) settled(reaped);
    else kernel.words.store(kernel.actors.at(reaped.dead) + ACTOR.STATE, ACTOR_STATE.RESERVED);
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
