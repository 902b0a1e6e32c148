/**
 * Entry of a device's worker: joins, makes the device, serves until the machine stops.
 */
import type { MessagePort } from 'node:worker_threads';
import { ACTOR, ACTOR_STATE } from '../memory/layout.js';
import { type BootToken, joinServices } from './join.js';
import { loadExport } from './load-export.js';
import { Machine } from './machine.js';
import type { DeviceFactory, DeviceSpec } from './spec.js';

/** What the broker starts a device with. */
export interface DeviceTask {
  readonly actor: number;
  readonly port: MessagePort;
  readonly boot: BootToken;
  /** Name of the driver. */
  readonly driver: string;
  readonly spec: DeviceSpec;
  /** Deaths before this life. */
  readonly restarts: number;
}

/**
 * A device that fails takes its whole thread along: what is left of it (timers, promises) could touch kernel
 * memory after it has been recovered.
 */
export default async function deviceMain(task: DeviceTask): Promise<void> {
  try {
    await live(task);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    task.port.postMessage({ type: 'failed', why });
    process.exit(1);
  }
}

async function live(task: DeviceTask): Promise<void> {
  const { spec, actor, port, boot, restarts } = task;
  const services = await joinServices(actor, port, boot);
  const machine = new Machine(services, async () => {
    services.port.post({ type: 'shutdown' });
  });
  const whose = `device '${spec.name}'`;
  const createDevice = await loadExport<DeviceFactory>(spec.module, 'createDevice', whose);
  const device = await createDevice({ machine, door: machine.driver(task.driver), spec, restarts });
  if (spec.async === true) await machine.serveAsync(device);
  else machine.serve(device);
  const { words, actor: self } = services.kernel;
  words.store(self + ACTOR.STATE, ACTOR_STATE.LEFT);
  services.port.post({ type: 'leave' });
  services.port.close();
}
