/**
 * Watchdog: finds what is past its time limit, and ends it (design D7, D9, D11).
 *
 * On the real clock the broker looks at each beat: devices it resets itself; holds and fences it has evicted by
 * the reaper, since the last claim on a buffer may run its exporter's release. On the manual clock time
 * stops at each limit, and the thread that advances it does both (`advance()`).
 *
 * A device's job is ended by the device's death alone, so it pays nothing for being watched. A hold may be
 * released by its thread at the same moment: the transition of its state word (to ENDING by its thread, to
 * EVICTING by the watchdog) decides which of the two ends it.
 */
import { errno } from '../errno.js';
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  CONTEXT,
  CONTEXT_FLAG,
  JOB,
  JOB_FLAG,
  JOB_STATE,
  JOB_STATE_MASK,
  LINK,
  LINK_FLAG,
  LISTED,
  ROLE,
} from '../memory/layout.js';
import { firstLink, isFurther, nextLink } from '../sync/job-links.js';
import type { Jobs } from '../sync/jobs.js';
import { limitOf, type Limits } from '../sync/limits.js';
import type { Timelines } from '../sync/timeline.js';

/** What is past its limit. */
export interface Overdue {
  /** `job`: a device hangs. `hold`: a thread's claims. `fence`: of a software timeline. */
  readonly kind: keyof Limits;
  readonly job: number;
  readonly generation: number;
  /** The device, or the thread that holds, or that made the fence. */
  readonly actor: number;
  /** ms of the machine's clock. */
  readonly since: number;
  readonly limit: number;
}

/** Everything that is past its limit at `now`. Changes nothing and takes no lock. */
export function overdue(kernel: Kernel, now: number): Overdue[] {
  const found: Overdue[] = [];
  for (const watched of all(kernel)) {
    if (watched.since + watched.limit <= now) found.push(watched);
  }
  return found;
}

/** When the next of what runs now is past its limit, ms of the machine's clock; Infinity: never. */
export function nextLimit(kernel: Kernel): number {
  let first = Infinity;
  for (const { since, limit } of all(kernel)) first = Math.min(first, since + limit);
  return first;
}

/** Work of the reaper that is no dead actor: to evict what is past its limit. */
export const EVICT = 0;

/** Why a device is reset, for whoever reads of its death. */
export function hangText({ limit }: Overdue): string {
  return `a job ran past its limit of ${limit} ms`;
}

/** What an eviction works with. */
export interface EvictParts {
  readonly kernel: Kernel;
  readonly jobs: Jobs;
  readonly timelines: Timelines;
}

/**
 * Evicts a hold or a fence that is overdue; false if it has ended meanwhile. The claims of a hold go, its fence
 * fails with ETIMEDOUT, and its buffers are tainted: its thread may still be at their memory.
 */
export function evict({ kernel, jobs, timelines }: EvictParts, late: Overdue): boolean {
  if (late.kind === 'hold') return jobs.evict(late.job, late.generation, -errno.ETIMEDOUT);
  const { words } = kernel;
  const timeline = timelines.of(words.get(late.job + JOB.CONTEXT));
  const point = words.getDouble(late.job + JOB.SEQNO);
  // Once it is read again after the rest, the rest was of that fence.
  if (timeline === 0 || words.load(late.job + JOB.GEN) !== late.generation) return false;
  timelines.signal(timeline, point, -errno.ETIMEDOUT);
  return true;
}

/** Evicts all holds and fences that are overdue by now; how many. */
export function evictOverdue(parts: EvictParts): number {
  const { kernel } = parts;
  const late = overdue(kernel, kernel.clock.now()).filter(({ kind }) => kind !== 'job');
  return late.filter((each) => evict(parts, each)).length;
}

/** What has a limit and runs. */
function* all(kernel: Kernel): Generator<Overdue> {
  const { words, jobs } = kernel;
  for (let i = 0; i < jobs.count; i++) {
    const job = jobs.at(i);
    if ((words.load(job + JOB.STATE) & JOB_STATE_MASK) !== JOB_STATE.RUNNING) continue;
    const generation = words.load(job + JOB.GEN);
    const watched = watch(kernel, job, generation);
    // The slot may have got another life while we looked.
    const same = words.load(job + JOB.GEN) === generation;
    if (watched !== undefined && same) yield watched;
  }
}

function watch(kernel: Kernel, job: number, generation: number): Overdue | undefined {
  if (isFurther(kernel, job)) return undefined;
  const { words, actors } = kernel;
  const flags = words.get(job + JOB.FLAGS);
  const target = words.get(job + JOB.TARGET);
  const since = words.getDouble(job + JOB.T_STARTED);
  if ((flags & JOB_FLAG.AUTO) !== 0) return undefined;
  if ((flags & JOB_FLAG.BARE) !== 0) {
    const limit = limitOf(words, job, 'fence');
    if (limit === Infinity || words.get(job + JOB.COOKIE) !== LISTED) return undefined;
    const made = words.getDouble(job + JOB.T_QUEUED);
    const actor = words.get(job + JOB.OWNER);
    return { kind: 'fence', job, generation, actor, since: made, limit };
  }
  // RUNNING is stored before T_STARTED, which then is of an earlier life of the slot: looked at next time.
  if (since < words.getDouble(job + JOB.T_GRANTED)) return undefined;
  const context = words.get(job + JOB.CONTEXT);
  const own = (words.get(context + CONTEXT.FLAGS) & CONTEXT_FLAG.UNORDERED) !== 0;
  const kind = own ? 'hold' : 'job';
  const limit = limitOf(words, job, kind);
  if (limit === Infinity) return undefined;
  const isDevice = words.get(actors.at(target) + ACTOR.ROLE) === ROLE.DEVICE;
  if (own ? !hasClaims(kernel, job) : !isDevice) return undefined;
  return { kind, job, generation, actor: target, since, limit };
}

function hasClaims({ words }: Kernel, job: number): boolean {
  for (let link = firstLink(words, job); link !== 0; link = nextLink(words, link)) {
    const target = words.get(link + LINK.TARGET);
    if (target !== 0 && (target & LINK_FLAG.FENCE) === 0) return true;
  }
  return false;
}
