/**
 * JobTimes: when the jobs that ended last were queued, granted, started and done, and what their queryTime commands
 * read. In the GPU's shared words: the device writes, any thread reads, without a lock.
 *
 * A job's own record in core says most of it, but only until it is released. So the device notes a job before its fence
 * signals, when the fence signalled between that and the release: at any moment one of the two has the answer.
 */
import type { Fence, FencePoint, FenceTimes, Job } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { GPU, sizesOf, TIMES, TIMES_KEPT, timesAt } from './layout.js';

/** Times of a job, ns of the machine's clock; undefined for what has not happened. */
export interface GpuTimings {
  /** `submit` was called. */
  readonly queued: bigint;
  /** Its buffers and in-fences were its own. */
  readonly granted: bigint | undefined;
  /** The GPU began with it. */
  readonly started: bigint | undefined;
  /** Its fence signalled. */
  readonly done: bigint | undefined;
  /** What each of its {@link queryTime} commands read, in order; all of them once its fence has signalled. */
  readonly queries: readonly bigint[];
}

/** What of a job is noted, and how it ends. */
export type EndingJob = Pick<Job, 'context' | 'seqno' | 'times' | 'complete' | 'release'>;

export class JobTimes {
  readonly #door: Pick<DriverDoor, 'words' | 'base'>;
  readonly #at: number;

  constructor(door: Pick<DriverDoor, 'words' | 'base' | 'spec'>) {
    this.#door = door;
    this.#at = door.base + timesAt(sizesOf(door.spec.options));
  }

  /** Ends a job: its fence signals, then its claims go. What it took is noted. The device alone. */
  end(job: EndingJob, error: number, queries: readonly number[]): void {
    const at = this.#note(job, queries);
    job.complete(error);
    this.#door.words.setDouble(at + TIMES.DONE, job.times.done);
    job.release();
  }

  #note(job: EndingJob, queries: readonly number[]): number {
    const { words, base } = this.#door;
    const count = words.get(base + GPU.TIMED);
    const at = this.#place((count >>> 0) % TIMES_KEPT);
    const { queued, granted, started } = job.times;
    words.store(at + TIMES.CONTEXT, 0);
    words.set(at + TIMES.QUERIES, queries.length);
    words.setDouble(at + TIMES.SEQNO, job.seqno);
    words.setDouble(at + TIMES.QUEUED, queued);
    words.setDouble(at + TIMES.GRANTED, granted);
    words.setDouble(at + TIMES.STARTED, started);
    words.setDouble(at + TIMES.DONE, NaN);
    queries.forEach((time, i) => words.setDouble(at + TIMES.QUERY + 2 * i, time));
    words.store(at + TIMES.CONTEXT, job.context);
    words.store(base + GPU.TIMED, count + 1);
    return at;
  }

  /** Times of a job; undefined if TIMES_KEPT have ended since, or the GPU died with it in hand. */
  find(fence: FencePoint & Pick<Fence, 'times'>): GpuTimings | undefined {
    const live = fence.times(); // before the ring: what is not in the one is in the other
    const noted = this.#noted(fence);
    if (noted === undefined) return live === undefined ? undefined : timings(live, []);
    const done = Number.isNaN(noted.done) ? (live?.done ?? NaN) : noted.done;
    return timings({ ...noted, done }, noted.queries);
  }

  #noted(fence: FencePoint): (FenceTimes & { readonly queries: readonly number[] }) | undefined {
    const { words } = this.#door;
    for (let i = 0; i < TIMES_KEPT; i++) {
      const at = this.#place(i);
      if (!this.#is(at, fence)) continue;
      const read = (field: number): number => words.getDouble(at + field);
      const length = words.get(at + TIMES.QUERIES);
      const noted = {
        queued: read(TIMES.QUEUED),
        granted: read(TIMES.GRANTED),
        started: read(TIMES.STARTED),
        done: read(TIMES.DONE),
        queries: Array.from({ length }, (_, q) => read(TIMES.QUERY + 2 * q)),
      };
      return this.#is(at, fence) ? noted : undefined;
    }
    return undefined;
  }

  #is(at: number, { context, seqno }: FencePoint): boolean {
    const { words } = this.#door;
    return (
      words.load(at + TIMES.CONTEXT) === context && words.getDouble(at + TIMES.SEQNO) === seqno
    );
  }

  #place(i: number): number {
    return this.#at + i * TIMES.WORDS;
  }
}

function timings(times: FenceTimes, queries: readonly number[]): GpuTimings {
  const { queued, granted, started, done } = times;
  return {
    queued: ns(queued),
    granted: orUndefined(granted),
    started: orUndefined(started),
    done: orUndefined(done),
    queries: queries.map(ns),
  };
}

function orUndefined(ms: number): bigint | undefined {
  return Number.isNaN(ms) ? undefined : ns(ms);
}

function ns(ms: number): bigint {
  return BigInt(Math.round(ms * 1e6));
}
