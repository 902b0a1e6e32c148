/**
 * Explorer: runs a scenario under one schedule after another, and checks what each leaves.
 *
 * Switches cost; so schedules are enumerated by their number of preemptions (Musuvathi and Qadeer, iterative
 * context bounding, PLDI 2007): all with at most `bound`, the switches not counted that happen because an
 * actor sleeps or has ended. A preemption is tried before an access only if some other thread touches the
 * same word and one of the two writes it: elsewhere it changes nothing that anybody can see. Which words
 * are shared is learnt from the runs themselves; if later ones show more of them, all is done again.
 */
import { Worker } from 'node:worker_threads';
import type { Services } from '../../actor/services.js';
import { ACTOR } from '../../memory/layout.js';
import { Words } from '../../memory/words.js';
import { threadMem } from '../../substrate/memory.js';
import { threadSeam } from '../../substrate/seam.js';
import { checkInvariants } from '../invariants.js';
import type { LoadMessage, ThreadTask } from './actor.test-helper.js';
import { Baton } from './baton.js';
import {
  CONTROL,
  CONTROL_THREADS,
  ENTRIES_MAX,
  EXPLORER,
  LOG_FORCED,
  LOG_RUNNABLE,
  LOG_RUNNABLE_SHIFT,
  LOG_THREAD,
  LOG_WRITE,
  NOTES,
  RECOVERERS,
  type Schedule,
  VERDICT,
} from './control.js';
import type { Data, Scenario } from './scenario.js';
import { SCENARIOS } from './scenarios.js';
import { actorOf, deadPort, Stage, stageBytes, stageServices, stageTables } from './stage.js';

/** Sleeps of a recoverer that may run out: it then looks whether the holder of a lock is dead. */
const RECOVERER_BUDGET = 200;
const NEVER = 0x7fffffff;

/** One access of a run. */
export interface Step {
  readonly word: number;
  readonly thread: number;
  readonly write: boolean;
  /** Whether the thread came here because the one before could not go on. */
  readonly forced: boolean;
  /** Mask of the threads that could have run. */
  readonly runnable: number;
}

/** What one run came to. */
export interface Outcome {
  readonly steps: number;
  /** Entries that did not apply. */
  readonly ignored: number;
  readonly recovered: number;
  /** Breaches; empty when all is well. */
  readonly faults: string[];
}

export class Explorer {
  readonly #control: Words;
  readonly #c: Int32Array<ArrayBufferLike>;
  readonly #memory: ArrayBufferLike;
  readonly #words: Words;
  readonly #baton: Baton;
  readonly #threads: Worker[] = [];
  #scenario: Scenario | undefined;
  #data: Data = {};
  #before: Int32Array<ArrayBufferLike> = new Int32Array(0);
  #onlooker: Services | undefined;

  constructor() {
    const control = threadMem.makeRegion(CONTROL.WORDS * 4).buffer;
    const bytes = SCENARIOS.map(({ tables }) => stageBytes(stageTables(tables)));
    this.#memory = threadMem.makeRegion(Math.max(...bytes)).buffer;
    this.#control = new Words(control);
    this.#c = this.#control.i32;
    this.#words = new Words(this.#memory);
    this.#baton = new Baton(this.#control, EXPLORER, this.#words.i32);
    for (let thread = 0; thread < EXPLORER; thread++) {
      const task: ThreadTask = { thread, control, memory: this.#memory };
      this.#threads.push(
        new Worker(new URL('./actor.test-helper.js', import.meta.url), { workerData: task }),
      );
    }
  }

  async close(): Promise<void> {
    this.unload();
    await Promise.all(this.#threads.map(async (thread) => thread.terminate()));
  }

  /** Sets a scenario's stage; runs may follow. */
  async load(scenario: Scenario, bug = ''): Promise<void> {
    this.unload();
    const tables = stageTables(scenario.tables);
    const stage = new Stage(this.#words, tables, scenario.devices ?? []);
    this.#data = scenario.setup(stage);
    stage.settle();
    this.#before = this.#words.i32.slice(0, stageBytes(tables) / 4);
    const port = deadPort();
    this.#onlooker = stageServices(this.#words, actorOf(EXPLORER), threadSeam, tables, port);
    this.#c.fill(0);
    const message: LoadMessage = { scenario: scenario.name, data: this.#data, bug };
    await Promise.all(
      this.#threads.map(
        async (thread) =>
          new Promise<void>((resolve, reject) => {
            thread.once('message', () => {
              thread.off('error', reject);
              resolve();
            });
            thread.once('error', reject);
            thread.postMessage(message);
          }),
      ),
    );
    this.#scenario = scenario;
  }

  /** Lets the threads go back to their event loops. */
  unload(): void {
    if (this.#scenario === undefined) return;
    this.#c[CONTROL.LEAVE] = 1;
    for (let thread = 0; thread < EXPLORER; thread++) this.#turn(thread);
    this.#c[CONTROL.LEAVE] = 0;
    this.#scenario = undefined;
  }

  /** One run. */
  run(schedule: Schedule): Outcome {
    const scenario = this.#scenario;
    if (scenario === undefined) throw new Error('no scenario is loaded');
    this.#reset(scenario, schedule);
    this.#turn(0);
    const faults = this.#judge(scenario);
    this.#abort();
    const c = this.#c;
    return {
      steps: c[CONTROL.STEP] as number,
      ignored: c[CONTROL.IGNORED] as number,
      recovered: c[CONTROL.RECOVERED] as number,
      faults,
    };
  }

  /** Access `at` (from 1) of the last run. */
  step(at: number): Step {
    const word = this.#c[CONTROL.LOG + 2 * at] as number;
    const what = this.#c[CONTROL.LOG + 2 * at + 1] as number;
    return {
      word,
      thread: what & LOG_THREAD,
      write: (what & LOG_WRITE) !== 0,
      forced: (what & LOG_FORCED) !== 0,
      runnable: (what >> LOG_RUNNABLE_SHIFT) & LOG_RUNNABLE,
    };
  }

  #reset(scenario: Scenario, schedule: Schedule): void {
    if (schedule.length >= ENTRIES_MAX) throw new RangeError('the schedule is too long');
    this.#words.i32.set(this.#before);
    const c = this.#c;
    c.fill(0, CONTROL.STEP, CONTROL.ENTRIES);
    schedule.forEach(({ step, to }, i) => {
      c[CONTROL.ENTRIES + 2 * i] = step;
      c[CONTROL.ENTRIES + 2 * i + 1] = to;
    });
    c[CONTROL.ENTRIES + 2 * schedule.length] = NEVER;
    c[CONTROL.NEXT_AT] = schedule[0]?.step ?? NEVER;
    c[CONTROL.RUNNABLE] = (1 << scenario.actors.length) - 1;
    c[CONTROL.FORCED] = 1;
    for (let thread = 0; thread < scenario.actors.length; thread++) {
      c[CONTROL.BUDGET + thread] = scenario.timeouts ?? 0;
    }
    for (const thread of RECOVERERS) c[CONTROL.BUDGET + thread] = RECOVERER_BUDGET;
  }

  #turn(thread: number): void {
    this.#baton.give(thread);
    this.#baton.await();
  }

  /** Has every thread give up that has not ended. */
  #abort(): void {
    const c = this.#c;
    const left = (c[CONTROL.RUNNABLE] as number) | (c[CONTROL.BLOCKED] as number);
    if (left === 0) return;
    c[CONTROL.ABORT] = 1;
    for (let thread = 0; thread < CONTROL_THREADS; thread++) {
      if ((left & (1 << thread)) !== 0) this.#turn(thread);
    }
    c[CONTROL.ABORT] = 0;
  }

  #judge(scenario: Scenario): string[] {
    const c = this.#c;
    const verdict = c[CONTROL.VERDICT] as number;
    if (verdict === VERDICT.THREW || verdict === VERDICT.LIVELOCK) {
      const text = this.#control.bytes(CONTROL.TEXT, c[CONTROL.TEXT_LENGTH] as number).slice();
      return [new TextDecoder().decode(text)];
    }
    const faults = this.#sleepers(scenario);
    if (faults.length > 0) return faults;
    if (c[CONTROL.DEAD] !== 0) faults.push('the dead were not recovered');
    const services = this.#onlooker as Services;
    faults.push(...checkInvariants(services.kernel));
    const dead = this.#killed();
    faults.push(
      ...scenario.check({
        services,
        words: this.#words,
        data: this.#data,
        note: (thread, place) => c[CONTROL.NOTES + thread * NOTES + place] as number,
        killed: (thread) => (dead & (1 << thread)) !== 0,
      }),
    );
    return faults;
  }

  /** Threads whose lives ended by the schedule: they neither ended by themselves, nor do they sleep. */
  #killed(): number {
    const c = this.#c;
    let mask = 0;
    for (let thread = 0; thread < EXPLORER; thread++) {
      const bit = 1 << thread;
      const started = thread < (this.#scenario?.actors.length ?? 0);
      const ended = ((c[CONTROL.DONE] as number) | (c[CONTROL.BLOCKED] as number)) & bit;
      if (started && (ended === 0 || (c[CONTROL.LIFE + thread] as number) > 0)) mask |= bit;
    }
    return mask;
  }

  /** Whoever still sleeps: a server may, on its doorbell, if there is nothing for it. */
  #sleepers(scenario: Scenario): string[] {
    const c = this.#c;
    const faults: string[] = [];
    const services = this.#onlooker as Services;
    const { kernel, jobs, mail } = services;
    for (let thread = 0; thread < EXPLORER; thread++) {
      if (((c[CONTROL.BLOCKED] as number) & (1 << thread)) === 0) continue;
      const word = c[CONTROL.BLOCKED_ON + thread] as number;
      const bell = kernel.actors.at(actorOf(thread)) + ACTOR.WAITING;
      const idle = scenario.servers?.includes(thread) === true && word === bell;
      const killed = this.#killed();
      const inVain = scenario.inVain?.some(([t, by]) => t === thread && (killed & (1 << by)) !== 0);
      if (inVain === true) continue;
      if (!idle) faults.push(`thread ${thread} sleeps on word ${word} for ever`);
      else if (!jobs.ready.isEmpty(actorOf(thread)) || !mail.isEmptyOf(actorOf(thread))) {
        faults.push(`thread ${thread} sleeps over work`);
      }
    }
    return faults;
  }
}
