/**
 * The bridges of a buffer between implicit and explicit synchronisation: poll, EXPORT_SYNC_FILE,
 * IMPORT_SYNC_FILE (drivers/dma-buf/dma-buf.c).
 *
 * Poll and export look at the queue (the reservation). Import adds a job of its own that claims the
 * buffer, waits for the fences and ends by itself, in whichever thread signals the last of them.
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { CONTEXT_FLAG, JOB_FLAG, LINK_FLAG } from '../memory/layout.js';
import type { Callbacks } from '../sync/callbacks.js';
import { type FenceLike, waitForAny } from '../sync/fence-set.js';
import type { FencePoint, Jobs } from '../sync/jobs.js';
import { pendingOn, type Usage } from '../sync/reservation.js';
import { SyncFile, type SyncFileServices } from '../sync/sync-file.js';
import type { BufferRecord } from './ops.js';

/** What poll is asked for, and what it answers. */
export interface PollEvents {
  readonly readable?: boolean;
  readonly writable?: boolean;
}

export interface SharingServices extends SyncFileServices {
  readonly kernel: Kernel;
  readonly jobs: Jobs;
  readonly callbacks: Callbacks;
  /** The thread's context for imported fences; 0 until one is imported. */
  importContext: number;
}

interface Access {
  readonly read?: boolean;
  readonly write?: boolean;
}

export class Sharing {
  readonly #s: SharingServices;
  readonly #record: BufferRecord;

  constructor(services: SharingServices, record: BufferRecord) {
    this.#s = services;
    this.#record = record;
  }

  poll(events: PollEvents, timeout: number): Required<PollEvents> {
    const { kernel, waiter, callbacks } = this.#s;
    const until = kernel.clock.now() + timeout;
    for (;;) {
      const ready = this.#ready(events);
      const left = until - kernel.clock.now();
      if (satisfied(events, ready) || left <= 0) return ready;
      const fences = this.#pending(events.readable === true ? 'read' : 'write');
      waitForAny(kernel, waiter, callbacks, fences.map(asLike), left);
    }
  }

  async pollAsync(events: PollEvents): Promise<Required<PollEvents>> {
    for (;;) {
      const ready = this.#ready(events);
      if (satisfied(events, ready)) return ready;
      const fences = this.#pending(events.readable === true ? 'read' : 'write');
      for (const fence of fences) await this.#s.waiter.settled(fence);
    }
  }

  exportSyncFile(usage: Access): SyncFile {
    mustAsk(usage, 'export_sync_file');
    const points = this.#pending(usage.write === true ? 'write' : 'read');
    return SyncFile.create(this.#s, `dma-buf ${this.#record.ino}`, points);
  }

  importSyncFile(fences: FenceLike, usage: Access): void {
    mustAsk(usage, 'import_sync_file');
    const { jobs, kernel } = this.#s;
    this.#s.importContext ||= jobs.contexts.create(kernel.self, 'imported', CONTEXT_FLAG.UNORDERED);
    jobs.add({
      context: this.#s.importContext,
      claims: [this.#record.queue | (usage.write === true ? LINK_FLAG.EXCLUSIVE : 0)],
      inFences: fences.points,
      flags: JOB_FLAG.AUTO,
      startAt: 0,
      limit: 0,
      payload: 0,
    });
  }

  #ready(events: PollEvents): Required<PollEvents> {
    return {
      readable: events.readable === true && this.#pending('read').length === 0,
      writable: events.writable === true && this.#pending('write').length === 0,
    };
  }

  #pending(usage: Usage): FencePoint[] {
    const { kernel, jobs } = this.#s;
    return pendingOn(kernel, jobs.contexts, this.#record.queue, usage);
  }
}

function satisfied(events: PollEvents, ready: Required<PollEvents>): boolean {
  const asked = events.readable === true || events.writable === true;
  return !asked || ready.readable || ready.writable;
}

function asLike(point: FencePoint): FenceLike {
  return { points: [point] };
}

function mustAsk(usage: Access, syscall: string): void {
  if (usage.read === true || usage.write === true) return;
  throw new DmaBufError('EINVAL', syscall, 'neither read nor write was asked for');
}
