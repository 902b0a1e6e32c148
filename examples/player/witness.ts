/**
 * Witness of the main thread: how often it was needed between the first and the last flip. Nothing is
 * assumed; both figures are counted by somebody else.
 *
 * - Turns: iterations of the thread's event loop in which any JavaScript was called, whatever for: a
 *   message, a timer, a promise of the machine's. Node's async hooks report each call, libuv numbers
 *   the iterations. (Iterations that call nothing are V8 tidying up after itself.) Only those are
 *   counted that began between the two flips.
 * - Wake-ups: times that another actor woke this thread from a wait on kernel memory; core counts them
 *   at the seam, and the trace shows each. The one that tells of the end comes after the last flip.
 */
import { createHook, type AsyncHook } from 'node:async_hooks';
import { performance } from 'node:perf_hooks';
import type { Machine } from '@dmabuf/core';

export interface Needed {
  readonly wakeups: number;
  readonly turns: number;
  /** A turn that a wake-up brought about is one time, not two. */
  readonly times: number;
}

export class Witness {
  readonly #machine: Machine;
  readonly #hook: AsyncHook;
  /** When each turn began that called something, ms of the machine's clock. */
  readonly #turns: number[] = [];
  #turn = loopCount();
  #wakeups: number;

  /** Counts from here. Made in the turn that queues the clip, which is not one of those counted. */
  constructor(machine: Machine) {
    this.#machine = machine;
    this.#wakeups = this.#countWakeups();
    this.#hook = createHook({ before: () => this.#called() });
    this.#hook.enable();
  }

  /** The first flip has been noticed, not merely shown: earlier wake-ups were before it. */
  firstFlip(): void {
    this.#wakeups = this.#countWakeups();
  }

  /** What was counted between two times; called where the end was noticed. Counts no more. */
  stop(firstFlip: number, lastFlip: number): Needed {
    this.#hook.disable();
    const wakeups = Math.max(0, this.#countWakeups() - this.#wakeups - 1);
    const turns = this.#turns.filter((time) => time > firstFlip && time < lastFlip).length;
    return { wakeups, turns, times: Math.max(wakeups, turns) };
  }

  #called(): void {
    const turn = loopCount();
    if (turn === this.#turn) return;
    this.#turn = turn;
    this.#turns.push(this.#machine.now());
  }

  #countWakeups(): number {
    return this.#machine.actorStats(this.#machine.self).wakeups;
  }
}

function loopCount(): number {
  return performance.nodeTiming.uvMetricsInfo.loopCount;
}
