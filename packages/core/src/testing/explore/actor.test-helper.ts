/** Worker of an exploration: one thread that plays an actor, or a recoverer, run after run. */
import { MessageChannel, parentPort, workerData } from 'node:worker_threads';
import { watchLocks } from '../../actor/reaper.js';
import { recover } from '../../actor/recovery.js';
import type { Services } from '../../actor/services.js';
import { ACTOR, ACTOR_STATE, REGION } from '../../memory/layout.js';
import { Words } from '../../memory/words.js';
import { threadMem } from '../../substrate/memory.js';
import { Baton, type Death } from './baton.js';
import { CONTROL, CONTROL_THREADS, EXPLORER, NOTES, RECOVERERS } from './control.js';
import { type Bug, findBug } from './planted-bugs.js';
import type { Data, Scenario } from './scenario.js';
import { findScenario } from './scenarios.js';
import { actorOf, stageServices, stageTables } from './stage.js';
import { SteppedWords } from './stepped-words.js';

/** What a thread is started with. */
export interface ThreadTask {
  readonly thread: number;
  readonly control: ArrayBufferLike;
  readonly memory: ArrayBufferLike;
}

/** What it is told before the runs of a scenario. */
export interface LoadMessage {
  readonly scenario: string;
  readonly data: Data;
  /** A planted bug, or ''. */
  readonly bug: string;
}

class Player {
  readonly #thread: number;
  readonly #block: Words;
  readonly #memory: Int32Array<ArrayBufferLike>;
  readonly #words: SteppedWords;
  readonly #baton: Baton;
  readonly #port = new MessageChannel();
  readonly #token = threadMem.makeRegion(4096).token;

  constructor(task: ThreadTask) {
    this.#thread = task.thread;
    this.#block = new Words(task.control);
    this.#memory = new Int32Array(task.memory);
    this.#baton = new Baton(this.#block, task.thread, this.#memory);
    this.#words = new SteppedWords(task.memory, this.#baton);
  }

  /** All runs of a scenario, until the explorer has enough. */
  play(load: LoadMessage): void {
    const scenario = findScenario(load.scenario);
    const bug = load.bug === '' ? undefined : findBug(load.bug);
    const remove = bug?.insert();
    const c = this.#block.i32;
    for (;;) {
      this.#baton.await();
      if (c[CONTROL.LEAVE] === 1 || c[CONTROL.ABORT] === 1) {
        const leave = c[CONTROL.LEAVE] === 1;
        this.#baton.give(EXPLORER);
        if (leave) break;
      } else this.#live(scenario, load.data, bug);
    }
    remove?.();
  }

  #live(scenario: Scenario, data: Data, bug: Bug | undefined): void {
    const tables = stageTables(scenario.tables);
    const self = actorOf(this.#thread);
    const baton = this.#baton;
    const services = stageServices(this.#words, self, baton.seam, tables, this.#port.port1);
    bug?.wire?.(services);
    if (scenario.memory === true) this.#deliver(data);
    const restarts = scenario.devices?.includes(this.#thread) === true;
    const death: Death = { record: services.kernel.actor, restarts };
    const c = this.#block.i32;
    const note = (place: number, value: number): void => {
      if (!baton.dead) c[CONTROL.NOTES + this.#thread * NOTES + place] = value;
    };
    baton.enter(death);
    try {
      if (RECOVERERS.includes(this.#thread)) this.#recoverAll(services, scenario);
      else {
        const life = c[CONTROL.LIFE + this.#thread] as number;
        scenario.actors[this.#thread]?.({ services, data, life, note });
      }
    } catch (error) {
      if (!baton.dead) baton.fail(textOf(error));
    }
    baton.finish();
  }

  /** Posts the memory of the stage's region, as the broker does. */
  #deliver(data: Data): void {
    const { region = 0 } = data;
    const generation = this.#memory[region + REGION.STATE] as number;
    this.#port.port2.postMessage({ type: 'region', region, generation, token: this.#token, id: 0 });
  }

  #recoverAll(services: Services, scenario: Scenario): void {
    const c = this.#block.i32;
    watchLocks(services);
    for (;;) {
      const dead = this.#nextDead();
      if (dead < 0) return;
      recover(services, actorOf(dead));
      if (this.#baton.dead) return;
      c[CONTROL.DEAD] = (c[CONTROL.DEAD] as number) & ~(1 << dead);
      c[CONTROL.RECOVERED] = (c[CONTROL.RECOVERED] as number) + 1;
      this.#settled(services.kernel.actors.at(actorOf(dead)), dead, scenario);
    }
  }

  /** Another recoverer first: it holds what this one may wait for. */
  #nextDead(): number {
    const dead = this.#block.i32[CONTROL.DEAD] as number;
    for (let thread = CONTROL_THREADS - 1; thread >= 0; thread--) {
      if ((dead & (1 << thread)) !== 0) return thread;
    }
    return -1;
  }

  /** What the broker does once a dead actor has been recovered. */
  #settled(record: number, thread: number, scenario: Scenario): void {
    const memory = this.#memory;
    if (scenario.devices?.includes(thread) !== true) {
      memory[record + ACTOR.STATE] = ACTOR_STATE.FREE;
      return;
    }
    memory[record + ACTOR.GEN] = (memory[record + ACTOR.GEN] as number) + 1;
    memory[record + ACTOR.RESTARTS] = (memory[record + ACTOR.RESTARTS] as number) + 1;
    memory[record + ACTOR.SERVED] = 0;
    memory[record + ACTOR.STATE] = ACTOR_STATE.LIVE;
    const c = this.#block.i32;
    c[CONTROL.LIFE + thread] = (c[CONTROL.LIFE + thread] as number) + 1;
    this.#baton.start(thread);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

const player = new Player(workerData as ThreadTask);
parentPort?.on('message', (load: LoadMessage) => {
  parentPort?.postMessage('loaded');
  player.play(load);
});
