/**
 * Queues: the FIFO of claims on one buffer; KDS (drivers/base/kds.c, 2012), made right (design D6).
 *
 * A link is a job's claim, exclusive or shared. Granted links are a prefix of the list: UNGRANTED
 * points at the first one that is not, so granting moves one pointer, and a reader that leaves
 * among readers touches nothing else. A link is granted when it is at the head (exclusive), or only
 * granted shared ones are ahead (shared); a reader behind a waiting writer waits, so neither
 * starves. Whether a link is granted stands in its job's state word alone (one bit), set under this
 * queue's lock: it can be checked and repeated, where a counter of pending grants could tear.
 *
 * Claims of jobs that synchronise explicitly (BOOKKEEP, as DMA_RESV_USAGE_BOOKKEEP) stand before all others, granted
 * from the start and counted nowhere: nobody waits for them, but the buffer lives for as long as they are there.
 *
 * All methods are called with the queue's lock held. Everything here can be derived again from
 * the job table (links, ORDER), which is what recovery does.
 */
import type { Kernel } from '../kernel.js';
import type { Words } from '../memory/words.js';
import {
  JOB,
  JOB_GRANT_SHIFT,
  JOB_STATE,
  JOB_STATE_MASK,
  LINK,
  LINK_FLAG,
  QUEUE,
} from '../memory/layout.js';

/** Told of each link that is granted: sets the bit, and dispatches a job that has all. */
export type Granted = (job: number, bit: number) => void;

/** Job that a link belongs to: jobs are 64 words, aligned. */
export function jobOfLink(link: number): number {
  return link & ~63;
}

/** Bit of the granted mask that a link has. */
export function bitOfLink(link: number): number {
  return ((link & 63) - JOB.LINK) / LINK.WORDS;
}

/** States of jobs of which all links are granted, whatever stands in place of the mask. A bit each. */
const ALL_GRANTED =
  (1 << JOB_STATE.RUNNING) |
  (1 << JOB_STATE.DONE) |
  (1 << JOB_STATE.ENDING) |
  (1 << JOB_STATE.EVICTING);

/** Whether a link is granted. Exact under its queue's lock. */
export function isGranted(words: Words, link: number): boolean {
  const state = words.get(jobOfLink(link) + JOB.STATE);
  if (((ALL_GRANTED >> (state & JOB_STATE_MASK)) & 1) !== 0) return true;
  return (state & (1 << (JOB_GRANT_SHIFT + bitOfLink(link)))) !== 0;
}

/** Makes a free record a live, empty queue. Under BUFFER_LOCK. */
export function formatQueue(words: Words, queue: number, buffer: number): void {
  const gen = (words.get(queue + QUEUE.GEN) + 1) & 0x7fffffff || 1;
  for (let i = 0; i < QUEUE.WORDS; i++) words.set(queue + i, 0);
  words.set(queue + QUEUE.GEN, gen);
  words.set(queue + QUEUE.BUFFER, buffer);
  words.store(queue + QUEUE.STATE, gen);
}

/**
 * Marks a buffer as moving, by whoever holds it exclusively: until that claim goes, BOOKKEEP claims are made ordinary
 * ones, which wait for it. False: there is one already, and the buffer stays where it is. Takes the queue's lock.
 */
export function startMove({ words, locks }: Kernel, queue: number): boolean {
  locks.lock(queue + QUEUE.LOCK);
  const first = words.get(queue + QUEUE.HEAD); // explicit ones stand in front
  const used = (words.get(first + LINK.TARGET) & LINK_FLAG.BOOKKEEP) !== 0;
  if (!used) words.set(queue + QUEUE.MOVING, 1);
  locks.unlock(queue + QUEUE.LOCK);
  return !used;
}

export class Queues {
  // Protected: tests put the faults of other schemes back in by a subclass.
  protected readonly kernel: Kernel;
  protected readonly granted: Granted;

  constructor(kernel: Kernel, granted: Granted) {
    this.kernel = kernel;
    this.granted = granted;
  }

  /**
   * Appends a link whose TARGET is set; true if it is granted at once (its bit is then the caller's to set). While the
   * buffer moves, a BOOKKEEP claim is made an ordinary one, which waits for that.
   */
  append(queue: number, link: number, exclusive: boolean): boolean {
    const { words } = this.kernel;
    const target = words.get(link + LINK.TARGET);
    if ((target & LINK_FLAG.BOOKKEEP) !== 0) {
      if (words.get(queue + QUEUE.MOVING) === 0) return this.#prepend(queue, link);
      words.set(link + LINK.TARGET, target & ~LINK_FLAG.BOOKKEEP);
    }
    const tail = words.get(queue + QUEUE.TAIL);
    words.set(link + LINK.PREV, tail);
    words.set(link + LINK.NEXT, 0);
    words.set(queue + QUEUE.TAIL, link);
    words.set(queue + QUEUE.LENGTH, words.get(queue + QUEUE.LENGTH) + 1);
    if (tail === 0) words.set(queue + QUEUE.HEAD, link);
    else words.set(tail + LINK.NEXT, link);
    if (words.get(queue + QUEUE.UNGRANTED) === 0) {
      const alone = words.get(queue + QUEUE.EXCLUSIVE) === 0;
      if (alone && (!exclusive || words.get(queue + QUEUE.SHARED) === 0)) {
        this.#hold(queue, exclusive);
        return true;
      }
      words.set(queue + QUEUE.UNGRANTED, link);
    }
    return false;
  }

  #prepend(queue: number, link: number): true {
    const { words } = this.kernel;
    const head = words.get(queue + QUEUE.HEAD);
    words.set(link + LINK.PREV, 0);
    words.set(link + LINK.NEXT, head);
    if (head === 0) words.set(queue + QUEUE.TAIL, link);
    else words.set(head + LINK.PREV, link);
    words.set(queue + QUEUE.HEAD, link);
    words.set(queue + QUEUE.LENGTH, words.get(queue + QUEUE.LENGTH) + 1);
    return true;
  }

  /**
   * Takes a link out, granted or not, and grants whoever may go now. It has no TARGET any more before anybody is
   * granted for it: else whoever makes the queue anew would put it before them.
   */
  remove(queue: number, link: number): void {
    const { words } = this.kernel;
    const prev = words.get(link + LINK.PREV);
    const next = words.get(link + LINK.NEXT);
    if (prev === 0) words.set(queue + QUEUE.HEAD, next);
    else words.set(prev + LINK.NEXT, next);
    if (next === 0) words.set(queue + QUEUE.TAIL, prev);
    else words.set(next + LINK.PREV, prev);
    words.set(queue + QUEUE.LENGTH, words.get(queue + QUEUE.LENGTH) - 1);
    const target = words.get(link + LINK.TARGET);
    if ((target & LINK_FLAG.BOOKKEEP) !== 0) {
      // It stood in nobody's way.
    } else if (!isGranted(words, link)) {
      if (words.get(queue + QUEUE.UNGRANTED) === link) words.set(queue + QUEUE.UNGRANTED, next);
    } else if ((target & LINK_FLAG.EXCLUSIVE) !== 0) {
      words.set(queue + QUEUE.EXCLUSIVE, 0);
      words.set(queue + QUEUE.MOVING, 0);
    } else {
      words.set(queue + QUEUE.SHARED, words.get(queue + QUEUE.SHARED) - 1);
    }
    words.set(link + LINK.TARGET, 0);
    if (words.get(queue + QUEUE.UNGRANTED) !== 0) this.#grantNext(queue);
  }

  /**
   * Makes a queue anew from its links, in order, and grants whoever may go: for a thread that died while it
   * changed it. Whether a link is granted its job's word says; all else follows.
   */
  rebuild(queue: number, inOrder: readonly number[]): void {
    const { words } = this.kernel;
    const isKept = (link: number): boolean =>
      (words.get(link + LINK.TARGET) & LINK_FLAG.BOOKKEEP) !== 0;
    const kept = inOrder.filter(isKept);
    const links = kept.length === 0 ? inOrder : [...kept, ...inOrder.filter((l) => !isKept(l))];
    for (const field of ['HEAD', 'TAIL', 'UNGRANTED', 'SHARED', 'EXCLUSIVE'] as const) {
      words.set(queue + QUEUE[field], 0);
    }
    words.set(queue + QUEUE.LENGTH, links.length);
    links.forEach((link, i) => {
      words.set(link + LINK.PREV, links[i - 1] ?? 0);
      words.set(link + LINK.NEXT, links[i + 1] ?? 0);
      if (i < kept.length) return;
      const exclusive = (words.get(link + LINK.TARGET) & LINK_FLAG.EXCLUSIVE) !== 0;
      if (isGranted(this.kernel.words, link)) this.#hold(queue, exclusive);
      else if (words.get(queue + QUEUE.UNGRANTED) === 0) words.set(queue + QUEUE.UNGRANTED, link);
    });
    words.set(queue + QUEUE.HEAD, links[0] ?? 0);
    words.set(queue + QUEUE.TAIL, links.at(-1) ?? 0);
    if (words.get(queue + QUEUE.EXCLUSIVE) === 0) words.set(queue + QUEUE.MOVING, 0);
    this.#grantNext(queue);
  }

  /** Grants from the first ungranted link on, as far as the rules allow. */
  #grantNext(queue: number): void {
    const { words } = this.kernel;
    for (;;) {
      const link = words.get(queue + QUEUE.UNGRANTED);
      if (link === 0 || words.get(queue + QUEUE.EXCLUSIVE) !== 0) return;
      const exclusive = (words.get(link + LINK.TARGET) & LINK_FLAG.EXCLUSIVE) !== 0;
      if (exclusive && words.get(queue + QUEUE.SHARED) !== 0) return;
      words.set(queue + QUEUE.UNGRANTED, words.get(link + LINK.NEXT));
      this.#hold(queue, exclusive);
      this.granted(jobOfLink(link), bitOfLink(link));
    }
  }

  #hold(queue: number, exclusive: boolean): void {
    const { words } = this.kernel;
    if (exclusive) words.set(queue + QUEUE.EXCLUSIVE, 1);
    else words.set(queue + QUEUE.SHARED, words.get(queue + QUEUE.SHARED) + 1);
  }
}
