/**
 * Job: a granted job as the device that runs it sees it.
 *
 * A handler does its work on `buffers` and returns: the fence then signals and the claims end. Or
 * it calls `defer()`, keeps the object, and later `complete()`s (the fence signals: a flip is on
 * screen) and `release()`s (the claims end: it has been replaced), or `finish()`es both.
 */
import { wantNumber, wantTime, wrongType } from '../args.js';
import { DmaBufError, errno } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { ACTOR, JOB, JOB_FLAG, LINK, LINK_FLAG, QUEUE } from '../memory/layout.js';
import type { Regions } from '../memory/regions.js';
import { type FrameMetadata, readMetadata, writeMetadata } from '../dmabuf/metadata.js';
import { BufferRecord, type SgEntry } from '../dmabuf/ops.js';
import { type FenceTimes, timesOf } from '../sync/job-times.js';
import { firstLink, nextLink } from '../sync/job-links.js';
import type { Jobs } from '../sync/jobs.js';
import { limitOf } from '../sync/limits.js';
import { decodePayload } from '../sync/payload.js';

/** As Linux has it (include/linux/err.h). */
const MAX_ERRNO = 4095;

/** A buffer that a running job claims. Valid until the job is released. */
export class JobBuffer {
  readonly #k: Kernel;
  readonly #regions: Regions;
  readonly record: BufferRecord;
  /** Whether the job may write it. */
  readonly exclusive: boolean;
  readonly #jobs: Jobs;
  #sg: readonly SgEntry[] | undefined;

  constructor(kernel: Kernel, regions: Regions, jobs: Jobs, target: number) {
    this.#k = kernel;
    this.#regions = regions;
    this.#jobs = jobs;
    const queue = target & LINK_FLAG.TARGET_MASK;
    this.record = new BufferRecord(kernel, kernel.words.get(queue + QUEUE.BUFFER));
    this.exclusive = (target & LINK_FLAG.EXCLUSIVE) !== 0;
  }

  /** The buffer's memory itself. EINVAL: it is in several pieces (see {@link pieces}), or the claim is on a bare queue. */
  get bytes(): Uint8Array<ArrayBufferLike> {
    this.#mustBeWhole();
    const { region, offset, size } = this.record;
    return this.#regions.view(region, offset, size);
  }

  /** Where its memory is: the exporter's scatter list, of one entry but for heaps that deal in pieces. EINVAL: no memory. */
  get sg(): readonly SgEntry[] {
    this.#mustHaveMemory();
    this.#sg ??= this.#jobs.pieces(this.record);
    return this.#sg;
  }

  /** The memory of each entry of {@link sg}, in the buffer's order. */
  get pieces(): readonly Uint8Array<ArrayBufferLike>[] {
    return this.sg.map(({ region, offset, length }) => this.#regions.view(region, offset, length));
  }

  /** The same memory as 32-bit words (many times faster to fill and to loop over than bytes). */
  get words(): Uint32Array<ArrayBufferLike> {
    this.#mustBeWhole();
    const { region, offset, size } = this.record;
    return this.#regions.words(region, offset, size);
  }

  get metadata(): FrameMetadata {
    return readMetadata(this.#k, this.record.pointer);
  }

  set metadata(frame: FrameMetadata) {
    if (!this.exclusive) {
      throw new DmaBufError(
        'EPERM',
        'set_metadata',
        `the job claims buffer ${this.record.ino} shared; only an exclusive claim may describe its content`,
      );
    }
    writeMetadata(this.#k, this.record.pointer, frame);
  }

  #mustHaveMemory(): void {
    if (this.record.pointer !== 0) return;
    throw new DmaBufError('EINVAL', 'job_buffer', 'the job claims a queue without memory here');
  }

  #mustBeWhole(): void {
    this.#mustHaveMemory();
    const { ino, scattered } = this.record;
    if (!scattered) return;
    const detail = `buffer ${ino} is a scatter list of ${this.sg.length} pieces; use \`pieces\``;
    throw new DmaBufError('EINVAL', 'job_buffer', detail);
  }
}

/** What a {@link Job} asks of the server that runs it. */
export interface JobServer {
  settle(job: Job, error: number): void;
  release(job: Job): void;
}

export class Job {
  /** Pointer of its record. */
  readonly pointer: number;
  /** Context id: an ordered line of jobs. */
  readonly context: number;
  /** Its point on the context. */
  readonly seqno: number;
  /** Actor id of the submitter. */
  readonly owner: number;
  /** −errno of a dependency that failed (then only handlers with `failed` see the job), or 0. */
  readonly blocker: number;
  /** In the order in which submit named them. */
  readonly buffers: readonly JobBuffer[];
  /** The server's: whether the trace has the end of its run. */
  ended = false;
  readonly #k: Kernel;
  readonly #jobs: Jobs;
  readonly #server: JobServer;
  #state: 'running' | 'deferred' | 'completed' | 'released' = 'running';
  #payload: { value: unknown } | undefined;
  #waits = false;

  constructor(
    kernel: Kernel,
    regions: Regions,
    jobs: Jobs,
    server: JobServer,
    pointer: number,
    blocker: number,
  ) {
    const { words } = kernel;
    this.#k = kernel;
    this.#jobs = jobs;
    this.#server = server;
    this.pointer = pointer;
    this.blocker = blocker;
    this.context = jobs.contexts.idOf(words.get(pointer + JOB.CONTEXT));
    this.seqno = words.getDouble(pointer + JOB.SEQNO);
    this.owner = words.get(pointer + JOB.OWNER);
    const buffers: JobBuffer[] = [];
    for (let link = firstLink(words, pointer); link !== 0; link = nextLink(words, link)) {
      const target = words.get(link + LINK.TARGET);
      // A cancelled job has given its claims back.
      if (target !== 0 && (target & LINK_FLAG.FENCE) === 0)
        buffers.push(new JobBuffer(kernel, regions, jobs, target));
    }
    this.buffers = buffers;
  }

  /** What `submit` was given as payload. The driver that packed it knows its shape. */
  get payload(): unknown {
    this.#payload ??= { value: decodePayload(this.#jobs.payloads.read(this.pointer)) };
    return this.#payload.value;
  }

  /** Buffer `i` of the job. EINVAL when the job names fewer. */
  buffer(i: number): JobBuffer {
    const buffer = this.buffers[i];
    if (buffer !== undefined) return buffer;
    const detail = `job ${this.context}:${this.seqno} has ${this.buffers.length} buffers, buffer ${i} was asked for`;
    throw new DmaBufError('EINVAL', 'job', detail);
  }

  /**
   * Keeps the job beyond the handler's return; the device completes and releases it later. With `again`,
   * should the device die before it has completed the job, its next life is given it once more: for jobs of which
   * nothing has come so far, as of a flip that waits for its vblank.
   */
  defer(options: { readonly again?: boolean } = {}): void {
    if (this.#state !== 'running') return;
    this.#state = 'deferred';
    if (options.again !== true) return;
    const { words } = this.#k;
    words.set(this.pointer + JOB.FLAGS, words.get(this.pointer + JOB.FLAGS) | JOB_FLAG.AGAIN);
  }

  /**
   * Says until when a deferred job waits for something that is not the device's to hasten, ms of the
   * machine's clock: a present time; Infinity while that is not known. Its limit runs from then. May be
   * called again.
   */
  waitUntil(ms: number): void {
    wantTime('waitUntil', 'ms', ms);
    this.#waits = true;
    const { words, clock } = this.#k;
    words.setDouble(this.pointer + JOB.T_STARTED, Math.max(ms, clock.now()));
  }

  /** ms that it may take from its start to its fence, or Infinity. */
  get limit(): number {
    return limitOf(this.#k.words, this.pointer, 'job');
  }

  /**
   * When it passed its stages, ms of the machine's clock; `done` is NaN until its fence has signalled. Until it is
   * released: then its record is another job's.
   */
  get times(): FenceTimes {
    return timesOf(this.#k, this.pointer);
  }

  /** When somebody wants it done, ms (a hint), or Infinity. */
  get deadline(): number {
    return this.#k.words.getDouble(this.pointer + JOB.DEADLINE) || Infinity;
  }

  get deferred(): boolean {
    return this.#state !== 'running';
  }

  /** Whether {@link complete} has been called. */
  get completed(): boolean {
    return this.#state === 'completed' || this.#state === 'released';
  }

  /**
   * Signals the fence: 0, or −errno. Claims stay until {@link release}. EALREADY the second time; EINVAL:
   * no errno.
   */
  complete(error: number = 0): void {
    if (this.completed) {
      const detail = `job ${this.context}:${this.seqno} is complete already`;
      throw new DmaBufError('EALREADY', 'complete', detail);
    }
    if (typeof error !== 'number') throw wrongType('complete', 'error', 'a number', error);
    if (!(error <= 0 && error >= -MAX_ERRNO && Number.isInteger(error))) {
      const detail = `an error of ${error}; give 0 or a negative errno, down to −${MAX_ERRNO}`;
      throw new DmaBufError('EINVAL', 'complete', detail);
    }
    this.#state = 'completed';
    if (this.#waits) this.#begun();
    this.#server.settle(this, error);
  }

  /** What ends before the time that it was to wait for starts at its end. */
  #begun(): void {
    const { words, clock } = this.#k;
    const index = this.pointer + JOB.T_STARTED;
    words.setDouble(index, Math.min(words.getDouble(index), clock.now()));
  }

  /** Ends the claims; completes first if that was not done. Harmless the second time. */
  release(): void {
    if (this.#state === 'released') return;
    if (this.#state !== 'completed') this.complete();
    this.#state = 'released';
    this.#server.release(this);
  }

  /** Completes and releases. */
  finish(error: number = 0): void {
    this.complete(error);
    this.release();
  }

  /** Counts bytes of buffer content that the handler copied (what "zero-copy" is checked with). */
  countCopied(bytes: number): void {
    wantNumber('countCopied', 'bytes', bytes);
    countCopied(this.#k, bytes);
  }
}

/** Adds to this actor's count of copied bytes. */
export function countCopied(kernel: Kernel, bytes: number): void {
  const { words, actor } = kernel;
  const index = actor + ACTOR.COPIED;
  words.setDouble(index, words.getDouble(index) + bytes);
}

/** The errno that an exception in a handler fails its job with: that of a DmaBufError, or EOWNERDEAD. */
export function errnoOf(error: unknown): number {
  return error instanceof DmaBufError ? error.errno : -errno.EOWNERDEAD;
}
