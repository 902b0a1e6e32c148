/**
 * What is explored of a scenario: (a) its schedules with few preemptions; (b) the death of each actor at
 * each access, the recoverer's too.
 */
import type { Random } from '../random.js';
import { KILL, RECOVERERS, type Schedule, scheduleText } from './control.js';
import type { Explorer, Step } from './explorer.js';
import type { Scenario } from './scenario.js';

/** A schedule that fails, for the report and for `--replay`. */
export interface Failure {
  readonly scenario: string;
  readonly schedule: string;
  readonly faults: readonly string[];
}

export interface Tally {
  schedules: number;
  kills: number;
  recoveries: number;
  readonly failures: Failure[];
  /** Whether every schedule of the bound was run. */
  complete: boolean;
}

/** Accesses for which a recoverer is overtaken at most. */
const OVERTAKEN = 200;

export function newTally(): Tally {
  return { schedules: 0, kills: 0, recoveries: 0, failures: [], complete: true };
}

export interface Limits {
  /** Preemptions of a schedule at most. */
  readonly bound: number;
  /** Schedules of a scenario at most. */
  readonly schedules: number;
  /** Failures after which a scenario is given up. */
  readonly failures: number;
}

interface Node {
  readonly schedule: Schedule;
  readonly preemptions: number;
}

/** Which threads read and write each word: a bit for each thread. */
class Touched {
  readonly readers: Map<number, number> = new Map();
  readonly writers: Map<number, number> = new Map();
  grown = false;

  note({ word, thread, write }: Step): void {
    const map = write ? this.writers : this.readers;
    const mask = map.get(word) ?? 0;
    if ((mask & (1 << thread)) !== 0) return;
    map.set(word, mask | (1 << thread));
    this.grown = true;
  }

  /** Whether another thread could tell if this access came earlier or later. */
  matters({ word, thread, write }: Step): boolean {
    const others = ~(1 << thread);
    const writers = (this.writers.get(word) ?? 0) & others;
    return writers !== 0 || (write && ((this.readers.get(word) ?? 0) & others) !== 0);
  }
}

export class Search {
  readonly #explorer: Explorer;
  readonly #scenario: Scenario;
  readonly #touched: Touched = new Touched();
  /** Failures at which deaths are given up. */
  readonly #most: number;
  readonly tally: Tally = newTally();

  /** `first`: stop at the first failure. */
  constructor(explorer: Explorer, scenario: Scenario, first = false) {
    this.#most = first ? 1 : 20;
    this.#explorer = explorer;
    this.#scenario = scenario;
  }

  /** (a): every schedule with at most `bound` preemptions. */
  interleave(limits: Limits): void {
    this.#learn();
    const { tally } = this;
    for (;;) {
      this.#touched.grown = false;
      const before = tally.schedules;
      const done = this.#walk(limits, before + limits.schedules);
      tally.complete = done;
      if (!done || !this.#touched.grown || tally.failures.length > 0) return;
    }
  }

  /** Which words are shared: from one run of each order of the actors, and one preemption at some accesses. */
  #learn(): void {
    const explorer = this.#explorer;
    const { steps } = explorer.run([]);
    for (let at = 1; at <= steps; at++) this.#touched.note(explorer.step(at));
    for (let step = 1; step <= steps; step += 16) {
      for (let to = 0; to < this.#scenario.actors.length; to++) {
        const outcome = explorer.run([{ step, to }]);
        for (let at = 1; at <= outcome.steps; at++) this.#touched.note(explorer.step(at));
      }
    }
  }

  #walk(limits: Limits, end: number): boolean {
    const { tally } = this;
    const todo: Node[] = [{ schedule: [], preemptions: 0 }];
    // First those with few preemptions: what fails first is then short.
    for (let next = 0; next < todo.length; next++) {
      const node = todo[next] as Node;
      if (tally.schedules >= end) return false;
      const steps = this.#run(node.schedule);
      if (tally.failures.length >= limits.failures) return false;
      // No more are collected than will be run.
      if (todo.length < next + 1 + end - tally.schedules) {
        this.#children(node, steps, limits.bound, todo);
      }
    }
    return true;
  }

  /** The schedules that go on from a node by one more switch. */
  #children({ schedule, preemptions }: Node, steps: number, bound: number, todo: Node[]): void {
    const explorer = this.#explorer;
    const last = schedule.at(-1)?.step ?? 0;
    let before: Step | undefined;
    for (let at = 1; at <= steps; at++) {
      const step = explorer.step(at);
      this.#touched.note(step);
      const spins = before !== undefined && isSame(before, step);
      before = step;
      if (at <= last) continue;
      const cost = step.forced ? 0 : 1;
      if (preemptions + cost > bound) continue;
      if (!step.forced && (spins || !this.#touched.matters(step))) continue;
      for (let to = 0; to < this.#scenario.actors.length; to++) {
        const can = to !== step.thread && (step.runnable & (1 << to)) !== 0;
        if (!can) continue;
        todo.push({ schedule: [...schedule, { step: at, to }], preemptions: preemptions + cost });
      }
    }
  }

  /** (b): each actor dies before each (`every`: so manyth) access of a run; and `samples` random ones. */
  kill(random: Random, samples: number, every = 1): void {
    for (const base of this.#orders()) {
      const steps = this.#steps(base);
      for (let at = 1 + random.below(every); at <= steps.length; at += every) {
        this.#die([...base, { step: at, to: KILL }]);
        this.#die([...base, { step: at, to: KILL }, { step: at, to: RECOVERERS[0] as number }]);
        if (this.tally.failures.length >= this.#most) return;
      }
    }
    for (let i = 0; i < samples && this.tally.failures.length < this.#most; i++) {
      this.#sample(random);
    }
  }

  /** One random death in a random schedule: others are preempted meanwhile, or the recoverer dies as well. */
  #sample(random: Random): void {
    const explorer = this.#explorer;
    const { steps } = explorer.run([]);
    const schedule: { step: number; to: number }[] = [];
    let at = 1;
    const preemptions = random.below(4);
    for (let i = 0; i < preemptions; i++) {
      at += 1 + random.below(steps);
      if (at > steps) break;
      schedule.push({ step: at, to: random.below(this.#scenario.actors.length) });
    }
    const first = schedule[0]?.step ?? 1;
    schedule.sort((a, b) => a.step - b.step);
    const death = Math.max(first, 1 + random.below(steps));
    const kept = schedule.filter(({ step }) => step < death);
    const dead: Schedule = [...kept, { step: death, to: KILL }, { step: death, to: 3 }];
    const outcome = explorer.run(dead);
    const recovering: number[] = [];
    for (let s = death; s <= outcome.steps; s++) {
      if (RECOVERERS.includes(explorer.step(s).thread)) recovering.push(s);
    }
    this.#count(dead, outcome.recovered, outcome.faults);
    if (recovering.length === 0) return;
    const within = recovering[random.below(recovering.length)] as number;
    if (random.below(2) === 0) {
      this.#die([...dead, { step: within, to: KILL }]);
      return;
    }
    // The recoverer is overtaken, and goes on while the other one is half-way through something.
    const recoverer = explorer.step(within).thread;
    const other = { step: within, to: random.below(this.#scenario.actors.length) };
    const back = { step: within + 1 + random.below(OVERTAKEN), to: recoverer };
    this.#die([...dead, other, back]);
  }

  #die(schedule: Schedule): void {
    const outcome = this.#explorer.run(schedule);
    this.#count(schedule, outcome.recovered, outcome.faults);
  }

  #count(schedule: Schedule, recovered: number, faults: readonly string[]): void {
    this.tally.kills++;
    this.tally.recoveries += recovered;
    this.#fail(schedule, faults);
  }

  /** Runs in which each actor goes first, without a preemption. */
  #orders(): Schedule[] {
    const schedules: Schedule[] = [[]];
    for (let to = 1; to < this.#scenario.actors.length; to++) schedules.push([{ step: 1, to }]);
    return schedules;
  }

  #steps(schedule: Schedule): Step[] {
    const { steps } = this.#explorer.run(schedule);
    return Array.from({ length: steps }, (_, i) => this.#explorer.step(i + 1));
  }

  #run(schedule: Schedule): number {
    const { steps, faults } = this.#explorer.run(schedule);
    this.tally.schedules++;
    this.#fail(schedule, faults);
    return steps;
  }

  #fail(schedule: Schedule, faults: readonly string[]): void {
    if (faults.length === 0) return;
    const { name } = this.#scenario;
    this.tally.failures.push({ scenario: name, schedule: scheduleText(schedule), faults });
  }
}

/** A thread that looks at one word again and again: between two looks nothing is to be tried twice. */
function isSame(a: Step, b: Step): boolean {
  return a.thread === b.thread && a.word === b.word && !a.write && !b.write;
}
