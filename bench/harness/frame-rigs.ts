/**
 * The same little pipeline in many ways: frames go through stages that touch little of each, a handful of
 * frames in flight. Each rig runs `count` frames and gives frames a second.
 */
import { fileURLToPath } from 'node:url';
import { MessageChannel, Worker } from 'node:worker_threads';
import {
  boot,
  type Context,
  discard,
  type DmaBuf,
  exclusive,
  type Machine,
  shared,
} from '@dmabuf/core';
import { type Actor, enlist, type Member, recruit } from './crew.js';
import {
  type Comlink,
  type NodeEndpoint,
  peer,
  type Pool,
  type PoolClass,
  resolved,
  type Workerpool,
} from './peers.js';
import type { Sample } from './rounds.js';

/** Frames that a job table of the default size takes at once, of so many stages. */
export function framesAhead(stages: number): number {
  return Math.floor(3000 / stages);
}

/** Frames in flight, in every rig. */
export const FRAMES = 4;

export interface Size {
  readonly name: string;
  /** Bytes of a frame, RGBA. */
  readonly bytes: number;
}

export const SIZES: Readonly<Record<'720p' | '1080p' | '4K', Size>> = {
  '720p': { name: '720p', bytes: 1280 * 720 * 4 },
  '1080p': { name: '1080p', bytes: 1920 * 1080 * 4 },
  '4K': { name: '4K', bytes: 3840 * 2160 * 4 },
};

export interface Rig {
  run(count: number): Promise<Sample>;
  end(): Promise<void>;
}

function rate(count: number, start: number, end: number): Sample {
  return { value: (count / (end - start)) * 1000 };
}

/** This project: one actor a stage, all jobs queued ahead. */
export class JobRig implements Rig {
  readonly machine: Machine;
  readonly #actors: readonly Actor[];
  readonly #contexts: readonly Context[];
  readonly #buffers: readonly DmaBuf[];

  static async make(stages: number, size: Size, early: boolean = false): Promise<JobRig> {
    const machine = await boot();
    const actors: Actor[] = [];
    for (let i = 0; i < stages; i++) actors.push(await enlist(machine, `stage ${i}`, 'stage'));
    return new JobRig(machine, actors, size, early);
  }

  private constructor(machine: Machine, actors: readonly Actor[], size: Size, early: boolean) {
    this.machine = machine;
    this.#actors = actors;
    this.#contexts = actors.map(({ peer }) => machine.createContext(peer, peer.name, { early }));
    this.#buffers = Array.from({ length: FRAMES }, () => machine.alloc(size.bytes));
  }

  /** Frames queued before the first starts; their queueing is not in the time. */
  async run(count: number): Promise<Sample> {
    const gate = this.machine.waitAll(this.#buffers.map((buffer) => discard(buffer)));
    const last = this.#queue(count);
    const start = performance.now();
    gate.release();
    await last?.settled();
    return rate(count, start, performance.now());
  }

  /** Frames queued while they run, in the time. */
  async runFed(count: number): Promise<Sample> {
    const start = performance.now();
    const last = this.#queue(count);
    await last?.settled();
    return rate(count, start, performance.now());
  }

  /** Bytes of frames that any stage said it copied. */
  get bytesCopied(): number {
    const copied = this.#actors.map(({ peer }) => this.machine.actorStats(peer.actor).bytesCopied);
    return copied.reduce((sum, bytes) => sum + bytes, 0);
  }

  async end(): Promise<void> {
    await this.machine.shutdown();
  }

  #queue(count: number): ReturnType<Context['submit']> | undefined {
    const end = this.#contexts.length - 1;
    let last: ReturnType<Context['submit']> | undefined;
    for (let frame = 0; frame < count; frame++) {
      const buffer = this.#buffers[frame % FRAMES];
      if (buffer === undefined) break;
      for (const [stage, context] of this.#contexts.entries()) {
        const use =
          stage === 0 ? discard(buffer) : stage < end ? exclusive(buffer) : shared(buffer);
        last = context.submit({ buffers: [use] });
      }
    }
    return last;
  }
}

/** ringbuf.js, as far as it is used. */
export interface RingBuf {
  readonly RingBuffer: {
    new (storage: SharedArrayBuffer, type: typeof Uint32Array): { push(from: Uint32Array): number };
    getStorageForCapacity(capacity: number, type: typeof Uint32Array): SharedArrayBuffer;
  };
}

/** Bare workers, one a stage: everything that one writes by hand. */
export class BareRig {
  readonly members: readonly Member[];
  readonly #frames: readonly Uint32Array<SharedArrayBuffer>[];
  readonly #size: Size;

  static async make(stages: number, size: Size): Promise<BareRig> {
    const members: Member[] = [];
    for (let i = 0; i < stages; i++) members.push(await recruit(`bare stage ${i}`, 'bare'));
    return new BareRig(members, size);
  }

  private constructor(members: readonly Member[], size: Size) {
    this.members = members;
    this.#size = size;
    this.#frames = Array.from(
      { length: FRAMES },
      () => new Uint32Array(new SharedArrayBuffer(size.bytes)),
    );
  }

  /** SharedArrayBuffer, a counter word a stage, Atomics.wait and notify. */
  async byHand(count: number): Promise<Sample> {
    const stages = this.members.length;
    const done = new Int32Array(new SharedArrayBuffer((stages + 1) * 128));
    const frames = this.#frames;
    const ends = this.members.map(async (member, stage) => {
      if (stage > 0) member.post({ do: 'stage', done, frames, stage, stages, count });
      return member.next();
    });
    const start = performance.now();
    this.members[0]?.post({ do: 'stage', done, frames, stage: 0, stages, count });
    return rate(count, start, Number((await Promise.all(ends)).at(-1)));
  }

  /** Message ports from stage to stage: frames copied, moved, or shared. */
  async byPorts(count: number, how: 'clone' | 'transfer' | 'shared'): Promise<Sample> {
    const stages = this.members.length;
    const channels = this.members.map(() => new MessageChannel());
    const own = (): Uint32Array<ArrayBuffer>[] =>
      Array.from({ length: FRAMES }, () => new Uint32Array(this.#size.bytes / 4));
    const order = async (stage: number): Promise<unknown> => {
      const member = this.members[stage];
      // Port i leads to stage i; the last stage's leads back to the first.
      const from = channels[stage]?.port2;
      const to = channels[(stage + 1) % stages]?.port1;
      if (member === undefined || from === undefined || to === undefined) throw new RangeError();
      const seeds = stage === stages - 1 || (how === 'clone' && stage === 0);
      const frames = !seeds ? [] : how === 'shared' ? this.#frames : own();
      const answer = member.next();
      member.post({ do: 'portStage', from, to, how, stage, stages, count, frames }, [from, to]);
      return answer;
    };
    for (let stage = 0; stage < stages - 1; stage++) await order(stage);
    const start = performance.now();
    return rate(count, start, Number(await order(stages - 1)));
  }

  /** ringbuf.js rings of frame numbers from stage to stage, with bells by hand: they do not block. */
  async byRings({ RingBuffer }: RingBuf, count: number): Promise<Sample> {
    const rings = this.members.map(() => RingBuffer.getStorageForCapacity(2 * FRAMES, Uint32Array));
    const bells = new Int32Array(new SharedArrayBuffer(this.members.length * 128));
    const module = resolved('ringbuf.js');
    const frames = this.#frames;
    for (const [stage, member] of this.members.entries()) {
      const ready = member.next();
      member.post({ do: 'ringStage', module, bells, rings, frames, stage, count });
      await ready;
    }
    const ends = this.members.map((member) => member.next());
    const [first] = rings;
    if (first === undefined) throw new RangeError('a pipeline without stages');
    const start = performance.now();
    new RingBuffer(first, Uint32Array).push(Uint32Array.from({ length: FRAMES }, (_, i) => i));
    Atomics.add(bells, 0, 1);
    Atomics.notify(bells, 0);
    return rate(count, start, Number((await Promise.all(ends)).at(-1)));
  }

  async end(): Promise<void> {
    for (const member of this.members) await member.end();
  }
}

/** How one call of a stage is made: gives the frame back. */
type Call = (
  frame: Uint32Array<ArrayBufferLike>,
  stage: number,
  last: boolean,
) => PromiseLike<unknown>;

/** A pipeline whose stages the main thread calls one after the other, each frame a line of its own. */
export class CalledRig implements Rig {
  readonly #call: Call;
  readonly #end: () => Promise<void>;
  readonly #stages: number;
  #frames: readonly Uint32Array<ArrayBufferLike>[];

  constructor(stages: number, size: Size, call: Call, end: () => Promise<void>, moved: boolean) {
    this.#call = call;
    this.#end = end;
    this.#stages = stages;
    const memory = (): ArrayBufferLike =>
      moved ? new ArrayBuffer(size.bytes) : new SharedArrayBuffer(size.bytes);
    this.#frames = Array.from({ length: FRAMES }, () => new Uint32Array(memory()));
  }

  async run(count: number): Promise<Sample> {
    let left = count;
    const line = async (
      first: Uint32Array<ArrayBufferLike>,
    ): Promise<Uint32Array<ArrayBufferLike>> => {
      let frame = first;
      while (left-- > 0) {
        for (let stage = 0; stage < this.#stages; stage++) {
          const back = await this.#call(frame, stage, stage === this.#stages - 1);
          if (!(back instanceof Uint32Array)) throw new TypeError('a stage kept its frame');
          frame = back;
        }
      }
      return frame;
    };
    const start = performance.now();
    const back = await Promise.all(this.#frames.map(line));
    const end = performance.now();
    this.#frames = back; // moved frames come back as other objects
    return rate(count, start, end);
  }

  /** µs of each of `count` calls of the first stage, one after the other. */
  async times(count: number): Promise<number[]> {
    const times: number[] = [];
    const [frame] = this.#frames;
    for (let i = 0; i < count && frame !== undefined; i++) {
      const start = performance.now();
      await this.#call(frame, 0, false);
      times.push((performance.now() - start) * 1000);
    }
    return times;
  }

  async end(): Promise<void> {
    await this.#end();
  }
}

interface ComlinkStage {
  stage(frame: unknown, last: boolean, move: boolean): Promise<unknown>;
}

/** Comlink: a proxy for each stage's worker. Undefined when it is not installed. */
export async function comlinkRig(
  stages: number,
  size: Size,
  moved: boolean,
): Promise<CalledRig | undefined> {
  const comlink = await peer<Comlink>('comlink');
  const adapter = await peer<{ readonly default: NodeEndpoint }>(
    'comlink/dist/esm/node-adapter.mjs',
  );
  if (comlink === undefined || adapter === undefined) return undefined;
  const url = new URL('../workers/comlink-stage.js', import.meta.url);
  const workers = Array.from({ length: stages }, () => new Worker(url));
  const proxies = workers.map((worker) => comlink.wrap(adapter.default(worker)) as ComlinkStage);
  const call: Call = async (frame, stage, last) => {
    const sent = moved ? comlink.transfer(frame, [frame.buffer]) : frame;
    return proxies[stage]?.stage(sent, last, moved);
  };
  const end = async (): Promise<void> => {
    for (const worker of workers) await worker.terminate();
  };
  return new CalledRig(stages, size, call, end, moved);
}

/** piscina or tinypool, as many threads as stages, frames in shared memory. */
export async function poolRig(
  name: 'piscina' | 'tinypool',
  stages: number,
  size: Size,
): Promise<CalledRig | undefined> {
  const module = await peer<Readonly<Record<string, PoolClass>>>(name);
  const Class = module?.[name === 'piscina' ? 'Piscina' : 'Tinypool'];
  if (Class === undefined) return undefined;
  const filename = new URL('../workers/pool-stage.js', import.meta.url).href;
  const pool: Pool = new Class({ filename, name: 'stage', minThreads: stages, maxThreads: stages });
  const call: Call = async (frame, _stage, last) => pool.run({ frame, last }, { name: 'stage' });
  return new CalledRig(stages, size, call, () => pool.destroy(), false);
}

/** workerpool, likewise. */
export async function workerpoolRig(stages: number, size: Size): Promise<CalledRig | undefined> {
  const module = await peer<{ readonly default: Workerpool }>('workerpool');
  if (module === undefined) return undefined;
  const script = new URL('../workers/workerpool-stage.js', import.meta.url);
  const options = { minWorkers: stages, maxWorkers: stages, workerType: 'thread' };
  const pool = module.default.pool(fileURLToPath(script), options);
  const call: Call = async (frame, _stage, last) => pool.exec('stage', [frame, last]);
  const end = async (): Promise<void> => {
    await pool.terminate();
  };
  return new CalledRig(stages, size, call, end, false);
}
