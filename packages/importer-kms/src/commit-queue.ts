/**
 * Commits that wait for their vblank: the decisions of {@link FlipQueue}, made for commits.
 *
 * Owned by the CRTC. A commit in the queue has all its jobs, and all of them are granted.
 */
import type { Commit } from './crtc-job.js';
import { FlipQueue, type FlipSpeed } from './flip-queue.js';

export class CommitQueue {
  readonly #flips: FlipQueue;
  /** By the pointers of their first jobs. */
  readonly #commits: Map<number, Commit> = new Map();
  /** None was ready before that, ms. */
  #idleUntil = -Infinity;

  constructor(speed: FlipSpeed, tolerance: number, epoch: number | undefined) {
    this.#flips = new FlipQueue(speed, tolerance, epoch);
  }

  get speed(): FlipSpeed {
    return this.#flips.speed;
  }

  get pending(): number {
    return this.#flips.pending;
  }

  /** What present times count from; undefined until the first timed commit is shown. */
  get epoch(): number | undefined {
    return this.#flips.epoch;
  }

  /** Appends a commit with its present time, at `now`. */
  push(commit: Commit, at: number | undefined, now: number): void {
    if (this.#flips.nextDue() === undefined) this.#idleUntil = now;
    const id = commit.job.pointer;
    this.#commits.set(id, commit);
    this.#flips.push(id, at);
    this.#flips.setReady(id);
    this.#expect(commit);
  }

  /** The next timed commit starts a sequence with an epoch of its own. */
  restart(): void {
    this.#flips.restart();
  }

  /**
   * What is to be decided for the vblank at `time`: those that are due, oldest first, of which the last is shown
   * and the others are in its way; empty: nothing changes.
   */
  latch(time: number): Commit[] {
    const { epoch } = this;
    const { show, dropped } = this.#flips.latch(time);
    if (show === undefined) return [];
    const ready = [...dropped, show].flatMap((id) => this.#take(id) ?? []);
    if (this.epoch !== epoch) for (const commit of this.#commits.values()) this.#expect(commit);
    return ready;
  }

  /** When the first of them is due, ms, but not before it came; undefined: there is none, or it is not known. */
  due(): number | undefined {
    const due = this.#flips.nextDue();
    return due === undefined ? undefined : Math.max(due, this.#idleUntil);
  }

  /** Whether one would be shown at a vblank at `time`, from its present time on less `tolerance`. */
  isDue(time: number, tolerance: number): boolean {
    return (this.#flips.nextDue() ?? Infinity) <= time + tolerance;
  }

  /** Takes out all of which something is so, oldest first. */
  remove(which: (commit: Commit) => boolean): Commit[] {
    const found = [...this.#commits].filter(([, commit]) => which(commit));
    for (const [id] of found) {
      this.#flips.remove(id);
      this.#commits.delete(id);
    }
    return found.map(([, commit]) => commit);
  }

  /** Takes out all, oldest first, and forgets the epoch. */
  clear(): Commit[] {
    return this.#flips.clear().flatMap((id) => this.#take(id) ?? []);
  }

  /** A commit may be shown from its present time on: until then its jobs wait for no fault of the CRTC's. */
  #expect({ job, members }: Commit): void {
    const due = this.#flips.dueTime(job.pointer);
    for (const member of members) member.job.waitUntil(due);
  }

  #take(id: number): Commit | undefined {
    const commit = this.#commits.get(id);
    this.#commits.delete(id);
    return commit;
  }
}
