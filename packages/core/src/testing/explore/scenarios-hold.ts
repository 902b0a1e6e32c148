/** Scenarios of claims that threads hold themselves: who ends them, who waits for whom. */
import { errno } from '../../errno.js';
import { CONTEXT_FLAG, JOB_FLAG, OBJECT } from '../../memory/layout.js';
import { objectWord } from '../../fd/object-word.js';
import { Queue } from '../../sync/queue-object.js';
import { pendingOn } from '../../sync/reservation.js';
import {
  at,
  await_,
  cameThrough,
  noteStatus,
  nothingPending,
  pointData,
  pointOf,
  running,
  spec,
  X,
} from './jobs-of.js';
import type { Actor, Data, Scenario } from './scenario.js';
import type { Stage } from './stage.js';

const CLAIM = 'claim';
const CLAIMED = 1;
const REFUSED = 2;

/** Queues that guard no buffer. Everybody may claim them. */
function queues(stage: Stage, count: number): Data {
  const made: Record<string, number> = {};
  for (let i = 0; i < count; i++)
    made[`q${i}`] = Queue.create(stage.of(0).kernel).queuePointer(CLAIM);
  return made;
}

function hold(actor: Actor, claims: readonly number[]): { release(): void } {
  return actor.services.holds.wait(claims, Infinity, CLAIM, 'a queue');
}

/** The thread of a hold and the watchdog end it at the same moment, and somebody waits for it. */
const releaseEvict: Scenario = {
  name: 'release/evict',
  setup: (stage) => {
    const made = queues(stage, 3);
    const held = running(stage.of(0), [at(made, 'q0') | X, at(made, 'q1') | X]);
    return { ...made, ...pointData('held', held) };
  },
  actors: [
    (actor) => {
      const { slot, generation } = pointOf(actor.data, 'held');
      hold(actor, [at(actor.data, 'q2')]).release();
      actor.note(1, actor.services.jobs.end(slot, generation, 0) ? 1 : 0);
      actor.note(0, 1);
    },
    (actor) => {
      const { slot, generation } = pointOf(actor.data, 'held');
      actor.note(1, actor.services.jobs.evict(slot, generation, -errno.ETIMEDOUT) ? 1 : 0);
      hold(actor, [at(actor.data, 'q1')]).release();
      actor.note(0, 1);
    },
    (actor) => {
      noteStatus(actor, 1, await_(actor, pointOf(actor.data, 'held')));
      hold(actor, [at(actor.data, 'q0') | X]).release();
      actor.note(0, 1);
    },
  ],
  check: (end) => {
    const faults = [...nothingPending(end), ...cameThrough(end, [0, 1, 2])];
    const ended = end.note(0, 1) + end.note(1, 1);
    const dead = [0, 1, 2].some((thread) => end.killed(thread));
    if (ended > 1) faults.push('both ended it');
    if (!dead && ended === 0) faults.push('neither ended it');
    const status = end.note(2, 1);
    const want = end.note(0, 1) === 1 ? 2 : -errno.ETIMEDOUT;
    if (!dead && status !== want) faults.push(`its fence ended with ${status}`);
    return faults;
  },
};

/** Holds one queue, wants the next one: all together, a circle. */
function holdAndWant(thread: number, of: number): (actor: Actor) => void {
  return (actor) => {
    const first = hold(actor, [at(actor.data, `q${thread}`) | X]);
    try {
      hold(actor, [at(actor.data, `q${(thread + 1) % of}`) | X]).release();
      actor.note(0, CLAIMED);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EDEADLK')) throw error;
      actor.note(0, REFUSED);
    }
    first.release();
  };
}

/** Nobody waits for ever, and of those who close a circle one is refused. */
function circle(of: number): Scenario {
  const threads = Array.from({ length: of }, (_, thread) => thread);
  return {
    name: `EDEADLK of ${of}`,
    setup: (stage) => queues(stage, of),
    actors: threads.map((thread) => holdAndWant(thread, of)),
    check: (end) => {
      const refused = threads.filter((thread) => end.note(thread, 0) === REFUSED);
      const faults = [...nothingPending(end), ...cameThrough(end, threads)];
      return refused.length < 2 ? faults : [...faults, `${refused.length} were refused`];
    },
  };
}

const MANY = 11;
const all = ({ data }: Actor): number[] =>
  Array.from({ length: MANY }, (_, i) => at(data, `q${i}`));

/** A job whose links take two records of the table. */
const manyLinks: Scenario = {
  name: 'many links',
  tables: { queues: MANY + 1 },
  setup: (stage) => {
    const made = queues(stage, MANY);
    const held = running(stage.of(0), [at(made, 'q0') | X, at(made, `q${MANY - 1}`) | X]);
    return { ...made, ...pointData('held', held) };
  },
  actors: [
    (actor) => {
      const { slot, generation } = pointOf(actor.data, 'held');
      actor.services.jobs.end(slot, generation, 0);
      actor.note(0, 1);
    },
    (actor) => {
      hold(
        actor,
        all(actor).map((queue) => queue | X),
      ).release();
      actor.note(0, 1);
    },
  ],
  check: (end) => [...nothingPending(end), ...cameThrough(end, [0, 1])],
};

/** EXPORT_SYNC_FILE and IMPORT_SYNC_FILE of a buffer, while it is claimed and released. */
const syncFileBridge: Scenario = {
  name: 'sync file bridge',
  setup: (stage) => {
    const { queue } = stage.buffer(0);
    const held = running(stage.of(0), [queue | X]);
    const context = stage.of(1).jobs.contexts.create(2, 'imported', CONTEXT_FLAG.UNORDERED);
    return { queue, context, ...pointData('held', held) };
  },
  actors: [
    (actor) => {
      const { slot, generation } = pointOf(actor.data, 'held');
      actor.services.jobs.end(slot, generation, 0);
      hold(actor, [at(actor.data, 'queue')]).release();
      actor.note(0, 1);
    },
    (actor) => {
      const { kernel, jobs, files, fds } = actor.services;
      const queue = at(actor.data, 'queue');
      const file = files.create('b', pendingOn(kernel, jobs.contexts, queue, 'write'));
      const fd = fds.install(objectWord(OBJECT.SYNC_FILE, file), 3, 'sync_file');
      const more = { inFences: files.points(file), flags: JOB_FLAG.AUTO };
      const bridge = jobs.add(spec(at(actor.data, 'context'), [queue | X], more));
      fds.remove(fd, 'close');
      noteStatus(actor, 0, await_(actor, bridge));
    },
  ],
  check: (end) => {
    const faults = [...nothingPending(end), ...cameThrough(end, [0, 1])];
    const dead = end.killed(0) || end.killed(1);
    const status = end.note(1, 0);
    return dead || status === 2 ? faults : [...faults, `the imported fence ended with ${status}`];
  },
};

export const HOLD_SCENARIOS: readonly Scenario[] = [
  releaseEvict,
  circle(2),
  circle(3),
  manyLinks,
  syncFileBridge,
];
