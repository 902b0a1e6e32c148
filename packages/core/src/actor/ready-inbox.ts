/**
 * ReadyInbox: where the jobs of one thread's ready set go: callbacks of the thread itself are run,
 * the rest waits for the thread's server (if it serves).
 */
import type { Kernel } from '../kernel.js';
import { JOB, JOB_STATE, JOB_STATE_MASK } from '../memory/layout.js';
import type { ReadySets } from '../sync/ready-set.js';
import { awaitsGrant } from './early-grant.js';

const NONE: readonly number[] = [];

export class ReadyInbox {
  readonly #k: Kernel;
  readonly #ready: ReadySets;
  /** For the server; an array of nobody else's once it is taken. */
  #kept: readonly number[] = NONE;
  /** Runs the callbacks among a batch and returns the others. Set by Callbacks. */
  callbacks: (ready: readonly number[]) => readonly number[] = (ready) => ready;
  /** Moves of buffers that this thread is to be told of: looked at whenever jobs are. */
  moves: { readonly pending: boolean; run(): void } | undefined;
  /** Whether a server takes the rest. */
  serving = false;

  constructor(kernel: Kernel, ready: ReadySets) {
    this.#k = kernel;
    this.#ready = ready;
  }

  get isEmpty(): boolean {
    return this.#ready.isEmpty(this.#k.self) && this.moves?.pending !== true;
  }

  /** Empties the ready set; true if it held anything. */
  gather(): boolean {
    if (this.isEmpty) return false;
    this.moves?.run();
    const taken: number[] = [];
    this.#ready.take(this.#k.self, taken);
    let live = 0;
    for (const job of taken) if (this.#isOurs(job)) taken[live++] = job;
    if (live < taken.length) taken.length = live;
    const rest = this.callbacks(taken);
    this.#kept = this.#kept.length === 0 ? rest : [...this.#kept, ...rest];
    return true;
  }

  #isOurs(job: number): boolean {
    const { words, self } = this.#k;
    // A bit may be older than the slot's present job, which is somebody else's.
    if (words.get(job + JOB.TARGET) !== self) return false;
    // In this order: a job that is granted between the two looks is READY at the second.
    if (awaitsGrant(this.#k, job)) return true;
    return (words.load(job + JOB.STATE) & JOB_STATE_MASK) === JOB_STATE.READY;
  }

  /** What is there for the server, oldest first. */
  take(): readonly number[] {
    const kept = this.#kept;
    if (kept.length > 0) this.#kept = NONE;
    return kept;
  }
}
