/**
 * Actors, third of the three substrate interfaces (design D2): how a thread of ours is started with
 * its role and control token, and how its death is heard of.
 *
 * Piscina hosts them: an actor's whole life is one `run()`. `atomics: 'disabled'`, since the default
 * parks an idle worker where its ports and timers are deaf; `idleTimeout: Infinity`, since an actor
 * is never idle; as many threads as actors, or a task would wait unseen.
 */
import type { Transferable as NodeTransferable } from 'node:worker_threads';
import type { Piscina } from 'piscina';

export interface Host {
  /**
   * Starts an actor. The promise settles when it ends: fulfilled after a clean stop, rejected with
   * the reason when its thread threw, exited, was terminated or ran out of heap.
   */
  start(task: unknown, transfer: readonly NodeTransferable[]): Promise<void>;
  /** Resolves when what was started goes on by itself, whether or not this thread blocks. */
  ready(): Promise<void>;
  /** Terminates whatever still runs. Store the stop word first: this may cut a critical section. */
  destroy(): Promise<void>;
}

/** A host for at most `threads` actors, whose entry is the default export of the module `url`. */
export function workerHost(url: string, threads: number): Host {
  const pool = startPool(url, threads);
  return {
    async start(task, transfer) {
      await (await pool).run(task, { transferList: [...transfer] });
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
async function startPool(url: string, threads: number): Promise<Piscina> {
  const { Piscina: Pool } = await import('piscina');
  const pool = new Pool({
    filename: url,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: 1,
    atomics: 'disabled',
    idleTimeout: Infinity,
    closeTimeout: 2000,
    recordTiming: false,
    env: { ...process.env },
  });
  // An 'error' without a listener would end the process; each start() reports its own.
  pool.on('error', () => {});
  return pool;
}
