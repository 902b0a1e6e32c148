/**
 * The player with a GPU that dies: its device half is the real one, wrapped, and its twentieth job is
 * its last. As a program it is the player; as a module it is that device half.
 */
import { writeSync } from 'node:fs';
import type { Job } from '@dmabuf/core';
import type { Device, DeviceEnv, DeviceFactory } from '@dmabuf/core/driver';
import { isMainThread } from 'node:worker_threads';
import { main } from './main.js';
import { playerDrivers } from './play.js';

const LAST_JOB = 20;

/** Wraps the device half that `options` names. */
export async function createDevice(env: DeviceEnv): Promise<Device> {
  const module = (await import(String(env.spec.options))) as { createDevice: DeviceFactory };
  const device = await module.createDevice(env);
  const run = device.run.bind(device);
  let jobs = 0;
  device.run = (job: Job) => {
    if (++jobs === LAST_JOB) die();
    return run(job);
  };
  return device;
}

function die(): void {
  writeSync(1, `died at ${Date.now()}\n`);
  if (process.env['DEATH'] === 'exit') process.exit(3);
  throw new Error('the chip is on fire');
}

if (isMainThread) {
  process.exitCode = await main(process.argv.slice(2), (options) =>
    playerDrivers(options).map((driver) =>
      driver.name !== 'gpu'
        ? driver
        : {
            ...driver,
            devices: driver.devices.map((device) => ({
              ...device,
              module: import.meta.url,
              options: device.module,
            })),
          },
    ),
  );
}
