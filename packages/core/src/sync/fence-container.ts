/**
 * FenceContainer: what fence arrays and fence chains have in common (dma-fence-array.c,
 * dma-fence-chain.c, dma-fence-unwrap.c).
 *
 * A container is a plain value over the points of its fences: it pins nothing, takes no table
 * space, and whoever makes it just drops it. Its status is worked out when somebody asks. It stands in
 * one thread; another one makes it again from the points.
 */
import { wantTime, wantTimeout } from '../args.js';
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { type FenceLike, statusOfAll, waitForAny } from './fence-set.js';
import type { FenceWaiter } from './fence.js';
import type { FencePoint } from './jobs.js';

export abstract class FenceContainer implements FenceLike {
  protected readonly kernel: Kernel;
  protected readonly waiter: FenceWaiter;

  constructor(kernel: Kernel, waiter: FenceWaiter) {
    this.kernel = kernel;
    this.waiter = waiter;
  }

  /** 0 pending, 1 signalled, −errno. */
  abstract get status(): number;

  /** All fences in it, containers in it unwrapped, each once, signalled or not. */
  abstract leaves(): readonly FencePoint[];

  /** Pending fences of which one must signal before the status can change; empty when it has. */
  abstract next(): readonly FencePoint[];

  /**
   * The fences that a job with this as in-fence waits for: those that are pending or failed. EINVAL
   * while an array that signals on any of its fences is pending: no fixed set stands for it.
   */
  abstract get points(): readonly FencePoint[];

  get signalled(): boolean {
    return this.status !== 0;
  }

  /** Blocks until it signals; the status. ETIME when `timeoutMs` runs out first (0 = only look). */
  wait(timeoutMs: number = Infinity): number {
    wantTimeout('wait', timeoutMs);
    const until = this.waiter.now() + timeoutMs;
    for (;;) {
      const { status } = this;
      if (status !== 0) return status;
      const left = until - this.waiter.now();
      if (left <= 0) break;
      this.#waitForNext(left);
    }
    const detail = `a container of ${this.leaves().length} fences has not signalled within ${timeoutMs} ms`;
    throw new DmaBufError('ETIME', 'fence_wait', detail);
  }

  /** Resolves with the status when it signals. Keeps the process alive until then. */
  async settled(): Promise<number> {
    const { keepAlive } = this.kernel;
    keepAlive.acquire();
    try {
      for (let { status } = this; ; { status } = this) {
        if (status !== 0) return status;
        const next = this.next();
        if (next.length === 1) await this.waiter.settled(next[0] as FencePoint);
        else await this.#firstOf(next);
      }
    } finally {
      keepAlive.release();
    }
  }

  /** Hands a deadline hint (ms of the machine's clock) on to every fence in it. */
  setDeadline(ms: number): void {
    wantTime('setDeadline', 'ms', ms);
    for (const point of this.leaves()) this.waiter.setDeadline(point, ms);
  }

  #waitForNext(left: number): void {
    const next = this.next();
    if (next.length === 1) {
      this.waiter.wait(next[0] as FencePoint, left);
      return;
    }
    const { kernel, waiter } = this;
    const likes = next.map((point) => ({ points: [point] }));
    waitForAny(kernel, waiter, waiter.callbacks, likes, left);
  }

  /** Resolves when one of the points signals. */
  async #firstOf(points: readonly FencePoint[]): Promise<void> {
    const { callbacks } = this.waiter;
    let armed: { remove(): boolean }[] = [];
    await new Promise<void>((resolve) => {
      armed = points.map((point) => callbacks.onFence(point, () => resolve()));
    });
    for (const callback of armed) callback.remove();
  }
}

/** Status of anything that stands for fences. */
export function statusOf(waiter: FenceWaiter, fence: FenceLike): number {
  return fence.status ?? statusOfAll(waiter, fence.points);
}

/** Pending fences of which one must signal before a fence's status can change. */
export function nextOf(waiter: FenceWaiter, fence: FenceLike): readonly FencePoint[] {
  if (fence instanceof FenceContainer) return fence.next();
  const pending = fence.points.find((point) => waiter.status(point) === 0);
  return pending === undefined ? [] : [pending];
}

/** dma_fence_unwrap_for_each: the leaves of several fences, each once, in the order of first mention. */
export function unwrap(fences: Iterable<FenceLike>): readonly FencePoint[] {
  const seen = new Set<string>();
  const leaves: FencePoint[] = [];
  for (const fence of fences) {
    for (const point of fence instanceof FenceContainer ? fence.leaves() : fence.points) {
      const key = `${point.slot}:${point.generation}`;
      if (seen.has(key)) continue;
      seen.add(key);
      leaves.push(point);
    }
  }
  return leaves;
}
