/**
 * Server: the loop of an actor that takes jobs (a device, or a process of the user's that serves).
 *
 * Jobs arrive in the ready set in any order; each context is a line that starts its jobs by seqno
 * and signals their fences by seqno, whatever the order of grants and of completions. Jobs
 * with a start time wait in a timed list, holding back only their own line. Of the jobs that may start, one of a
 * context of higher priority goes first; within a priority, the one that could start first. A job whose
 * dependency failed ends with the same errno without being run, unless the handlers ask to see it.
 *
 * Synchronous: the loop blocks on the doorbell. Asynchronous: it sleeps in the event loop, for
 * handlers that are made of promises; jobs are still run one at a time.
 */
import { wrongType } from '../args.js';
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { ACTOR, CONTEXT, HEADER, JOB } from '../memory/layout.js';
import type { Regions } from '../memory/regions.js';
import type { Jobs } from '../sync/jobs.js';
import { TRACE_KIND } from '../trace/ring.js';
import type { Doorbell } from './doorbell.js';
import { awaitsGrant } from './early-grant.js';
import type { ReadyInbox } from './ready-inbox.js';
import { type Line, Lines } from './lines.js';
import { RunQueue } from './run-queue.js';
import { errnoOf, Job, type JobServer } from './job.js';

/** What an actor does. All run in the actor's own thread, one at a time. */
export interface Handlers {
  /** Does a job. It ends when this returns, unless it was deferred; a DmaBufError fails it. */
  run(job: Job): void | Promise<void>;
  /** Ends a job whose dependency failed (`job.blocker`), in its turn. Default: with that errno. */
  failed?(job: Job): void;
  /**
   * Whether the next job of a context may start: asked when it would, so that jobs which have started meanwhile, of
   * other contexts too, are counted. What is refused stays granted and unstarted, so that it outlives the actor, and
   * is offered again before each other job and each sleep. Default: always. Must be quick and change nothing.
   */
  accepts?(context: number, seqno: number): boolean;
  /** Called each round with the time (ms); returns when to be called again at the latest. */
  tick?(now: number): number;
  /** The machine stops; jobs in hand are lost. */
  stop?(): void;
}

/** Jobs run before the mailbox and `tick` get their turn: a stream of jobs starves neither. */
const ROUND = 16;

export class Server implements JobServer {
  readonly #k: Kernel;
  readonly #regions: Regions;
  readonly #jobs: Jobs;
  readonly #bell: Doorbell;
  readonly #inbox: ReadyInbox;
  readonly #handlers: Handlers;
  /** Reads this actor's mailbox; true if there was something. */
  readonly #mail: () => boolean | Promise<boolean>;
  readonly #mailEmpty: () => boolean;
  readonly #lines: Lines;
  readonly #runnable: RunQueue = new RunQueue();
  readonly #timed: { readonly at: number; readonly job: number; readonly level: number }[] = [];
  /** Handed over early and not granted yet, with their levels: at most one of each line. */
  readonly #ungranted: Map<number, number> = new Map();
  #stopped = false;

  constructor(
    kernel: Kernel,
    regions: Regions,
    jobs: Jobs,
    bell: Doorbell,
    inbox: ReadyInbox,
    handlers: Handlers,
    mail: { read: () => boolean | Promise<boolean>; isEmpty: () => boolean },
  ) {
    this.#k = kernel;
    this.#regions = regions;
    this.#jobs = jobs;
    this.#lines = new Lines(kernel, jobs.contexts);
    this.#bell = bell;
    this.#inbox = inbox;
    this.#handlers = handlers;
    this.#mail = mail.read;
    this.#mailEmpty = mail.isEmpty;
  }

  /** Runs until the machine stops or {@link stop} is called. Blocks the thread. */
  run(): void {
    this.#serving(1);
    try {
      while (!this.#over()) {
        const until = this.#round();
        this.#readMail();
        if (this.#runnable.length === 0) this.#sleep(until);
        this.#alive();
      }
    } finally {
      this.#serving(0);
      this.#handlers.stop?.();
    }
  }

  #sleep(until: number): void {
    this.#jobs.table.giveBack();
    this.#bell.sleep(this.#idle, until);
  }

  /** {@link run} in an event loop: handlers may return promises. */
  async runAsync(): Promise<void> {
    this.#serving(1);
    try {
      while (!this.#over()) {
        const until = await this.#roundAsync();
        await this.#mail();
        if (this.#runnable.length === 0) {
          this.#jobs.table.giveBack();
          await this.#bell.sleepAsync(this.#idle, until);
        }
        this.#alive();
      }
    } finally {
      this.#serving(0);
      this.#handlers.stop?.();
    }
  }

  /** Ends the loop after the job in hand; by a handler, or before the loop is entered. */
  stop(): void {
    this.#stopped = true;
  }

  settle(job: Job, error: number): void {
    this.#traceEnd(job); // before the fence: what waits for it starts later in the trace, too
    const line = this.#lines.of(job.context, job.pointer);
    if (line.unordered || job.seqno === line.signals) {
      this.#signal(line, job, error);
      this.#signalEnded(line);
    } else {
      line.ended.set(job.seqno, { job, error, released: false });
    }
  }

  release(job: Job): void {
    const waiting = this.#lines.get(job.context)?.ended.get(job.seqno);
    if (waiting === undefined) this.#jobs.release(job.pointer);
    else waiting.released = true;
  }

  readonly #idle = (): boolean =>
    this.#inbox.isEmpty &&
    this.#mailEmpty() &&
    !this.#over() &&
    !this.#grantSeen() &&
    !this.#acceptsNow();

  /** Whether a line that was refused would be let through now. */
  #acceptsNow(): boolean {
    for (const { id, next } of this.#lines.refused) if (this.#accepts(id, next)) return true;
    return false;
  }

  #accepts(context: number, seqno: number): boolean {
    return this.#handlers.accepts?.(context, seqno) ?? true;
  }

  /** Whether the turn of a job that was handed over early has come. */
  #grantSeen(): boolean {
    for (const job of this.#ungranted.keys()) if (!awaitsGrant(this.#k, job)) return true;
    return false;
  }

  #over(): boolean {
    return this.#stopped || this.#k.over;
  }

  /** Throws once the broker has gone: an actor does not outlive its machine. */
  #alive(): void {
    if (!this.#over()) this.#k.checkAfterSleep('serve');
  }

  #serving(value: number): void {
    const { words, actor, seam } = this.#k;
    this.#inbox.serving = value === 1;
    this.#jobs.table.collecting = value === 1;
    if (value === 0 && !this.#k.over) this.#jobs.table.giveBack();
    words.store(actor + ACTOR.SERVING, value);
    if (value === 1) words.store(actor + ACTOR.SERVED, 1);
    words.add(HEADER.ACTORS_EPOCH, 1);
    seam.notify(words.i32, HEADER.ACTORS_EPOCH, 0x7fffffff);
  }

  /** Takes what is ready, runs what may start; when to look again, ms. */
  #round(): number {
    this.#gather();
    for (let i = 0; i < ROUND; i++) {
      const job = this.#nextToStart();
      if (job === undefined || this.#over()) break;
      this.#start(job);
      if (this.#hasNew()) this.#gather();
    }
    return this.#nextWake();
  }

  async #roundAsync(): Promise<number> {
    this.#gather();
    for (let i = 0; i < ROUND; i++) {
      const job = this.#nextToStart();
      if (job === undefined || this.#over()) break;
      const pending = this.#begin(job);
      if (pending !== undefined) await this.#end(pending.job, pending.result);
      if (this.#hasNew()) this.#gather();
    }
    return this.#nextWake();
  }

  /** Of the jobs that may start, the first that is not refused; those before it go back to their lines. */
  #nextToStart(): number | undefined {
    let job = this.#runnable.shift();
    if (this.#handlers.accepts === undefined) return job;
    while (job !== undefined && this.#refuses(job)) job = this.#runnable.shift();
    return job;
  }

  #refuses(job: number): boolean {
    const id = this.#jobs.contexts.idOf(this.#k.words.get(job + JOB.CONTEXT));
    const line = this.#lines.get(id);
    if (line === undefined || line.offered !== job) return false;
    if (this.#accepts(line.id, line.next - 1)) return false;
    line.next--;
    line.early.set(line.next, job);
    line.held = false;
    line.offered = 0;
    this.#lines.refused.add(line);
    return true;
  }

  #readMail(): void {
    if (this.#mail() instanceof Promise) throw promiseGiven('ioctl');
  }

  #nextWake(): number {
    const tick = this.#handlers.tick?.(this.#k.clock.now()) ?? Infinity;
    if (typeof tick !== 'number' || Number.isNaN(tick)) {
      throw wrongType('serve', "what 'tick' returns", 'a time in ms, or Infinity', tick);
    }
    return Math.min(tick, this.#timed[0]?.at ?? Infinity);
  }

  #hasNew(): boolean {
    return !this.#inbox.isEmpty || this.#ungranted.size > 0 || this.#lines.refused.size > 0;
  }

  /** Empties the ready set into the lines, and the timed list into the runnable ones. */
  #gather(): void {
    this.#inbox.gather();
    for (const job of this.#inbox.take()) this.#arrive(job);
    if (this.#ungranted.size > 0) this.#gatherGranted();
    if (this.#lines.refused.size > 0) this.#gatherAccepted();
    const now = this.#timed.length > 0 ? this.#k.clock.now() : 0;
    while ((this.#timed[0]?.at ?? Infinity) <= now) {
      const due = this.#timed.shift();
      if (due !== undefined) this.#runnable.push(due.job, due.level);
    }
  }

  #gatherGranted(): void {
    for (const [job, level] of this.#ungranted) {
      if (awaitsGrant(this.#k, job)) continue;
      this.#ungranted.delete(job);
      this.#schedule(job, level);
    }
  }

  #gatherAccepted(): void {
    for (const line of this.#lines.refused) {
      if (!this.#accepts(line.id, line.next)) continue;
      this.#lines.refused.delete(line);
      this.#advance(line);
    }
  }

  #arrive(job: number): void {
    const { words } = this.#k;
    const context = this.#jobs.contexts.idOf(words.get(job + JOB.CONTEXT));
    const line = this.#lines.of(context, job);
    const seqno = words.getDouble(job + JOB.SEQNO);
    if (line.unordered) {
      // Callbacks of this thread have been run: one of theirs here has been handed on twice.
      if (words.get(job + JOB.OWNER) !== this.#k.self) this.#schedule(job, line.level);
      return;
    }
    if (seqno < line.next) return; // handed over early, and now again because it was cancelled
    if (seqno === line.next && !line.held && this.#handlers.accepts === undefined) {
      this.#letThrough(line, job); // as nearly all do: it need not be kept first
      if (line.early.size === 0) return;
    } else line.early.set(seqno, job);
    this.#advance(line);
  }

  #letThrough(line: Line, job: number): void {
    line.next++;
    line.held = !this.#schedule(job, line.level);
  }

  /** Moves the jobs of a line whose turn has come to the runnable ones. */
  #advance(line: Line): void {
    while (!line.held && line.early.size > 0) {
      const job = line.early.get(line.next);
      if (job === undefined) return;
      if (this.#handlers.accepts !== undefined) {
        if (line.offered !== 0 || this.#lines.refused.has(line)) return;
        line.offered = job;
      }
      line.early.delete(line.next);
      this.#letThrough(line, job);
    }
  }

  /** False if the job waits for its grant or its start time (its line goes on after it started). */
  #schedule(job: number, level: number): boolean {
    if (awaitsGrant(this.#k, job)) {
      this.#ungranted.set(job, level);
      return false;
    }
    const at = this.#k.words.getDouble(job + JOB.START_AT);
    if (at === 0 || at <= this.#k.clock.now()) {
      this.#runnable.push(job, level);
      return true;
    }
    let i = this.#timed.length;
    while (i > 0 && (this.#timed[i - 1]?.at ?? 0) > at) i--;
    this.#timed.splice(i, 0, { at, job, level });
    return false;
  }

  #start(pointer: number): void {
    const begun = this.#begin(pointer);
    if (begun === undefined) return;
    if (begun.result instanceof Promise) throw promiseGiven('run');
    this.#returned(begun.job);
  }

  /** Claims a job and calls its handler; undefined when that ended it without a result. */
  #begin(pointer: number): { job: Job; result: void | Promise<void> } | undefined {
    const { words, clock, trace } = this.#k;
    if (!this.#jobs.claim(pointer)) {
      this.#withdrawn(pointer);
      return undefined;
    }
    words.setDouble(pointer + JOB.T_STARTED, clock.now());
    const blocker = this.#jobs.blocker(pointer);
    const job = new Job(this.#k, this.#regions, this.#jobs, this, pointer, blocker);
    const line = this.#lines.of(job.context, pointer);
    // Jobs before the newest one that was let through may start while that one waits for its time.
    if (job.seqno === line.next - 1) {
      line.held = false;
      line.offered = 0;
    }
    if (!line.unordered) words.setDouble(line.context + CONTEXT.STARTED, job.seqno);
    trace.emit(TRACE_KIND.START, pointer, job.seqno, job.context, 0);
    try {
      if (blocker === 0) return { job, result: this.#handlers.run(job) };
      if (this.#handlers.failed === undefined) job.finish(blocker);
      else this.#handlers.failed(job);
    } catch (error) {
      this.#fail(job, error);
    }
    this.#returned(job);
    return undefined;
  }

  /** A job that was to start is gone: its line goes on. */
  #withdrawn(pointer: number): void {
    const line = this.#lines.offering(pointer);
    if (line === undefined) return;
    line.offered = 0;
    this.#advance(line);
  }

  async #end(job: Job, result: void | Promise<void>): Promise<void> {
    try {
      await result;
    } catch (error) {
      this.#fail(job, error);
    }
    this.#returned(job);
  }

  /** The end of a job's run, once: when its handler returns, or completes it. */
  #traceEnd(job: Job): void {
    if (job.ended) return;
    job.ended = true;
    this.#k.trace.emit(TRACE_KIND.END, job.pointer, job.seqno, job.context, 0);
  }

  /** The handler is through with a job: it ends now, unless it was deferred. */
  #returned(job: Job): void {
    this.#traceEnd(job);
    if (!job.deferred) job.finish(job.blocker);
    const line = this.#lines.get(job.context);
    if (line !== undefined) this.#advance(line);
  }

  /**
   * A DmaBufError fails the job; any other exception is a bug of the handler and ends the actor, of which
   * the job is told.
   */
  #fail(job: Job, error: unknown): void {
    if (!job.completed) job.finish(errnoOf(error));
    if (!(error instanceof DmaBufError)) throw error;
  }

  #signal(line: Line, job: Job, error: number): void {
    const { words, actor, trace } = this.#k;
    const counter = actor + (error === 0 ? ACTOR.JOBS_DONE : ACTOR.JOBS_FAILED);
    words.set(counter, words.get(counter) + 1);
    line.signals = job.seqno + 1;
    trace.emit(TRACE_KIND.DONE, job.pointer, job.seqno, job.context, error);
    this.#jobs.complete(job.pointer, error);
  }

  #signalEnded(line: Line): void {
    for (;;) {
      const seqno = line.signals;
      const ended = line.ended.get(seqno);
      if (ended === undefined) return;
      line.ended.delete(seqno);
      this.#signal(line, ended.job, ended.error);
      if (ended.released) this.#jobs.release(ended.job.pointer);
    }
  }
}

function promiseGiven(what: string): TypeError {
  return new TypeError(
    `serve: the '${what}' handler returned a promise; use serveAsync (or 'async: true' in the device's spec)`,
  );
}
