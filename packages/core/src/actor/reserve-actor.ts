/** Places in the table of actors: how one is taken. */
import { DmaBufError } from '../errno.js';
import { ACTOR, ACTOR_STATE, HEADER, LAST_DEATH_WORDS } from '../memory/layout.js';
import { writeName } from '../memory/tables.js';
import type { Services } from './services.js';

/** Fields of an actor that begin at 0. */
const FRESH = [
  'WAITING',
  'WAKEUPS',
  'INTENT',
  'FINISHING',
  'SERVING',
  'JOBS_DONE',
  'JOBS_FAILED',
  'RESTARTS',
  'SERVED',
] as const;

/** Takes a slot of the actor table for somebody who is going to join. EMFILE. */
export function reserveActor(
  services: Pick<Services, 'kernel'>,
  name: string,
  role: number,
): number {
  const { kernel } = services;
  const { words, locks, actors } = kernel;
  locks.lock(HEADER.ACTOR_LOCK);
  const actor = actors.findFree();
  if (actor !== 0) {
    words.set(actor + ACTOR.GEN, words.get(actor + ACTOR.GEN) + 1);
    words.set(actor + ACTOR.ROLE, role);
    for (const field of FRESH) {
      words.store(actor + ACTOR[field], 0);
    }
    words.setDouble(actor + ACTOR.COPIED, 0);
    writeName(words, actor + ACTOR.NAME, 8, name);
    writeName(words, actor + ACTOR.LAST_DEATH, LAST_DEATH_WORDS, '');
    words.store(actor + ACTOR.STATE, ACTOR_STATE.RESERVED);
  }
  locks.unlock(HEADER.ACTOR_LOCK);
  if (actor !== 0) return actors.indexOf(actor);
  throw new DmaBufError(
    'EMFILE',
    'invite',
    `all ${actors.count - 1} actors of the machine are taken; boot with a larger tables.actors`,
  );
}
