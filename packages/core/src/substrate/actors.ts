/**
 * Actors, third of the three substrate interfaces (design D2): how a thread of ours is started with
 * its role and control token, how its death is heard of, and how it is put to death.
 *
 * Piscina hosts them: an actor's whole life is one `run()`. `atomics: 'disabled'`, since the default
 * parks an idle worker where its ports and timers are deaf; `idleTimeout: Infinity`, since an actor
 * is never idle; as many threads as actors, or a task would wait unseen. `resourceLimits`, since without
 * them a worker that runs out of heap takes the process along.
 */
import type { Transferable as NodeTransferable } from 'node:worker_threads';
import type { Piscina } from 'piscina';

/** An actor that was started. */
export interface Running {
  /**
   * Settles when it ends: fulfilled after a clean stop, rejected with the reason when its thread threw, exited,
   * was terminated or ran out of heap. After {@link kill} it may settle before the thread has gone:
   * that is told by the `close` of a port that was transferred to it.
   */
  readonly ended: Promise<void>;
  /** Terminates its thread, wherever that is. */
  kill(): void;
}

export interface Host {
  start(task: unknown, transfer: readonly NodeTransferable[]): Running;
  /** Resolves when what was started goes on by itself, whether or not this thread blocks. */
  ready(): Promise<void>;
  /** Terminates whatever still runs. Store the stop word first: this may cut a critical section. */
  destroy(): Promise<void>;
}

/** Heap of one actor, MB: enough for any codec's tables; pictures do not count, being shared memory. */
export const HEAP_MB = 1024;
/** What a worker runs first, where no bundler has moved it. */
export const ENTER: string = new URL('./enter.cjs', import.meta.url).href;

/** Modules of an actor: what its worker runs first ({@link ENTER}), and what that imports. */
export interface ActorModules {
  readonly enter: string;
  /** Its default export is called with the task, and is the actor's whole life. */
  readonly main: string;
}

/**
 * A host for at most `threads` actors of the same modules. Each has a heap of its own of `heapMb`; one that fills it dies alone, if it does so in small pieces (Node leaves it 16 MB to die in).
 */
export function workerHost(modules: ActorModules, threads: number, heapMb: number = HEAP_MB): Host {
  const { enter, main } = modules;
  const pool = startPool(threads, heapMb);
  return {
    start(task, transfer) {
      const abort = new AbortController();
      const run = async (): Promise<void> => {
        const options = { filename: enter, transferList: [...transfer], signal: abort.signal };
        await (await pool).run({ main, task }, options);
      };
      return { ended: run(), kill: () => abort.abort() };
    },
    async ready() {
      await pool; // start() continued first, for it was waiting first
    },
    async destroy() {
      await (await pool).destroy();
    },
  };
}

/** Loads Piscina when a host is made: workers that only join a machine never need it. */
async function startPool(threads: number, heapMb: number): Promise<Piscina> {
  const { Piscina: Pool } = await import('piscina');
  const pool = new Pool({
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: 1,
    atomics: 'disabled',
    idleTimeout: Infinity,
    closeTimeout: 2000,
    recordTiming: false,
    env: { ...process.env },
    resourceLimits: { maxOldGenerationSizeMb: heapMb },
  });
  // An 'error' without a listener would end the process; each start() reports its own.
  pool.on('error', () => {});
  return pool;
}
