/** Scenarios of queues and jobs: add, cancel, release, grant, and who serves. */
import { errno } from '../../errno.js';
import {
  CONTEXT_FLAG,
  HEADER,
  JOB,
  JOB_FLAG,
  JOB_STATE,
  JOB_STATE_MASK,
  LINK_FLAG,
} from '../../memory/layout.js';
import {
  at,
  await_,
  cameThrough,
  noteStatus,
  nothingPending,
  pointData,
  pointOf,
  running,
  serve,
  spec,
  unlessGone,
  X,
} from './jobs-of.js';
import type { Actor, Scenario } from './scenario.js';
import type { Stage } from './stage.js';

const CLAIM = 'claim';

/** Claims for the calling thread itself, and lets go. */
function holdOnce({ services }: Actor, claims: readonly number[]): void {
  services.holds.wait(claims, Infinity, CLAIM, 'a queue').release();
}

/** Two buffers that every actor has an fd of. */
function twoQueues(stage: Stage): { a: number; b: number } {
  const [a, b] = [stage.buffer(0), stage.buffer(0)];
  for (const thread of [1, 2]) {
    for (const { pointer } of [a, b]) stage.of(thread).fds.install((1 << 28) | pointer, 3, 'dup');
  }
  return { a: a.queue, b: b.queue };
}

const addAdd: Scenario = {
  name: 'add/add crossing',
  setup: (stage) => twoQueues(stage),
  actors: [
    (actor) => {
      holdOnce(actor, [at(actor.data, 'a') | X, at(actor.data, 'b')]);
      holdOnce(actor, [at(actor.data, 'b') | X]);
      actor.note(0, 1);
    },
    (actor) => {
      holdOnce(actor, [at(actor.data, 'b') | X, at(actor.data, 'a')]);
      actor.note(0, 1);
    },
  ],
  check: (end) => [...nothingPending(end), ...cameThrough(end, [0, 1])],
};

const addServe: Scenario = {
  name: 'add/serve',
  servers: [1],
  devices: [1],
  setup: (stage) => {
    const { contexts } = stage.of(0).jobs;
    return { ...twoQueues(stage), context: contexts.create(2, 'device', 0) };
  },
  actors: [
    (actor) => {
      const { jobs } = actor.services;
      const [a, b] = [at(actor.data, 'a'), at(actor.data, 'b')];
      const context = at(actor.data, 'context');
      jobs.add(spec(context, [a | X]));
      const last = jobs.add(spec(context, [a, b | X]));
      noteStatus(actor, 0, await_(actor, last));
    },
    (actor) => serve(actor),
  ],
  check: (end) => [...nothingPending(end), ...cameThrough(end, [0])],
};

/** The ready set alone: what is pushed while its actor takes is there at the next look. */
const pushTake: Scenario = {
  name: 'push/take',
  inVain: [[1, 0]],
  setup: (stage) => ({
    context: stage.of(0).jobs.contexts.create(2, 'device', CONTEXT_FLAG.UNORDERED),
  }),
  actors: [
    (actor) => {
      const { jobs } = actor.services;
      unlessGone(() => {
        for (let i = 0; i < 2; i++) jobs.add(spec(at(actor.data, 'context'), []));
      });
      actor.note(0, 1);
    },
    (actor) => {
      const { jobs, bell, kernel } = actor.services;
      const taken: number[] = [];
      for (let ended = 0; ended < 2;) {
        bell.sleep(() => jobs.ready.isEmpty(kernel.self), Infinity);
        jobs.ready.take(kernel.self, taken);
        for (const job of taken.splice(0)) {
          if (!jobs.claim(job)) continue;
          jobs.finish(job, 0);
          ended++;
        }
      }
      actor.note(0, 1);
    },
  ],
  check: (end) => {
    const dead = end.killed(0) || end.killed(1);
    return dead ? [] : [...nothingPending(end), ...cameThrough(end, [0, 1])];
  },
};

const addAddServe: Scenario = {
  name: 'add/add/serve',
  servers: [2],
  devices: [2],
  setup: (stage) => {
    const one = stage.of(0).jobs.contexts.create(3, 'one', 0);
    const two = stage.of(1).jobs.contexts.create(3, 'two', 0);
    return { ...twoQueues(stage), one, two };
  },
  actors: [
    (actor) => {
      const { data, services } = actor;
      const job = spec(at(data, 'one'), [at(data, 'a') | X, at(data, 'b')]);
      noteStatus(actor, 0, await_(actor, services.jobs.add(job)));
    },
    (actor) => {
      const { data, services } = actor;
      const job = spec(at(data, 'two'), [at(data, 'b') | X, at(data, 'a')]);
      noteStatus(actor, 0, await_(actor, services.jobs.add(job)));
    },
    (actor) => serve(actor),
  ],
  check: (end) => [...nothingPending(end), ...cameThrough(end, [0, 1])],
};

const addCancel: Scenario = {
  name: 'add/cancel',
  servers: [2],
  devices: [2],
  setup: (stage) => {
    const { a } = twoQueues(stage);
    const held = running(stage.of(0), [a | X]);
    const context = stage.of(1).jobs.contexts.create(3, 'device', 0);
    const job = stage.of(1).jobs.add(spec(context, [a | X]));
    return { a, context, ...pointData('held', held), ...pointData('job', job) };
  },
  actors: [
    (actor) => {
      actor.services.jobs.finish(at(actor.data, 'heldSlot'), 0);
      holdOnce(actor, [at(actor.data, 'a')]);
      actor.note(0, 1);
    },
    (actor) => {
      const job = pointOf(actor.data, 'job');
      const taken = actor.services.jobs.cancel(job.slot, -errno.ECANCELED, job.generation);
      actor.note(1, taken ? 1 : 2);
      noteStatus(actor, 0, await_(actor, job));
    },
    (actor) => serve(actor),
  ],
  check: (end) => {
    const faults = [...nothingPending(end), ...cameThrough(end, [0, 1])];
    if (end.killed(0) || end.killed(1) || end.killed(2)) return faults;
    const cancelled = end.note(1, 0) === -errno.ECANCELED;
    if (cancelled !== (end.note(1, 1) === 1))
      faults.push('a job that was taken back ran, or the reverse');
    return faults;
  },
};

const releaseAdd: Scenario = {
  name: 'release/add',
  setup: (stage) => {
    const { a, b } = twoQueues(stage);
    return { a, b, ...pointData('held', running(stage.of(0), [a | X, b | X])) };
  },
  actors: [
    (actor) => {
      actor.services.jobs.complete(at(actor.data, 'heldSlot'), 0);
      actor.services.jobs.release(at(actor.data, 'heldSlot'));
      actor.note(0, 1);
    },
    (actor) => {
      holdOnce(actor, [at(actor.data, 'a')]);
      holdOnce(actor, [at(actor.data, 'b') | X, at(actor.data, 'a') | X]);
      actor.note(0, 1);
    },
  ],
  check: (end) => [...nothingPending(end), ...cameThrough(end, [0, 1])],
};

const readers: Scenario = {
  name: 'readers/writer',
  setup: (stage) => twoQueues(stage),
  actors: [0, 1, 2].map((thread) => (actor: Actor): void => {
    const a = at(actor.data, 'a');
    const { holds, kernel } = actor.services;
    const hold = holds.wait([thread === 2 ? a | X : a], Infinity, CLAIM, 'a queue');
    // Who is inside: a writer alone, or readers. The word is the exporter's own, of a buffer nobody looks at.
    const inside = at(actor.data, 'b') + 20;
    const others = kernel.words.add(inside, thread === 2 ? 100 : 1);
    if (thread === 2 ? others !== 0 : others >= 100) actor.note(1, 1);
    kernel.words.add(inside, thread === 2 ? -100 : -1);
    hold.release();
    actor.note(0, 1);
  }),
  check: (end) => {
    const faults = [...nothingPending(end), ...cameThrough(end, [0, 1, 2])];
    const dead = [0, 1, 2].some((thread) => end.killed(thread));
    const met = [0, 1, 2].some((thread) => end.note(thread, 1) !== 0);
    return !dead && met ? [...faults, 'a writer was not alone'] : faults;
  },
};

/** Lets the machine's time pass as the manual clock's advance() does, and wakes whoever may be due. */
function tick({ services }: Actor, ms: number): void {
  const { words, seam, jobs } = services.kernel;
  words.setDouble(HEADER.MANUAL_TIME, ms);
  for (let i = 0; i < jobs.count; i++) seam.notify(words.i32, jobs.at(i) + JOB.STATE, 0x7fffffff);
}

const grantTimeout: Scenario = {
  name: 'grant/timeout',
  timeouts: 2,
  setup: (stage) => {
    const { a } = twoQueues(stage);
    return { a, ...pointData('held', running(stage.of(0), [a | X])) };
  },
  actors: [
    (actor) => {
      actor.services.jobs.finish(at(actor.data, 'heldSlot'), 0);
      actor.note(0, 1);
    },
    (actor) => {
      try {
        actor.services.holds.wait([at(actor.data, 'a')], 5, CLAIM, 'a queue').release();
        actor.note(0, 1);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ETIME')) throw error;
        actor.note(0, 2);
      }
    },
    (actor) => {
      tick(actor, 10);
      actor.note(0, 1);
    },
  ],
  check: (end) => [...nothingPending(end), ...cameThrough(end, [0, 1, 2])],
};

const earlyGrant: Scenario = {
  name: 'early grant',
  servers: [2],
  devices: [2],
  setup: (stage) => {
    const { a } = twoQueues(stage);
    const context = stage.of(1).jobs.contexts.create(3, 'early', CONTEXT_FLAG.EARLY);
    return { a, context, ...pointData('held', running(stage.of(0), [a | X])) };
  },
  actors: [
    (actor) => {
      actor.services.jobs.finish(at(actor.data, 'heldSlot'), 0);
      actor.note(0, 1);
    },
    (actor) => {
      const job = spec(at(actor.data, 'context'), [at(actor.data, 'a') | X], {
        flags: JOB_FLAG.EARLY,
      });
      noteStatus(actor, 0, await_(actor, actor.services.jobs.add(job)));
    },
    (actor) =>
      serve(actor, () => {
        const { words } = actor.services.kernel;
        const held = pointOf(actor.data, 'held');
        const stage = words.load(held.slot + JOB.STATE) & JOB_STATE_MASK;
        const same = words.load(held.slot + JOB.GEN) === held.generation;
        if (same && stage === JOB_STATE.RUNNING) actor.note(1, 1);
      }),
  ],
  check: (end) => {
    const faults = [...nothingPending(end), ...cameThrough(end, [0, 1])];
    return end.note(2, 1) === 0 ? faults : [...faults, 'a job ran before its turn'];
  },
};

/** A claim that nobody waits for, put in front of a queue that others are changing. */
const explicitAdd: Scenario = {
  name: 'explicit add',
  servers: [2],
  devices: [2],
  setup: (stage) => {
    const { a } = twoQueues(stage);
    return { a, context: stage.of(0).jobs.contexts.create(3, 'device', 0) };
  },
  actors: [
    (actor) => {
      const { jobs } = actor.services;
      const [a, context] = [at(actor.data, 'a'), at(actor.data, 'context')];
      jobs.add(spec(context, [a | X | LINK_FLAG.BOOKKEEP]));
      const last = jobs.add(spec(context, [a]));
      noteStatus(actor, 0, await_(actor, last));
    },
    (actor) => {
      holdOnce(actor, [at(actor.data, 'a') | X]);
      actor.note(0, 1);
    },
    (actor) => serve(actor),
  ],
  check: (end) => [...nothingPending(end), ...cameThrough(end, [0, 1])],
};

export const QUEUE_SCENARIOS: readonly Scenario[] = [
  addAdd,
  addServe,
  pushTake,
  addAddServe,
  addCancel,
  releaseAdd,
  readers,
  grantTimeout,
  earlyGrant,
  explicitAdd,
];
