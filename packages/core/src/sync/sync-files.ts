/**
 * Sync files in kernel memory (drivers/dma-buf/sync_file.c): sets of fences behind an fd.
 *
 * A set is written once and never changes. Each point pins its job's slot (JOB.HOLDS) for as long as
 * the file lives, so its answer is exact however long ago the job ended; a point whose slot has
 * already been recycled is stored with the status that its context remembers.
 *
 * Making and freeing are one step each under FENCE_LOCK, and HOLDS changes under it alone: should a thread
 * die in between, HOLDS is what the live files say ({@link recount}).
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import {
  HEADER,
  JOB,
  JOB_STATE,
  JOB_STATE_MASK,
  JOB_WAITERS,
  SYNC_FILE,
  SYNC_FILE_POINTS,
  SYNC_POINT,
} from '../memory/layout.js';
import { readName, writeName } from '../memory/tables.js';
import type { FenceWaiter } from './fence.js';
import type { FencePoint, Jobs } from './jobs.js';

/** A point of a sync file: pending or not, it can be asked for ever. */
export interface HeldPoint extends FencePoint {
  /** Status that was known when it was stored (its slot is not held then), or 0. */
  readonly known: number;
}

export class SyncFiles {
  readonly #k: Kernel;
  readonly #jobs: Jobs;
  readonly #waiter: FenceWaiter;

  constructor(kernel: Kernel, jobs: Jobs, waiter: FenceWaiter) {
    this.#k = kernel;
    this.#jobs = jobs;
    this.#waiter = waiter;
  }

  /** A sync file of these points; the caller installs it as an fd. ENOSPC. */
  create(name: string, points: readonly FencePoint[]): number {
    const { words, locks, self } = this.#k;
    locks.lock(HEADER.FENCE_LOCK);
    const records = this.#reserve(Math.max(1, Math.ceil(points.length / SYNC_FILE_POINTS)));
    const [first = 0] = records;
    if (first !== 0) {
      records.forEach((record, i) => {
        const part = points.slice(i * SYNC_FILE_POINTS, (i + 1) * SYNC_FILE_POINTS);
        words.set(record + SYNC_FILE.COUNT, part.length);
        words.set(record + SYNC_FILE.NEXT, records[i + 1] ?? 0);
        words.set(record + SYNC_FILE.OWNER, i === 0 ? self : 0);
        part.forEach((point, j) => this.#store(record, j, point));
      });
      writeName(words, first + SYNC_FILE.NAME, 8, name);
      for (const record of records.reverse()) this.#publish(record); // the first, which leads to the others, last
    }
    locks.unlock(HEADER.FENCE_LOCK);
    if (first === 0) throw this.#full();
    return first;
  }

  makerOf(file: number): number {
    return this.#k.words.get(file + SYNC_FILE.OWNER);
  }

  /** The last reference is gone: lets the fences go. */
  last(file: number): void {
    const { words, locks } = this.#k;
    locks.lock(HEADER.FENCE_LOCK);
    const live = words.load(file + SYNC_FILE.STATE) !== 0;
    const held = live ? this.points(file).filter((point) => point.known === 0) : [];
    const records = live ? this.#recordsOf(file) : [];
    for (const record of records) words.store(record + SYNC_FILE.STATE, 0); // the first one first
    for (const { slot } of held) words.set(slot + JOB.HOLDS, words.get(slot + JOB.HOLDS) - 1);
    locks.unlock(HEADER.FENCE_LOCK);
    for (const { slot, generation } of held) this.#jobs.unpinned(slot, generation);
  }

  /** Counts the pins of all jobs anew, and frees records that nothing leads to. FENCE_LOCK is held. */
  recount(): void {
    const { words, jobs, syncFiles } = this.#k;
    for (let i = 0; i < jobs.count; i++) words.set(jobs.at(i) + JOB.HOLDS, 0);
    const live = [...syncFiles.live()];
    const known = new Set<number>();
    for (const file of live.filter((record) => this.makerOf(record) !== 0)) {
      for (const record of this.#recordsOf(file)) known.add(record);
      for (const { slot, known: status } of this.points(file)) {
        if (status === 0) words.set(slot + JOB.HOLDS, words.get(slot + JOB.HOLDS) + 1);
      }
    }
    for (const record of live) {
      if (!known.has(record)) words.store(record + SYNC_FILE.STATE, 0);
    }
  }

  #recordsOf(file: number): number[] {
    const records: number[] = [];
    for (let record = file; record !== 0;) {
      records.push(record);
      record = this.#k.words.get(record + SYNC_FILE.NEXT);
    }
    return records;
  }

  nameOf(file: number): string {
    return readName(this.#k.words, file + SYNC_FILE.NAME, 8);
  }

  points(file: number): HeldPoint[] {
    const { words } = this.#k;
    const points: HeldPoint[] = [];
    for (let record = file; record !== 0; record = words.get(record + SYNC_FILE.NEXT)) {
      const count = words.get(record + SYNC_FILE.COUNT);
      for (let i = 0; i < count; i++) {
        const at = record + SYNC_FILE.POINTS + i * SYNC_POINT.WORDS;
        points.push({
          slot: words.get(at + SYNC_POINT.SLOT),
          generation: words.get(at + SYNC_POINT.GENERATION),
          context: words.get(at + SYNC_POINT.CONTEXT),
          seqno: words.getDouble(at + SYNC_POINT.SEQNO),
          known: words.get(at + SYNC_POINT.STATUS),
        });
      }
    }
    return points;
  }

  /** Status of a point: what was known, or what its slot says. */
  statusOf(point: HeldPoint): number {
    return point.known !== 0 ? point.known : this.#waiter.status(point);
  }

  /** Free records for a file; none when there are not enough. FENCE_LOCK is held. */
  #reserve(count: number): number[] {
    const records: number[] = [];
    while (records.length < count) {
      const record = this.#k.syncFiles.findFree();
      if (record === 0 || records.includes(record)) return [];
      records.push(record);
    }
    return records;
  }

  #publish(record: number): void {
    const { words } = this.#k;
    const gen = (words.get(record + SYNC_FILE.GEN) + 1) & 0x7fffffff || 1;
    words.set(record + SYNC_FILE.GEN, gen);
    words.store(record + SYNC_FILE.REFS, 0);
    words.store(record + SYNC_FILE.STATE, gen);
  }

  #store(record: number, i: number, point: FencePoint): void {
    const { words } = this.#k;
    const at = record + SYNC_FILE.POINTS + i * SYNC_POINT.WORDS;
    words.set(at + SYNC_POINT.SLOT, point.slot);
    words.set(at + SYNC_POINT.GENERATION, point.generation);
    words.set(at + SYNC_POINT.CONTEXT, point.context);
    words.setDouble(at + SYNC_POINT.SEQNO, point.seqno);
    words.set(at + SYNC_POINT.STATUS, this.#hold(point) ? 0 : this.#waiter.status(point));
  }

  /**
   * Pins the slot of a fence; false if it has been recycled. The waiters bit makes whoever frees the slot look
   * at HOLDS, under FENCE_LOCK, which is held here.
   */
  #hold(point: FencePoint): boolean {
    const { words } = this.#k;
    const index = point.slot + JOB.STATE;
    for (;;) {
      const state = words.load(index);
      const stage = state & JOB_STATE_MASK;
      const gone = stage === JOB_STATE.FREE || stage === JOB_STATE.RECLAIM;
      if (gone || words.load(point.slot + JOB.GEN) !== point.generation) return false;
      if ((state & JOB_WAITERS) === 0 && !words.cas(index, state, state | JOB_WAITERS)) continue;
      words.set(point.slot + JOB.HOLDS, words.get(point.slot + JOB.HOLDS) + 1);
      return true;
    }
  }

  #full(): DmaBufError {
    return new DmaBufError(
      'ENOSPC',
      'sync_file',
      `all ${this.#k.syncFiles.count} records of sync files are in use; close some, or boot with a larger tables.syncFiles`,
    );
  }
}
