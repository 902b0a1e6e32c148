/**
 * FenceArray: several fences as one (drivers/dma-buf/dma-fence-array.c). It signals when all of them
 * have, or with `any` as soon as one has; the error of the fence that failed first is its own.
 *
 * Which was first is read from the fences' timestamps; one whose slot has been recycled meanwhile
 * counts as earlier than those that still have theirs. Once seen, the status never changes.
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { FenceContainer, nextOf, statusOf, unwrap } from './fence-container.js';
import type { FenceLike } from './fence-set.js';
import type { FenceWaiter } from './fence.js';
import type { FencePoint } from './jobs.js';

export class FenceArray extends FenceContainer {
  /** Signals on any of its fences, not on all. */
  readonly any: boolean;
  /** In the order in which they were given. */
  readonly fences: readonly FenceLike[];
  #status = 0;

  /** Made by `machine.fenceArray`. EINVAL: no fences, or a container among them (unwrap it first). */
  constructor(kernel: Kernel, waiter: FenceWaiter, fences: readonly FenceLike[], any: boolean) {
    super(kernel, waiter);
    if (fences.length === 0) {
      throw new DmaBufError('EINVAL', 'fence_array', 'an array of no fences; give one at least');
    }
    const container = fences.findIndex((fence) => fence instanceof FenceContainer);
    if (container >= 0) {
      const detail = `fence ${container} is itself an array or a chain; give what machine.unwrap() makes of it`;
      throw new DmaBufError('EINVAL', 'fence_array', detail);
    }
    this.fences = [...fences];
    this.any = any;
  }

  get status(): number {
    if (this.#status === 0) this.#status = this.any ? this.#first() : this.#all();
    return this.#status;
  }

  leaves(): readonly FencePoint[] {
    return unwrap(this.fences);
  }

  next(): readonly FencePoint[] {
    if (this.status !== 0) return [];
    const next = this.fences.flatMap((fence) => nextOf(this.waiter, fence));
    return this.any ? next : next.slice(0, 1);
  }

  get points(): readonly FencePoint[] {
    const { waiter } = this;
    if (!this.any) return this.leaves().filter((point) => waiter.status(point) !== 1);
    const { status } = this;
    if (status === 1) return [];
    if (status < 0) return this.leaves().filter((point) => waiter.status(point) === status);
    const detail = `an array that signals on any of its ${this.fences.length} fences is pending; wait for it, then submit`;
    throw new DmaBufError('EINVAL', 'fence_array', detail);
  }

  /** 0 while one is pending, else the error of the first that failed, else 1. */
  #all(): number {
    let error = 0;
    let earliest = Infinity;
    for (const fence of this.fences) {
      const status = statusOf(this.waiter, fence);
      if (status === 0) return 0;
      if (status === 1) continue;
      const at = this.#doneAt(fence);
      if (error !== 0 && at >= earliest) continue;
      error = status;
      earliest = at;
    }
    return error === 0 ? 1 : error;
  }

  /** Status of the fence that signalled first, 0 while none has. */
  #first(): number {
    let first = 0;
    let earliest = Infinity;
    for (const fence of this.fences) {
      const status = statusOf(this.waiter, fence);
      if (status === 0) continue;
      const at = this.#doneAt(fence);
      if (first !== 0 && at >= earliest) continue;
      first = status;
      earliest = at;
    }
    return first;
  }

  #doneAt(fence: FenceLike): number {
    return Math.max(...fence.points.map((point) => this.waiter.doneAt(point)), -Infinity);
  }
}
