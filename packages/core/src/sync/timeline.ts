/**
 * Software timelines (drivers/dma-buf/sw_sync.c): a counter, and fences that signal when it
 * reaches their points. For tests, for frame numbers, for anything the CPU decides.
 *
 * The pending fences of a timeline are bare jobs, linked through their first link in ascending order
 * of their points, under the timeline's LOCK. Closing the last fd signals the rest with ENOENT.
 */
import { wantLimit, wantNumber, wantObject } from '../args.js';
import { DmaBufError, errno } from '../errno.js';
import { FD_RDWR, type FdTable, objectWord } from '../fd/fd-table.js';
import type { FdWatch } from '../fd/handles.js';
import type { Kernel } from '../kernel.js';
import {
  CONTEXT,
  CONTEXT_FLAG,
  HEADER,
  JOB,
  LINK,
  LISTED,
  OBJECT,
  TIMELINE,
} from '../memory/layout.js';
import { readName, writeName } from '../memory/tables.js';
import { Fence, type FenceWaiter } from './fence.js';
import type { FencePoint } from './job-spec.js';
import type { Jobs } from './jobs.js';
import { limitWord } from './limits.js';

/** Largest step of one increment: the kernel's, so that comparisons cannot wrap. */
export const MAX_INCREMENT = 0x7fffffff;

/** Timelines in kernel memory. */
export class Timelines {
  readonly #k: Kernel;
  readonly #jobs: Jobs;

  constructor(kernel: Kernel, jobs: Jobs) {
    this.#k = kernel;
    this.#jobs = jobs;
  }

  /** A timeline at 0; the caller installs it as an fd. ENOSPC. */
  create(name: string): number {
    const flags = CONTEXT_FLAG.UNORDERED | CONTEXT_FLAG.TIMELINE;
    const context = this.#jobs.contexts.create(this.#k.self, name, flags);
    const { words, locks, timelines } = this.#k;
    locks.lock(HEADER.FENCE_LOCK);
    const timeline = timelines.findFree();
    if (timeline !== 0) {
      const gen = (words.get(timeline + TIMELINE.GEN) + 1) & 0x7fffffff || 1;
      words.set(timeline + TIMELINE.GEN, gen);
      words.store(timeline + TIMELINE.REFS, 0);
      words.set(timeline + TIMELINE.HEAD, 0);
      words.setDouble(timeline + TIMELINE.VALUE, 0);
      words.set(timeline + TIMELINE.CONTEXT, context);
      words.set(timeline + TIMELINE.CONTEXT_GEN, words.get(context + CONTEXT.GEN));
      writeName(words, timeline + TIMELINE.NAME, 8, name);
      words.store(timeline + TIMELINE.STATE, gen);
    }
    locks.unlock(HEADER.FENCE_LOCK);
    if (timeline !== 0) return timeline;
    this.#jobs.contexts.discard(context);
    const detail = `all ${timelines.count} timelines are in use; close some, or boot with a larger tables.timelines`;
    throw new DmaBufError('ENOSPC', 'timeline', detail);
  }

  makerOf(timeline: number): number {
    const { words } = this.#k;
    return words.get(words.get(timeline + TIMELINE.CONTEXT) + CONTEXT.OWNER);
  }

  /** The last reference is gone: the pending fences fail with ENOENT. */
  last(timeline: number): void {
    const { words, locks } = this.#k;
    const context = words.get(timeline + TIMELINE.CONTEXT);
    // Whoever died in here may have closed the context: then all has been signalled, and the slot may be another's.
    const open = this.#hasContext(timeline, context);
    if (open) {
      this.#jobs.contexts.failBeyond(context, this.value(timeline), -errno.ENOENT);
      this.signal(timeline, Infinity, -errno.ENOENT); // writes to the context: closed only after
    }
    locks.lock(HEADER.FENCE_LOCK);
    if (open) this.#jobs.contexts.close(context);
    words.store(timeline + TIMELINE.STATE, 0);
    locks.unlock(HEADER.FENCE_LOCK);
  }

  #hasContext(timeline: number, context: number): boolean {
    const { words } = this.#k;
    const same = words.load(context + CONTEXT.STATE) === words.get(timeline + TIMELINE.CONTEXT_GEN);
    return same && words.load(context + CONTEXT.CLOSED) === 0;
  }

  /** Takes back a timeline that {@link create} has just made and nobody else has seen. */
  discard(timeline: number): void {
    const { words } = this.#k;
    this.#jobs.contexts.discard(words.get(timeline + TIMELINE.CONTEXT));
    words.store(timeline + TIMELINE.STATE, 0);
  }

  value(timeline: number): number {
    return this.#k.words.getDouble(timeline + TIMELINE.VALUE);
  }

  nameOf(timeline: number): string {
    return readName(this.#k.words, timeline + TIMELINE.NAME, 8);
  }

  /** A fence that signals when the timeline reaches `point`; at once if it is past it. */
  createFence(timeline: number, point: number, limit: number = 0): FencePoint {
    const { words, locks } = this.#k;
    const fence = this.#jobs.builder.addBare(words.get(timeline + TIMELINE.CONTEXT), point);
    words.set(fence.slot + JOB.LIMIT, limit);
    locks.lock(timeline + TIMELINE.LOCK);
    const passed = words.getDouble(timeline + TIMELINE.VALUE) >= point;
    if (!passed) {
      this.#insert(timeline, fence.slot, point);
      words.set(fence.slot + JOB.COOKIE, LISTED);
    }
    locks.unlock(timeline + TIMELINE.LOCK);
    if (passed) this.#jobs.finish(fence.slot, 0);
    return fence;
  }

  /** Advances the timeline and signals what it has reached, in order. */
  increment(timeline: number, by: number): void {
    const { words, locks } = this.#k;
    locks.lock(timeline + TIMELINE.LOCK);
    const value = words.getDouble(timeline + TIMELINE.VALUE) + by;
    words.setDouble(timeline + TIMELINE.VALUE, value);
    locks.unlock(timeline + TIMELINE.LOCK);
    this.signal(timeline, value, 0);
  }

  /** Earliest deadline hint among the pending fences, ms; 0 when there is none. */
  deadline(timeline: number): number {
    const { words, locks } = this.#k;
    let earliest = 0;
    locks.lock(timeline + TIMELINE.LOCK);
    let job = words.get(timeline + TIMELINE.HEAD);
    for (; job !== 0; job = words.get(job + JOB.LINK + LINK.NEXT)) {
      const deadline = words.getDouble(job + JOB.DEADLINE);
      if (deadline !== 0 && (earliest === 0 || deadline < earliest)) earliest = deadline;
    }
    locks.unlock(timeline + TIMELINE.LOCK);
    return earliest;
  }

  /**
   * Ends the fences up to `value`, one by one: none is signalled under the lock. FINISHING names each before it
   * is off the list, so that it is ended by the recoverer at last.
   */
  signal(timeline: number, value: number, error: number): void {
    const { words, locks } = this.#k;
    for (;;) {
      locks.lock(timeline + TIMELINE.LOCK);
      const job = words.get(timeline + TIMELINE.HEAD);
      const due = job !== 0 && words.getDouble(job + JOB.SEQNO) <= value;
      if (due) {
        this.#jobs.intend(job);
        words.set(timeline + TIMELINE.HEAD, words.get(job + JOB.LINK + LINK.NEXT));
      }
      locks.unlock(timeline + TIMELINE.LOCK);
      if (!due) return;
      this.#jobs.finish(job, error);
    }
  }

  /** Whether a fence stands on its timeline's list. */
  isListed(job: number): boolean {
    const { words, locks } = this.#k;
    const timeline = this.of(words.get(job + JOB.CONTEXT));
    if (timeline === 0) return false;
    locks.lock(timeline + TIMELINE.LOCK);
    let at = words.get(timeline + TIMELINE.HEAD);
    while (at !== 0 && at !== job) at = words.get(at + JOB.LINK + LINK.NEXT);
    locks.unlock(timeline + TIMELINE.LOCK);
    return at === job;
  }

  /** The live timeline of a context, 0 if there is none. */
  of(context: number): number {
    const { words, timelines } = this.#k;
    for (const timeline of timelines.live()) {
      if (words.get(timeline + TIMELINE.CONTEXT) === context) return timeline;
    }
    return 0;
  }

  /** Puts a fence behind the last one that is not later. */
  #insert(timeline: number, job: number, point: number): void {
    const { words } = this.#k;
    let before = 0;
    let next = words.get(timeline + TIMELINE.HEAD);
    while (next !== 0 && words.getDouble(next + JOB.SEQNO) <= point) {
      before = next;
      next = words.get(next + JOB.LINK + LINK.NEXT);
    }
    words.set(job + JOB.LINK + LINK.NEXT, next);
    if (before === 0) words.set(timeline + TIMELINE.HEAD, job);
    else words.set(before + JOB.LINK + LINK.NEXT, job);
  }
}

/** A process's handle of one fd of a timeline. */
export class Timeline {
  readonly fd: number;
  readonly #k: Kernel;
  readonly #fds: FdTable;
  readonly #timelines: Timelines;
  readonly #waiter: FenceWaiter;
  readonly #pointer: number;
  readonly #watch: FdWatch;
  #open = true;

  constructor(kernel: Kernel, fds: FdTable, timelines: Timelines, waiter: FenceWaiter, fd: number) {
    this.#k = kernel;
    this.#fds = fds;
    this.#timelines = timelines;
    this.#waiter = waiter;
    this.fd = fd;
    this.#pointer = fds.get(fd, OBJECT.TIMELINE, 'timeline');
    const object = objectWord(OBJECT.TIMELINE, this.#pointer);
    const { handles } = fds;
    this.#watch =
      handles.watchOf(fd, object) ??
      handles.openedFd(fd, object, `a handle of timeline fd ${fd} '${this.name}'`);
  }

  /** Makes a new timeline an fd of this process. EMFILE gives it back. */
  static install(fds: FdTable, timelines: Timelines, pointer: number): number {
    const object = objectWord(OBJECT.TIMELINE, pointer);
    try {
      return fds.install(object, FD_RDWR, 'timeline');
    } catch (error) {
      timelines.discard(pointer);
      throw error;
    }
  }

  /** What the counter stands at. */
  get value(): number {
    this.#check('timeline_value');
    return this.#timelines.value(this.#pointer);
  }

  get name(): string {
    return this.#timelines.nameOf(this.#pointer);
  }

  /**
   * SW_SYNC_IOC_CREATE_FENCE: a fence that signals when the counter reaches `point`, at once if it is
   * there. `limit`: ms that it may be pending (default: the machine's, which is none by default; 0: none);
   * then it and those before it on the timeline fail with ETIMEDOUT. EINVAL: not an integer of at least 0;
   * ENOSPC: the job table is full.
   */
  createFence(point: number, options: { readonly limit?: number } = {}): Fence {
    this.#check('create_fence');
    wantObject('createFence', 'options', options);
    wantLimit('createFence', options.limit);
    wantNumber('createFence', 'point', point);
    if (!Number.isSafeInteger(point) || point < 0) {
      const detail = `point ${point} of timeline '${this.name}'; give an integer of at least 0`;
      throw new DmaBufError('EINVAL', 'create_fence', detail);
    }
    const limit = limitWord(options.limit);
    const fence = this.#timelines.createFence(this.#pointer, point, limit);
    return new Fence(this.#k, this.#waiter, fence);
  }

  /** SW_SYNC_IOC_INC: advances the counter. EINVAL: not an integer from 0 to 2³¹ − 1. */
  increment(by: number = 1): void {
    this.#check('timeline_inc');
    wantNumber('increment', 'by', by);
    if (!Number.isInteger(by) || by < 0 || by > MAX_INCREMENT) {
      const detail = `an increment of ${by}; give an integer from 0 to ${MAX_INCREMENT}`;
      throw new DmaBufError('EINVAL', 'timeline_inc', detail);
    }
    this.#timelines.increment(this.#pointer, by);
  }

  /** SW_SYNC_GET_DEADLINE: the earliest deadline hint of a pending fence, ms. ENOENT: none. */
  get deadline(): number {
    this.#check('get_deadline');
    const deadline = this.#timelines.deadline(this.#pointer);
    if (deadline !== 0) return deadline;
    const detail = `no pending fence of timeline '${this.name}' has a deadline`;
    throw new DmaBufError('ENOENT', 'get_deadline', detail);
  }

  /** Closes the fd; the last one of a timeline fails its pending fences with ENOENT. EBADF twice. */
  close(): void {
    this.#check('close');
    this.#open = false;
    this.#fds.handles.closedFd(this.#watch);
    this.#fds.remove(this.fd, 'close');
  }

  [Symbol.dispose](): void {
    if (this.#open) this.close();
  }

  #check(syscall: string): void {
    if (this.#open) return;
    throw new DmaBufError('EBADF', syscall, `this handle's fd ${this.fd} has been closed`);
  }
}
