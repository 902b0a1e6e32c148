/**
 * Sets of fences as plain values: merge, wait for any, wait for all (dma_fence_unwrap_merge,
 * dma_fence_wait_any_timeout). They pin nothing and take no table space.
 */
import { wantTime, wantTimeout } from '../args.js';
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import type { Callbacks } from './callbacks.js';
import type { FenceWaiter } from './fence.js';
import type { FencePoint } from './jobs.js';

/** Anything that stands for fences: a fence, a set, a sync file. */
export interface FenceLike {
  /** The fences that it consists of. */
  readonly points: readonly FencePoint[];
  /** 0 pending, 1 signalled, −errno, where that is more than what the points say. */
  readonly status?: number;
  /** All fences in it, where {@link points} leaves some out. */
  leaves?(): readonly FencePoint[];
}

/**
 * One point per context, the latest; signalled ones dropped unless they failed; by context, then
 * seqno. Of a context whose fences signal in any order (CPU holds, imported sync files) every point is
 * kept: there, the latest says nothing of the others.
 */
export function mergePoints(
  waiter: FenceWaiter,
  points: Iterable<FencePoint>,
): readonly FencePoint[] {
  const latest = new Map<string, FencePoint>();
  for (const point of points) {
    if (waiter.status(point) === 1) continue;
    const { context, seqno } = point;
    const line = waiter.inOrder(context) ? `${context}` : `${context}:${seqno}`;
    const known = latest.get(line);
    if (known === undefined || known.seqno < seqno) latest.set(line, point);
  }
  return [...latest.values()].sort((a, b) => a.context - b.context || a.seqno - b.seqno);
}

/** 0 while any is pending, else the first failure, else 1. */
export function statusOfAll(waiter: FenceWaiter, points: readonly FencePoint[]): number {
  let failed = 0;
  for (const point of points) {
    const status = waiter.status(point);
    if (status === 0) return 0;
    if (status < 0 && failed === 0) failed = status;
  }
  return failed === 0 ? 1 : failed;
}

/** Several fences as one. Made by `machine.merge`. */
export class FenceSet implements FenceLike {
  readonly points: readonly FencePoint[];
  readonly #waiter: FenceWaiter;

  constructor(waiter: FenceWaiter, points: readonly FencePoint[]) {
    this.#waiter = waiter;
    this.points = points;
  }

  /** 0 while any is pending, 1 when all have signalled, −errno of the first that failed. */
  get status(): number {
    return statusOfAll(this.#waiter, this.points);
  }

  get signalled(): boolean {
    return this.status !== 0;
  }

  /** Blocks until all have signalled; the status. ETIME when `timeoutMs` runs out first. */
  wait(timeoutMs: number = Infinity): number {
    wantTimeout('FenceSet.wait', timeoutMs);
    const status = waitForAll(this.#waiter, this.points, timeoutMs);
    if (status !== 0) return status;
    const detail = `not all of ${this.points.length} fences have signalled within ${timeoutMs} ms`;
    throw new DmaBufError('ETIME', 'fence_wait', detail);
  }

  /** Hands a deadline hint (ms) on to each fence. */
  setDeadline(ms: number): void {
    wantTime('setDeadline', 'ms', ms);
    for (const point of this.points) this.#waiter.setDeadline(point, ms);
  }

  /** Resolves with the status when all have signalled. */
  async settled(): Promise<number> {
    for (const point of this.points) await this.#waiter.settled(point);
    return this.status;
  }
}

/** Blocks until all have signalled; their status, or 0 when the time ran out. */
export function waitForAll(
  waiter: FenceWaiter,
  points: readonly FencePoint[],
  timeoutMs: number,
): number {
  const until = waiter.now() + timeoutMs;
  for (const point of points) {
    const left = timeoutMs === Infinity ? Infinity : Math.max(0, until - waiter.now());
    if (waiter.wait(point, left) === 0) return 0;
  }
  return statusOfAll(waiter, points);
}

/** Blocks until one has signalled; its index, or −1 when the time ran out. EDEADLK, without a time limit. */
export function waitForAny(
  kernel: Kernel,
  waiter: FenceWaiter,
  callbacks: Callbacks,
  fences: readonly FenceLike[],
  timeoutMs: number,
): number {
  const first = (): number =>
    fences.findIndex((f) => (f.status ?? statusOfAll(waiter, f.points)) !== 0);
  const ready = first();
  if (ready >= 0 || timeoutMs === 0) return ready;
  const until = kernel.clock.now() + timeoutMs;
  const armed = fences.flatMap((f) =>
    (f.leaves?.() ?? f.points).map((p) => callbacks.onFence(p, () => {})),
  );
  let entered = false;
  try {
    for (;;) {
      const index = first();
      if (index >= 0) return index;
      if (kernel.clock.now() >= until) return -1;
      entered ||= waiter.blocking.enterAny(timeoutMs !== Infinity, 'fence_wait_any');
      callbacks.sleep(until);
    }
  } finally {
    if (entered) waiter.blocking.leave();
    for (const callback of armed) callback.remove();
  }
}

/** Blocks until one has signalled; its index. ETIME; EINVAL: no fences; EDEADLK, without a time limit. */
export function waitAny(
  kernel: Kernel,
  waiter: FenceWaiter,
  callbacks: Callbacks,
  fences: readonly FenceLike[],
  timeoutMs: number,
): number {
  if (fences.length === 0) {
    throw new DmaBufError('EINVAL', 'fence_wait_any', 'of no fences none will ever signal');
  }
  const index = waitForAny(kernel, waiter, callbacks, fences, timeoutMs);
  if (index >= 0) return index;
  const detail = `none of ${fences.length} fences has signalled within ${timeoutMs} ms`;
  throw new DmaBufError('ETIME', 'fence_wait_any', detail);
}
