/**
 * What a machine is made of: drivers, their devices, and the modules that they live in.
 *
 * A driver has two halves. Its *driver half* is a module that every thread of the machine loads:
 * exporter ops run there, in the thread that calls them. Each *device half* is a module whose
 * `createDevice` runs in a worker of its own. Both are named by URL, since bundlers move them.
 */
import type { DmaBufOps, Reach } from '../dmabuf/ops.js';
import type { IoctlHandler } from './ipc.js';
import type { DriverDoor } from './door.js';
import type { Machine } from './machine.js';
import type { Handlers } from './server.js';

/** A device: one worker actor. Must be plain data: it travels to other threads. */
export interface DeviceSpec {
  /** Name of the actor, unique in the machine: `gpu0`. */
  readonly name: string;
  /** Name in the directory: `/dev/dri/renderD128`. */
  readonly path: string;
  /** URL of the module that exports `createDevice`. */
  readonly module: string;
  /** The handlers return promises; the loop then sleeps in the event loop. */
  readonly async?: boolean;
  /** What the driver half needs to know of it; JSON, in the directory. */
  readonly info?: unknown;
  /**
   * What memory it can reach. An attach that does not say otherwise and every job go by it, and so do allocators
   * that are told for whom they allocate. Default: all.
   */
  readonly reach?: Reach;
  /** It declares that it works on protected memory and lets none of it out to the CPU. Default: it does not. */
  readonly protected?: boolean;
  /** What the device half is started with. */
  readonly options?: unknown;
}

/** A driver of a machine. Plain data; each driver package has a function that makes it. */
export interface DriverSpec {
  readonly name: string;
  /** URL of the module that exports `driver`. */
  readonly module: string;
  /** Words of kernel memory for the driver's own use, zeroed. */
  readonly words?: number;
  readonly options?: unknown;
  readonly devices: readonly DeviceSpec[];
}

/** The driver half of a driver, as its module exports it under the name `driver`. */
export interface Driver {
  /**
   * Called once in every thread that joins. Returns the ops by which it exports buffers, if it is an
   * exporter. Must not block; state lives in the door's words.
   */
  init(door: DriverDoor): DmaBufOps | undefined;
  /**
   * Called in the reaper's thread when an actor (process or device) has died: after core's own locks have been
   * freed, and before its jobs, mappings and fds are settled, since that calls exporter ops, which need
   * the driver's locks. Frees the locks among the driver's words that the dead held, mends what they protect
   * (`door.buffers()` tells which buffers exist), and gives back what of the driver's was the dead one's. A
   * device is started again after it. May be called twice for one death. Must not wait for jobs.
   */
  died?(door: DriverDoor, actor: number): void;
}

/** What a device half is started with. */
export interface DeviceEnv {
  readonly machine: Machine;
  readonly door: DriverDoor;
  readonly spec: DeviceSpec;
  /**
   * Deaths of this device before its present life: 0 at first. What an earlier life was doing has been settled (see
   * {@link Driver.died}); jobs that it had not started come again.
   */
  readonly restarts: number;
}

/** What a device does: jobs, ioctls, ticks. */
export interface Device extends Handlers {
  ioctl?: IoctlHandler;
}

/** The device half, as its module exports it under the name `createDevice`. */
export type DeviceFactory = (env: DeviceEnv) => Device | Promise<Device>;
