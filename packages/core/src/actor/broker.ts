/**
 * The broker: a worker of its own that starts first (design D5). It hosts the device workers, hands
 * regions to whoever imports an fd, stamps the heartbeat, and hears of deaths, so that none of that
 * waits for the application's main thread. It lives in its event loop and never blocks in a
 * wait; it runs no driver code.
 *
 * Each process's port is its life line: `close` without `leave` before it means that the process died.
 * The dead are recovered in the reaper, devices are then started again. What cannot be mended (a
 * device that does not start with the machine, a recovery that fails) is a fault of the whole machine:
 * FAULT_ERRNO and the text are stored before FAULT_ACTOR, which publishes them; then everybody who
 * sleeps is woken and finds it.
 */
import type { MessagePort } from 'node:worker_threads';
import { errno } from '../errno.js';
import { declareFault, wakeAll } from '../fault.js';
import { Kernel } from '../kernel.js';
import { ACTOR, ACTOR_STATE, HEADER, MACHINE, ROLE } from '../memory/layout.js';
import { Words } from '../memory/words.js';
import { type RegionToken, threadMem } from '../substrate/memory.js';
import { threadSeam } from '../substrate/seam.js';
import type { ToBroker } from './broker-port.js';
import type { BootToken } from './join.js';
import type { Reaped } from './reaper.js';
import { Reaping } from './reaping.js';
import { RegionKeeper } from './region-keeper.js';
import { type DeviceEntry, Supervisor } from './supervisor.js';
import { hangText, overdue } from './watchdog.js';

/** What the booting process starts the broker with. */
export interface BrokerTask {
  readonly self: number;
  readonly boot: BootToken;
  /** The booting process. */
  readonly first: { readonly actor: number; readonly port: MessagePort };
  readonly devices: readonly DeviceEntry[];
  readonly heapMb: number;
  /** Modules of the workers. */
  readonly enter: string;
  readonly deviceMain: string;
  readonly reaperMain: string;
  /** Slots of the reapers. */
  readonly reapers: readonly [number, number];
  /** Regions that exist at boot: the pool. */
  readonly regions: readonly {
    readonly region: number;
    readonly generation: number;
    readonly token: RegionToken;
  }[];
}

const HEARTBEAT_MS = 250;
const STOP_GRACE_MS = 2000;
/** The reaper starts this long after the machine, ms, or at the first death: booting does not wait for it. */
const REAPER_AFTER_MS = 1000;

class Broker {
  readonly #k: Kernel;
  readonly #task: BrokerTask;
  readonly #ports: Map<number, MessagePort> = new Map();
  readonly #regions: RegionKeeper;
  readonly #devices: Supervisor;
  readonly #reaping: Reaping;
  readonly #finished: Promise<void>;
  #finish: () => void = () => {};
  #stopping = false;

  constructor(task: BrokerTask) {
    this.#task = task;
    const { boot } = task;
    const words = new Words(threadMem.importRegion(boot.control).buffer);
    const kernel = new Kernel(words, task.self, threadSeam, threadMem);
    this.#k = kernel;
    this.#finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
    const driverOf = (actor: number): number => {
      const device = task.devices.find((entry) => entry.actor === actor);
      return 1 + boot.drivers.findIndex(({ name }) => name === device?.driver);
    };
    this.#regions = new RegionKeeper(kernel, this.#ports, driverOf);
    for (const { region, generation, token } of task.regions) {
      this.#regions.arrived(region, generation, token);
    }
    const adopt = (actor: number, port: MessagePort): void => this.#adopt(actor, port);
    this.#reaping = new Reaping({
      kernel,
      boot,
      adopt,
      modules: { enter: task.enter, main: task.reaperMain },
      places: task.reapers,
      settled: (reaped) => this.#settled(reaped),
    });
    const parts = {
      kernel,
      boot,
      adopt,
      modules: { enter: task.enter, main: task.deviceMain },
      heapMb: task.heapMb,
      deliver: (actor: number, again: boolean): void => this.#deliver(actor, again),
      reap: (actor: number): void => this.#reaping.reap(actor),
      fault: (actor: number, why: string): void => this.#fault(actor, why),
      changed: (): void => this.#changed(),
    };
    this.#devices = new Supervisor(parts, task.devices);
  }

  async run(): Promise<void> {
    const { words, actor } = this.#k;
    words.store(actor + ACTOR.STATE, ACTOR_STATE.LIVE);
    const beat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    words.add(HEADER.HEARTBEAT, 1);
    this.#adopt(this.#task.first.actor, this.#task.first.port);
    this.#devices.start();
    this.#reaping.makeThread();
    const prepare = setTimeout(() => this.#reaping.prepare(), REAPER_AFTER_MS).unref();
    await this.#finished;
    clearTimeout(prepare);
    clearInterval(beat);
    for (const port of this.#ports.values()) port.close();
  }

  #adopt(actor: number, port: MessagePort): void {
    this.#ports.set(actor, port);
    port.on('message', (message: ToBroker) => this.#receive(actor, message));
    port.on('close', () => this.#closed(actor, port));
  }

  #receive(actor: number, message: ToBroker): void {
    switch (message.type) {
      case 'process':
        this.#adopt(message.actor, message.port);
        break;
      case 'region':
        this.#regions.arrived(message.region, message.generation, message.token);
        break;
      case 'import':
        this.#regions.import(actor, message);
        break;
      case 'deliver':
        this.#regions.request(actor, message);
        break;
      case 'dropped':
        this.#regions.dropped(message.region);
        break;
      case 'collect':
        this.#regions.collect();
        break;
      case 'failed':
        this.#devices.failed(actor, message.why);
        break;
      case 'reset':
        this.#devices.reset(message.actor, message.why);
        break;
      case 'hung':
        this.#devices.hung(message, message.why);
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

  #deliver(actor: number, again: boolean): void {
    if (again) this.#regions.deliverAgain(actor);
    else this.#regions.deliverPool(actor);
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
    const { words, actors } = this.#k;
    this.#regions.forget(actor);
    words.store(actors.at(actor) + ACTOR.STATE, ACTOR_STATE.FREE);
  }

  /**
   * Shows that the broker lives. While the machine is over it wakes everybody once more: an
   * asynchronous wait has no bound, and may have begun just after it was to be woken.
   */
  #beat(): void {
    this.#k.words.add(HEADER.HEARTBEAT, 1);
    this.#regions.tend();
    if (this.#k.over) wakeAll(this.#k);
    else if (!this.#k.clock.manual) this.#watch();
  }

  /** Ends what is past its time limit: devices here, holds and fences in the reaper. */
  #watch(): void {
    let evictions = false;
    for (const late of overdue(this.#k, this.#k.clock.now())) {
      if (late.kind === 'job') this.#devices.hung(late, hangText(late));
      else evictions = true;
    }
    if (evictions) this.#reaping.evict();
  }

  /** A port closed without leave: whoever had the other end has died. */
  #closed(actor: number, port: MessagePort): void {
    if (this.#ports.get(actor) !== port || this.#stopping) return;
    this.#ports.delete(actor);
    const { words, actors } = this.#k;
    const role = words.get(actors.at(actor) + ACTOR.ROLE);
    if (role === ROLE.DEVICE) this.#devices.portClosed(actor);
    else if (role === ROLE.REAPER) this.#reaping.portClosed(actor);
    else {
      words.store(actors.at(actor) + ACTOR.STATE, ACTOR_STATE.DEAD);
      this.#changed();
      this.#reaping.reap(actor);
    }
  }

  /** A dead actor has been recovered, or cannot be. */
  #settled({ dead, failure }: Reaped): void {
    if (failure !== undefined) this.#fault(dead, `it could not be recovered: ${failure}`);
    else if (this.#devices.has(dead)) this.#devices.settled(dead);
    else this.#vacate(dead);
    this.#changed();
  }

  #changed(): void {
    const { words, seam } = this.#k;
    words.add(HEADER.ACTORS_EPOCH, 1);
    seam.notify(words.i32, HEADER.ACTORS_EPOCH, 0x7fffffff);
  }

  #fault(actor: number, why: string): void {
    const { words, actors } = this.#k;
    if (words.load(HEADER.FAULT_ACTOR) !== 0) return;
    words.store(actors.at(actor) + ACTOR.STATE, ACTOR_STATE.DEAD);
    declareFault(this.#k, actor, -errno.EOWNERDEAD, why);
  }

  async #stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#k.words.store(HEADER.STATE, MACHINE.STOPPING);
    wakeAll(this.#k);
    await Promise.all([this.#devices.stop(STOP_GRACE_MS), this.#reaping.stop()]);
    this.#finish();
  }
}

export default async function brokerMain(task: BrokerTask): Promise<void> {
  await new Broker(task).run();
}
