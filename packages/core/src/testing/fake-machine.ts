/**
 * A machine without workers, for tests: kernel memory formatted as boot does it, and the services
 * of several actors over it in one thread, each of which acts when the test calls it.
 *
 * The seam is a fake: an actor that would sleep lets the fake broker answer, then the test's
 * `whileAsleep` act, then (manual clock) time pass. Whoever would sleep for ever throws. A server
 * runs until it has nothing to do.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { format } from '../actor/boot.js';
import type { FromBroker, ToBroker } from '../actor/broker-port.js';
import { Machine } from '../actor/machine.js';
import { reserveActor } from '../actor/reserve-actor.js';
import type { DeviceNode } from '../actor/names.js';
import { type Handlers, Server } from '../actor/server.js';
import { makeServices, type Services } from '../actor/services.js';
import type { DmaBufOps } from '../dmabuf/ops.js';
import type { IoctlHandler } from '../actor/ipc.js';
import {
  ACTOR,
  ACTOR_STATE,
  DEFAULT_TABLES,
  HEADER,
  JOB,
  layoutOf,
  MACHINE,
  QUEUE,
  REGION,
  REGION_KIND,
  ROLE,
  TRACE,
  type TableSizes,
} from '../memory/layout.js';
import { BROKER } from '../kernel.js';
import { endShare, markImporter } from '../memory/collection.js';
import { CountedWords } from '../memory/words.js';
import { type RegionMemory, type RegionToken, threadMem } from '../substrate/memory.js';
import type { Seam, WaitResult } from '../substrate/seam.js';
import { JobTable } from '../sync/job-table.js';
import { TRACE_KIND } from '../trace/ring.js';

export interface FakeOptions {
  /** Processes; their actor ids are 1, 2, … Default 2. */
  readonly actors?: number;
  readonly tables?: Partial<TableSizes>;
  /** The accessor of its kernel memory. Default: one that counts. */
  readonly words?: new (buffer: ArrayBufferLike) => CountedWords;
  /** Default manual. */
  readonly clock?: 'real' | 'manual';
  readonly coherency?: 'coherent' | 'noncoherent';
  readonly guard?: boolean;
  /** µs; default 0. */
  readonly spin?: number;
  /** The directory: which of the actors are devices. Default: none. */
  readonly devices?: readonly DeviceNode[];
}

/** One actor of the fake machine. */
export interface FakeActor {
  readonly id: number;
  readonly name: string;
  readonly machine: Machine;
  readonly services: Services & { ops: (DmaBufOps | undefined)[] };
}

/** Small tables, so that a dump of all of them is cheap. */
const SMALL: TableSizes = {
  ...DEFAULT_TABLES,
  actors: 8,
  jobs: 256,
  buffers: 32,
  queues: 40,
  regions: 32,
  contexts: 16,
  holders: 64,
  fds: 32,
  mailSlots: 8,
  mailBytes: 64,
  traceRecords: 1024,
};
const STUCK_AFTER = 3000;

/** Breaks a server out of its loop when it would go to sleep. */
class Idle extends Error {}

export class FakeMachine {
  readonly tables: TableSizes;
  readonly words: CountedWords;
  readonly actors: readonly FakeActor[];
  /** What happens while an actor sleeps: others act. Called once per sleep. */
  whileAsleep: () => void = () => {};
  /** Words on which somebody was notified, oldest first. */
  readonly notified: number[] = [];
  /** Messages that processes posted to the broker, oldest first. */
  readonly posted: ToBroker[] = [];
  readonly #ports: Map<number, MessagePort> = new Map();
  readonly #tokens: Map<string, RegionToken> = new Map();
  readonly #traced: number[] = [];
  readonly #devices: ReadonlyMap<string, DeviceNode>;
  #serving = -1;
  #sleeps = 0;

  constructor(options: FakeOptions = {}) {
    const { actors = 2, clock = 'manual', spin = 0 } = options;
    const { coherency = 'coherent', guard = false } = options;
    this.tables = { ...SMALL, ...options.tables };
    this.#devices = new Map(options.devices?.map((node) => [node.path, node]));
    const layout = layoutOf(this.tables, []);
    const control = threadMem.makeRegion(layout.totalWords * 4);
    this.words = new (options.words ?? CountedWords)(control.buffer);
    const how = { clock, coherency, guard, spin, trace: true };
    format(this.words, this.tables, how, layout);
    this.actors = Array.from({ length: actors }, (_, i) => this.#makeActor(i + 1));
    this.words.store(HEADER.STATE, MACHINE.RUNNING);
  }

  /** Actor by index, from 0. */
  actor(index: number): FakeActor {
    const actor = this.actors[index];
    if (actor === undefined) throw new RangeError(`the fake machine has no actor ${index}`);
    return actor;
  }

  /** Lets time pass. Manual clock only. */
  advance(ms: number): void {
    this.words.setDouble(HEADER.MANUAL_TIME, this.words.getDouble(HEADER.MANUAL_TIME) + ms);
  }

  /** Makes a pool, as boot does, that belongs to actor 0. */
  addPool(bytes: number): { region: number; memory: RegionMemory } {
    const { regions } = this.actor(0).services;
    const memory = threadMem.makePool(bytes);
    const region = regions.adopt(REGION_KIND.POOL, memory);
    this.#tokens.set(`${region}:${this.words.get(region + REGION.STATE)}`, memory.token);
    return { region, memory };
  }

  /** A server of an actor; `run()` returns when it would go to sleep. */
  server(index: number, handlers: Handlers & { ioctl?: IoctlHandler }): { run(): void } {
    const { kernel, regions, jobs, bell, inbox, ipc } = this.actor(index).services;
    const mail = { read: () => ipc.serve(handlers.ioctl), isEmpty: () => ipc.isEmpty };
    const server = new Server(kernel, regions, jobs, bell, inbox, handlers, mail);
    return {
      run: () => {
        const before = this.#serving;
        this.#serving = kernel.actor + ACTOR.WAITING;
        try {
          server.run();
        } catch (error) {
          if (!(error instanceof Idle)) throw error;
        } finally {
          this.#serving = before;
        }
      },
    };
  }

  /** Pointers of the jobs granted since the last call, in order. */
  grants(): number[] {
    const granted: number[] = [];
    for (const { id, services } of this.actors) {
      const { kernel } = services;
      const size = this.words.get(HEADER.TRACE_RECORDS);
      const base = this.words.get(HEADER.TRACE) + id * size * TRACE.WORDS;
      const count = this.words.get(kernel.actor + ACTOR.TRACED);
      for (let i = this.#traced[id] ?? 0; i < count; i++) {
        const at = base + (i % size) * TRACE.WORDS;
        if (this.words.get(at + TRACE.KIND) !== TRACE_KIND.GRANT) continue;
        granted.push(this.words.get(at + TRACE.JOB));
      }
      this.#traced[id] = count;
    }
    return granted;
  }

  /** Jobs waiting in an actor's ready set; empties it. */
  takeReady(index: number): number[] {
    const out: number[] = [];
    const { id, services } = this.actor(index);
    services.jobs.ready.take(id, out);
    return out;
  }

  /**
   * Everything that a refused call could have left behind, as text: live records word by word (but
   * for generations, free lists and the queues' Lamport clocks), open fds, ready sets, mailbox indexes, counters.
   */
  dump(): string {
    const { kernel } = this.actor(0).services;
    const lines: string[] = [];
    const record = (name: string, pointer: number, size: number, clock = -2): void => {
      const words = this.words.i32.slice(pointer, pointer + size);
      words.fill(0, Math.max(0, clock), clock + 2);
      lines.push(`${name} ${pointer}: ${words.join(' ')}`);
    };
    const tables = ['contexts', 'timelines', 'syncFiles', 'regions', 'buffers', 'holders'] as const;
    for (const name of tables) {
      for (const pointer of kernel[name].live()) record(name, pointer, kernel[name].size);
    }
    for (const queue of kernel.queues.live()) record('queue', queue, QUEUE.WORDS, QUEUE.SEQ);
    for (let i = 0; i < kernel.jobs.count; i++) {
      const job = kernel.jobs.at(i);
      if ((this.words.get(job + JOB.STATE) & 0xf) !== 0) record('job', job, JOB.WORDS);
    }
    for (const { id, services } of this.actors) {
      for (const { fd, object } of services.fds.open()) lines.push(`fd ${id}:${fd} ${object}`);
      const set = this.words.get(HEADER.READY) + id * this.words.get(HEADER.READY_WORDS);
      record('ready', set, this.words.get(HEADER.READY_WORDS));
      const box = this.words.get(HEADER.MAIL) + id * this.words.get(HEADER.MAIL_WORDS);
      record('mail', box, 3);
      const { jobsDone, jobsFailed } = this.actor(0).machine.actorStats(id);
      lines.push(`actor ${id} ${jobsDone} ${jobsFailed}`);
    }
    const { buffers, bytes, jobs } = this.actor(0).machine.stats();
    lines.push(`counters ${buffers} ${bytes} ${jobs}`);
    return lines.join('\n');
  }

  /** Answers what processes asked of the broker. Called by itself when somebody sleeps. */
  pump(): void {
    for (const [actor, port] of this.#ports) {
      for (;;) {
        const received: { message: ToBroker } | undefined = receiveMessageOnPort(port);
        if (received === undefined) break;
        this.posted.push(received.message);
        this.#broker(actor, received.message);
      }
    }
  }

  #broker(actor: number, message: ToBroker): void {
    if (message.type === 'dropped') this.#forgetTokens(message.region);
    if (message.type === 'collect')
      for (const { services } of this.actors) services.regions.collect();
    if (message.type === 'region') {
      this.#tokens.set(`${message.region}:${message.generation}`, message.token);
      return;
    }
    if (message.type !== 'import' && message.type !== 'deliver') return;
    const { region, generation, id } = message;
    const token = this.#tokens.get(`${region}:${generation}`);
    if (token === undefined) throw new Error(`nobody gave the broker region ${region}`);
    const to = message.type === 'deliver' ? message.actor : actor;
    markImporter(this.actor(0).services.kernel, region, to);
    if (message.type === 'deliver') {
      this.#answer(message.actor, { type: 'region', region, generation, token, id: 0 });
      this.#answer(actor, { type: 'done', id });
    } else {
      this.#answer(actor, { type: 'region', region, generation, token, id });
    }
  }

  /** Its own share ends at once: nothing tells it from actor 1's, which has the broker's id. */
  #forgetTokens(region: number): void {
    for (const key of this.#tokens.keys())
      if (key.startsWith(`${region}:`)) this.#tokens.delete(key);
    const { kernel } = this.actor(0).services;
    const generation = this.words.load(region + REGION.AWAITS);
    endShare(kernel, region, generation, BROKER);
  }

  #answer(actor: number, message: FromBroker): void {
    this.#ports.get(actor)?.postMessage(message);
    this.words.add(this.actor(0).services.kernel.actors.at(actor) + ACTOR.PORT_BELL, 1);
  }

  #makeActor(id: number): FakeActor {
    const { port1, port2 } = new MessageChannel();
    this.#ports.set(id, port2);
    const services = makeServices({
      words: this.words,
      self: id,
      seam: this.#seam,
      mem: threadMem,
      tables: this.tables,
      port: port1,
      drivers: [],
      devices: this.#devices,
      bootToken: null,
    });
    if (id === 1) JobTable.format(services.kernel);
    const name = `actor${id}`;
    if (reserveActor(services, name, ROLE.PROCESS) !== id)
      throw new Error('actor ids are not in order');
    this.words.store(services.kernel.actor + ACTOR.STATE, ACTOR_STATE.LIVE);
    const machine = new Machine(services, async (self) => self.leave());
    return { id, name, machine, services };
  }

  readonly #seam: Seam = {
    wait: (words, index, value, ms) => this.#sleep(words, index, value, ms),
    notify: (_words, index) => this.notified.push(index),
    waitAsync: async (words, index, value) => this.#sleep(words, index, value, 100),
  };

  #sleep(words: Int32Array<ArrayBufferLike>, index: number, value: number, ms: number): WaitResult {
    if (words[index] !== value) return 'mismatch';
    this.pump();
    if (words[index] !== value) return this.#woken();
    if (index === this.#serving) throw new Idle();
    this.whileAsleep();
    if (words[index] !== value) return this.#woken();
    if (++this.#sleeps > STUCK_AFTER) throw new Error(`word ${index} is waited for in vain`);
    this.advance(ms);
    return 'timeout';
  }

  #woken(): WaitResult {
    this.#sleeps = 0;
    return 'woken';
  }
}
