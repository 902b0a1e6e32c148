/**
 * Peers: the other actors of a machine, as one process has to do with them: how a thread is invited, how one that
 * serves is found, how a device is started anew.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { ACTOR, ACTOR_STATE, HEADER, ROLE } from '../memory/layout.js';
import { reserveActor } from './reserve-actor.js';
import type { Services } from './services.js';

/** What a joiner is given: options for `new Worker`, or the two parts for another channel. */
export interface Invitation {
  /** To be handed to `join()`; sent once, with {@link transferList}. */
  readonly workerData: JoinToken;
  readonly transferList: MessagePort[];
}

/** One joiner's key to the machine. Opaque; valid once. */
export interface JoinToken {
  readonly actor: number;
  readonly port: MessagePort;
  readonly boot: unknown;
}

/** Another actor: a device, or a process that serves. */
export interface Peer {
  readonly actor: number;
  readonly name: string;
}

/** A place for a joiner, with a port of its own to the broker. EMFILE; ENODEV: the machine is shut down. */
export function invite(services: Services, name: string): Invitation {
  services.kernel.check('invite');
  const actor = reserveActor(services, name, ROLE.PROCESS);
  const { port1, port2 } = new MessageChannel();
  services.port.post({ type: 'process', actor, port: port2 });
  const workerData = { actor, port: port1, boot: services.bootToken };
  return { workerData, transferList: [port1] };
}

/** Resolves with the actor of that name once it serves. ETIME after `timeout` ms; what the machine ended with. */
export async function servingPeer(kernel: Kernel, name: string, timeout: number): Promise<Peer> {
  const { words, seam, keepAlive } = kernel;
  const until = performance.now() + timeout;
  keepAlive.acquire();
  const unwatch = kernel.watchBroker();
  let late = false; // a timer may fire a little before the clock says so
  const timer = setTimeout(() => {
    late = true;
    seam.notify(words.i32, HEADER.ACTORS_EPOCH, 0x7fffffff);
  }, timeout);
  try {
    for (;;) {
      const epoch = words.load(HEADER.ACTORS_EPOCH);
      const actor = findServing(kernel, name);
      if (actor !== 0) return { actor, name };
      kernel.check('peer');
      if (late || performance.now() >= until) {
        const detail = `no actor '${name}' serves after ${timeout} ms; has its thread called serve()?`;
        throw new DmaBufError('ETIME', 'peer', detail);
      }
      await seam.waitAsync(words.i32, HEADER.ACTORS_EPOCH, epoch);
    }
  } finally {
    clearTimeout(timer);
    unwatch();
    keepAlive.release();
  }
}

function findServing(kernel: Kernel, name: string): number {
  for (const actor of kernel.actors.live()) {
    const live = kernel.words.load(actor + ACTOR.STATE) === ACTOR_STATE.LIVE;
    if (!live || kernel.words.load(actor + ACTOR.SERVING) === 0) continue;
    const id = kernel.actors.indexOf(actor);
    if (kernel.nameOf(id) === name) return id;
  }
  return 0;
}

/** Asks the broker to start a device's worker anew. ESRCH; ENOTTY: the actor is no device. */
export function resetDevice({ kernel, port }: Services, actor: number, why: string): void {
  kernel.mustLive(actor, 'reset');
  const { words, actors } = kernel;
  if (words.get(actors.at(actor) + ACTOR.ROLE) !== ROLE.DEVICE) {
    const detail = `actor ${actor} '${kernel.nameOf(actor)}' is a process; only devices are started again`;
    throw new DmaBufError('ENOTTY', 'reset', detail);
  }
  port.post({ type: 'reset', actor, why });
}
