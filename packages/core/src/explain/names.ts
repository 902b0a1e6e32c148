/** What jobs, queues and threads are called in messages. */
import type { Kernel } from '../kernel.js';
import { BUFFER, CONTEXT, JOB, JOB_FLAG, JOB_STATE, LINK_FLAG, QUEUE } from '../memory/layout.js';
import { readName } from '../memory/tables.js';
import type { JobNode } from './wait-for-graph.js';

/** `buffer 7 'frame'`, or `queue 4711` for one that guards no buffer. */
export function queueName(kernel: Kernel, queue: number): string {
  const { words } = kernel;
  const buffer = words.get(queue + QUEUE.BUFFER);
  if (buffer === 0) return `queue ${kernel.queues.indexOf(queue)}`;
  const name = readName(words, buffer + BUFFER.NAME, 8);
  return `buffer ${words.get(buffer + BUFFER.INO)}${name === '' ? '' : ` '${name}'`}`;
}

/** What claims (pointer | LINK_FLAG.*) are on. */
export function claimNames(kernel: Kernel, claims: readonly number[]): string {
  return claims.map((claim) => queueName(kernel, claim & LINK_FLAG.TARGET_MASK)).join(', ');
}

/** `'gpu0' (actor 5)` */
export function actorName(kernel: Kernel, actor: number): string {
  return `'${kernel.nameOf(actor)}' (actor ${actor})`;
}

export function contextName(kernel: Kernel, context: number): string {
  return readName(kernel.words, context + CONTEXT.NAME, 8);
}

/** What a job is: claims of a thread itself, a device's job, a timeline's fence, … */
export type JobKind = 'job' | 'hold' | 'callback' | 'timeline' | 'sync-file';

export function kindOfJob({ flags, unordered }: JobNode): JobKind {
  if ((flags & JOB_FLAG.BARE) !== 0) return 'timeline';
  if ((flags & JOB_FLAG.AUTO) !== 0) return 'sync-file';
  if ((flags & JOB_FLAG.BLOCKING) !== 0) return 'hold';
  return unordered ? 'callback' : 'job';
}

/** Since when a job is in the stage that it is in, ms. */
export function sinceOf(kernel: Kernel, node: JobNode): number {
  const { words } = kernel;
  const read = (field: number): number => words.getDouble(node.job + field);
  if (node.stage === JOB_STATE.DONE) return read(JOB.T_DONE);
  const waiting = node.stage === JOB_STATE.PENDING || node.stage === JOB_STATE.BUILDING;
  if (waiting || (node.flags & JOB_FLAG.BARE) !== 0) return read(JOB.T_QUEUED);
  const started = read(JOB.T_STARTED);
  // A flip that waits on its display for the time when it is to be shown starts in the future.
  if (node.stage === JOB_STATE.RUNNING && started <= kernel.clock.now()) return started;
  return read(JOB.T_GRANTED);
}
