/**
 * ImportingDevices: what the name directory says of an actor that is going to use a buffer: whether it is a device, and
 * what that has declared.
 */
import type { DeviceNode } from '../actor/names.js';
import type { Kernel } from '../kernel.js';
import type { Importer, Reach } from './ops.js';

/** An actor that uses a buffer. Its name is read where somebody asks for it: each submit makes or takes one of these. */
class ImportingActor implements Importer {
  readonly actor: number;
  readonly reach: Reach;
  readonly device: boolean;
  readonly protected: boolean;
  readonly #k: Kernel;

  constructor(kernel: Kernel, actor: number, reach: Reach, node: DeviceNode | undefined) {
    this.#k = kernel;
    this.actor = actor;
    this.reach = reach;
    this.device = node !== undefined;
    this.protected = node?.protected === true;
  }

  get name(): string {
    return this.#k.nameOf(this.actor);
  }
}

const EVERYTHING: Reach = {};

export class ImportingDevices {
  readonly #k: Kernel;
  readonly #devices: ReadonlyMap<string, DeviceNode>;
  /** Devices with the reach that they have declared, by actor id: neither changes while the machine lives. */
  readonly #declared: Map<number, Importer> = new Map();

  constructor(kernel: Kernel, devices: ReadonlyMap<string, DeviceNode>) {
    this.#k = kernel;
    this.#devices = devices;
    for (const node of devices.values()) {
      const importer = new ImportingActor(kernel, node.actor, node.reach, node);
      if (!this.#declared.has(node.actor)) this.#declared.set(node.actor, importer);
    }
  }

  /** What an actor's device has declared to reach; of a process: everything. */
  reachOf(actor: number): Reach {
    return this.#declared.get(actor)?.reach ?? EVERYTHING;
  }

  /** An actor as an importer that reaches so far; if nothing is said as far as it has declared. */
  importer(actor: number, reach?: Reach): Importer {
    const declared = reach === undefined ? this.#declared.get(actor) : undefined;
    return declared ?? new ImportingActor(this.#k, actor, reach ?? EVERYTHING, this.#nodeOf(actor));
  }

  #nodeOf(actor: number): DeviceNode | undefined {
    for (const node of this.#devices.values()) if (node.actor === actor) return node;
    return undefined;
  }
}
