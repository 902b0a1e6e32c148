/**
 * Drives the real queues and the model of them with the same commands, and compares after each: every
 * grant in order, every callback in order, what the call answered, every status, the counters, and the
 * invariants of all tables.
 */
import assert from 'node:assert/strict';
import type { DmaBuf } from '../dmabuf/dmabuf.js';
import type { Bracket } from '../dmabuf/bracket.js';
import { errno, errnoName } from '../errno.js';
import { ACTOR, HEADER, JOB_FLAG, LINK_FLAG, TRACE } from '../memory/layout.js';
import { type BufferUse, discard, exclusive, shared } from '../sync/context.js';
import type { Hold, PendingHold } from '../sync/holds.js';
import { recordsFor } from '../sync/job-links.js';
import type { FencePoint } from '../sync/jobs.js';
import { startMove } from '../sync/queue.js';
import { TRACE_KIND } from '../trace/ring.js';
import { checkQueues } from './check-queues.js';
import { codeOf } from './code-of.js';
import { type FakeActor, FakeMachine } from './fake-machine.js';
import {
  type ModelBuffer,
  ModelJob,
  type ModelKind,
  QueueModel,
  type ModelUse,
} from './queue-model.js';

/** What a step does, and four numbers that it reads as it needs. */
export type Command = readonly [op: number, a: number, b: number, c: number, d: number];

const BUFFERS = 6;
const PROCESSES = 3;
const DEVICE = PROCESSES;
const MOST_JOBS = 60;
const ERRORS = [0, 0, 0, -errno.EIO, -errno.ENODATA];

interface Entry {
  readonly job: ModelJob;
  fence: FencePoint | undefined;
  pending?: PendingHold;
  hold?: Hold;
  /** Read brackets of one thread on a buffer share the claim of the first. */
  brackets?: Bracket[];
}
interface Slot {
  buffer: DmaBuf;
  model: ModelBuffer;
}

export class ModelRun {
  readonly #fake: FakeMachine = new FakeMachine({
    actors: PROCESSES + 1,
    tables: { jobs: 512, buffers: 64, queues: 64, regions: 64, traceRecords: 4096 },
  });
  readonly #model: QueueModel = new QueueModel();
  readonly #entries: Entry[] = [];
  readonly #bySlot: Map<number, number> = new Map();
  readonly #slots: Slot[];
  /** Those alive, and their queues. */
  readonly #buffers: Map<ModelBuffer, number> = new Map();
  readonly #context: number;
  readonly #traced: number[] = [];
  /** Callbacks that ran in this step, in the real machine and in the model. */
  #ran: number[] = [];
  #expectedRuns: number[] = [];
  #adding: Entry | undefined;
  /** How many grants were compared. */
  grants = 0;

  constructor() {
    // Callbacks run when a step says so, not by themselves in the event loop.
    for (const { services } of this.#fake.actors) services.inbox.serving = true;
    this.#context = this.#actor(DEVICE).services.jobs.contexts.create(DEVICE + 1, 'device', 0);
    this.#slots = Array.from({ length: BUFFERS }, () => this.#open());
  }

  step([op, a, b, c, d]: Command): void {
    const steps: readonly (() => number)[] = [
      () => this.#addJob(a, b, c, d),
      () => this.#addJob(a, b, c, d),
      () => this.#addJob(a, b, c, d),
      () => this.#end(a, b),
      () => this.#end(a, b),
      () => this.#end(a, b),
      () => this.#completeOrRelease(a, b),
      () => this.#completeOrRelease(a, b),
      () => this.#cancel(a, b),
      () => this.#waitAll(a, b, c, d),
      () => this.#asyncWaitAll(a, b, c, d),
      () => this.#endHold(a),
      () => this.#cancelHold(a),
      () => this.#pump(a),
      () => this.#bracket(b, c),
      () => this.#import(a, b, c),
      () => this.#reopen(a),
      () => this.#twice(a, b),
      () => this.#advance(a),
      () => this.#startMove(a),
    ];
    this.#model.now = this.#fake.actor(0).machine.now();
    const actor = (steps[op % steps.length] as () => number)();
    this.#compare(actor);
  }

  /** Ends everything, and finds all tables empty. */
  finish(): void {
    while (this.#finishOne());
    for (let i = 0; i < BUFFERS; i++) {
      (this.#slots[i] as Slot).buffer.close();
      this.#dropRef((this.#slots[i] as Slot).model);
    }
    this.#compare(0);
    const { jobs, buffers, bytes } = this.#fake.actor(0).machine.stats();
    assert.deepEqual([jobs, buffers, bytes], [0, 0, 0], 'something is left at the end');
  }

  /** Ends the first job that can be ended; false when there is none. */
  #finishOne(): boolean {
    this.#model.now = this.#fake.actor(0).machine.now();
    const device = ({ job }: Entry): boolean =>
      job.kind === 'device' && job.state !== 'pending' && job.state !== 'released';
    const held = ({ job }: Entry): boolean => job.kind !== 'device' && job.state === 'running';
    const waiting = ({ job, pending }: Entry): boolean =>
      pending !== undefined && job.state !== 'released';
    if (this.#entries.some(device)) this.#compare(this.#end(0, 0, device));
    else if (this.#entries.some(held)) this.#compare(this.#endHold(0));
    else if (this.#entries.some(waiting)) this.#compare(this.#cancelHold(0));
    else return false;
    return true;
  }

  // ---- the commands: each returns the index of the actor that made the calls ----

  #addJob(a: number, b: number, c: number, d: number): number {
    const owner = a % PROCESSES;
    if (this.#live() >= MOST_JOBS) return owner;
    const uses = this.#uses(b, c);
    const inFences = this.#fences(d);
    const anyway = a % 7 === 0;
    const explicit = (a >> 4) % 4 === 0;
    const entry = this.#entry('device', owner, uses, inFences, anyway, explicit);
    const { jobs } = this.#actor(owner).services;
    entry.fence = jobs.add({
      context: this.#context,
      claims: uses.map(
        ({ use, slot }) =>
          slot.buffer.queuePointer('submit') | claimOf(use) | (explicit ? LINK_FLAG.BOOKKEEP : 0),
      ),
      inFences: inFences.map((e) => e.fence as FencePoint),
      flags: anyway ? JOB_FLAG.RUN_ANYWAY : 0,
      startAt: 0,
      limit: 0,
      payload: 0,
    });
    this.#model.add(entry.job);
    return owner;
  }

  /** Claims, completes and releases a granted job of the device. */
  #end(a: number, b: number, fits: (entry: Entry) => boolean = isDevice): number {
    const entry = this.#pick(a, fits);
    if (entry === undefined) return DEVICE;
    this.#claim(entry);
    if (entry.job.state === 'running') this.#complete(entry, b);
    if (entry.job.state === 'done') this.#release(entry);
    return DEVICE;
  }

  /** One of the two moments only. */
  #completeOrRelease(a: number, b: number): number {
    const entry = this.#pick(a, isDevice);
    if (entry === undefined) return DEVICE;
    this.#claim(entry);
    if (entry.job.state === 'running') this.#complete(entry, b);
    else if (entry.job.state === 'done') this.#release(entry);
    return DEVICE;
  }

  #claim({ job, fence }: Entry): void {
    const { jobs } = this.#actor(DEVICE).services;
    if (job.state === 'done' || job.state === 'running') return;
    const { slot } = fence as FencePoint;
    assert.equal(jobs.claim(slot), job.state === 'ready', `claim of job ${job.id}`);
    if (job.state !== 'ready') return;
    assert.equal(jobs.blocker(slot), this.#model.blocker(job), `blocker of job ${job.id}`);
    job.state = 'running';
  }

  #complete({ job, fence }: Entry, b: number): void {
    const error = this.#model.blocker(job) || (ERRORS[b % ERRORS.length] as number);
    this.#actor(DEVICE).services.jobs.complete((fence as FencePoint).slot, error);
    this.#model.complete(job, error);
  }

  #release({ job, fence }: Entry): void {
    this.#actor(DEVICE).services.jobs.release((fence as FencePoint).slot);
    this.#model.release(job);
  }

  #cancel(a: number, b: number): number {
    const by = b % PROCESSES;
    const entry = this.#pick(a, isDevice);
    if (entry === undefined) return by;
    const { jobs } = this.#actor(by).services;
    const cancelled = jobs.cancel((entry.fence as FencePoint).slot, -errno.ECANCELED);
    assert.equal(
      cancelled,
      this.#model.cancel(entry.job, -errno.ECANCELED),
      `cancel of ${entry.job.id}`,
    );
    return by;
  }

  #waitAll(a: number, b: number, c: number, d: number): number {
    const owner = a % PROCESSES;
    if (this.#live() >= MOST_JOBS) return owner;
    const uses = this.#uses(b, c);
    const entry = this.#entry('hold', owner, uses, [], false);
    const timeout = d % 3 === 0 ? 30 : 0;
    this.#model.add(entry.job);
    const granted = entry.job.state === 'ready';
    const code = codeOf(() => {
      entry.hold = this.#actor(owner).machine.waitAll(uses.map(useOf), timeout);
    });
    assert.equal(code, granted ? 'no error' : 'ETIME', 'waitAll');
    if (granted) entry.job.state = 'running';
    else this.#model.cancel(entry.job, -errno.ETIME);
    if (granted) entry.fence = entry.hold?.fence;
    return owner;
  }

  #asyncWaitAll(a: number, b: number, c: number, d: number): number {
    const owner = a % PROCESSES;
    if (this.#live() >= MOST_JOBS) return owner;
    const uses = this.#uses(b, c);
    const inFences = this.#fences(d);
    const entry = this.#entry('callback', owner, uses, inFences, true);
    const points = inFences.map((e) => ({ points: [e.fence as FencePoint] }));
    this.#model.add(entry.job);
    if (entry.job.state === 'ready') this.#modelPump(owner);
    entry.pending = this.#actor(owner).machine.asyncWaitAll(
      uses.map(useOf),
      (hold) => {
        this.#ran.push(entry.job.id);
        entry.hold = hold;
      },
      { inFences: points },
    );
    return owner;
  }

  /** Releases a hold, or finishes a bracket. */
  #endHold(a: number): number {
    const entry = this.#pick(a, (e) => e.job.state === 'running' && e.job.kind !== 'device');
    if (entry === undefined) return 0;
    const { job, brackets, hold } = entry;
    const bracket = brackets?.pop();
    if (bracket !== undefined) this.#dropRef((job.uses[0] as ModelUse).buffer);
    if (brackets === undefined || brackets.length === 0) {
      this.#model.finish(job, 0);
    }
    if (bracket === undefined) hold?.release();
    else bracket.finish();
    return job.owner;
  }

  #cancelHold(a: number): number {
    const entry = this.#pick(
      a,
      ({ job, pending }) => pending !== undefined && job.state !== 'released',
    );
    if (entry === undefined) return 0;
    const { job } = entry;
    const waiting = job.state === 'pending' || job.state === 'ready';
    if (job.state === 'pending') this.#model.cancel(job, 0);
    else if (job.state === 'ready') this.#model.abandon(job);
    assert.equal(entry.pending?.cancel(), waiting, `cancel of hold ${job.id}`);
    return job.owner;
  }

  #pump(a: number): number {
    const owner = a % PROCESSES;
    this.#modelPump(owner);
    this.#actor(owner).machine.pump();
    return owner;
  }

  /** By actor 0, whose handles the buffers are. */
  #bracket(b: number, c: number): number {
    const slot = this.#slots[b % BUFFERS] as Slot;
    const write = c % 2 === 1;
    const overwrite = c % 8 === 7;
    const use = { buffer: slot.model, exclusive: write, discard: overwrite };
    const options = { read: !write, write, discard: overwrite, timeout: 0 };
    const sharer = write ? undefined : this.#openReader(slot.model);
    if (sharer !== undefined) {
      // A writer that synchronises explicitly may have failed since the first one of these was opened.
      const { content } = slot.model;
      const code = codeOf(() => sharer.push(slot.buffer.access(options)));
      assert.equal(code, content === 0 ? 'no error' : errnoName(content), 'access');
      if (content === 0) slot.model.refs++;
      return 0;
    }
    if (this.#live() >= MOST_JOBS) return 0;
    const entry = this.#entry('hold', 0, [{ use, slot }], [], false);
    this.#model.add(entry.job);
    const granted = entry.job.state === 'ready';
    const poison = granted ? this.#model.blocker(entry.job) : 0;
    const code = codeOf(() => {
      entry.brackets = [slot.buffer.access(options)];
    });
    const expected = !granted ? 'ETIME' : poison === 0 ? 'no error' : errnoName(poison);
    assert.equal(code, expected, 'access');
    if (!granted) this.#model.cancel(entry.job, -errno.ETIME);
    else if (poison !== 0) this.#model.abandon(entry.job);
    else entry.job.state = 'running';
    if (entry.job.state === 'running') slot.model.refs++;
    return 0;
  }

  /** Brackets of actor 0 that read a buffer now. */
  #openReader(buffer: ModelBuffer): Bracket[] | undefined {
    const reads = ({ job }: Entry): boolean =>
      job.state === 'running' && job.uses[0]?.buffer === buffer && !job.uses[0].exclusive;
    return this.#entries.find((e) => e.brackets !== undefined && reads(e))?.brackets;
  }

  #import(a: number, b: number, c: number): number {
    const source = this.#entries[c % Math.max(1, this.#entries.length)];
    if (source?.fence === undefined || this.#live() >= MOST_JOBS) return 0;
    if (this.#realStatus(source) === -errno.ESTALE) return 0;
    const slot = this.#slots[b % BUFFERS] as Slot;
    const write = a % 2 === 1;
    const use = { buffer: slot.model, exclusive: write, discard: false };
    const entry = this.#entry('auto', 0, [{ use, slot }], [source], false);
    this.#model.add(entry.job);
    const usage = write ? { write } : { read: true };
    slot.buffer.importSyncFile({ points: [source.fence] }, usage);
    return 0;
  }

  /** Closes the fd of a buffer, on which jobs may be queued, and allocates another in its place. */
  #reopen(a: number): number {
    const i = a % BUFFERS;
    const slot = this.#slots[i] as Slot;
    if (this.#buffers.size >= 30) return 0;
    slot.buffer.close();
    this.#dropRef(slot.model);
    this.#slots[i] = this.#open();
    return 0;
  }

  /** A set that names a buffer twice changes nothing. */
  #twice(a: number, b: number): number {
    const owner = a % PROCESSES;
    const { buffer } = this.#slots[b % BUFFERS] as Slot;
    const other = this.#slots[(b + 1) % BUFFERS] as Slot;
    const set = [shared(buffer), exclusive(other.buffer), exclusive(buffer)];
    const { machine } = this.#actor(owner);
    assert.equal(
      codeOf(() => machine.waitAll(set, 0)),
      'EINVAL',
    );
    assert.equal(
      codeOf(() => machine.asyncWaitAll(set, () => {})),
      'EINVAL',
    );
    return owner;
  }

  /** Whoever holds a buffer alone moves it: from here until its claim goes explicit jobs wait, too. */
  #startMove(a: number): number {
    const entry = this.#pick(
      a,
      ({ job }) =>
        job.state === 'running' && job.kind !== 'device' && job.uses.some((use) => use.exclusive),
    );
    const buffer = entry?.job.uses.find((use) => use.exclusive)?.buffer;
    if (entry === undefined || buffer === undefined) return 0;
    const { owner } = entry.job;
    const starts = startMove(this.#actor(owner).services.kernel, this.#queueOf(buffer));
    assert.equal(starts, this.#model.startMove(entry.job, buffer), 'start of a move');
    return owner;
  }

  #advance(a: number): number {
    this.#fake.advance(a % 50);
    return 0;
  }

  // ---- what they are made of ----

  #actor(i: number): FakeActor {
    return this.#fake.actor(i);
  }

  #live(): number {
    return this.#entries.filter(({ job }) => job.state !== 'released').length;
  }

  #open(): Slot {
    const model: ModelBuffer = { queue: [], content: 0, refs: 1, kept: 0, mover: undefined };
    const buffer = this.#actor(0).machine.alloc(4096);
    this.#buffers.set(model, buffer.record.queue);
    return { buffer, model };
  }

  #queueOf(model: ModelBuffer): number {
    return this.#buffers.get(model) ?? 0;
  }

  #dropRef(model: ModelBuffer): void {
    model.refs--;
  }

  /** Some of the buffers, each once, each in one of the three ways. */
  #uses(b: number, c: number): { use: ModelUse; slot: Slot }[] {
    const uses: { use: ModelUse; slot: Slot }[] = [];
    for (let i = 0; i < BUFFERS; i++) {
      const slot = this.#slots[(i + c) % BUFFERS] as Slot;
      if (((b >> i) & 1) === 0) continue;
      const way = (c >> (2 * i)) & 3;
      uses.push({ use: { buffer: slot.model, exclusive: way >= 2, discard: way === 3 }, slot });
    }
    return uses;
  }

  /** Up to eight fences of earlier jobs, if these can still be asked. */
  #fences(d: number): Entry[] {
    const count = d % 3 === 0 ? d % 9 : 0;
    const fences: Entry[] = [];
    for (let i = 0; i < count; i++) {
      const entry = this.#entries[(d + i * 7) % Math.max(1, this.#entries.length)];
      if (entry?.fence !== undefined && this.#realStatus(entry) !== -errno.ESTALE)
        fences.push(entry);
    }
    return fences;
  }

  #realStatus({ fence }: Entry): number {
    return this.#actor(0).services.waiter.status(fence as FencePoint);
  }

  #entry(
    kind: ModelKind,
    owner: number,
    uses: readonly { use: ModelUse; slot: Slot }[],
    inFences: readonly Entry[],
    anyway: boolean,
    explicit: boolean = false,
  ): Entry {
    const id = this.#entries.length;
    const jobs = inFences.map((entry) => entry.job);
    const job = new ModelJob(
      id,
      kind,
      owner,
      uses.map(({ use }) => use),
      jobs,
      anyway,
      explicit,
    );
    const entry: Entry = { job, fence: undefined };
    this.#entries.push(entry);
    this.#adding = entry;
    return entry;
  }

  #pick(a: number, fits: (entry: Entry) => boolean): Entry | undefined {
    const some = this.#entries.filter(fits);
    return some[a % Math.max(1, some.length)];
  }

  #modelPump(owner: number): void {
    const due = this.#entries
      .map(({ job }) => job)
      .filter((job) => job.kind === 'callback' && job.owner === owner && job.state === 'ready')
      .toSorted((x, y) => x.grantedAt - y.grantedAt || x.id - y.id);
    for (const job of due) {
      job.state = 'running';
      this.#expectedRuns.push(job.id);
    }
  }

  // ---- the comparison ----

  #compare(actor: number): void {
    const granted = this.#granted(actor);
    const expected = this.#model.take();
    assert.deepEqual(granted, expected, 'grants');
    this.grants += granted.length;
    assert.deepEqual(this.#ran, this.#expectedRuns, 'callbacks');
    this.#ran = [];
    this.#expectedRuns = [];
    assert.deepEqual(checkQueues(this.#actor(0).services.kernel), []);
    for (const buffer of this.#buffers.keys()) {
      const used = buffer.queue.length + buffer.kept;
      if (buffer.refs === 0 && used === 0) this.#buffers.delete(buffer);
    }
    const stats = this.#actor(0).machine.stats();
    assert.equal(stats.buffers, this.#buffers.size, 'buffers alive');
    const live = this.#entries.filter(({ job }) => job.state !== 'released');
    const records = live.map(({ job }) => (job.linked ? recordsFor(job.links) : 1));
    assert.equal(
      stats.jobs,
      records.reduce((sum, n) => sum + n, 0),
      'jobs in the table',
    );
    for (const entry of live.concat(this.#entries.slice(-8))) {
      if (entry.fence === undefined) continue;
      const status = this.#realStatus(entry);
      if (status !== -errno.ESTALE)
        assert.equal(status, entry.job.status, `status of ${entry.job.id}`);
    }
  }

  /** Jobs that the calls of an actor have granted since the last step, in order. */
  #granted(actor: number): number[] {
    const { words } = this.#fake;
    const { id, services } = this.#actor(actor);
    const size = words.get(HEADER.TRACE_RECORDS);
    const base = words.get(HEADER.TRACE) + id * size * TRACE.WORDS;
    const count = words.get(services.kernel.actor + ACTOR.TRACED);
    const granted: number[] = [];
    for (let i = this.#traced[id] ?? 0; i < count; i++) {
      const at = base + (i % size) * TRACE.WORDS;
      const kind = words.get(at + TRACE.KIND);
      const slot = words.get(at + TRACE.JOB);
      if (kind === TRACE_KIND.QUEUE && this.#adding !== undefined) {
        this.#bySlot.set(slot, this.#adding.job.id);
      }
      if (kind === TRACE_KIND.GRANT) granted.push(this.#bySlot.get(slot) ?? -slot);
    }
    this.#traced[id] = count;
    this.#adding = undefined;
    return granted;
  }
}

function isDevice({ job }: Entry): boolean {
  return job.kind === 'device' && job.state !== 'released';
}

function claimOf(use: ModelUse): number {
  if (!use.exclusive) return 0;
  return LINK_FLAG.EXCLUSIVE | (use.discard ? LINK_FLAG.DISCARD : 0);
}

function useOf({ use, slot }: { use: ModelUse; slot: Slot }): BufferUse {
  if (!use.exclusive) return shared(slot.buffer);
  return use.discard ? discard(slot.buffer) : exclusive(slot.buffer);
}
