/**
 * SyncFile: a process's handle of one fd of a sync file: fences that can be passed to another
 * process, merged, waited for and asked (SYNC_IOC_MERGE, SYNC_IOC_FILE_INFO).
 */
import { wantTime, wantTimeout } from '../args.js';
import { DmaBufError } from '../errno.js';
import { FD_RDWR, type FdTable, objectWord } from '../fd/fd-table.js';
import type { FdWatch } from '../fd/handles.js';
import type { References } from '../fd/references.js';
import { OBJECT } from '../memory/layout.js';
import type { FenceLike } from './fence-set.js';
import type { FenceWaiter } from './fence.js';
import type { FencePoint } from './jobs.js';
import type { HeldPoint, SyncFiles } from './sync-files.js';

/** SYNC_IOC_FILE_INFO of one fence. */
export interface FenceInfo {
  /** Name of its context. */
  readonly timeline: string;
  readonly context: number;
  readonly seqno: number;
  /** 0 active, 1 signalled, −errno. */
  readonly status: number;
}

export interface SyncFileInfo {
  readonly name: string;
  readonly status: number;
  readonly fences: readonly FenceInfo[];
}

/** What a handle needs of its thread. */
export interface SyncFileServices {
  readonly fds: FdTable;
  readonly references: References;
  readonly files: SyncFiles;
  readonly waiter: FenceWaiter;
  readonly contextName: (id: number) => string;
}

export class SyncFile implements FenceLike {
  readonly fd: number;
  readonly #s: SyncFileServices;
  readonly #pointer: number;
  readonly #watch: FdWatch;
  #open = true;

  constructor(services: SyncFileServices, fd: number) {
    this.#s = services;
    this.fd = fd;
    this.#pointer = services.fds.get(fd, OBJECT.SYNC_FILE, 'sync_file');
    const object = objectWord(OBJECT.SYNC_FILE, this.#pointer);
    const { handles } = services.fds;
    this.#watch =
      handles.watchOf(fd, object) ?? handles.openedFd(fd, object, `a handle of sync file fd ${fd}`);
  }

  /** A new sync file of these points as an fd of this process. ENOSPC, EMFILE. */
  static create(services: SyncFileServices, name: string, points: readonly FencePoint[]): SyncFile {
    const object = objectWord(OBJECT.SYNC_FILE, services.files.create(name, points));
    try {
      return new SyncFile(services, services.fds.install(object, FD_RDWR, 'sync_file'));
    } catch (error) {
      services.references.abandon(object);
      throw error;
    }
  }

  /** Its fences: in-fences of a submit, parts of a merge. Those long signalled well are left out. */
  get points(): readonly FencePoint[] {
    return this.#held().filter((point) => point.known !== 1);
  }

  /** 0 while any fence is active, 1 when all have signalled, −errno of the first that failed. */
  get status(): number {
    let failed = 0;
    for (const point of this.#held()) {
      const status = this.#s.files.statusOf(point);
      if (status === 0) return 0;
      if (status < 0 && failed === 0) failed = status;
    }
    return failed === 0 ? 1 : failed;
  }

  /** Name, status, and one entry per fence. */
  info(): SyncFileInfo {
    const fences = this.#held().map((point) => ({
      timeline: this.#s.contextName(point.context),
      context: point.context,
      seqno: point.seqno,
      status: this.#s.files.statusOf(point),
    }));
    return { name: this.#s.files.nameOf(this.#pointer), status: this.status, fences };
  }

  /** Blocks until all fences have signalled; the status. ETIME when `timeoutMs` runs out first. */
  wait(timeoutMs: number = Infinity): number {
    wantTimeout('SyncFile.wait', timeoutMs);
    const { waiter } = this.#s;
    const until = waiter.now() + timeoutMs;
    for (const point of this.#held()) {
      if (point.known !== 0) continue;
      const left = timeoutMs === Infinity ? Infinity : Math.max(0, until - waiter.now());
      if (waiter.wait(point, left) !== 0) continue;
      const detail = `sync file fd ${this.fd} has not signalled within ${timeoutMs} ms`;
      throw new DmaBufError('ETIME', 'sync_wait', detail);
    }
    return this.status;
  }

  /** SYNC_IOC_SET_DEADLINE: hands a deadline hint (ms of the machine's clock) on to each fence. */
  setDeadline(ms: number): void {
    wantTime('setDeadline', 'ms', ms);
    for (const point of this.points) this.#s.waiter.setDeadline(point, ms);
  }

  /** Resolves with the status when all have signalled. */
  async settled(): Promise<number> {
    for (const point of this.#held()) {
      if (point.known === 0) await this.#s.waiter.settled(point);
    }
    return this.status;
  }

  /** Closes the fd. EBADF the second time. */
  close(): void {
    this.#check('close');
    this.#open = false;
    this.#s.fds.handles.closedFd(this.#watch);
    this.#s.fds.remove(this.fd, 'close');
  }

  [Symbol.dispose](): void {
    if (this.#open) this.close();
  }

  #held(): HeldPoint[] {
    this.#check('sync_file');
    return this.#s.files.points(this.#pointer);
  }

  #check(syscall: string): void {
    if (this.#open) return;
    throw new DmaBufError('EBADF', syscall, `this handle's fd ${this.fd} has been closed`);
  }
}
