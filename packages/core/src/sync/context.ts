/**
 * Context: where an application submits jobs to one actor (a GPU context, a codec's queue, a CRTC).
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  ACTOR_STATE,
  CONTEXT,
  CONTEXT_FLAG,
  JOB_FLAG,
  LINK_FLAG,
} from '../memory/layout.js';
import type { FenceLike } from './fence-set.js';
import { Fence, type FenceWaiter } from './fence.js';
import type { FencePoint, Jobs } from './jobs.js';
import { encodePayload } from './payload.js';
import type { Claimable } from './queue-object.js';

/**
 * How a job uses a buffer. `shared`: reads, together with other readers. `exclusive`: reads and
 * writes, alone. `discard`: overwrites all of it, alone; earlier content does not matter, so a
 * failed writer before it does not (design D8).
 */
export type Access = 'shared' | 'exclusive' | 'discard';

/** A dma-buf (or a queue without one) and how a job uses it. */
export interface BufferUse {
  readonly buffer: Claimable;
  readonly access: Access;
}

export function shared(buffer: Claimable): BufferUse {
  return { buffer, access: 'shared' };
}
export function exclusive(buffer: Claimable): BufferUse {
  return { buffer, access: 'exclusive' };
}
export function discard(buffer: Claimable): BufferUse {
  return { buffer, access: 'discard' };
}

/** What a job is. */
export interface SubmitOptions {
  /** At most 64 links: buffers and in-fences together. Each buffer once. */
  readonly buffers?: readonly BufferUse[];
  /** Fences that must have signalled before the job starts, beside what its buffers wait for. */
  readonly inFences?: readonly FenceLike[];
  /** Anything msgpack can carry; what it means is between you and the actor that runs the job. */
  readonly payload?: unknown;
  /** Not started before this time, ms of the machine's clock. Granted nevertheless. */
  readonly startAt?: number;
  /** What a failed dependency does: `cancel` (default) fails the job with the same errno, `run` runs it. */
  readonly onError?: 'cancel' | 'run';
}

/** Claim flags of each use. */
export const CLAIM: Readonly<Record<Access, number>> = {
  shared: 0,
  exclusive: LINK_FLAG.EXCLUSIVE,
  discard: LINK_FLAG.EXCLUSIVE | LINK_FLAG.DISCARD,
};
const NO_FENCES: readonly FencePoint[] = [];

/** The single fences that several fence-like things consist of. */
export function pointsOf(fences: readonly FenceLike[] | undefined): readonly FencePoint[] {
  return fences === undefined || fences.length === 0 ? NO_FENCES : fences.flatMap((f) => f.points);
}

export class Context {
  /** Names it in any thread of the machine: `machine.contextById(id)`. */
  readonly id: number;
  /** Actor id that runs its jobs. */
  readonly target: number;
  readonly name: string;
  readonly #k: Kernel;
  readonly #jobs: Jobs;
  readonly #waiter: FenceWaiter;
  readonly #pointer: number;
  readonly #targetState: number;
  readonly #flags: number;

  constructor(kernel: Kernel, jobs: Jobs, waiter: FenceWaiter, pointer: number) {
    this.#k = kernel;
    this.#jobs = jobs;
    this.#waiter = waiter;
    this.#pointer = pointer;
    this.id = jobs.contexts.idOf(pointer);
    this.target = kernel.words.get(pointer + CONTEXT.TARGET);
    this.#targetState = kernel.actors.at(this.target) + ACTOR.STATE;
    this.name = jobs.contexts.nameOf(pointer);
    const early = (kernel.words.get(pointer + CONTEXT.FLAGS) & CONTEXT_FLAG.EARLY) !== 0;
    this.#flags = early ? JOB_FLAG.EARLY : 0;
  }

  /**
   * Queues a job on all its buffers as one step and returns its fence. Never waits for a buffer, a
   * device or another job. The first job on a buffer that the target has not seen yet blocks for
   * some 100 µs while the broker hands the memory over.
   *
   * EINVAL: a buffer named twice; EBADF: a closed one; E2BIG: more than 64 links; EMSGSIZE: payload
   * too long; ENOSPC: the job table is full (wait for a fence, then try again); ESRCH: the target has left; ENODEV, EOWNERDEAD:
   * the machine is gone. A refused call leaves no residue.
   */
  submit(options: SubmitOptions): Fence {
    const { buffers = [], startAt = 0, onError = 'cancel' } = options;
    this.#k.check('submit');
    if (this.#jobs.contexts.find(this.id) === 0) {
      throw new DmaBufError('ENOENT', 'submit', `context ${this.id} '${this.name}' is closed`);
    }
    if (this.#k.words.load(this.#targetState) !== ACTOR_STATE.LIVE) {
      const who = `actor ${this.target}, which runs the jobs of context '${this.name}',`;
      throw new DmaBufError('ESRCH', 'submit', `${who} has left the machine`);
    }
    const claims: number[] = [];
    for (const use of buffers) claims.push(this.#claim(use));
    const point = this.#jobs.add({
      context: this.#pointer,
      claims,
      inFences: pointsOf(options.inFences),
      flags: this.#flags | (onError === 'run' ? JOB_FLAG.RUN_ANYWAY : 0),
      startAt,
      limit: 0,
      payload: encodePayload(options.payload),
    });
    return new Fence(this.#k, this.#waiter, point);
  }

  /** seqno of the job that was submitted last, by whichever thread. */
  get submitted(): number {
    return this.#k.words.getDouble(this.#pointer + CONTEXT.SUBMITTED);
  }

  /** Jobs of it whose fences have signalled. */
  get completed(): number {
    return this.#k.words.getDouble(this.#pointer + CONTEXT.COMPLETED);
  }

  /** Frees it. EBUSY while jobs are in flight. */
  close(): void {
    if (this.#jobs.contexts.find(this.id) !== 0) this.#jobs.contexts.destroy(this.#pointer);
  }

  #claim(use: BufferUse): number {
    const flags = CLAIM[use.access];
    if (flags === undefined) {
      throw new TypeError(
        `submit: access must be 'shared', 'exclusive' or 'discard', not '${use.access}'`,
      );
    }
    use.buffer.deliverTo(this.target, 'submit');
    return use.buffer.queuePointer('submit') | flags;
  }
}
