/**
 * The invariants of queues and jobs (design D6), checked on kernel memory between two calls: what
 * must hold whatever happened before.
 */
import type { Kernel } from '../kernel.js';
import {
  JOB,
  JOB_GRANT_MASK,
  JOB_STATE,
  JOB_STATE_MASK,
  LINK,
  LINK_FLAG,
  QUEUE,
} from '../memory/layout.js';
import { isGranted } from '../sync/queue.js';

/** All breaches, as sentences; empty when all is well. */
export function checkQueues(kernel: Kernel): string[] {
  const faults: string[] = [];
  const linked = new Set<number>();
  for (const queue of kernel.queues.live()) checkQueue(kernel, queue, linked, faults);
  for (let i = 0; i < kernel.jobs.count; i++) checkJob(kernel, kernel.jobs.at(i), linked, faults);
  return faults;
}

function checkQueue(kernel: Kernel, queue: number, linked: Set<number>, faults: string[]): void {
  const { words } = kernel;
  const fault = (text: string): void => void faults.push(`queue ${queue}: ${text}`);
  let prev = 0;
  let length = 0;
  let sharedHeld = 0;
  let exclusiveHeld = 0;
  let firstWaiting = 0;
  let keptOnes = 0;
  for (let link = words.get(queue + QUEUE.HEAD); link !== 0; link = words.get(link + LINK.NEXT)) {
    if (linked.has(link)) {
      fault(`link ${link} is met twice`);
      return;
    }
    linked.add(link);
    if (words.get(link + LINK.PREV) !== prev) fault(`PREV of ${link} is wrong`);
    const target = words.get(link + LINK.TARGET);
    if ((target & LINK_FLAG.TARGET_MASK) !== queue) fault(`link ${link} belongs to another queue`);
    const exclusive = (target & LINK_FLAG.EXCLUSIVE) !== 0;
    const kept = (target & LINK_FLAG.BOOKKEEP) !== 0;
    if (kept && length > keptOnes) fault(`link ${link} keeps the buffer and is not in front`);
    if (kept && !isGranted(words, link)) fault(`link ${link} keeps the buffer and waits`);
    if (kept) keptOnes++;
    else if (!isGranted(words, link)) firstWaiting ||= link;
    else if (firstWaiting !== 0) fault(`link ${link} is granted behind one that waits`);
    else if (exclusive) exclusiveHeld++;
    else sharedHeld++;
    prev = link;
    length++;
  }
  if (words.get(queue + QUEUE.TAIL) !== prev) fault('TAIL is not the last link');
  if (words.get(queue + QUEUE.LENGTH) !== length) fault(`LENGTH is not ${length}`);
  if (words.get(queue + QUEUE.SHARED) !== sharedHeld) fault(`SHARED is not ${sharedHeld}`);
  if (words.get(queue + QUEUE.EXCLUSIVE) !== exclusiveHeld)
    fault(`EXCLUSIVE is not ${exclusiveHeld}`);
  if (words.get(queue + QUEUE.UNGRANTED) !== firstWaiting)
    fault('UNGRANTED is not the first that waits');
  if (exclusiveHeld > 1 || (exclusiveHeld === 1 && sharedHeld > 0)) fault('a writer is not alone');
  if (firstWaiting !== 0 && mayGo(kernel, firstWaiting, sharedHeld, exclusiveHeld)) {
    fault(`link ${firstWaiting} waits for nobody`);
  }
  const moves = words.get(queue + QUEUE.MOVING) !== 0;
  if (moves && (exclusiveHeld !== 1 || keptOnes > 0)) fault('it moves, and nobody has it alone');
  if (words.get(queue + QUEUE.LOCK) !== 0) fault('its lock is held');
}

function mayGo(kernel: Kernel, link: number, sharedHeld: number, exclusiveHeld: number): boolean {
  const exclusive = (kernel.words.get(link + LINK.TARGET) & LINK_FLAG.EXCLUSIVE) !== 0;
  return exclusiveHeld === 0 && (!exclusive || sharedHeld === 0);
}

function checkJob(kernel: Kernel, job: number, linked: Set<number>, faults: string[]): void {
  const { words } = kernel;
  const state = words.get(job + JOB.STATE);
  const stage = state & JOB_STATE_MASK;
  const full = (state & JOB_GRANT_MASK) === JOB_GRANT_MASK;
  if (stage === JOB_STATE.PENDING && full) faults.push(`job ${job}: has all grants and waits`);
  if (words.get(job + JOB.DEP_LOCK) !== 0) faults.push(`job ${job}: its DEP_LOCK is held`);
  const cancelled = words.get(job + JOB.DEP_ERROR) !== 0;
  if (stage === JOB_STATE.READY && !full && !cancelled) faults.push(`job ${job}: runs too early`);
  if (stage === JOB_STATE.FREE && words.get(job + JOB.DEP_HEAD) !== 0) {
    faults.push(`job ${job}: is free and has dependents`);
  }
  if (stage !== JOB_STATE.PENDING) return;
  for (let i = 0; i < words.get(job + JOB.LINKS); i++) {
    const link = job + JOB.LINK + i * LINK.WORDS;
    const target = words.get(link + LINK.TARGET);
    const claim = (target & (LINK_FLAG.FENCE | 8)) === 0;
    if (claim && !linked.has(link)) faults.push(`job ${job}: link ${i} stands in no queue`);
  }
}
