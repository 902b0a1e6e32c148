/** What can be explained: a fence, or whatever has a queue. */
import { wantObject } from '../args.js';
import type { Kernel } from '../kernel.js';
import type { Contexts } from '../sync/contexts.js';
import { type FenceWaiter, statusText } from '../sync/fence.js';
import { wantPoint } from '../sync/fence-args.js';
import type { FencePoint } from '../sync/job-spec.js';
import type { Claimable } from '../sync/queue-object.js';
import { Explainer, Explanation } from './explain.js';

/** See `machine.explain`. TypeError; EBADF, EINVAL: a closed buffer, a fence of another machine. */
export function explain(
  kernel: Kernel,
  contexts: Contexts,
  waiter: FenceWaiter,
  subject: FencePoint | Claimable,
): Explanation {
  wantObject('explain', 'subject', subject);
  const explainer = new Explainer(kernel, contexts);
  if ('queuePointer' in subject) return explainer.queue(subject.queuePointer('explain'));
  wantPoint(kernel, 'explain', 'subject', subject);
  const status = waiter.status(subject);
  if (status === 0) return explainer.fence(subject);
  const name = `fence ${subject.context}:${subject.seqno}`;
  return new Explanation(`${name} is ${statusText(status)}`, kernel.clock.now(), []);
}
