/**
 * Faults in what explicit synchronisation adds to the queues (BOOKKEEP claims, QUEUE.MOVING), to be put in: what the
 * model test must find.
 */
import { LINK, LINK_FLAG, QUEUE } from '../memory/layout.js';
import { isGranted, Queues } from '../sync/queue.js';
import { type Fault, inQueues } from './kds-faults.js';

const { append, remove } = Queues.prototype;

/** Queues with what the faults need of them. */
class Faulty extends Queues {
  isKept(link: number): boolean {
    return (this.kernel.words.get(link + LINK.TARGET) & LINK_FLAG.BOOKKEEP) !== 0;
  }

  /** Lets an explicit job in while the buffer moves. */
  appendPastMove(queue: number, link: number, exclusive: boolean): boolean {
    const { words } = this.kernel;
    const moving = words.get(queue + QUEUE.MOVING);
    words.set(queue + QUEUE.MOVING, 0);
    const granted = append.call(this, queue, link, exclusive);
    words.set(queue + QUEUE.MOVING, moving);
    return granted;
  }

  /** Queues explicit jobs with the others. */
  appendAsOrdinary(queue: number, link: number, exclusive: boolean): boolean {
    const { words } = this.kernel;
    words.set(link + LINK.TARGET, words.get(link + LINK.TARGET) & ~LINK_FLAG.BOOKKEEP);
    return append.call(this, queue, link, exclusive);
  }

  /** Goes on taking explicit jobs for ordinary ones when the move is over. */
  removeStillMoving(queue: number, link: number): void {
    const { words } = this.kernel;
    const moving = words.get(queue + QUEUE.MOVING);
    remove.call(this, queue, link);
    words.set(queue + QUEUE.MOVING, moving);
  }

  /** Counts an explicit job that ends among the readers. */
  removeAsReader(queue: number, link: number): void {
    const { words } = this.kernel;
    const readers = words.get(queue + QUEUE.SHARED);
    const counted = this.isKept(link) && isGranted(words, link) && readers > 0;
    if (counted) words.set(queue + QUEUE.SHARED, readers - 1);
    remove.call(this, queue, link);
  }
}

const faulty = Faulty.prototype;

export const EXPLICIT_FAULTS: readonly Fault[] = [
  {
    what: 'an explicit job is let in while its buffer moves',
    insert: inQueues({ append: faulty.appendPastMove }),
  },
  {
    what: 'an explicit job waits for those who were queued before it',
    insert: inQueues({ append: faulty.appendAsOrdinary }),
  },
  {
    what: 'a move never ends for explicit jobs',
    insert: inQueues({ remove: faulty.removeStillMoving }),
  },
  {
    what: 'an explicit job that ends is counted as a reader that leaves',
    insert: inQueues({ remove: faulty.removeAsReader }),
  },
];
