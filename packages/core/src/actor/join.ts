/**
 * Joining: how a thread becomes an actor of a machine that was booted elsewhere.
 */
import { MessagePort } from 'node:worker_threads';
import { ACTOR, ACTOR_STATE, HEADER, ROLE, type TableSizes } from '../memory/layout.js';
import { Words } from '../memory/words.js';
import { type RegionToken, threadMem } from '../substrate/memory.js';
import { threadSeam } from '../substrate/seam.js';
import { type JoinToken, Machine } from './machine.js';
import { readNames } from './names.js';
import { loadDrivers, makeServices, type Services } from './services.js';
import type { DriverSpec } from './spec.js';

/** The part of a token that is the same for all joiners. */
export interface BootToken {
  /** Kernel memory itself. */
  readonly control: RegionToken;
  readonly tables: TableSizes;
  readonly drivers: readonly DriverSpec[];
  /** The name directory (a sharedmap). */
  readonly names: unknown;
}

/** The services of a joiner, its driver halves loaded, its actor record LIVE. */
export async function joinServices(
  actor: number,
  port: MessagePort,
  boot: BootToken,
): Promise<Services> {
  const words = new Words(threadMem.importRegion(boot.control).buffer);
  const services = makeServices({
    words,
    self: actor,
    seam: threadSeam,
    mem: threadMem,
    tables: boot.tables,
    port,
    drivers: boot.drivers,
    devices: readNames(boot.names),
    bootToken: boot,
  });
  await loadDrivers(services);
  words.store(services.kernel.actor + ACTOR.STATE, ACTOR_STATE.LIVE);
  // Nobody waits for a reaper, which starts in the middle of whatever the machine is at.
  if (words.get(services.kernel.actor + ACTOR.ROLE) === ROLE.REAPER) return services;
  words.add(HEADER.ACTORS_EPOCH, 1);
  threadSeam.notify(words.i32, HEADER.ACTORS_EPOCH, 0x7fffffff);
  return services;
}

/**
 * Joins a machine from a token (`workerData` of {@link Machine.invite}). Asynchronous, since it loads
 * the driver halves that the machine was booted with. `leave()` ends the membership.
 */
export async function join(token: unknown): Promise<Machine> {
  if (!isToken(token)) {
    throw new TypeError(
      'join: token must be what machine.invite() gave as workerData (sent with its transferList)',
    );
  }
  const services = await joinServices(token.actor, token.port, token.boot);
  return new Machine(services, async (machine) => {
    services.port.post({ type: 'shutdown' });
    await machine.leave();
  });
}

function isToken(token: unknown): token is JoinToken & { boot: BootToken } {
  if (typeof token !== 'object' || token === null) return false;
  if (!('actor' in token && 'port' in token && 'boot' in token)) return false;
  const { actor, port, boot } = token;
  if (typeof actor !== 'number' || !(port instanceof MessagePort)) return false;
  return typeof boot === 'object' && boot !== null && 'control' in boot;
}
