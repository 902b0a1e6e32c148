/**
 * Fences that a test signals by hand, in any order and with any error, as the kernel's self-tests do
 * with theirs: each is a job of a context of its own that an actor has taken and defers.
 */
import type { Job } from '../actor/job.js';
import type { Machine } from '../actor/machine.js';
import type { Context } from '../sync/context.js';
import type { Fence } from '../sync/fence.js';
import { FakeMachine } from './fake-machine.js';

/** A fence and the job that signals it. */
export interface MockFence {
  readonly fence: Fence;
  /** Completes and releases the job. EALREADY the second time. */
  signal(error?: number): void;
}

export class MockFences {
  readonly fake: FakeMachine;
  readonly #held: Job[] = [];
  readonly #server: { run(): void };

  constructor() {
    const tables = { contexts: 512, jobs: 1024, timelines: 128, fds: 256 };
    this.fake = new FakeMachine({ actors: 2, tables });
    this.#server = this.fake.server(1, {
      run: (job) => {
        job.defer();
        this.#held.push(job);
      },
    });
  }

  /** The machine of the actor that waits for the fences. */
  get machine(): Machine {
    return this.fake.actor(0).machine;
  }

  /** A line of jobs for {@link make}. */
  context(): Context {
    return this.machine.createContext(2, 'mock');
  }

  /** A fence that nobody has signalled, on a context of its own or the next one on `context`. */
  make(context: Context = this.context()): MockFence {
    const fence = context.submit({});
    this.#server.run();
    const job = this.#held.pop();
    if (job === undefined) throw new Error('the server has not taken the job');
    const signal = (error: number = 0): void => {
      job.complete(error);
      job.release();
    };
    return { fence, signal };
  }

  /** Several fences that are independent of each other. */
  several(count: number): MockFence[] {
    return Array.from({ length: count }, () => this.make());
  }
}
