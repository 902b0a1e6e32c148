/**
 * Sync files in kernel memory (drivers/dma-buf/sync_file.c): sets of fences behind an fd.
 *
 * A set is written once and never changes. Each point pins its job's slot (JOB.REFS) for as long as
 * the file lives, so its answer is exact however long ago the job ended; a point whose slot has
 * already been recycled is stored with the status that its context remembers.
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { HEADER, JOB, SYNC_FILE, SYNC_FILE_POINTS, SYNC_POINT } from '../memory/layout.js';
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

  /** A sync file of these points, with one reference. ENOSPC. */
  create(name: string, points: readonly FencePoint[]): number {
    const { words, locks } = this.#k;
    const count = Math.max(1, Math.ceil(points.length / SYNC_FILE_POINTS));
    locks.lock(HEADER.FENCE_LOCK);
    const records = this.#reserve(count);
    locks.unlock(HEADER.FENCE_LOCK);
    if (records.length < count) throw this.#full();
    records.forEach((record, i) => {
      const part = points.slice(i * SYNC_FILE_POINTS, (i + 1) * SYNC_FILE_POINTS);
      words.set(record + SYNC_FILE.COUNT, part.length);
      words.set(record + SYNC_FILE.NEXT, records[i + 1] ?? 0);
      part.forEach((point, j) => this.#store(record, j, point));
    });
    const [first = 0] = records;
    writeName(words, first + SYNC_FILE.NAME, 8, name);
    words.store(first + SYNC_FILE.REFS, 1);
    return first;
  }

  ref(file: number): void {
    this.#k.words.add(file + SYNC_FILE.REFS, 1);
  }

  /** Drops a reference; the last one lets the fences go. */
  unref(file: number): void {
    const { words } = this.#k;
    if (words.add(file + SYNC_FILE.REFS, -1) !== 1) return;
    for (const point of this.points(file)) {
      if (point.known === 0) this.#jobs.unref(point.slot);
    }
    let record = file;
    while (record !== 0) {
      const next = words.get(record + SYNC_FILE.NEXT);
      words.store(record + SYNC_FILE.STATE, 0);
      record = next;
    }
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

  /** Records for a file, marked live; fewer than asked for (and none taken) when the table is full. */
  #reserve(count: number): number[] {
    const { words, syncFiles } = this.#k;
    const records: number[] = [];
    while (records.length < count) {
      const record = syncFiles.findFree();
      if (record === 0) {
        for (const taken of records) words.store(taken + SYNC_FILE.STATE, 0);
        return [];
      }
      const gen = (words.get(record + SYNC_FILE.GEN) + 1) & 0x7fffffff || 1;
      words.set(record + SYNC_FILE.GEN, gen);
      words.store(record + SYNC_FILE.STATE, gen);
      records.push(record);
    }
    return records;
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

  /** Pins the slot of a fence; false if it has been recycled. */
  #hold(point: FencePoint): boolean {
    const { words } = this.#k;
    const refs = point.slot + JOB.REFS;
    for (;;) {
      const count = words.load(refs);
      if (count < 1 || words.load(point.slot + JOB.GEN) !== point.generation) return false;
      if (!words.cas(refs, count, count + 1)) continue;
      if (words.load(point.slot + JOB.GEN) === point.generation) return true;
      this.#jobs.unref(point.slot); // the slot's next life was pinned by mistake: let it go
      return false;
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
