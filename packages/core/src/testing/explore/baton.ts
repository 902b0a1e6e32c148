/**
 * Baton: one thread's side of the controlled scheduler. The thread that has the baton runs; before each
 * shared access it looks whether the schedule says that another one goes on here, or that it dies here.
 * So a schedule costs as many hand-offs as it has switches, whatever the number of steps.
 */
import type { Words } from '../../memory/words.js';
import { ACTOR, ACTOR_STATE, HEADER, JOB } from '../../memory/layout.js';
import { threadSeam, type Seam } from '../../substrate/seam.js';
import {
  CONTROL,
  CONTROL_THREADS,
  EXPLORER,
  KILL,
  LOG_FORCED,
  LOG_RUNNABLE_SHIFT,
  LOG_WRITE,
  RECOVERERS,
  STEPS_MAX,
  TEXT_BYTES,
  VERDICT,
} from './control.js';

/** Unwinds a thread that has died or is to give up. */
export class Killed extends Error {}

/** How a dead actor is marked: the pointer of its record, and whether it starts again. */
export interface Death {
  readonly record: number;
  readonly restarts: boolean;
}

export class Baton {
  readonly me: number;
  readonly #block: Words;
  readonly #c: Int32Array<ArrayBufferLike>;
  /** Kernel memory, past the steps: what the broker does when it hears of a death. */
  readonly #memory: Int32Array<ArrayBufferLike>;
  #on = false;
  #dead = false;
  #end: 'none' | 'killed' | 'aborted' | 'gave up' = 'none';
  #death: Death | undefined;

  constructor(block: Words, me: number, memory: Int32Array<ArrayBufferLike>) {
    this.#block = block;
    this.#c = block.i32;
    this.me = me;
    this.#memory = memory;
  }

  /** From here on the accesses of this thread are steps. */
  enter(death: Death | undefined): void {
    this.#on = true;
    this.#dead = false;
    this.#end = 'none';
    this.#death = death;
  }

  /** They are no longer; what a dead thread still does is nothing. */
  leave(): void {
    this.#on = false;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Before each shared access. */
  step(index: number, write: boolean): void {
    if (!this.#on) return;
    if (this.#dead) throw new Killed();
    const c = this.#c;
    while ((c[CONTROL.NEXT_AT] as number) <= (c[CONTROL.STEP] as number) + 1) this.#apply();
    const at = (c[CONTROL.STEP] as number) + 1;
    if (at > STEPS_MAX) this.#giveUp(VERDICT.LIVELOCK, `no end after ${STEPS_MAX} accesses`);
    c[CONTROL.STEP] = at;
    const forced = c[CONTROL.FORCED] === 0 ? 0 : LOG_FORCED;
    c[CONTROL.FORCED] = 0;
    c[CONTROL.LOG + 2 * at] = index;
    c[CONTROL.LOG + 2 * at + 1] =
      this.me |
      ((c[CONTROL.RUNNABLE] as number) << LOG_RUNNABLE_SHIFT) |
      forced |
      (write ? LOG_WRITE : 0);
  }

  /** Waits for the baton. */
  await(): void {
    const index = CONTROL.GO + this.me;
    while (this.#block.load(index) === 0) threadSeam.wait(this.#c, index, 0, 1000);
    this.#block.store(index, 0);
  }

  /** Gives it to another thread. */
  give(to: number): void {
    const index = CONTROL.GO + to;
    this.#block.store(index, 1);
    threadSeam.notify(this.#c, index, 1);
  }

  /** The seam of a thread under the scheduler. Nothing times out while anybody else can run. */
  readonly seam: Seam = {
    wait: (words, index, value, ms) => {
      this.step(index, false);
      if (words[index] !== value) return 'mismatch';
      if (ms <= 0) return 'timeout';
      return this.#sleep(index) ? 'woken' : 'timeout';
    },
    notify: (_words, index, count) => {
      this.step(index, true);
      return this.#wake(index, count);
    },
    waitAsync: async () => {
      throw new Error('nothing is awaited under the scheduler');
    },
  };

  /** This thread has ended, be it by dying: whoever can go on does. */
  finish(): void {
    this.leave();
    if (this.#end === 'killed') return; // has handed on already
    if (this.#end === 'aborted') return this.give(EXPLORER);
    const c = this.#c;
    c[CONTROL.RUNNABLE] = (c[CONTROL.RUNNABLE] as number) & ~(1 << this.me);
    c[CONTROL.DONE] = (c[CONTROL.DONE] as number) | (1 << this.me);
    this.#handOn();
  }

  /** Ends the whole run: something is wrong. */
  fail(text: string): void {
    this.#say(VERDICT.THREW, text);
  }

  /** A thread can run (again): a recoverer, a device's next life. */
  start(thread: number): void {
    const c = this.#c;
    c[CONTROL.RUNNABLE] = (c[CONTROL.RUNNABLE] as number) | (1 << thread);
    c[CONTROL.DONE] = (c[CONTROL.DONE] as number) & ~(1 << thread);
  }

  #apply(): void {
    const c = this.#c;
    const next = c[CONTROL.NEXT] as number;
    const to = c[CONTROL.ENTRIES + 2 * next + 1] as number;
    c[CONTROL.NEXT] = next + 1;
    c[CONTROL.NEXT_AT] = c[CONTROL.ENTRIES + 2 * (next + 1)] as number;
    if (to === KILL) this.#die();
    else if (to !== this.me && ((c[CONTROL.RUNNABLE] as number) & (1 << to)) !== 0) {
      this.give(to);
      this.#resume();
    } else c[CONTROL.IGNORED] = (c[CONTROL.IGNORED] as number) + 1;
  }

  #resume(): void {
    this.await();
    if (this.#c[CONTROL.ABORT] !== 1) return;
    this.#dead = true;
    this.#end = 'aborted';
    throw new Killed();
  }

  /** Blocks this thread on a word; false when its sleep ran out. */
  #sleep(index: number): boolean {
    const c = this.#c;
    const bit = 1 << this.me;
    c[CONTROL.RUNNABLE] = (c[CONTROL.RUNNABLE] as number) & ~bit;
    c[CONTROL.BLOCKED] = (c[CONTROL.BLOCKED] as number) | bit;
    c[CONTROL.BLOCKED_ON + this.me] = index;
    this.#handOn();
    this.#resume();
    return c[CONTROL.WOKEN + this.me] === 1;
  }

  #wake(index: number, count: number): number {
    const c = this.#c;
    let woken = 0;
    for (let thread = 0; thread < CONTROL_THREADS && woken < count; thread++) {
      const asleep = ((c[CONTROL.BLOCKED] as number) & (1 << thread)) !== 0;
      if (!asleep || c[CONTROL.BLOCKED_ON + thread] !== index) continue;
      this.#unblock(thread, 1);
      woken++;
    }
    return woken;
  }

  #unblock(thread: number, woken: number): void {
    const c = this.#c;
    c[CONTROL.BLOCKED] = (c[CONTROL.BLOCKED] as number) & ~(1 << thread);
    c[CONTROL.RUNNABLE] = (c[CONTROL.RUNNABLE] as number) | (1 << thread);
    c[CONTROL.WOKEN + thread] = woken;
  }

  /** This thread cannot go on: the next one that can does. */
  #handOn(): void {
    const c = this.#c;
    if (c[CONTROL.VERDICT] !== VERDICT.RUNNING) return this.give(EXPLORER);
    if (c[CONTROL.RUNNABLE] === 0) this.#runOut();
    const runnable = c[CONTROL.RUNNABLE] as number;
    if (runnable === 0) {
      const stuck = c[CONTROL.BLOCKED] as number;
      c[CONTROL.VERDICT] = stuck === 0 ? VERDICT.OVER : VERDICT.STUCK;
      return this.give(EXPLORER);
    }
    let to = (this.me + 1) % CONTROL_THREADS;
    while ((runnable & (1 << to)) === 0) to = (to + 1) % CONTROL_THREADS;
    c[CONTROL.FORCED] = 1;
    this.give(to);
  }

  /** Nobody can run: a sleep runs out, if one may. */
  #runOut(): void {
    const c = this.#c;
    for (let thread = 0; thread < CONTROL_THREADS; thread++) {
      const asleep = ((c[CONTROL.BLOCKED] as number) & (1 << thread)) !== 0;
      const left = c[CONTROL.BUDGET + thread] as number;
      const bounded = asleep && this.#isLeftToBound(c[CONTROL.BLOCKED_ON + thread] as number);
      if (!asleep || (left === 0 && !bounded)) continue;
      if (bounded) c[CONTROL.BOUNDED] = (c[CONTROL.BOUNDED] as number) + 1;
      else c[CONTROL.BUDGET + thread] = left - 1;
      this.#unblock(thread, 0);
      return;
    }
  }

  /** Recovery wakes whoever sleeps on anything of the dead's but on a job's DEP_LOCK that has been freed. */
  #isLeftToBound(index: number): boolean {
    const memory = this.#memory;
    const base = memory[HEADER.JOBS] as number;
    const end = base + (memory[HEADER.JOB_COUNT] as number) * JOB.WORDS;
    const lock = index >= base && index < end && (index - base) % JOB.WORDS === JOB.DEP_LOCK;
    return lock && memory[index] === 0 && this.#c[CONTROL.RECOVERED] !== 0;
  }

  /** Dies at this access: it is not done, and nothing that this thread does from now on is. */
  #die(): void {
    const c = this.#c;
    const bit = 1 << this.me;
    this.#dead = true;
    this.#end = 'killed';
    c[CONTROL.RUNNABLE] = (c[CONTROL.RUNNABLE] as number) & ~bit;
    c[CONTROL.DEAD] = (c[CONTROL.DEAD] as number) | bit;
    const death = this.#death;
    if (death !== undefined) {
      this.#memory[death.record + ACTOR.STATE] = death.restarts
        ? ACTOR_STATE.RESTARTING
        : ACTOR_STATE.DEAD;
    }
    const alive = RECOVERERS.find((r) => ((c[CONTROL.DEAD] as number) & (1 << r)) === 0);
    if (alive !== undefined) this.start(alive);
    this.#handOn();
    throw new Killed();
  }

  #giveUp(verdict: number, text: string): never {
    this.#say(verdict, text);
    this.#dead = true;
    this.#end = 'gave up';
    throw new Killed();
  }

  #say(verdict: number, text: string): void {
    const c = this.#c;
    if (c[CONTROL.VERDICT] !== VERDICT.RUNNING) return;
    c[CONTROL.VERDICT] = verdict;
    const bytes = new TextEncoder().encode(text).subarray(0, TEXT_BYTES);
    c[CONTROL.TEXT_LENGTH] = bytes.byteLength;
    this.#block.bytes(CONTROL.TEXT, bytes.byteLength).set(bytes);
  }
}
