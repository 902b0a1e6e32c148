/** Leaving a machine in order: what a process holds it gives back; jobs that it queued still run. */
import { giveBackHolders } from '../dmabuf/give-back.js';
import { ACTOR, ACTOR_STATE } from '../memory/layout.js';
import type { Services } from './services.js';

/** Once; nothing of the thread's services is used afterwards. Resolves when the broker has been told. */
export async function leave(services: Services): Promise<void> {
  const { kernel, port } = services;
  // Of a machine that is over nothing is given back: its locks may be held by the dead.
  const over = kernel.over;
  if (!over) endHolds(services);
  kernel.words.store(kernel.actor + ACTOR.STATE, ACTOR_STATE.LEFT);
  if (!over) giveBack(services);
  port.post({ type: 'leave' });
  await Promise.resolve();
  port.close();
}

function endHolds({ callbacks, access, holds }: Services): void {
  callbacks.close();
  access.close();
  holds.close();
}

function giveBack(services: Services): void {
  const { kernel, ipc, fds, jobs } = services;
  ipc.discard();
  giveBackHolders(services, kernel.self);
  fds.removeAll();
  jobs.table.flush();
}
