/**
 * The queues of design D6 to D8 as one thread would write them: plain lists, the rules applied by
 * definition. What the real ones are compared with.
 *
 * A claim is granted when everything ahead of it on its buffer is shared and it is too, or nothing is
 * ahead of it. A job is granted when all its claims are and all its in-fences have signalled. Claims of an explicit
 * job stand beside the queue, granted at once, unless the buffer moves: then they are claims as others.
 */

/** How a job uses a buffer. */
export interface ModelUse {
  readonly buffer: ModelBuffer;
  readonly exclusive: boolean;
  readonly discard: boolean;
}

/** A buffer: its FIFO, and the errno of the failed writer whose content it has. */
export interface ModelBuffer {
  readonly queue: { readonly job: ModelJob; readonly exclusive: boolean; granted: boolean }[];
  content: number;
  /** fds and mappings. */
  refs: number;
  /** Claims of explicit jobs. */
  kept: number;
  /** The job that moves it. */
  mover: ModelJob | undefined;
}

/** device: ended by an actor. hold: by its own thread. auto: by itself. */
export type ModelKind = 'device' | 'hold' | 'callback' | 'auto';

export class ModelJob {
  readonly id: number;
  readonly kind: ModelKind;
  readonly uses: readonly ModelUse[];
  readonly inFences: readonly ModelJob[];
  /** Runs even if a dependency failed. */
  readonly anyway: boolean;
  /** Synchronises explicitly. */
  readonly explicit: boolean;
  /** Buffers that it keeps without standing in their queues. */
  readonly keeps: Set<ModelBuffer> = new Set();
  /** Actor that added it. */
  readonly owner: number;
  readonly dependents: ModelJob[] = [];
  state: 'pending' | 'ready' | 'running' | 'done' | 'released' = 'pending';
  /** Whether its claims and waits have been taken back. */
  linked = true;
  grants = 0;
  depError = 0;
  /** 0 pending, 1 signalled, −errno. */
  status = 0;
  grantedAt = 0;

  constructor(
    id: number,
    kind: ModelKind,
    owner: number,
    uses: readonly ModelUse[],
    inFences: readonly ModelJob[],
    anyway: boolean,
    explicit: boolean,
  ) {
    this.id = id;
    this.kind = kind;
    this.owner = owner;
    this.uses = uses;
    this.inFences = inFences;
    this.anyway = anyway;
    this.explicit = explicit;
  }

  get links(): number {
    return this.uses.length + this.inFences.length;
  }
}

export class QueueModel {
  /** Jobs granted since the last {@link take}, in order. */
  #log: number[] = [];
  readonly #autos: ModelJob[] = [];
  /** ms of the machine's clock, set by the driver before each step. */
  now = 0;

  take(): number[] {
    const log = this.#log;
    this.#log = [];
    return log;
  }

  add(job: ModelJob): void {
    for (const fence of job.inFences) {
      if (fence.status === 0) fence.dependents.push(job);
      else this.#settle(job, fence.status);
    }
    for (const { buffer, exclusive } of job.uses) {
      if (job.explicit && buffer.mover === undefined) this.#keep(job, buffer);
      else buffer.queue.push({ job, exclusive, granted: false });
    }
    const before = this.#log.length;
    for (const { buffer } of job.uses) this.#grant(buffer);
    if (job.links === 0 || this.#log.length === before) this.#check(job);
    this.#flush();
  }

  /** Marks a buffer as moving, which `job` has alone. False: explicit jobs use it. */
  startMove(job: ModelJob, buffer: ModelBuffer): boolean {
    if (buffer.kept > 0) return false;
    buffer.mover = job;
    return true;
  }

  /** Why a job must not run: −errno of a failed dependency or of poisoned content that it reads. */
  blocker(job: ModelJob): number {
    if (job.depError !== 0) return job.depError;
    if (job.anyway || !job.linked) return 0;
    return job.uses.find((use) => !use.discard && use.buffer.content !== 0)?.buffer.content ?? 0;
  }

  complete(job: ModelJob, error: number): void {
    this.#complete(job, error);
    this.#flush();
  }

  #complete(job: ModelJob, error: number): void {
    for (const { buffer, exclusive, discard } of job.linked ? job.uses : []) {
      if (exclusive && error !== 0) buffer.content = error;
      else if (discard) buffer.content = 0;
    }
    job.status = error === 0 ? 1 : error;
    job.state = 'done';
    for (const dependent of job.dependents.splice(0)) {
      this.#settle(dependent, job.status);
      this.#check(dependent);
    }
  }

  release(job: ModelJob): void {
    this.#unlink(job);
    job.state = 'released';
    this.#flush();
  }

  /** Completes and releases as one step. */
  finish(job: ModelJob, error: number): void {
    this.#complete(job, error);
    this.release(job);
  }

  /** Takes a job back that has not been granted. */
  cancel(job: ModelJob, error: number): boolean {
    if (job.state !== 'pending') return false;
    job.depError ||= error;
    job.state = 'running'; // nobody grants it any more
    this.#unlink(job);
    if (job.kind === 'device') {
      job.state = 'ready'; // its device ends it, in its context's order
      this.#log.push(job.id);
    } else {
      this.finish(job, error);
    }
    this.#flush();
    return true;
  }

  /** Ends a set that was granted and never used: no content changes. */
  abandon(job: ModelJob): void {
    this.#unlink(job);
    this.finish(job, 0);
  }

  #unlink(job: ModelJob): void {
    if (!job.linked) return;
    job.linked = false;
    for (const { buffer } of job.uses) {
      if (job.keeps.has(buffer)) {
        buffer.kept--;
        continue;
      }
      if (buffer.mover === job) buffer.mover = undefined;
      buffer.queue.splice(
        buffer.queue.findIndex((entry) => entry.job === job),
        1,
      );
      this.#grant(buffer);
    }
    for (const fence of job.inFences) {
      const at = fence.dependents.indexOf(job);
      if (at >= 0) fence.dependents.splice(at, 1);
    }
  }

  #keep(job: ModelJob, buffer: ModelBuffer): void {
    job.keeps.add(buffer);
    buffer.kept++;
    job.grants++;
  }

  #settle(job: ModelJob, status: number): void {
    job.grants++;
    if (status < 0 && !job.anyway) job.depError ||= status;
  }

  #grant(buffer: ModelBuffer): void {
    for (const [i, entry] of buffer.queue.entries()) {
      const ahead = buffer.queue.slice(0, i);
      const may = entry.exclusive ? i === 0 : ahead.every((other) => !other.exclusive);
      if (!may) return;
      if (entry.granted) continue;
      entry.granted = true;
      entry.job.grants++;
      this.#check(entry.job);
    }
  }

  #check(job: ModelJob): void {
    if (job.state !== 'pending' || job.grants < job.links) return;
    job.state = 'ready';
    job.grantedAt = this.now;
    this.#log.push(job.id);
    if (job.kind === 'auto') this.#autos.push(job);
  }

  /** Jobs that end by themselves do so when the step is over. */
  #flush(): void {
    for (let job = this.#autos.pop(); job !== undefined; job = this.#autos.pop()) {
      this.finish(job, this.blocker(job));
    }
  }
}
