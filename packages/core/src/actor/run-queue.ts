/**
 * RunQueue: the jobs that a server may start now, first those of the highest priority, and within a priority the one
 * that came first (as the DRM scheduler's run queues do). Priorities are strict: while a context of a higher one has
 * jobs that may start, those of a lower one wait.
 */
import { CONTEXT_FLAG } from '../memory/layout.js';
import { Fifo } from './fifo.js';

/** A context's place: 0 before 1 before 2. Of its CONTEXT.FLAGS, which never change: its jobs keep their order. */
export function levelOf(flags: number): number {
  if ((flags & CONTEXT_FLAG.HIGH) !== 0) return 0;
  return (flags & CONTEXT_FLAG.LOW) !== 0 ? 2 : 1;
}

export class RunQueue {
  readonly #high: Fifo<number> = new Fifo();
  readonly #normal: Fifo<number> = new Fifo();
  readonly #low: Fifo<number> = new Fifo();

  get length(): number {
    return this.#high.length + this.#normal.length + this.#low.length;
  }

  /** `level` as of {@link levelOf}. */
  push(job: number, level: number): void {
    if (level === 1) this.#normal.push(job);
    else if (level === 0) this.#high.push(job);
    else this.#low.push(job);
  }

  shift(): number | undefined {
    return this.#high.shift() ?? this.#normal.shift() ?? this.#low.shift();
  }
}
