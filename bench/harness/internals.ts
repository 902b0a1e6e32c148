/**
 * Core's own modules, for the rows that measure the queue core by itself, for which there is no public
 * call: add, claim, complete and release, and the counting accessor of kernel memory. Found beside
 * what `@dmabuf/core` resolves to; of no use to anybody else.
 */
import { MessageChannel } from 'node:worker_threads';

/** The parts of core's services that the bench uses. */
export interface Core {
  readonly alloc: (bytes: number) => { readonly record: { readonly queue: number } };
  readonly createContext: () => number;
  readonly jobs: {
    add(spec: object): { readonly slot: number };
    claim(job: number): boolean;
    complete(job: number, error: number): void;
    release(job: number): void;
    readonly ready: { take(actor: number, out: number[]): void };
  };
  readonly words: { plain?: number; atomics?: number; reset?(): void };
  readonly self: number;
}

/** Sizes of records, in words, and of all of kernel memory. */
export interface Sizes {
  readonly job: number;
  readonly payload: number;
  readonly queue: number;
  readonly buffer: number;
  readonly total: number;
}

/** A module of core's own, by its path in `dist`: the bundle lies one deeper. */
export async function loadCore<T>(path: string): Promise<T> {
  const bundle = import.meta.resolve('@dmabuf/core');
  return (await import(new URL(`../${path}`, bundle).href)) as T;
}

interface WordsModule {
  readonly Words: new (buffer: ArrayBufferLike) => Core['words'];
  readonly CountedWords: new (buffer: ArrayBufferLike) => Core['words'];
}
interface LayoutModule {
  readonly layoutOf: (
    tables: object,
    words: readonly number[],
  ) => { readonly totalWords: number; readonly payloadWords: number };
  readonly DEFAULT_TABLES: { readonly jobs: number };
  readonly JOB: { readonly WORDS: number };
  readonly QUEUE: { readonly WORDS: number };
  readonly BUFFER: { readonly WORDS: number };
  readonly HEADER: { readonly STATE: number };
  readonly ACTOR: { readonly STATE: number };
  readonly ACTOR_STATE: { readonly LIVE: number };
  readonly MACHINE: { readonly RUNNING: number };
}
interface ServicesModule {
  readonly makeServices: (options: object) => {
    readonly kernel: {
      readonly self: number;
      readonly actor: number;
      readonly words: Core['words'] & { store(index: number, value: number): void };
    };
    readonly jobs: Core['jobs'] & {
      readonly contexts: { create(actor: number, name: string, flags: number): number };
    };
  };
}
interface BootModule {
  readonly format: (words: object, tables: object, options: object, layout: object) => void;
}
interface ReserveModule {
  readonly reserveActor: (services: object, name: string, role: number) => number;
}
interface MachineModule {
  readonly Machine: new (
    services: object,
    end: () => Promise<void>,
  ) => { alloc(bytes: number): { readonly record: { readonly queue: number } } };
}

/** Kernel memory and one actor's services over it, all in this thread. */
export async function makeCore(counted: boolean): Promise<Core> {
  const { Words, CountedWords } = await loadCore<WordsModule>('./memory/words.js');
  const layout = await loadCore<LayoutModule>('./memory/layout.js');
  const { makeServices } = await loadCore<ServicesModule>('./actor/services.js');
  const { format } = await loadCore<BootModule>('./actor/boot.js');
  const { Machine } = await loadCore<MachineModule>('./actor/machine.js');
  const { reserveActor } = await loadCore<ReserveModule>('./actor/reserve-actor.js');
  const { threadMem } = await loadCore<{ threadMem: object }>('./substrate/memory.js');
  const { threadSeam } = await loadCore<{ threadSeam: object }>('./substrate/seam.js');
  const { JobTable } = await loadCore<{ JobTable: { format(kernel: object): void } }>(
    './sync/job-table.js',
  );
  const tables = layout.DEFAULT_TABLES;
  const plan = layout.layoutOf(tables, []);
  const memory = new SharedArrayBuffer(plan.totalWords * 4);
  const words = counted ? new CountedWords(memory) : new Words(memory);
  format(words, tables, { clock: 'real' }, plan);
  const services = makeServices({
    words,
    self: 1,
    seam: threadSeam,
    mem: threadMem,
    tables,
    port: new MessageChannel().port1,
    drivers: [],
    devices: new Map(),
    bootToken: null,
  });
  const { kernel, jobs } = services;
  JobTable.format(kernel);
  reserveActor(services, 'bench', 2);
  kernel.words.store(layout.HEADER.STATE, layout.MACHINE.RUNNING);
  kernel.words.store(kernel.actor + layout.ACTOR.STATE, layout.ACTOR_STATE.LIVE);
  const machine = new Machine(services, async () => {});
  return {
    alloc: (bytes) => machine.alloc(bytes),
    createContext: () => jobs.contexts.create(kernel.self, 'bench', 0),
    jobs,
    words,
    self: kernel.self,
  };
}

/** What control memory costs. */
export async function recordSizes(): Promise<Sizes> {
  const layout = await loadCore<LayoutModule>('./memory/layout.js');
  const { totalWords, payloadWords } = layout.layoutOf(layout.DEFAULT_TABLES, []);
  return {
    job: layout.JOB.WORDS,
    payload: payloadWords,
    queue: layout.QUEUE.WORDS,
    buffer: layout.BUFFER.WORDS,
    total: totalWords,
  };
}

interface FakeActorLike {
  readonly machine: {
    alloc(bytes: number): { readonly record: { readonly queue: number } };
    createContext(target: number): { submit(options: object): unknown };
  };
  readonly services: { readonly kernel: { readonly actors: { at(index: number): number } } };
}
interface FakeMachineLike {
  readonly words: { store(index: number, value: number): void };
  actor(index: number): FakeActorLike;
  server(index: number, handlers: object): { run(): void };
}

/**
 * Deaths on one kernel memory: each call has an actor queue jobs and die with a lock held, recovers it, and returns
 * the ms that this took.
 */
export async function deadActors(sizes: {
  readonly jobs: number;
  readonly queued: number;
  readonly buffers: number;
}): Promise<() => number> {
  const { FakeMachine } = await loadCore<{
    FakeMachine: new (options: object) => FakeMachineLike;
  }>('./testing/fake-machine.js');
  const { recover } = await loadCore<{ recover: (services: object, dead: number) => void }>(
    './actor/recovery.js',
  );
  const { exclusive, shared } = await loadCore<{
    exclusive: (buffer: object) => object;
    shared: (buffer: object) => object;
  }>('./sync/context.js');
  const { ACTOR, ACTOR_STATE } = await loadCore<{
    ACTOR: { readonly STATE: number };
    ACTOR_STATE: { readonly LIVE: number; readonly DEAD: number };
  }>('./memory/layout.js');
  const room = 4 * sizes.buffers;
  const tables = { jobs: sizes.jobs, buffers: room, queues: room, regions: room, fds: room };
  // As every thread has it, not the one that counts.
  const { Words: words } = await loadCore<WordsModule>('./memory/words.js');
  const fake = new FakeMachine({ actors: 3, clock: 'real', tables, words });
  const { services } = fake.actor(0);
  const state = services.kernel.actors.at(2) + ACTOR.STATE;
  const device = fake.server(2, { run: () => {} });
  return () => {
    const { machine } = fake.actor(1);
    const buffers = Array.from({ length: sizes.buffers }, () => machine.alloc(4096));
    const context = machine.createContext(3);
    for (let i = 0; i < sizes.queued; i++) {
      const [one, two] = [buffers[i % sizes.buffers], buffers[(i + 7) % sizes.buffers]];
      if (one !== undefined && two !== undefined) {
        context.submit({ buffers: [exclusive(one), shared(two)] });
      }
    }
    fake.words.store(buffers[0]?.record.queue ?? 0, 2); // its lock, and the holder
    fake.words.store(state, ACTOR_STATE.DEAD);
    const start = performance.now();
    recover(services, 2);
    const took = performance.now() - start;
    device.run(); // takes what was cancelled on its way
    fake.words.store(state, ACTOR_STATE.LIVE);
    return took;
  };
}
