/** Counters that processes read: of the machine, and of each actor. Snapshots, not atomic as a whole. */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { awaiting } from '../memory/collection.js';
import {
  ACTOR,
  ACTOR_STATE,
  HEADER,
  JOB,
  JOB_STATE,
  JOB_STATE_MASK,
  LAST_DEATH_WORDS,
} from '../memory/layout.js';
import { readName } from '../memory/tables.js';

export interface MachineStats {
  readonly buffers: number;
  /** Bytes of all live buffers. */
  readonly bytes: number;
  /** Jobs whose slot is in use: queued, running, or held by a fence. */
  readonly jobs: number;
  /** Regions given up, awaiting collection by the host, and their bytes. */
  readonly regionsDropped: number;
  readonly bytesDropped: number;
  readonly actors: number;
}

export interface ActorStats {
  readonly name: string;
  readonly jobsDone: number;
  readonly jobsFailed: number;
  /** Bytes of buffer content that its handlers said they copied. */
  readonly bytesCopied: number;
  /** Times that somebody woke it from a kernel wait. */
  readonly wakeups: number;
  /** Deaths of a device before its present life. */
  readonly restarts: number;
  /** Why a device died last: what it threw, `exit code 7`, the limit that a job ran past; '' when it never did. */
  readonly lastDeath: string;
}

export function machineStats(kernel: Kernel): MachineStats {
  const { words, jobs, actors } = kernel;
  let used = 0;
  for (let i = 0; i < jobs.count; i++) {
    const stage = words.load(jobs.at(i) + JOB.STATE) & JOB_STATE_MASK;
    if (stage !== JOB_STATE.FREE && stage !== JOB_STATE.RECLAIM) used++;
  }
  let live = 0;
  for (const actor of actors.live()) {
    if (words.load(actor + ACTOR.STATE) === ACTOR_STATE.LIVE) live++;
  }
  const dropped = awaiting(kernel);
  return {
    buffers: words.get(HEADER.BUFFERS_LIVE),
    bytes: words.getDouble(HEADER.BYTES_EXPORTED),
    jobs: used,
    regionsDropped: dropped.regions,
    bytesDropped: dropped.bytes,
    actors: live,
  };
}

export function actorStats(kernel: Kernel, actor: number): ActorStats {
  const { words, actors } = kernel;
  if (!actors.owns(actors.at(actor))) {
    const detail = `there is no actor ${actor}; ids are from 1 to ${actors.count - 1}`;
    throw new DmaBufError('ESRCH', 'actor_stats', detail);
  }
  const at = actors.at(actor);
  return {
    name: kernel.nameOf(actor),
    jobsDone: words.get(at + ACTOR.JOBS_DONE),
    jobsFailed: words.get(at + ACTOR.JOBS_FAILED),
    bytesCopied: words.getDouble(at + ACTOR.COPIED),
    wakeups: words.get(at + ACTOR.WAKEUPS),
    restarts: words.load(at + ACTOR.RESTARTS),
    lastDeath: lastDeath(kernel, at),
  };
}

/** Read until two reads agree: the broker may be writing it. */
function lastDeath({ words }: Kernel, actor: number): string {
  const read = (): string => readName(words, actor + ACTOR.LAST_DEATH, LAST_DEATH_WORDS);
  for (let text = read(); ;) {
    const again = read();
    if (again === text) return text;
    text = again;
  }
}
