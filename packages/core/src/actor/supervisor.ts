/**
 * Supervisor: the broker's care for devices (design D11): starts them, hears of their deaths, has them
 * recovered and starts them again; and puts to death those that hang.
 *
 * A device's place stays its own through all its lives: contexts, attachments and names go on. Its STATE is
 * RESTARTING from its death until it has been recovered, then RESERVED until its next life is LIVE. One that
 * cannot start {@link TRIES} times in a row is given up (DEAD): then its jobs fail as those of a dead process.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { errno } from '../errno.js';
import type { JobRef } from '../explain/wait-for-graph.js';
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  ACTOR_STATE,
  JOB,
  JOB_STATE,
  JOB_STATE_MASK,
  LAST_DEATH_WORDS,
} from '../memory/layout.js';
import { writeName } from '../memory/tables.js';
import { type ActorModules, type Host, type Running, workerHost } from '../substrate/actors.js';
import type { DeviceTask } from './device-main.js';
import type { BootToken } from './join.js';
import type { DeviceSpec } from './spec.js';

/** A device as boot lists it. */
export interface DeviceEntry {
  readonly actor: number;
  readonly driver: string;
  readonly spec: DeviceSpec;
}

/** What a supervisor needs of the broker. */
export interface SupervisorParts {
  readonly kernel: Kernel;
  readonly boot: BootToken;
  readonly modules: ActorModules;
  /** Heap of each device, MB. */
  readonly heapMb: number;
  /** Makes a port an actor's life line. */
  adopt(actor: number, port: MessagePort): void;
  /** Posts the regions to an actor that is about to start. */
  deliver(actor: number, again: boolean): void;
  /** Has a dead actor recovered: {@link Supervisor.settled} follows. */
  reap(actor: number): void;
  /** A device could not even start the first time: the machine is lost. */
  fault(actor: number, why: string): void;
  /** Wakes whoever waits for actors to come and go. */
  changed(): void;
}

/** Starts in a row that may fail before a device is given up. */
const TRIES = 3;

interface Device {
  readonly entry: DeviceEntry;
  running: Running | undefined;
  /** Its run() has ended, its port has closed: it is dead when both have. */
  ended: boolean;
  closed: boolean;
  why: string;
  /** {@link Supervisor.reset} has put it to death. */
  killed: boolean;
  /** The job that it is put to death for. */
  hung: JobRef | undefined;
  failedStarts: number;
}

export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #host: Host | undefined;
  readonly #devices: Map<number, Device> = new Map();
  readonly #over: Promise<void>[] = [];
  #stopping = false;

  constructor(parts: SupervisorParts, entries: readonly DeviceEntry[]) {
    this.#parts = parts;
    if (entries.length > 0) this.#host = workerHost(parts.modules, entries.length, parts.heapMb);
    for (const entry of entries) {
      const device = { entry, running: undefined, ended: false, closed: false };
      const fresh = { why: '', killed: false, hung: undefined, failedStarts: 0 };
      this.#devices.set(entry.actor, { ...device, ...fresh });
    }
  }

  start(): void {
    for (const device of this.#devices.values()) this.#start(device, 0);
  }

  has(actor: number): boolean {
    return this.#devices.has(actor);
  }

  /**
   * Terminates a device's worker, wherever it is: it is recovered and started again. One that is about to start
   * is as good as reset. (Nor could its death be told: a port closes with the thread that it was sent to.)
   */
  reset(actor: number, why: string): void {
    const device = this.#devices.get(actor);
    if (device === undefined || device.ended) return;
    const { words, actors } = this.#parts.kernel;
    if (words.load(actors.at(actor) + ACTOR.STATE) !== ACTOR_STATE.LIVE) return;
    device.why = why;
    device.killed = true;
    device.running?.kill();
  }

  /** Resets a device for a job that is past its limit: that one fails with ETIMEDOUT. */
  hung(late: JobRef & { readonly actor: number }, why: string): void {
    const device = this.#devices.get(late.actor);
    if (device === undefined || device.hung !== undefined) return;
    device.hung = late;
    this.reset(late.actor, why);
  }

  /** What a device says before it ends by an error. */
  failed(actor: number, why: string): void {
    const device = this.#devices.get(actor);
    if (device !== undefined) device.why = why;
  }

  portClosed(actor: number): void {
    const device = this.#devices.get(actor);
    if (device === undefined) return;
    device.closed = true;
    this.#mayBeDead(device);
  }

  /** A dead device has been recovered. */
  settled(actor: number): void {
    const device = this.#devices.get(actor);
    if (device === undefined || this.#stopping) return;
    const { words, actors } = this.#parts.kernel;
    const at = actors.at(actor);
    if (words.load(at + ACTOR.STATE) !== ACTOR_STATE.RESTARTING) return; // given up
    words.add(at + ACTOR.GEN, 1);
    words.add(at + ACTOR.RESTARTS, 1);
    words.store(at + ACTOR.SERVED, 0);
    words.store(at + ACTOR.STATE, ACTOR_STATE.RESERVED);
    this.#start(device, words.load(at + ACTOR.RESTARTS));
  }

  /** Waits for all devices to end by themselves, up to `graceMs`; then terminates what still runs. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    await Promise.race([Promise.all(this.#over), grace]);
    clearTimeout(timer);
    await this.#host?.destroy();
  }

  #start(device: Device, restarts: number): void {
    const { boot, adopt, deliver } = this.#parts;
    const { entry } = device;
    const { port1, port2 } = new MessageChannel();
    adopt(entry.actor, port2);
    deliver(entry.actor, restarts > 0);
    const task: DeviceTask = { ...entry, port: port1, boot, restarts };
    device.ended = false;
    device.closed = false;
    device.why = '';
    device.killed = false;
    device.hung = undefined;
    const running = this.#host?.start(task, [port1]);
    device.running = running;
    const ended = (why: string): void => {
      device.ended = true;
      device.why ||= why;
      this.#mayBeDead(device);
    };
    const over = running?.ended.then(
      () => ended('its worker ended'),
      (error: unknown) => ended(error instanceof Error ? error.message : String(error)),
    );
    if (over !== undefined) this.#over.push(over);
  }

  /** Nobody else can end that job any more: it fails with what is noted here. */
  #blame({ hung, entry }: Device): void {
    if (hung === undefined) return;
    const { words } = this.#parts.kernel;
    const { job, generation } = hung;
    const running = (words.load(job + JOB.STATE) & JOB_STATE_MASK) === JOB_STATE.RUNNING;
    const its = words.get(job + JOB.TARGET) === entry.actor;
    if (!running || !its || words.load(job + JOB.GEN) !== generation) return;
    words.cas(job + JOB.DEP_ERROR, 0, -errno.ETIMEDOUT);
  }

  /** Only when its thread is gone for certain may others touch what it was changing. */
  #mayBeDead(device: Device): void {
    if (!device.ended || !device.closed || this.#stopping) return;
    const { kernel, fault, reap, changed } = this.#parts;
    const { words, actors } = kernel;
    const { actor } = device.entry;
    const at = actors.at(actor);
    // One that was put to death before it served has not failed to start.
    const served = words.load(at + ACTOR.SERVED) !== 0 || device.killed;
    if (!served && words.load(at + ACTOR.RESTARTS) === 0) return fault(actor, device.why);
    device.failedStarts = served ? 0 : device.failedStarts + 1;
    const givenUp = device.failedStarts >= TRIES;
    writeName(words, at + ACTOR.LAST_DEATH, LAST_DEATH_WORDS, device.why);
    words.store(at + ACTOR.STATE, givenUp ? ACTOR_STATE.DEAD : ACTOR_STATE.RESTARTING);
    this.#blame(device);
    changed();
    reap(actor);
  }
}
