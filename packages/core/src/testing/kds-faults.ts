/**
 * Faults of KDS and its like, to be put back into the queues: what the model test must find.
 *
 * Each replaces one method of a prototype for as long as a test runs.
 */
import {
  JOB,
  JOB_GRANT_SHIFT,
  JOB_STATE,
  JOB_STATE_MASK,
  LINK,
  LINK_FLAG,
  QUEUE,
} from '../memory/layout.js';
import { Jobs } from '../sync/jobs.js';
import { isGranted, jobOfLink, Queues } from '../sync/queue.js';

export interface Fault {
  readonly what: string;
  /** Puts the fault in; returns what takes it out again. */
  insert(): () => void;
}

/** Runs `test` with a fault in place. */
export function withFault<T>(fault: Fault, test: () => T): T {
  const remove = fault.insert();
  try {
    return test();
  } finally {
    remove();
  }
}

/** Queues with what the faults need of them. */
class Kds extends Queues {
  isExclusive(link: number): boolean {
    return (this.kernel.words.get(link + LINK.TARGET) & LINK_FLAG.EXCLUSIVE) !== 0;
  }

  /**
   * kds_resource_set_release_common: a link that is not the head and follows a granted shared one
   * "triggers" the shared links behind it, granted or not, and each counts its set down once more.
   */
  removeAsKds(queue: number, link: number): void {
    const { words } = this.kernel;
    const prev = words.get(link + LINK.PREV);
    let next = words.get(link + LINK.NEXT);
    remove.call(this, queue, link);
    if (prev === 0 || this.isExclusive(prev) || !isGranted(words, prev)) return;
    for (; next !== 0 && !this.isExclusive(next); next = words.get(next + LINK.NEXT)) {
      this.#countDown(jobOfLink(next));
    }
  }

  /** One pending grant less, whichever it was. */
  #countDown(job: number): void {
    const { words } = this.kernel;
    if ((words.get(job + JOB.STATE) & JOB_STATE_MASK) !== JOB_STATE.PENDING) return;
    for (let bit = 0; bit < words.get(job + JOB.LINKS); bit++) {
      if ((words.get(job + JOB.STATE) & (1 << (JOB_GRANT_SHIFT + bit))) !== 0) continue;
      this.granted(job, bit);
      return;
    }
  }

  /** Grants only when the head is released: a writer that is cancelled leaves its readers waiting. */
  removeHeadOnly(queue: number, link: number): void {
    const { words } = this.kernel;
    const waits = words.get(link + LINK.PREV) !== 0;
    const first = words.get(queue + QUEUE.UNGRANTED) === link;
    const next = words.get(link + LINK.NEXT);
    if (!waits || !first || next === 0) {
      remove.call(this, queue, link);
      return;
    }
    words.set(queue + QUEUE.UNGRANTED, 0);
    remove.call(this, queue, link);
    words.set(queue + QUEUE.UNGRANTED, next);
  }

  /** Lets a reader join granted readers past a writer that waits. */
  appendPastWriters(queue: number, link: number, exclusive: boolean): boolean {
    const { words } = this.kernel;
    const head = words.get(queue + QUEUE.HEAD);
    const granted = append.call(this, queue, link, exclusive);
    if (granted || exclusive || head === 0 || this.isExclusive(head)) return granted;
    words.set(queue + QUEUE.SHARED, words.get(queue + QUEUE.SHARED) + 1);
    return true;
  }

  /** Forgets how many readers are granted: the first to leave lets the writer in. */
  removeOneReader(queue: number, link: number): void {
    const { words } = this.kernel;
    if (!this.isExclusive(link) && isGranted(words, link)) words.set(queue + QUEUE.SHARED, 1);
    remove.call(this, queue, link);
  }
}

const { append, remove } = Queues.prototype;
const { cancel } = Jobs.prototype;
const kds = Kds.prototype;

/** Replaces methods of the queues. */
export function inQueues(method: Partial<Pick<Queues, 'append' | 'remove'>>): () => () => void {
  return () => {
    Object.assign(Queues.prototype, method);
    return () => Object.assign(Queues.prototype, { append, remove });
  };
}

export const KDS_FAULTS: readonly Fault[] = [
  {
    what: 'a release that is not at the head counts its neighbours down again (KDS, weakness 1)',
    insert: inQueues({ remove: kds.removeAsKds }),
  },
  {
    what: 'the readers behind a cancelled writer are forgotten',
    insert: inQueues({ remove: kds.removeHeadOnly }),
  },
  {
    what: 'readers pass a writer that waits',
    insert: inQueues({ append: kds.appendPastWriters }),
  },
  {
    what: 'a writer is let in when the first of several readers leaves',
    insert: inQueues({ remove: kds.removeOneReader }),
  },
  {
    what: 'a set is freed although it has been granted (KDS, weakness 4)',
    insert: () => {
      Jobs.prototype.cancel = function cancelGranted(job, error) {
        if (cancel.call(this, job, error)) return true;
        if (!this.claim(job)) return false;
        this.complete(job, error);
        this.release(job);
        return true;
      };
      return () => {
        Jobs.prototype.cancel = cancel;
      };
    },
  },
];
