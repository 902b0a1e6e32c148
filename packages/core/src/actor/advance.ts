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
  JOB_STATE_MASK,
  JOB_WAITERS,
} from '../memory/layout.js';
import type { ReadySets } from '../sync/ready-set.js';
import type { Doorbell } from './doorbell.js';
import type { Mailboxes } from './mailbox.js';

/** How long everybody may take to come to rest, ms of real time, before the call gives up. */
const REST_LIMIT_MS = 10_000;
const POLL_MS = 0.2;

interface Parts {
  readonly kernel: Kernel;
  readonly bell: Doorbell;
  readonly ready: ReadySets;
  readonly mail: Mailboxes;
}

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
    if (next === target && earliest(parts) > target) return;
  }
}

function step(parts: Parts, target: number): number {
  return Math.max(parts.kernel.clock.now(), Math.min(target, earliest(parts)));
}

/** The earliest deadline of a sleeping actor. */
function earliest({ kernel }: Parts): number {
  let first = Infinity;
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

/** Blocks until every serving actor sleeps on an empty ready set and an empty mailbox. */
function rest(parts: Parts): void {
  const { kernel } = parts;
  const until = performance.now() + REST_LIMIT_MS;
  while (!atRest(parts)) {
    kernel.check('advance');
    const epoch = kernel.words.load(HEADER.MANUAL_EPOCH);
    kernel.seam.wait(kernel.words.i32, HEADER.MANUAL_EPOCH, epoch, POLL_MS);
    if (performance.now() > until) {
      const detail = `the actors have not come to rest within ${REST_LIMIT_MS} ms`;
      throw new DmaBufError('ETIMEDOUT', 'advance', detail);
    }
  }
}

function atRest({ kernel, ready, mail }: Parts): boolean {
  const { words, actors, clock } = kernel;
  for (const actor of actors.live()) {
    if (words.load(actor + ACTOR.SERVING) === 0) continue;
    if (words.load(actor + ACTOR.STATE) !== ACTOR_STATE.LIVE) continue;
    const id = actors.indexOf(actor);
    if (words.load(actor + ACTOR.WAITING) !== ASLEEP) return false;
    if (words.getDouble(actor + ACTOR.DEADLINE) <= clock.now()) return false;
    if (!ready.isEmpty(id) || !mail.isEmptyOf(id)) return false;
  }
  return true;
}
