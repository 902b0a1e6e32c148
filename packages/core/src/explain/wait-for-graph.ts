/**
 * WaitForGraph: who waits for whom, read from kernel memory (design D12).
 *
 * Nodes are jobs and the threads that run, hold or await them. A job's edges are its ungranted claims (to
 * everybody in front of it in the queue that it cannot pass), its in-fences that have not signalled, and,
 * since a context is a line, the unfinished jobs before it in its context.
 *
 * A snapshot piece by piece, taken while others go on: one queue lock at a time and never two; what is read
 * of a job counts only if the slot has the same generation after as before.
 */
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  ACTOR_STATE,
  BLOCKED,
  CONTEXT,
  CONTEXT_FLAG,
  JOB,
  JOB_FLAG,
  JOB_STATE,
  JOB_STATE_MASK,
  LINK,
  LINK_FLAG,
  QUEUE,
} from '../memory/layout.js';
import { isPendingStage } from '../sync/contexts.js';
import { firstLink, isFurther, nextLink } from '../sync/job-links.js';
import { isGranted, jobOfLink } from '../sync/queue.js';

/** One life of a slot of the job table. */
export interface JobRef {
  readonly job: number;
  readonly generation: number;
}

/** A job as it was when it was looked at. */
export interface JobNode extends JobRef {
  readonly stage: number;
  readonly flags: number;
  readonly context: number;
  readonly unordered: boolean;
  readonly owner: number;
  readonly target: number;
  readonly seqno: number;
}

/** What a job waits for before it can run. */
export interface Edge {
  readonly kind: 'claim' | 'fence' | 'line';
  /** Of a claim: the queue, how it is claimed, and how many stand in front. */
  readonly queue: number;
  readonly exclusive: boolean;
  readonly to: readonly JobRef[];
}

/** What a thread sleeps on. */
export interface Blocked extends JobRef {
  readonly how: number;
  readonly timed: boolean;
}

export class WaitForGraph {
  readonly #k: Kernel;

  constructor(kernel: Kernel) {
    this.#k = kernel;
  }

  /** A job that is in flight, or has signalled and still holds its claims; undefined once it is gone. */
  read(ref: JobRef): JobNode | undefined {
    const { words } = this.#k;
    const { job } = ref;
    const stage = words.load(job + JOB.STATE) & JOB_STATE_MASK;
    const context = words.get(job + JOB.CONTEXT);
    const known = this.#k.contexts.owns(context);
    const flags = known ? words.get(context + CONTEXT.FLAGS) : 0;
    const node = {
      ...ref,
      stage,
      flags: words.get(job + JOB.FLAGS),
      context,
      unordered: (flags & CONTEXT_FLAG.UNORDERED) !== 0,
      owner: words.get(job + JOB.OWNER),
      target: words.get(job + JOB.TARGET),
      seqno: words.getDouble(job + JOB.SEQNO),
    };
    if (words.load(job + JOB.GEN) !== ref.generation || !known) return undefined;
    const there = isPendingStage(stage) || stage === JOB_STATE.DONE;
    return there ? node : undefined;
  }

  /** What a job waits for: nothing once it has been granted and is first in its line. */
  edges(node: JobNode): Edge[] {
    const edges: Edge[] = [];
    if (node.stage === JOB_STATE.PENDING || node.stage === JOB_STATE.BUILDING) {
      edges.push(...this.#links(node));
    }
    if (!node.unordered && isPendingStage(node.stage)) {
      const before = this.#before(node);
      if (before.length > 0) edges.push({ kind: 'line', queue: 0, exclusive: false, to: before });
    }
    return edges;
  }

  /** What a thread sleeps on, if it is one that others may wait for. */
  blockedOn(actor: number): Blocked | undefined {
    const { words } = this.#k;
    if (!this.isLive(actor)) return undefined;
    const at = this.#k.actors.at(actor);
    const word = words.load(at + ACTOR.BLOCKED_HOW);
    if (word === 0) return undefined;
    const job = words.get(at + ACTOR.BLOCKED_ON);
    const generation = words.get(at + ACTOR.BLOCKED_GEN);
    if (words.load(at + ACTOR.BLOCKED_HOW) !== word) return undefined;
    const timed = (word & BLOCKED.TIMED) !== 0;
    return { job, generation, how: word & BLOCKED.HOW_MASK, timed };
  }

  isLive(actor: number): boolean {
    const { words, actors } = this.#k;
    if (actor <= 0 || actor >= actors.count) return false;
    return words.load(actors.at(actor) + ACTOR.STATE) === ACTOR_STATE.LIVE;
  }

  /** The callbacks that a thread has armed: any of them lets it go on. */
  *armed(actor: number): Generator<JobNode> {
    for (const node of this.#inFlight()) {
      if (node.target !== actor || node.owner !== actor || !node.unordered) continue;
      if ((node.flags & (JOB_FLAG.BLOCKING | JOB_FLAG.AUTO | JOB_FLAG.BARE)) !== 0) continue;
      if (node.stage === JOB_STATE.PENDING || node.stage === JOB_STATE.READY) yield node;
    }
  }

  /** The job that an actor is running, other than `than`: the oldest. */
  runningOn(actor: number, than: number): JobNode | undefined {
    let oldest: JobNode | undefined;
    for (const node of this.#inFlight()) {
      if (node.target !== actor || node.stage !== JOB_STATE.RUNNING || node.job === than) continue;
      if ((node.flags & JOB_FLAG.BARE) !== 0) continue;
      if (oldest === undefined || this.#startOf(node) < this.#startOf(oldest)) oldest = node;
    }
    return oldest;
  }

  /** Those who wait for each other in a queue, first to last, and whether they are granted. */
  claimsIn(queue: number): { ref: JobRef; exclusive: boolean; granted: boolean }[] {
    const { words, locks } = this.#k;
    const found: { ref: JobRef; exclusive: boolean; granted: boolean }[] = [];
    locks.lock(queue + QUEUE.LOCK);
    for (let link = words.get(queue + QUEUE.HEAD); link !== 0; link = words.get(link + LINK.NEXT)) {
      const target = words.get(link + LINK.TARGET);
      if ((target & LINK_FLAG.BOOKKEEP) !== 0) continue;
      const exclusive = (target & LINK_FLAG.EXCLUSIVE) !== 0;
      found.push({ ref: this.#jobOf(link), exclusive, granted: isGranted(words, link) });
    }
    locks.unlock(queue + QUEUE.LOCK);
    return found;
  }

  #startOf({ job }: JobNode): number {
    return this.#k.words.getDouble(job + JOB.T_GRANTED);
  }

  #links({ job, generation }: JobNode): Edge[] {
    const { words } = this.#k;
    const edges: Edge[] = [];
    for (let link = firstLink(words, job); link !== 0; link = nextLink(words, link)) {
      const target = words.load(link + LINK.TARGET);
      const to = target & LINK_FLAG.TARGET_MASK;
      const exclusive = (target & LINK_FLAG.EXCLUSIVE) !== 0;
      if (to === 0 || isGranted(words, link)) continue;
      if ((target & LINK_FLAG.FENCE) !== 0) {
        const fence = { job: to, generation: words.load(to + JOB.GEN) };
        // On the list of that fence still: so it was that life of the slot.
        if (words.load(link + LINK.TARGET) !== target) continue;
        edges.push({ kind: 'fence', queue: 0, exclusive, to: [fence] });
      } else {
        const claims = this.claimsIn(to);
        const mine = claims.findIndex(({ ref }) => ref.job === job);
        const ahead = claims.slice(0, Math.max(0, mine));
        // Readers pass readers, but none that stand behind a writer: the writer is then in front of both.
        const inTheWay = ahead.filter((claim) => exclusive || claim.exclusive);
        const refs = inTheWay.map(({ ref }) => ref);
        edges.push({ kind: 'claim', queue: to, exclusive, to: refs });
      }
    }
    return words.load(job + JOB.GEN) === generation ? edges : [];
  }

  /** Unfinished jobs that stand before a job in its context, the newest last. */
  #before(node: JobNode): JobRef[] {
    const { words } = this.#k;
    const { context, seqno } = node;
    if (words.getDouble(context + CONTEXT.COMPLETED) >= seqno - 1) return [];
    const before: JobNode[] = [];
    for (const other of this.#inFlight()) {
      if (other.context === context && other.seqno < seqno) before.push(other);
    }
    return before.sort((a, b) => a.seqno - b.seqno);
  }

  *#inFlight(): Generator<JobNode> {
    const { words, jobs } = this.#k;
    for (let i = 0; i < jobs.count; i++) {
      const job = jobs.at(i);
      if (!isPendingStage(words.load(job + JOB.STATE) & JOB_STATE_MASK)) continue;
      if (isFurther(this.#k, job)) continue;
      const node = this.read({ job, generation: words.load(job + JOB.GEN) });
      if (node !== undefined) yield node;
    }
  }

  /** The job of a link; its own record, whichever one the link stands in. */
  #jobOf(link: number): JobRef {
    const { words } = this.#k;
    let job = jobOfLink(link);
    while (isFurther(this.#k, job)) job = words.get(job + JOB.CONTEXT);
    return { job, generation: words.load(job + JOB.GEN) };
  }
}
