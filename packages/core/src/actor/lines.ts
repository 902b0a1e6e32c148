/**
 * Lines: one for each context whose jobs a server has seen: which of them starts next, and which fence signals next.
 * Local to the server's thread, and a cache: who serves after its death reads it all again from kernel memory.
 */
import type { Kernel } from '../kernel.js';
import { CONTEXT, CONTEXT_FLAG, JOB } from '../memory/layout.js';
import type { Contexts } from '../sync/contexts.js';
import type { Job } from './job.js';
import { levelOf } from './run-queue.js';

export interface Line {
  readonly id: number;
  readonly context: number;
  readonly unordered: boolean;
  /** Its priority: see {@link levelOf}. */
  readonly level: number;
  /** seqno that starts next, and granted ones that are not yet its turn. */
  next: number;
  readonly early: Map<number, number>;
  /** The newest one that was let through still waits for its start time, or (handed over early) its grant. */
  held: boolean;
  /** With `accepts`: the newest one that was let through, until it has started; 0: it has. One at a time. */
  offered: number;
  /** seqno whose fence signals next, and jobs that ended before their turn. */
  signals: number;
  readonly ended: Map<number, { readonly job: Job; readonly error: number; released: boolean }>;
}

export class Lines {
  readonly #k: Kernel;
  readonly #contexts: Contexts;
  readonly #lines: Map<number, Line> = new Map();
  /** The one that was looked up last: a job is asked for its line five times. */
  #last: Line | undefined;
  /** Those whose next job is here and was refused by `accepts`, in the order in which they were. */
  readonly refused: Set<Line> = new Set();

  constructor(kernel: Kernel, contexts: Contexts) {
    this.#k = kernel;
    this.#contexts = contexts;
  }

  /** The line of a context by its id. */
  get(id: number): Line | undefined {
    if (this.#last?.id === id) return this.#last;
    const line = this.#lines.get(id);
    if (line !== undefined) this.#last = line;
    return line;
  }

  /** The line of a context, of which `job` is one: made from kernel memory if this is the first. */
  of(id: number, job: number): Line {
    return this.get(id) ?? this.#open(id, job);
  }

  /** The line of which a job is the one that was offered. */
  offering(job: number): Line | undefined {
    for (const line of this.#lines.values()) if (line.offered === job) return line;
    return undefined;
  }

  #open(id: number, job: number): Line {
    const { words } = this.#k;
    const context = words.get(job + JOB.CONTEXT);
    const next = words.getDouble(context + CONTEXT.STARTED) + 1;
    const flags = words.get(context + CONTEXT.FLAGS);
    const line: Line = {
      id,
      context,
      unordered: (flags & CONTEXT_FLAG.UNORDERED) !== 0,
      level: levelOf(flags),
      next,
      early: new Map(),
      held: false,
      offered: 0,
      signals: next,
      ended: new Map(),
    };
    this.#forgetOld();
    this.#lines.set(id, line);
    return line;
  }

  /** Lines of contexts that are gone. */
  #forgetOld(): void {
    for (const [id, line] of this.#lines) {
      if (this.#contexts.find(id) !== 0) continue;
      this.#lines.delete(id);
      if (this.#last === line) this.#last = undefined;
      this.refused.delete(line);
    }
  }
}
