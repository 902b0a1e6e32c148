/**
 * Recovery of a dead actor (design D11): what it was half-way through is finished or undone, what it held
 * goes, and nobody waits for it any more.
 *
 * Runs in one thread at a time (the reaper's), while everybody else goes on. Every step can be done twice: a
 * recoverer that dies is followed by another, which recovers both. Order: locks first, one at a time, and the
 * drivers' (Driver.died); then the jobs that the dead was about to grant or to end; then all others; then what it held. It may wait for
 * locks of the living; those of others who died meanwhile are seen to by {@link LockRecovery} (the reaper
 * looks at whoever it waits for).
 *
 * Of the jobs: what the dead *ran* fails with EOWNERDEAD (ETIMEDOUT, if it was put to death for that job).
 * What it had *submitted* and was not started is cancelled (ECANCELED). What others submitted to it waits
 * for its next life if it is a device (ACTOR_STATE.RESTARTING), and else fails with EOWNERDEAD.
 */
import { giveBackHolders } from '../dmabuf/give-back.js';
import { FdTable } from '../fd/fd-table.js';
import {
  ACTOR,
  ACTOR_STATE,
  ASLEEP,
  BUFFER,
  CONTEXT,
  CONTEXT_FLAG,
  HEADER,
  MAIL,
  ORPHAN,
  QUEUE,
  TIMELINE,
} from '../memory/layout.js';
import { JobRecovery } from './job-recovery.js';
import { LockRecovery } from './lock-recovery.js';
import type { Services } from './services.js';

/** Settles everything that `dead` left in kernel memory. Its STATE says DEAD or RESTARTING. */
export function recover(services: Services, dead: number): void {
  const { kernel, jobs } = services;
  const { words } = kernel;
  const at = kernel.actors.at(dead);
  const state = words.load(at + ACTOR.STATE);
  const restarts = state === ACTOR_STATE.RESTARTING;
  new LockRecovery(services).run(dead);
  // A reaper that warms up by somebody who never lived disturbs nobody.
  if (state !== ACTOR_STATE.RESERVED) wakeAll(services, dead);
  for (const { driver, door } of services.drivers) driver.died?.(door, dead);
  if (!restarts) closeLines(services, dead);
  const recovery = new JobRecovery(services, dead, restarts);
  recovery.finish();
  recovery.intent();
  recovery.all();
  signalDue(services);
  giveBack(services, dead);
  endObjects(services, dead);
  closeContexts(services, dead, restarts);
  jobs.table.adopt(dead);
  dropRegions(services, dead);
  jobs.table.flush();
  words.store(at + ACTOR.INTENT, 0);
  words.store(at + ACTOR.FINISHING, 0);
  words.store(at + ACTOR.SERVING, 0);
  words.store(at + ACTOR.WAITING, 0);
}

/**
 * Whoever sleeps looks again: the dead may have changed a word, or freed a lock, and not have woken who slept on
 * it. Before anything that waits for the living. (Only a lock of a list of dependents is left to the bound of
 * its sleep: there is one for every job.)
 */
function wakeAll({ kernel }: Services, dead: number): void {
  const { words, seam, actors, contexts, timelines, buffers, queues } = kernel;
  const wake = (index: number): void => void seam.notify(words.i32, index, 0x7fffffff);
  for (const actor of actors.live()) {
    // Who is only about to sleep is rung, for it has looked; who was rung by the dead may not have been woken.
    words.cas(actor + ACTOR.WAITING, ASLEEP, 0);
    wake(actor + ACTOR.WAITING);
  }
  const boxes = words.get(HEADER.MAIL);
  for (let actor = 0; actor < actors.count; actor++) {
    wake(boxes + actor * words.get(HEADER.MAIL_WORDS) + MAIL.LOCK);
  }
  wake(boxes + dead * words.get(HEADER.MAIL_WORDS) + MAIL.ROOM);
  wake(HEADER.ACTORS_EPOCH);
  for (const table of ['ACTOR', 'BUFFER', 'CONTEXT', 'JOB', 'FENCE'] as const) {
    wake(HEADER[`${table}_LOCK`]);
  }
  for (const context of contexts.live()) wake(context + CONTEXT.LOCK);
  for (const timeline of timelines.live()) wake(timeline + TIMELINE.LOCK);
  for (const buffer of buffers.live()) wake(buffer + BUFFER.LOCK);
  for (const queue of queues.live()) wake(queue + QUEUE.LOCK);
}

/** Nothing more is added to the lines of a target that does not come back. */
function closeLines({ kernel, jobs }: Services, dead: number): void {
  const { words, contexts } = kernel;
  for (const context of contexts.live()) {
    if (words.get(context + CONTEXT.TARGET) !== dead) continue;
    if ((words.get(context + CONTEXT.FLAGS) & CONTEXT_FLAG.TIMELINE) !== 0) continue;
    jobs.contexts.closeLine(context, dead);
  }
}

/** Timelines that were advanced by somebody who died before all fences had heard of it. */
function signalDue({ kernel, timelines }: Services): void {
  for (const timeline of [...kernel.timelines.live()]) {
    // One whose last fd has gone fails its fences in endObjects, or by whoever closed it.
    if (kernel.words.load(timeline + TIMELINE.REFS) > 0) {
      timelines.signal(timeline, timelines.value(timeline), 0);
    }
  }
}

function giveBack(services: Services, dead: number): void {
  giveBackHolders(services, dead);
  new FdTable(services.kernel, services.references, dead).removeAll();
  services.mail.drain(dead);
}

/** What the dead had made and not installed, or was about to free. */
function endObjects(services: Services, dead: number): void {
  const { kernel, references, objects, buffers } = services;
  const { words, locks, self } = kernel;
  for (const object of references.leftBy(dead, (o) => objects.makerOf(o))) objects.last(object);
  for (const queue of [...kernel.queues.live()]) {
    const left = words.load(queue + QUEUE.ORPHAN) === -dead; // nobody else changes that
    if (left) {
      locks.lock(queue + QUEUE.LOCK);
      words.set(queue + QUEUE.ORPHAN, -self);
      locks.unlock(queue + QUEUE.LOCK);
      buffers.release(queue);
    }
    if (!left && isForgotten(services, queue)) buffers.last(words.get(queue + QUEUE.BUFFER));
  }
}

/** An orphan that ran empty just before its buffer was marked as one: whoever did either may have died. */
function isForgotten({ kernel, buffers }: Services, queue: number): boolean {
  const { words } = kernel;
  if (words.get(queue + QUEUE.ORPHAN) !== ORPHAN.WAITING || words.get(queue + QUEUE.HEAD) !== 0) {
    return false;
  }
  const buffer = words.get(queue + QUEUE.BUFFER);
  return buffers.record(buffer).queue === queue && words.load(buffer + BUFFER.STATE) !== 0;
}

/**
 * Contexts of the dead: closed when nothing is in flight on them, else when their place is needed. Lines that
 * a device has made for itself go on with it.
 */
function closeContexts(
  { kernel, jobs, timelines }: Services,
  dead: number,
  restarts: boolean,
): void {
  const { words, contexts } = kernel;
  for (const context of [...contexts.live()]) {
    if (words.get(context + CONTEXT.OWNER) !== dead) continue;
    const ordered = (words.get(context + CONTEXT.FLAGS) & CONTEXT_FLAG.UNORDERED) === 0;
    if (restarts && ordered && words.get(context + CONTEXT.TARGET) === dead) continue;
    if (timelines.of(context) === 0) jobs.contexts.disown(context, dead);
  }
}

function dropRegions({ references, regions }: Services, dead: number): void {
  const dropped = references.locked(() => regions.leaveEmpty(dead));
  for (const region of dropped) regions.dropped(region);
}
