/**
 * The broker: a worker of its own that starts first (design D5). It hosts the device workers, hands
 * regions to whoever imports an fd, stamps the heartbeat, and hears of deaths, so that none of that
 * waits for the application's main thread. It lives in its event loop and never blocks in a
 * wait; it runs no driver code.
 *
 * Each process's port is its life line: `close` without `leave` before it means that the process died.
 * What a dead process leaves behind is settled by the reaper, a worker that starts at the first death. A
 * device that dies, and a process that dies with jobs of others in hand, is a fault of the whole machine: FAULT_ERRNO and the text are stored before FAULT_ACTOR, which publishes them; then
 * everybody who sleeps is woken and finds it.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { errno } from '../errno.js';
import { FdTable, kindOf, pointerOf } from '../fd/fd-table.js';
import { Kernel } from '../kernel.js';
import {
  ACTOR,
  ACTOR_STATE,
  BUFFER,
  HEADER,
  JOB,
  JOB_STATE,
  JOB_STATE_MASK,
  JOB_WAITERS,
  MACHINE,
  OBJECT,
  REGION,
  REGION_KIND,
  ROLE,
} from '../memory/layout.js';
import { markImporter, unmarkImporter } from '../memory/regions.js';
import { writeName } from '../memory/tables.js';
import { Words } from '../memory/words.js';
import { type Host, workerHost } from '../substrate/actors.js';
import { type RegionToken, threadMem } from '../substrate/memory.js';
import { threadSeam } from '../substrate/seam.js';
import type { FromBroker, ToBroker } from './broker-port.js';
import type { DeviceTask } from './device-main.js';
import type { BootToken } from './join.js';
import type { Reaped, ReaperTask } from './reaper.js';
import type { DeviceSpec } from './spec.js';

/** What the booting process starts the broker with. */
export interface BrokerTask {
  readonly self: number;
  readonly boot: BootToken;
  /** The booting process. */
  readonly first: { readonly actor: number; readonly port: MessagePort };
  readonly devices: readonly {
    readonly actor: number;
    readonly driver: string;
    readonly spec: DeviceSpec;
  }[];
  readonly deviceMain: string;
  readonly reaperMain: string;
  /** Slot of the reaper. */
  readonly reaper: number;
  /** Regions that exist at boot: the pool. */
  readonly regions: readonly {
    readonly region: number;
    readonly generation: number;
    readonly token: RegionToken;
  }[];
}

const HEARTBEAT_MS = 250;
const STOP_GRACE_MS = 2000;

interface Held {
  readonly generation: number;
  readonly token: RegionToken;
}
interface Waiting {
  readonly region: number;
  readonly generation: number;
  readonly serve: (token: RegionToken) => void;
}

class Broker {
  readonly #k: Kernel;
  readonly #task: BrokerTask;
  readonly #host: Host | undefined;
  readonly #ports: Map<number, MessagePort> = new Map();
  readonly #regions: Map<number, Held> = new Map();
  /** Requests for regions whose maker's message has not arrived yet. */
  readonly #waiting: Waiting[] = [];
  readonly #ended: Promise<unknown>[] = [];
  /** Where the dead are sent; there once somebody has died. */
  #reaper: { readonly work: MessagePort; readonly host: Host } | undefined;
  readonly #finished: Promise<void>;
  #finish: () => void = () => {};
  #stopping = false;

  constructor(task: BrokerTask) {
    this.#task = task;
    const words = new Words(threadMem.importRegion(task.boot.control).buffer);
    this.#k = new Kernel(words, task.self, threadSeam, threadMem);
    this.#finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
    for (const { region, generation, token } of task.regions) {
      this.#regions.set(region, { generation, token });
    }
    if (task.devices.length > 0) this.#host = workerHost(task.deviceMain, task.devices.length);
  }

  async run(): Promise<void> {
    const { words, actor } = this.#k;
    words.store(actor + ACTOR.STATE, ACTOR_STATE.LIVE);
    const beat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    words.add(HEADER.HEARTBEAT, 1);
    this.#adopt(this.#task.first.actor, this.#task.first.port);
    for (const device of this.#task.devices) this.#start(device);
    await this.#finished;
    clearInterval(beat);
    for (const port of this.#ports.values()) port.close();
  }

  #start(device: BrokerTask['devices'][number]): void {
    const { port1, port2 } = new MessageChannel();
    this.#adopt(device.actor, port2);
    const { boot } = this.#task;
    const task: DeviceTask = { ...device, port: port1, boot };
    // A pool region is in every device's port before it starts: attaching then costs nothing.
    for (const [region, held] of this.#regions) this.#deliver(device.actor, region, held);
    const run = this.#host?.start(task, [port1]) ?? Promise.resolve();
    this.#ended.push(
      run.then(
        () => this.#deviceEnded(device.actor, 'its worker ended'),
        (error: unknown) => this.#deviceEnded(device.actor, textOf(error)),
      ),
    );
  }

  #deviceEnded(actor: number, why: string): void {
    const { words, actors } = this.#k;
    const state = words.load(actors.at(actor) + ACTOR.STATE);
    if (state === ACTOR_STATE.LEFT && this.#stopping) return;
    if (!this.#stopping) this.#fault(actor, why);
  }

  #adopt(actor: number, port: MessagePort): void {
    this.#ports.set(actor, port);
    port.on('message', (message: ToBroker) => this.#receive(actor, message));
    port.on('close', () => this.#closed(actor));
  }

  #receive(actor: number, message: ToBroker): void {
    switch (message.type) {
      case 'process':
        this.#adopt(message.actor, message.port);
        break;
      case 'region':
        this.#arrived(message.region, message.generation, message.token);
        break;
      case 'import':
        this.#import(actor, message.region, message.generation, message.id);
        break;
      case 'deliver':
        this.#request(actor, message);
        break;
      case 'dropped':
        this.#regions.delete(message.region);
        break;
      case 'leave':
        this.#left(actor);
        break;
      case 'shutdown':
        void this.#stop();
        break;
      default:
    }
  }

  #arrived(region: number, generation: number, token: RegionToken): void {
    this.#regions.set(region, { generation, token });
    for (const wait of this.#waiting.splice(0)) {
      if (wait.region === region && wait.generation === generation) wait.serve(token);
      else this.#waiting.push(wait);
    }
  }

  /** Calls `serve` with the region's token, now or when its maker's message is here. */
  #withRegion(region: number, generation: number, serve: (token: RegionToken) => void): void {
    const held = this.#regions.get(region);
    if (held?.generation === generation) serve(held.token);
    else this.#waiting.push({ region, generation, serve });
  }

  #import(actor: number, region: number, generation: number, id: number): void {
    if (!this.#mayImport(actor, region)) {
      const detail = `actor ${actor} has no fd of a buffer in that memory`;
      this.#answer(actor, { type: 'error', errno: -errno.EACCES, detail, id });
      return;
    }
    this.#withRegion(region, generation, (token) => {
      markImporter(this.#k, region, actor);
      this.#answer(actor, { type: 'region', region, generation, token, id });
    });
  }

  #request(actor: number, message: Extract<ToBroker, { type: 'deliver' }>): void {
    const { region, generation, actor: to, id } = message;
    if (!this.#mayImport(actor, region)) {
      const detail = `actor ${actor} has no fd of a buffer in that memory`;
      this.#answer(actor, { type: 'error', errno: -errno.EACCES, detail, id });
      return;
    }
    this.#withRegion(region, generation, (token) => {
      this.#deliver(to, region, { generation, token });
      this.#answer(actor, { type: 'done', id });
    });
  }

  #deliver(to: number, region: number, held: Held): void {
    const { generation, token } = held;
    markImporter(this.#k, region, to);
    this.#answer(to, { type: 'region', region, generation, token, id: 0 });
  }

  #answer(actor: number, message: FromBroker): void {
    const { words, seam, actors } = this.#k;
    this.#ports.get(actor)?.postMessage(message);
    const bell = actors.at(actor) + ACTOR.PORT_BELL;
    words.add(bell, 1);
    seam.notify(words.i32, bell, 1);
  }

  /** An fd is a capability: whoever has one to a buffer in the region, or has the region, may. */
  #mayImport(actor: number, region: number): boolean {
    const { words } = this.#k;
    // The pool isolates as a whole: allocators zero ranges of it before there is an fd (design D4).
    if (words.get(region + REGION.KIND) === REGION_KIND.POOL) return true;
    if ((words.load(region + REGION.IMPORTERS + (actor >> 5)) & (1 << (actor & 31))) !== 0)
      return true;
    for (const { object } of new FdTable(this.#k, actor).open()) {
      if (kindOf(object) !== OBJECT.DMABUF) continue;
      if (words.get(pointerOf(object) + BUFFER.REGION) === region) return true;
    }
    return false;
  }

  #left(actor: number): void {
    const { words, actors } = this.#k;
    const port = this.#ports.get(actor);
    this.#ports.delete(actor);
    port?.close();
    if (!this.#stopping && words.get(actors.at(actor) + ACTOR.ROLE) === ROLE.PROCESS) {
      this.#vacate(actor);
    }
  }

  /** Frees a process's place; whoever gets it next has no memory yet. */
  #vacate(actor: number): void {
    const { words, actors, regions } = this.#k;
    for (const region of regions.live()) unmarkImporter(this.#k, region, actor);
    words.store(actors.at(actor) + ACTOR.STATE, ACTOR_STATE.FREE);
  }

  /**
   * Shows that the broker lives. While the machine is over it wakes everybody once more: an
   * asynchronous wait has no bound, and may have begun just after it was to be woken.
   */
  #beat(): void {
    this.#k.words.add(HEADER.HEARTBEAT, 1);
    if (this.#k.over) this.#wakeAll();
  }

  /** A port closed without leave: its process died. */
  #closed(actor: number): void {
    if (!this.#ports.has(actor) || this.#stopping) return;
    this.#ports.delete(actor);
    const { words, actors } = this.#k;
    const at = actors.at(actor);
    words.store(at + ACTOR.STATE, ACTOR_STATE.DEAD);
    if (words.get(at + ACTOR.ROLE) !== ROLE.PROCESS) return; // its run() says why
    if (this.#serves(actor)) this.#fault(actor, 'its thread ended with jobs of others in hand');
    else this.#reap(actor);
  }

  #reap(dead: number): void {
    this.#reaper ??= this.#startReaper();
    this.#reaper.work.postMessage(dead);
  }

  #startReaper(): { readonly work: MessagePort; readonly host: Host } {
    const { boot, reaper: actor, reaperMain } = this.#task;
    const host = workerHost(reaperMain, 1);
    const life = new MessageChannel();
    const work = new MessageChannel();
    this.#adopt(actor, life.port2);
    const task: ReaperTask = { actor, port: life.port1, boot, work: work.port1 };
    host.start(task, [life.port1, work.port1]).catch((error: unknown) => {
      if (!this.#stopping) this.#fault(actor, textOf(error));
    });
    work.port2.on('message', ({ dead, settled }: Reaped) => {
      if (settled) this.#vacate(dead);
      else this.#fault(dead, 'its thread ended while it held a lock');
    });
    return { work: work.port2, host };
  }

  /** Whether a job in flight that somebody else added is to be run by an actor. */
  #serves(actor: number): boolean {
    const { words, jobs } = this.#k;
    for (let i = 0; i < jobs.count; i++) {
      const job = jobs.at(i);
      const state = words.load(job + JOB.STATE) & JOB_STATE_MASK;
      if (state === JOB_STATE.FREE || state === JOB_STATE.RELEASED) continue;
      const target = words.get(job + JOB.TARGET);
      if (target === actor && words.get(job + JOB.OWNER) !== actor) return true;
    }
    return false;
  }

  #fault(actor: number, why: string): void {
    const { words, actors } = this.#k;
    if (words.load(HEADER.FAULT_ACTOR) !== 0) return;
    words.store(actors.at(actor) + ACTOR.STATE, ACTOR_STATE.DEAD);
    words.set(HEADER.FAULT_ERRNO, -errno.EOWNERDEAD);
    writeName(words, HEADER.FAULT_TEXT, 40, why);
    words.store(HEADER.FAULT_ACTOR, actor);
    this.#wakeAll();
  }

  /** Wakes everybody who sleeps on kernel memory; each then reads the machine's state. */
  #wakeAll(): void {
    const { words, seam, actors, jobs } = this.#k;
    const all = 0x7fffffff;
    for (const actor of actors.live()) {
      words.store(actor + ACTOR.WAITING, 0);
      seam.notify(words.i32, actor + ACTOR.WAITING, all);
      words.add(actor + ACTOR.PORT_BELL, 1);
      seam.notify(words.i32, actor + ACTOR.PORT_BELL, all);
    }
    for (let i = 0; i < jobs.count; i++) {
      const index = jobs.at(i) + JOB.STATE;
      if ((words.load(index) & JOB_WAITERS) !== 0) seam.notify(words.i32, index, all);
    }
    words.add(HEADER.ACTORS_EPOCH, 1);
    seam.notify(words.i32, HEADER.ACTORS_EPOCH, all);
  }

  async #stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#k.words.store(HEADER.STATE, MACHINE.STOPPING);
    this.#wakeAll();
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise((resolve) => {
      timer = setTimeout(resolve, STOP_GRACE_MS);
    });
    await Promise.race([Promise.all(this.#ended), grace]);
    clearTimeout(timer);
    this.#reaper?.work.close();
    await Promise.all([this.#host?.destroy(), this.#reaper?.host.destroy()]);
    this.#finish();
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export default async function brokerMain(task: BrokerTask): Promise<void> {
  await new Broker(task).run();
}
