/**
 * ImportingDevices: what the name directory says of an actor that is going to use a buffer: whether it is a device, and
 * what that has declared.
 */
import type { DeviceNode } from '../actor/names.js';
import type { Kernel } from '../kernel.js';
import type { Importer, Reach } from './ops.js';

export class ImportingDevices {
  readonly #k: Kernel;
  readonly #devices: ReadonlyMap<string, DeviceNode>;

  constructor(kernel: Kernel, devices: ReadonlyMap<string, DeviceNode>) {
    this.#k = kernel;
    this.#devices = devices;
  }

  /** What an actor's device has declared to reach; of a process: everything. */
  reachOf(actor: number): Reach {
    return this.#nodeOf(actor)?.reach ?? {};
  }

  /** An actor as an importer that reaches so far; if nothing is said as far as it has declared. */
  importer(actor: number, reach: Reach = this.reachOf(actor)): Importer {
    const node = this.#nodeOf(actor);
    const device = node !== undefined;
    return {
      ...{ actor, name: this.#k.nameOf(actor), reach, device },
      protected: node?.protected === true,
    };
  }

  #nodeOf(actor: number): DeviceNode | undefined {
    for (const node of this.#devices.values()) if (node.actor === actor) return node;
    return undefined;
  }
}
