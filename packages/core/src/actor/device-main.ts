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
}

export default async function deviceMain(task: DeviceTask): Promise<void> {
  const { spec, actor, port, boot } = task;
  const services = await joinServices(actor, port, boot);
  const machine = new Machine(services, async () => {
    services.port.post({ type: 'shutdown' });
  });
  const whose = `device '${spec.name}'`;
  const createDevice = await loadExport<DeviceFactory>(spec.module, 'createDevice', whose);
  const device = await createDevice({ machine, door: machine.driver(task.driver), spec });
  if (spec.async === true) await machine.serveAsync(device);
  else machine.serve(device);
  const { words, actor: self } = services.kernel;
  words.store(self + ACTOR.STATE, ACTOR_STATE.LEFT);
  services.port.post({ type: 'leave' });
  services.port.close();
}
