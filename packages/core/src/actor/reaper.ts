/**
 * The reaper: the worker in which the dead are recovered (design section 1, D11; see recovery.ts). A last
 * `release` and the drivers' `died` run exporter code, so this is never done in the broker, which goes on hearing of
 * deaths meanwhile. A reaper that dies is followed by another, in the other of two places, which recovers
 * it and does its work again.
 */
import type { MessagePort } from 'node:worker_threads';
import { type BootToken, joinServices } from './join.js';
import { LockRecovery } from './lock-recovery.js';
import { recover } from './recovery.js';
import type { Services } from './services.js';
import { EVICT, evictOverdue } from './watchdog.js';

/** What the broker starts the reaper with. */
export interface ReaperTask {
  readonly actor: number;
  readonly port: MessagePort;
  readonly boot: BootToken;
  /** The other place for a reaper. Nothing of it is ever queued: by it this one warms up. */
  readonly spare: number;
  /** Dead actors arrive here as numbers; {@link Reaped} goes back. */
  readonly work: MessagePort;
}

export interface Reaped {
  readonly dead: number;
  /** Why it could not be recovered. */
  readonly failure: string | undefined;
  /** ms that it took. */
  readonly took: number;
}

const WARM_UPS = 10;
/** A lock of somebody who died meanwhile is looked at this soon, ms. */
const STUCK_MS = 2;

/** The reaper's whole life: until its work port is closed. */
export async function runReaper(task: ReaperTask): Promise<void> {
  const services = await joinServices(task.actor, task.port, task.boot);
  watchLocks(services);
  if (!services.kernel.isDead(task.spare)) warmUp(services, task.spare);
  await new Promise<void>((resolve) => {
    task.work.on('message', (work: number) => {
      if (work === EVICT) evictOverdue(services);
      else task.work.postMessage(reap(services, work));
    });
    task.work.on('close', resolve);
  });
  services.port.close();
}

/**
 * The first recovery of a thread is a hundred times as slow as the tenth, for its code is not compiled. So it is
 * done a few times for somebody who has nothing.
 */
function warmUp(services: Services, nobody: number): void {
  for (let i = 0; i < WARM_UPS; i++) recover(services, nobody);
}

/** Frees the locks of whoever is dead by the time that this thread waits for one. */
export function watchLocks(services: Services): void {
  const { kernel } = services;
  const recovery = new LockRecovery(services);
  kernel.locks.boundMs = STUCK_MS;
  kernel.locks.onStuck = (holder) => {
    if (holder > 0 && holder < kernel.actors.count && kernel.isDead(holder)) recovery.run(holder);
  };
}

function reap(services: Services, dead: number): Reaped {
  const start = performance.now();
  try {
    recover(services, dead);
    return { dead, failure: undefined, took: performance.now() - start };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    return { dead, failure, took: performance.now() - start };
  }
}
