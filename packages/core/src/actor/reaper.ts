/**
 * The reaper: does for a dead process what it would have done on leaving (design section 1, D11).
 *
 * It closes the dead's fds and the fds in flight to it, ends its holds and callbacks with EOWNERDEAD, and
 * gives its free job slots back. That runs exporter ops (a last `release`), so it runs in a worker of
 * its own and never in the broker. Jobs that the dead had queued for devices run on. Each step can be
 * done twice, so a reaper that dies can be followed by another.
 *
 * A process that died while it held a lock was half-way through a change: that is refused here (EIO
 * from {@link reap}), and the broker reports the machine as lost.
 */
import type { MessagePort } from 'node:worker_threads';
import { errno } from '../errno.js';
import { giveBackHolders } from '../dmabuf/give-back.js';
import { FdTable } from '../fd/fd-table.js';
import {
  ACTOR,
  BUFFER,
  CONTEXT,
  CONTEXT_FLAG,
  HEADER,
  JOB,
  JOB_FLAG,
  JOB_STATE,
  JOB_STATE_MASK,
  QUEUE,
  TIMELINE,
} from '../memory/layout.js';
import { lockOwner } from '../memory/lock.js';
import { type BootToken, joinServices } from './join.js';
import type { Services } from './services.js';

/** What the broker starts the reaper with. */
export interface ReaperTask {
  readonly actor: number;
  readonly port: MessagePort;
  readonly boot: BootToken;
  /** Dead actors arrive here as numbers; `{ dead, settled }` goes back. */
  readonly work: MessagePort;
}

export interface Reaped {
  readonly dead: number;
  /** False when the dead held a lock. */
  readonly settled: boolean;
}

/** The reaper's whole life: until its work port is closed. */
export async function runReaper(task: ReaperTask): Promise<void> {
  const services = await joinServices(task.actor, task.port, task.boot);
  await new Promise<void>((resolve) => {
    task.work.on('message', (dead: number) => {
      const settled = reap(services, dead);
      task.work.postMessage({ dead, settled });
    });
    task.work.on('close', resolve);
  });
  services.port.close();
}

/** Settles everything of a dead process; false when it held a lock. */
export function reap(services: Services, dead: number): boolean {
  if (holdsLock(services, dead)) return false;
  endHolds(services, dead);
  giveBackHolders(services, dead);
  const fds = new FdTable(services.kernel, dead);
  for (const { fd, object } of [...fds.open()]) {
    fds.remove(fd, 'reap');
    services.objects.unref(object);
  }
  services.ipc.discardMailOf(dead);
  closeContexts(services, dead);
  services.jobs.table.adoptFree(dead);
  return true;
}

function holdsLock(services: Services, dead: number): boolean {
  const { kernel } = services;
  const { words } = kernel;
  const held = (index: number): boolean => lockOwner(words.load(index)) === dead;
  const tables = [
    HEADER.ACTOR_LOCK,
    HEADER.BUFFER_LOCK,
    HEADER.CONTEXT_LOCK,
    HEADER.JOB_LOCK,
    HEADER.FENCE_LOCK,
  ];
  if (tables.some(held)) return true;
  for (const context of kernel.contexts.live()) if (held(context + CONTEXT.LOCK)) return true;
  for (const queue of kernel.queues.live()) if (held(queue + QUEUE.LOCK)) return true;
  for (const timeline of kernel.timelines.live()) if (held(timeline + TIMELINE.LOCK)) return true;
  for (const buffer of kernel.buffers.live()) if (held(buffer + BUFFER.LOCK)) return true;
  for (let i = 0; i < kernel.jobs.count; i++) {
    if (held(kernel.jobs.at(i) + JOB.DEP_LOCK)) return true;
  }
  const at = kernel.actors.at(dead);
  return words.get(at + ACTOR.INTENT) !== 0 || words.get(at + ACTOR.FINISHING) !== 0;
}

/** Ends the dead's own claims and callbacks: jobs that it added for itself. */
function endHolds(services: Services, dead: number): void {
  const { kernel, jobs } = services;
  const { words } = kernel;
  for (let i = 0; i < kernel.jobs.count; i++) {
    const job = kernel.jobs.at(i);
    const stage = words.load(job + JOB.STATE) & JOB_STATE_MASK;
    if (stage === JOB_STATE.FREE || stage === JOB_STATE.RELEASED) continue;
    if (words.get(job + JOB.OWNER) !== dead || words.get(job + JOB.TARGET) !== dead) continue;
    const flags = words.get(job + JOB.FLAGS);
    if ((flags & (JOB_FLAG.MORE | JOB_FLAG.BARE | JOB_FLAG.AUTO)) !== 0) continue;
    if (jobs.cancel(job, -errno.EOWNERDEAD)) continue;
    if (stage !== JOB_STATE.DONE) jobs.complete(job, -errno.EOWNERDEAD);
    jobs.release(job);
  }
}

function closeContexts(services: Services, dead: number): void {
  const { words, contexts } = services.kernel;
  for (const context of contexts.live()) {
    if (words.get(context + CONTEXT.OWNER) !== dead) continue;
    if (words.get(context + CONTEXT.TARGET) !== dead) continue;
    if ((words.get(context + CONTEXT.FLAGS) & CONTEXT_FLAG.UNORDERED) === 0) continue;
    words.store(context + CONTEXT.CLOSED, 1);
  }
}
