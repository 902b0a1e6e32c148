/**
 * Faults of a whole machine: what cannot be mended is written into the header once, by whoever finds it, and
 * everybody who sleeps is woken and finds it there (Kernel.check).
 */
import type { Kernel } from './kernel.js';
import { ACTOR, HEADER, JOB, JOB_WAITERS } from './memory/layout.js';
import { writeName } from './memory/tables.js';

const ALL = 0x7fffffff;

/** Declares that `actor` is gone for good and the machine with it: `error` is what all waits end with. */
export function declareFault(kernel: Kernel, actor: number, error: number, why: string): void {
  const { words } = kernel;
  if (words.load(HEADER.FAULT_ACTOR) !== 0) return;
  words.set(HEADER.FAULT_ERRNO, error);
  writeName(words, HEADER.FAULT_TEXT, 40, why);
  words.cas(HEADER.FAULT_ACTOR, 0, actor); // publishes the two before it
  wakeAll(kernel);
}

/** Wakes everybody who sleeps on kernel memory; each then reads the machine's state. */
export function wakeAll(kernel: Kernel): void {
  const { words, seam, actors, jobs } = kernel;
  for (const actor of actors.live()) {
    words.store(actor + ACTOR.WAITING, 0);
    seam.notify(words.i32, actor + ACTOR.WAITING, ALL);
    words.add(actor + ACTOR.PORT_BELL, 1);
    seam.notify(words.i32, actor + ACTOR.PORT_BELL, ALL);
  }
  for (let i = 0; i < jobs.count; i++) {
    const index = jobs.at(i) + JOB.STATE;
    if ((words.load(index) & JOB_WAITERS) !== 0) seam.notify(words.i32, index, ALL);
  }
  words.add(HEADER.ACTORS_EPOCH, 1);
  seam.notify(words.i32, HEADER.ACTORS_EPOCH, ALL);
}
