/**
 * Advancing the manual clock (design D13): time moves in steps, from one deadline of a sleeping actor
 * to the next, and at each step everybody who is due wakes and comes to rest before time goes on.
 * So vblanks, start times and timeouts happen in order, take no real time and never flake.
 */
import { wrongType } from '../args.js';
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  ACTOR_STATE,
  ASLEEP,
  HEADER,
  JOB,
  JOB_STATE,
  JOB_STATE_MASK,
  JOB_WAITERS,
} from '../memory/layout.js';
import type { Services } from './services.js';
import { evictOverdue, hangText, nextLimit, type Overdue, overdue } from './watchdog.js';

/** How long everybody may take to come to rest, ms of real time, before the call gives up. */
const REST_LIMIT_MS = 10_000;
const POLL_MS = 0.2;

type Parts = Pick<Services, 'kernel' | 'bell' | 'mail' | 'jobs' | 'timelines' | 'port'>;

/** Moves time on by `ms`; returns when every serving actor sleeps with nothing to do. Blocks. */
export function advance(parts: Parts, ms: number): void {
  const { kernel } = parts;
  if (typeof ms !== 'number' || !(ms >= 0)) {
    throw wrongType('advance', 'ms', 'a number of at least 0', ms);
  }
  if (ms === Infinity) throw new DmaBufError('EINVAL', 'advance', 'by Infinity; give finite ms');
  if (!kernel.clock.manual) {
    const detail = "the machine's clock is the real one; boot with `clock: 'manual'`";
    throw new DmaBufError('EINVAL', 'advance', detail);
  }
  const target = kernel.clock.now() + ms;
  rest(parts);
  for (let next = step(parts, target); ; next = step(parts, target)) {
    kernel.words.setDouble(HEADER.MANUAL_TIME, next);
    wakeDue(parts, next);
    rest(parts);
    if (endOverdue(parts)) rest(parts);
    if (next === target && earliest(parts) > target) return;
  }
}

function step(parts: Parts, target: number): number {
  return Math.max(parts.kernel.clock.now(), Math.min(target, earliest(parts)));
}

/** What is past its time limit ends; true if there was something. Blocks until devices are back. */
function endOverdue(parts: Parts): boolean {
  const { kernel, port } = parts;
  const hung = overdue(kernel, kernel.clock.now()).filter(({ kind }) => kind === 'job');
  for (const late of hung) {
    const { actor, job, generation } = late;
    port.post({ type: 'hung', actor, job, generation, why: hangText(late) });
  }
  for (const late of hung) waitUntil(parts, () => isOver(kernel, late), 'a device to be reset');
  return evictOverdue(parts) + hung.length > 0;
}

/** Whether a device that hung in a job has been reset and serves again. */
function isOver({ words, actors }: Kernel, { job, generation, actor }: Overdue): boolean {
  const same = words.load(job + JOB.GEN) === generation;
  if (same && (words.load(job + JOB.STATE) & JOB_STATE_MASK) === JOB_STATE.RUNNING) return false;
  const at = actors.at(actor);
  const state = words.load(at + ACTOR.STATE);
  if (state === ACTOR_STATE.DEAD) return true; // given up
  return state === ACTOR_STATE.LIVE && words.load(at + ACTOR.SERVING) !== 0;
}

/** The earliest deadline of a sleeping actor, or time limit of what runs. */
function earliest({ kernel }: Parts): number {
  let first = nextLimit(kernel);
  for (const actor of sleepers(kernel)) {
    first = Math.min(first, kernel.words.getDouble(actor + ACTOR.DEADLINE));
  }
  return first;
}

function* sleepers(kernel: Kernel): Generator<number> {
  for (const actor of kernel.actors.live()) {
    if (kernel.words.load(actor + ACTOR.STATE) !== ACTOR_STATE.LIVE) continue;
    if (kernel.words.load(actor + ACTOR.WAITING) === ASLEEP) yield actor;
  }
}

/** Wakes whoever sleeps until now, and all who wait for a fence: their time may have run out. */
function wakeDue({ kernel, bell }: Parts, now: number): void {
  const { words, seam, jobs } = kernel;
  for (const actor of sleepers(kernel)) {
    if (words.getDouble(actor + ACTOR.DEADLINE) <= now) bell.ring(kernel.actors.indexOf(actor));
  }
  for (let i = 0; i < jobs.count; i++) {
    const index = jobs.at(i) + JOB.STATE;
    const state = words.load(index);
    if ((state & JOB_STATE_MASK) !== 0 && (state & JOB_WAITERS) !== 0) {
      seam.notify(words.i32, index, 0x7fffffff);
    }
  }
}

/**
 * Blocks until every serving actor sleeps on an empty ready set and an empty mailbox, all at one time. One look from actor
 * to actor does not tell: one that was seen asleep may have been woken by the next, before that was seen asleep. So all
 * are looked at twice, and nobody may have gone to sleep in between (MANUAL_EPOCH): then each slept from its first look
 * to its second, and there is a moment at which all did.
 */
function rest(parts: Parts): void {
  const { words } = parts.kernel;
  const done = (): boolean => {
    const epoch = words.load(HEADER.MANUAL_EPOCH);
    return atRest(parts) && atRest(parts) && words.load(HEADER.MANUAL_EPOCH) === epoch;
  };
  waitUntil(parts, done, 'the actors to come to rest');
}

function waitUntil({ kernel }: Parts, done: () => boolean, what: string): void {
  const until = performance.now() + REST_LIMIT_MS;
  while (!done()) {
    kernel.check('advance');
    const epoch = kernel.words.load(HEADER.MANUAL_EPOCH);
    kernel.seam.wait(kernel.words.i32, HEADER.MANUAL_EPOCH, epoch, POLL_MS);
    if (performance.now() > until) {
      const detail = `waited ${REST_LIMIT_MS} ms for ${what}`;
      throw new DmaBufError('ETIMEDOUT', 'advance', detail);
    }
  }
}

function atRest({ kernel, jobs, mail }: Parts): boolean {
  const { words, actors, clock } = kernel;
  for (const actor of actors.live()) {
    if (words.load(actor + ACTOR.SERVING) === 0) continue;
    if (words.load(actor + ACTOR.STATE) !== ACTOR_STATE.LIVE) continue;
    const id = actors.indexOf(actor);
    if (words.load(actor + ACTOR.WAITING) !== ASLEEP) return false;
    if (words.getDouble(actor + ACTOR.DEADLINE) <= clock.now()) return false;
    if (!jobs.ready.isEmpty(id) || !mail.isEmptyOf(id)) return false;
  }
  return true;
}
