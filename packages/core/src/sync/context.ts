/**
 * Context: where an application submits jobs to one actor (a GPU context, a codec's queue, a CRTC).
 */
import { wantArray, wantLimit, wantObject, wrongType } from '../args.js';
import { DmaBufError, errno } from '../errno.js';
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  ACTOR_STATE,
  CONTEXT,
  CONTEXT_FLAG,
  JOB_FLAG,
  LINK_FLAG,
} from '../memory/layout.js';
import { pointsOf, wantPoint } from './fence-args.js';
import type { FenceLike } from './fence-set.js';
import { Fence, type FenceWaiter } from './fence.js';
import type { FencePoint, Jobs, JobSpec } from './jobs.js';
import { limitWord } from './limits.js';
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
  /** Not started before this time, finite ms of the machine's clock. Granted nevertheless. */
  readonly startAt?: number;
  /**
   * ms that the job may take from its start to its fence; its device sees it as `job.limit`. Past it the device
   * is reset and the job fails with ETIMEDOUT. Default: the machine's (`boot({ limits })`); 0 or Infinity:
   * none. Waiting for buffers, fences or the start time does not count.
   */
  readonly limit?: number;
  /** What a failed dependency does: `cancel` (default) fails the job with the same errno, `run` runs it. */
  readonly onError?: 'cancel' | 'run';
  /**
   * `implicit` (default): the job waits for what its buffers' queues say, and others for it. `explicit`: it waits for its
   * in-fences alone, and nobody waits for its claims, which only keep the buffers alive and in their place
   * (DMA_RESV_USAGE_BOOKKEEP): that no two jobs meet in their memory is then the caller's business. What the buffers hold
   * still counts: a failed job marks what it was to write, and one that reads what is marked is cancelled. To let
   * others wait for it: `buffer.importSyncFile(fence, …)`; to wait for them: `inFences: [buffer.exportSyncFile(…)]`.
   */
  readonly sync?: 'implicit' | 'explicit';
}

/** Claim flags of each use. */
export const CLAIM: Readonly<Record<Access, number>> = {
  shared: 0,
  exclusive: LINK_FLAG.EXCLUSIVE,
  discard: LINK_FLAG.EXCLUSIVE | LINK_FLAG.DISCARD,
};

const NO_USES: readonly BufferUse[] = [];

/** What jobs claim of each use. TypeError: no array, no buffer, no such access; EBADF, EINVAL: closed. */
export function claimsOf(uses: readonly BufferUse[], call: string): number[] {
  wantArray(call, 'buffers', uses);
  const claims: number[] = [];
  for (let i = 0; i < uses.length; i++) claims.push(claimOf(uses[i], i, call));
  return claims;
}

function claimOf(use: BufferUse | undefined, i: number, call: string): number {
  const flags = use === undefined || use === null ? undefined : CLAIM[use.access];
  if (typeof flags === 'number' && typeof use?.buffer?.queuePointer === 'function') {
    return use.buffer.queuePointer(call, flags !== 0) | flags;
  }
  const name = `buffers[${i}]`;
  wantObject(call, name, use);
  if (typeof use.buffer?.queuePointer !== 'function') {
    throw wrongType(call, `${name}.buffer`, 'a DmaBuf or a Queue', use.buffer);
  }
  const expected = "'shared', 'exclusive' or 'discard'";
  throw wrongType(call, `${name}.access`, expected, use.access);
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
   * EINVAL: a buffer named twice, a start time that is not finite; EBADF: a closed one; E2BIG: more than 64 links; EMSGSIZE: payload
   * too long; ENOSPC: the job table is full (wait for a fence, then try again); ESRCH: the target has left; ENODEV, EOWNERDEAD:
   * the machine is gone. A refused call leaves no residue.
   */
  submit(options: SubmitOptions): Fence {
    this.#k.check('submit');
    this.#mustServe();
    wantObject('submit', 'options', options);
    const { buffers = NO_USES } = options;
    const spec = this.#specOf(options, claimsOf(buffers, 'submit'));
    this.#jobs.builder.check(spec); // before any memory is handed over; add() checks again, for ops may add jobs
    for (let i = 0; i < buffers.length; i++) buffers[i]?.buffer.deliverTo(this.target, 'submit');
    return new Fence(this.#k, this.#waiter, this.#jobs.add(spec));
  }

  /**
   * Takes a job of this context back that has not been granted yet: its claims end at once, so that
   * readers behind a cancelled writer move up, and its fence fails with ECANCELED in its turn. False if
   * it was granted before, or has ended. EINVAL: a fence of another context.
   */
  cancel(fence: FencePoint): boolean {
    wantPoint(this.#k, 'cancel', 'fence', fence);
    if (fence.context !== this.id) {
      const detail = `fence ${fence.context}:${fence.seqno} is not of context ${this.id} '${this.name}'`;
      throw new DmaBufError('EINVAL', 'cancel', detail);
    }
    return this.#jobs.cancel(fence.slot, -errno.ECANCELED, fence.generation);
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

  #mustServe(): void {
    const there =
      this.#k.words.load(this.#targetState) === ACTOR_STATE.LIVE || this.#k.takesMail(this.target);
    if (there && this.#jobs.contexts.find(this.id) !== 0) return;
    if (there) {
      throw new DmaBufError('ENOENT', 'submit', `context ${this.id} '${this.name}' is closed`);
    }
    const who = `actor ${this.target}, which runs the jobs of context '${this.name}',`;
    throw new DmaBufError('ESRCH', 'submit', `${who} has left the machine`);
  }

  #specOf(options: SubmitOptions, claims: readonly number[]): JobSpec {
    const { startAt = 0, limit, onError = 'cancel', sync = 'implicit' } = options;
    if (sync !== 'implicit' && sync !== 'explicit') {
      throw wrongType('submit', 'sync', "'implicit' or 'explicit'", sync);
    }
    if (onError !== 'cancel' && onError !== 'run') {
      throw wrongType('submit', 'onError', "'cancel' or 'run'", onError);
    }
    if (typeof startAt !== 'number') throw wrongType('submit', 'startAt', 'a number', startAt);
    if (!Number.isFinite(startAt)) {
      throw new DmaBufError('EINVAL', 'submit', `startAt of ${startAt}; give a finite time in ms`);
    }
    wantLimit('submit', limit);
    return {
      context: this.#pointer,
      claims: sync === 'explicit' ? claims.map((claim) => claim | LINK_FLAG.BOOKKEEP) : claims,
      inFences: pointsOf(this.#k, 'submit', 'inFences', options.inFences),
      flags: this.#flags | (onError === 'run' ? JOB_FLAG.RUN_ANYWAY : 0),
      startAt,
      limit: limitWord(limit),
      payload: encodePayload(options.payload),
    };
  }
}
