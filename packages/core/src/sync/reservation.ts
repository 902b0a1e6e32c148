/**
 * What is pending on a buffer, as dma_resv answers it: who writes, who reads (poll, EXPORT_SYNC_FILE).
 *
 * The queue is the reservation: its links are the jobs that claim the buffer, in order. A claim
 * counts until its job's fence has signalled.
 */
import type { Kernel } from '../kernel.js';
import { JOB, JOB_STATE, JOB_STATE_MASK, LINK, LINK_FLAG, QUEUE } from '../memory/layout.js';
import { isFurther } from './job-links.js';
import type { Contexts } from './contexts.js';
import type { FencePoint } from './jobs.js';
import { jobOfLink } from './queue.js';

/**
 * Which claims a query includes: a reader waits for writers, a writer for everybody but those that synchronise
 * explicitly.
 */
export type Usage = 'read' | 'write';

/** Fences of the claims on a queue that a new reader or writer would have to wait for. */
export function pendingOn(
  kernel: Kernel,
  contexts: Contexts,
  queue: number,
  usage: Usage,
): FencePoint[] {
  const { words, locks } = kernel;
  const points: FencePoint[] = [];
  locks.lock(queue + QUEUE.LOCK);
  for (let link = words.get(queue + QUEUE.HEAD); link !== 0; link = words.get(link + LINK.NEXT)) {
    const target = words.get(link + LINK.TARGET);
    if (usage === 'read' && (target & LINK_FLAG.EXCLUSIVE) === 0) continue;
    if ((target & LINK_FLAG.BOOKKEEP) !== 0) continue;
    const job = ownerOf(kernel, jobOfLink(link));
    const state = words.load(job + JOB.STATE) & JOB_STATE_MASK;
    if (state === JOB_STATE.DONE || state === JOB_STATE.RELEASED) continue;
    const context = words.get(job + JOB.CONTEXT);
    points.push({
      slot: job,
      generation: words.load(job + JOB.GEN),
      context: contexts.idOf(context),
      seqno: words.getDouble(job + JOB.SEQNO),
    });
  }
  locks.unlock(queue + QUEUE.LOCK);
  return points;
}

/** The job that a record, itself or a further one, belongs to. */
function ownerOf(kernel: Kernel, record: number): number {
  let job = record;
  while (isFurther(kernel, job)) job = kernel.words.get(job + JOB.CONTEXT);
  return job;
}
