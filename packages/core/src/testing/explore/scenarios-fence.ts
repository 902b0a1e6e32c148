/** Scenarios of fences: timelines, in-fences, sync files, callbacks, contexts. */
import { errno } from '../../errno.js';
import { CONTEXT, CONTEXT_FLAG, JOB_FLAG, OBJECT } from '../../memory/layout.js';
import { objectWord } from '../../fd/object-word.js';
import {
  at,
  await_,
  cameThrough,
  noteStatus,
  pendingJobs,
  pointData,
  pointOf,
  spec,
  X,
} from './jobs-of.js';
import type { Actor, Data, End, Scenario } from './scenario.js';
import type { Stage } from './stage.js';

/** A timeline with an fd of a thread's. */
function timeline(stage: Stage, thread: number): { timeline: number; fd: number } {
  const { timelines, fds } = stage.of(thread);
  const pointer = timelines.create('t');
  return {
    timeline: pointer,
    fd: fds.install(objectWord(OBJECT.TIMELINE, pointer), 3, 'timeline'),
  };
}

function withFence(stage: Stage, thread: number): Data {
  const made = timeline(stage, thread);
  const fence = stage.of(thread).timelines.createFence(made.timeline, 1);
  return { ...made, ...pointData('fence', fence) };
}

function ended(end: End, threads: readonly number[]): string[] {
  const faults = cameThrough(end, threads);
  const pending = pendingJobs(end);
  const dead = [0, 1, 2].some((thread) => end.killed(thread));
  if (pending > 0 && !dead) faults.push(`${pending} fences are left pending`);
  return faults;
}

const signalWait: Scenario = {
  name: 'signal/wait',
  setup: (stage) => withFence(stage, 0),
  actors: [
    (actor) => {
      actor.services.timelines.increment(at(actor.data, 'timeline'), 1);
      actor.note(0, 1);
    },
    (actor) => noteStatus(actor, 0, await_(actor, pointOf(actor.data, 'fence'))),
    (actor) => noteStatus(actor, 0, await_(actor, pointOf(actor.data, 'fence'))),
  ],
  check: (end) => ended(end, [0, 1, 2]),
};

const signalAdd: Scenario = {
  name: 'signal/add with in-fence',
  setup: (stage) => {
    const context = stage.of(1).jobs.contexts.create(2, 'auto', CONTEXT_FLAG.UNORDERED);
    return { ...withFence(stage, 0), a: stage.buffer(1).queue, context };
  },
  actors: [
    (actor) => {
      actor.services.timelines.increment(at(actor.data, 'timeline'), 1);
      actor.note(0, 1);
    },
    (actor) => {
      const { jobs } = actor.services;
      const more = { inFences: [pointOf(actor.data, 'fence')], flags: JOB_FLAG.AUTO };
      const first = jobs.add(spec(at(actor.data, 'context'), [at(actor.data, 'a') | X], more));
      noteStatus(actor, 0, await_(actor, first));
    },
  ],
  check: (end) => {
    const faults = ended(end, [0, 1]);
    if (!end.killed(0) && !end.killed(1) && end.note(1, 0) !== 2) faults.push('the job failed');
    return faults;
  },
};

const createIncrement: Scenario = {
  name: 'timeline create/increment',
  inVain: [[0, 1]],
  setup: (stage) => timeline(stage, 0),
  actors: [
    (actor) => {
      const { timelines } = actor.services;
      const line = at(actor.data, 'timeline');
      const later = timelines.createFence(line, 2);
      timelines.createFence(line, 1);
      noteStatus(actor, 0, await_(actor, later));
    },
    (actor) => {
      actor.services.timelines.increment(at(actor.data, 'timeline'), 1);
      actor.services.timelines.increment(at(actor.data, 'timeline'), 1);
      actor.note(0, 1);
    },
  ],
  check: (end) => ended(end, end.killed(1) ? [1] : [0, 1]),
};

const incrementIncrement: Scenario = {
  name: 'timeline increment/increment',
  inVain: [
    [0, 1],
    [1, 0],
  ],
  setup: (stage) => {
    const made = timeline(stage, 0);
    const { timelines } = stage.of(0);
    timelines.createFence(made.timeline, 1);
    return { ...made, ...pointData('fence', timelines.createFence(made.timeline, 2)) };
  },
  actors: [0, 1].map((_thread) => (actor: Actor): void => {
    actor.services.timelines.increment(at(actor.data, 'timeline'), 1);
    noteStatus(actor, 0, await_(actor, pointOf(actor.data, 'fence')));
  }),
  check: (end) => ended(end, end.killed(0) || end.killed(1) ? [] : [0, 1]),
};

/** A closing timeline's context is another's as soon as it says CLOSED: nothing is written to it then. */
const closeCreate: Scenario = {
  name: 'context close/create',
  tables: { contexts: 1 },
  setup: (stage) => withFence(stage, 0),
  actors: [
    (actor) => {
      actor.services.fds.remove(at(actor.data, 'fd'), 'close');
      actor.note(0, 1);
    },
    (actor) => {
      const { contexts } = actor.services.jobs;
      try {
        actor.note(1, contexts.create(2, 'next', 0));
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
      }
      actor.note(0, 1);
    },
    (actor) => noteStatus(actor, 0, await_(actor, pointOf(actor.data, 'fence'))),
  ],
  check: (end) => {
    const faults = ended(end, [0, 1, 2]);
    const context = end.note(1, 1);
    if (context !== 0 && end.words.get(context + CONTEXT.ERRORS) !== 0) {
      faults.push('a new context has an error of the one before');
    }
    if (context !== 0 && !end.killed(1) && end.words.get(context + CONTEXT.CLOSED) !== 0) {
      faults.push('a new context is closed');
    }
    const status = end.note(2, 0);
    const known = [-errno.ENOENT, -errno.ESTALE];
    if (!end.killed(0) && !end.killed(2) && !known.includes(status)) {
      faults.push(`the fence of a closed timeline ended with ${status}`);
    }
    return faults;
  },
};

/** A sync file pins a slot, however the fence ends meanwhile and whoever wants a new one. */
const holdRecycle: Scenario = {
  name: 'sync file/recycling',
  setup: (stage) => withFence(stage, 0),
  actors: [
    (actor) => {
      actor.services.timelines.increment(at(actor.data, 'timeline'), 1);
      actor.services.timelines.createFence(at(actor.data, 'timeline'), 2);
      actor.services.timelines.increment(at(actor.data, 'timeline'), 1);
      actor.note(0, 1);
    },
    (actor) => {
      const { files, fds } = actor.services;
      const file = files.create('f', [pointOf(actor.data, 'fence')]);
      const fd = fds.install(objectWord(OBJECT.SYNC_FILE, file), 3, 'sync_file');
      const [point] = files.points(file);
      if (point !== undefined) noteStatus(actor, 1, files.statusOf(point));
      fds.remove(fd, 'close');
      actor.note(0, 1);
    },
  ],
  check: (end) => {
    const faults = ended(end, [0, 1]);
    const seen = end.note(1, 1);
    return seen < 0 && !end.killed(0)
      ? [...faults, `a fence that signalled reads ${seen}`]
      : faults;
  },
};

const callbacks: Scenario = {
  name: 'callback arm/remove',
  setup: (stage) => withFence(stage, 0),
  actors: [
    (actor) => {
      actor.services.timelines.increment(at(actor.data, 'timeline'), 1);
      actor.note(0, 1);
    },
    (actor) => {
      const { callbacks: armed, inbox } = actor.services;
      inbox.serving = true; // nothing pumps behind our back
      let ran = 0;
      const run = (): void => void ran++;
      const first = armed.onFence(pointOf(actor.data, 'fence'), run);
      armed.onFence(pointOf(actor.data, 'fence'), run);
      const removed = first.remove();
      const want = removed ? 1 : 2;
      while (ran < want) armed.sleep(Infinity);
      actor.note(0, ran === want ? 1 : 0);
    },
  ],
  check: (end) => ended(end, [0, 1]),
};

export const FENCE_SCENARIOS: readonly Scenario[] = [
  signalWait,
  signalAdd,
  createIncrement,
  incrementIncrement,
  closeCreate,
  holdRecycle,
  callbacks,
];
