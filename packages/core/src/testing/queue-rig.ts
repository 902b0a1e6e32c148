/**
 * Buffers and jobs by short names, for tests of the queues: `a` to `j` are buffers, jobs are called
 * as the test likes, and every step checks the invariants of all queues.
 */
import assert from 'node:assert/strict';
import type { DmaBuf } from '../dmabuf/dmabuf.js';
import { JOB_FLAG, LINK_FLAG } from '../memory/layout.js';
import type { FencePoint } from '../sync/jobs.js';
import { checkQueues } from './check-queues.js';
import { FakeMachine, type FakeOptions } from './fake-machine.js';

const USE: Readonly<Record<string, number>> = {
  r: 0,
  w: LINK_FLAG.EXCLUSIVE,
  d: LINK_FLAG.EXCLUSIVE | LINK_FLAG.DISCARD,
};

export interface RigJob {
  /** Index of the actor that adds it. Default 0. */
  readonly by?: number;
  readonly after?: readonly (string | FencePoint)[];
  readonly onError?: 'run';
  readonly startAt?: number;
  readonly payload?: number;
}

/** Jobs run on the last actor of the fake machine. */
export class QueueRig {
  readonly fake: FakeMachine;
  readonly buffers: ReadonlyMap<string, DmaBuf>;
  readonly fences: Map<string, FencePoint> = new Map();
  readonly context: number;
  readonly #names: Map<number, string> = new Map();
  /** Slots that others may use from now on. */
  readonly #released: number[] = [];

  constructor(options: FakeOptions & { readonly buffers?: number } = {}) {
    this.fake = new FakeMachine({ actors: 3, ...options });
    const { machine, services } = this.fake.actor(0);
    const names = 'abcdefghijklmnop'.slice(0, options.buffers ?? 10);
    this.buffers = new Map(Array.from(names, (name) => [name, machine.alloc(4096)]));
    this.context = services.jobs.contexts.create(this.fake.actors.length, 'rig', 0);
  }

  /** Queue pointer of a buffer. */
  queue(name: string): number {
    const buffer = this.buffers.get(name);
    if (buffer === undefined) throw new RangeError(`no buffer '${name}'`);
    return buffer.record.queue;
  }

  /** Adds a job: `uses` is like `'wa rb dc'`: write a, read b, discard c. */
  add(name: string, uses: string, options: RigJob = {}): FencePoint {
    const claims = uses
      .split(' ')
      .filter((use) => use !== '')
      .map((use) => this.queue(use.slice(1)) | (USE[use.slice(0, 1)] ?? 0));
    const inFences = (options.after ?? []).map((f) => (typeof f === 'string' ? this.fence(f) : f));
    const { jobs } = this.fake.actor(options.by ?? 0).services;
    const fence = jobs.add({
      context: this.context,
      claims,
      inFences,
      flags: options.onError === 'run' ? JOB_FLAG.RUN_ANYWAY : 0,
      startAt: options.startAt ?? 0,
      limit: 0,
      payload: options.payload ?? 0,
    });
    this.fences.set(name, fence);
    this.#names.set(fence.slot, name);
    const again = this.#released.indexOf(fence.slot);
    if (again >= 0) this.#released.splice(again, 1);
    this.check();
    return fence;
  }

  fence(name: string): FencePoint {
    const fence = this.fences.get(name);
    if (fence === undefined) throw new RangeError(`no job '${name}'`);
    return fence;
  }

  /** Names of the jobs that were granted since the last call, in order. */
  granted(): string {
    const names = this.fake.grants().map((job) => this.#names.get(job) ?? `?${job}`);
    for (const slot of this.#released.splice(0)) this.#names.delete(slot);
    return names.join(' ');
  }

  status(name: string): number {
    return this.fake.actor(0).services.waiter.status(this.fence(name));
  }

  /** Claims a granted job; false if it was not granted, or claimed before. */
  claim(name: string): boolean {
    return this.device.jobs.claim(this.fence(name).slot);
  }

  /** Why a claimed job must not run. */
  blocker(name: string): number {
    return this.device.jobs.blocker(this.fence(name).slot);
  }

  complete(name: string, error: number = 0): void {
    this.device.jobs.complete(this.fence(name).slot, error);
    this.check();
  }

  release(name: string): void {
    const { slot } = this.fence(name);
    this.device.jobs.release(slot);
    this.#released.push(slot);
    this.check();
  }

  /** Claims, completes and releases a granted job. */
  end(name: string, error: number = 0): void {
    assert.ok(this.claim(name), `job '${name}' is granted`);
    this.complete(name, error);
    this.release(name);
  }

  cancel(name: string, error: number = -125, by: number = 0): boolean {
    const cancelled = this.fake.actor(by).services.jobs.cancel(this.fence(name).slot, error);
    this.check();
    return cancelled;
  }

  /** Ends a job that was cancelled, as its device does in its turn. */
  endCancelled(name: string): void {
    this.end(name, this.blocker(name));
  }

  check(): void {
    assert.deepEqual(checkQueues(this.fake.actor(0).services.kernel), []);
  }

  /** Jobs in the table that are not free. */
  get jobsInUse(): number {
    return this.fake.actor(0).machine.stats().jobs;
  }

  get device(): FakeMachine['actors'][number]['services'] {
    return this.fake.actor(this.fake.actors.length - 1).services;
  }
}
