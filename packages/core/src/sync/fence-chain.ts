/**
 * FenceChain: one link of a timeline of fences (drivers/dma-buf/dma-fence-chain.c).
 *
 * A link has a seqno, a fence, and the link before it; it has signalled when its own fence and those of
 * all earlier links have, in whatever order. Walking back lets go of links whose fences have signalled,
 * so a long-lived timeline stays short; the error of a link that was let go stays with its
 * successor. A seqno that is not above the link before starts a new context, as in the kernel.
 */
import { wantNumber } from '../args.js';
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { FenceArray } from './fence-array.js';
import { FenceContainer, nextOf, statusOf, unwrap } from './fence-container.js';
import type { FenceLike } from './fence-set.js';
import type { FenceWaiter } from './fence.js';
import type { FencePoint } from './jobs.js';

let contexts = 0;

export class FenceChain extends FenceContainer {
  readonly seqno: number;
  /** Links of one ascending run have the same number; this thread's own. */
  readonly context: number;
  /** What this link adds. */
  readonly fence: FenceLike;
  /** seqno of the link before it when it was made, 0 for the first of a context. */
  readonly #prevSeqno: number;
  #prev: FenceLike | undefined;
  /** The oldest link that failed and was let go. */
  #lost: { readonly status: number; readonly points: readonly FencePoint[] } | undefined;

  /**
   * Made by `machine.fenceChain`. EINVAL: seqno is not a positive integer, or the fence is a chain
   * (put it in front as `prev`).
   */
  constructor(
    kernel: Kernel,
    waiter: FenceWaiter,
    prev: FenceLike | undefined,
    fence: FenceLike,
    seqno: number,
  ) {
    super(kernel, waiter);
    if (!Number.isSafeInteger(seqno) || seqno < 1) {
      const detail = `a link with seqno ${seqno}; give a positive integer`;
      throw new DmaBufError('EINVAL', 'fence_chain', detail);
    }
    if (fence instanceof FenceChain) {
      const detail = `the fence of link ${seqno} is itself a chain; give it as prev, or unwrap it`;
      throw new DmaBufError('EINVAL', 'fence_chain', detail);
    }
    const ascending = prev instanceof FenceChain && seqno > prev.seqno;
    this.#prev = prev;
    this.fence = fence;
    this.context = ascending ? prev.context : ++contexts;
    this.#prevSeqno = ascending ? prev.seqno : 0;
    this.seqno = prev instanceof FenceChain ? Math.max(prev.seqno, seqno) : seqno;
  }

  /** 0 while its fence or that of an earlier link is pending, else the oldest link's error, else 1. */
  get status(): number {
    let error = 0;
    for (const link of this.#links()) {
      const status = statusOf(this.waiter, link instanceof FenceChain ? link.fence : link);
      if (status === 0) return 0;
      if (status < 0) error = status;
      if (link instanceof FenceChain && link.#lost !== undefined) error = link.#lost.status;
    }
    return error === 0 ? 1 : error;
  }

  /**
   * dma_fence_chain_find_seqno: what to wait for so that `seqno` is reached: the link that covers it, or
   * an earlier one when the links in between have signalled, or undefined when it is reached. 0 gives
   * this link. EINVAL: a seqno beyond this link's.
   */
  findSeqno(seqno: number): FenceLike | undefined {
    wantNumber('findSeqno', 'seqno', seqno);
    if (seqno === 0) return this;
    if (!Number.isSafeInteger(seqno) || seqno < 0 || seqno > this.seqno) {
      const detail = `seqno ${seqno} of a chain that stands at ${this.seqno}; it may not have been added yet`;
      throw new DmaBufError('EINVAL', 'chain_find_seqno', detail);
    }
    for (const link of this.#links()) {
      if (!(link instanceof FenceChain)) return link;
      if (link.context !== this.context || link.#prevSeqno < seqno) return link;
    }
    return undefined;
  }

  leaves(): readonly FencePoint[] {
    return unwrap(
      [...this.#links()].map((link) => (link instanceof FenceChain ? link.fence : link)),
    );
  }

  next(): readonly FencePoint[] {
    for (const link of this.#links()) {
      const next = nextOf(this.waiter, link instanceof FenceChain ? link.fence : link);
      if (next.length > 0) return next;
    }
    return [];
  }

  get points(): readonly FencePoint[] {
    const { waiter } = this;
    const points: FencePoint[] = [];
    for (const link of this.#links()) {
      const fence = link instanceof FenceChain ? link.fence : link;
      points.push(...(fence instanceof FenceArray ? fence.points : unwrap([fence])));
      if (link instanceof FenceChain) points.push(...(link.#lost?.points ?? []));
    }
    return points.filter((point) => waiter.status(point) !== 1);
  }

  /** This link and those before it, newest first; a chain may begin with a fence that is no link. */
  *#links(): Generator<FenceChain | FenceLike> {
    yield this;
    for (let link = this.#walk(); link !== undefined;) {
      yield link;
      link = link instanceof FenceChain ? link.#walk() : undefined;
    }
  }

  /** The nearest earlier link whose own fence is pending; those in between are let go. */
  #walk(): FenceLike | undefined {
    for (let prev = this.#prev; prev !== undefined; prev = this.#prev) {
      const fence = prev instanceof FenceChain ? prev.fence : prev;
      const status = statusOf(this.waiter, fence);
      if (status === 0) return prev;
      const older = prev instanceof FenceChain ? prev.#lost : undefined;
      if (older !== undefined) this.#lost = older;
      else if (status < 0) this.#lost = { status, points: fence.points };
      this.#prev = prev instanceof FenceChain ? prev.#prev : undefined;
    }
    return undefined;
  }
}
