/** Scenarios of what refers to buffers: fds, fds in flight, mail, attachments. */
import { objectWord } from '../../fd/object-word.js';
import { BUFFER, CONTEXT_FLAG, OBJECT } from '../../memory/layout.js';
import { Queue } from '../../sync/queue-object.js';
import { oneOf } from './stage.js';
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
  unlessGone,
  X,
} from './jobs-of.js';
import type { Actor, End, Scenario } from './scenario.js';

/** Whether the buffer of the set-up has gone, or is there, as it must be. */
function buffer(end: End, there: boolean): string[] {
  const live = end.words.get(at(end.data, 'buffer') + BUFFER.STATE) !== 0;
  if (live === there) return [];
  return [there ? 'the buffer is gone' : 'the buffer is still there'];
}

const closeQueued: Scenario = {
  name: 'last close/queued job',
  setup: (stage) => {
    const { pointer, fd, queue } = stage.buffer(1);
    const job = running(stage.of(0), [queue | X]);
    return { buffer: pointer, fd, queue, ...pointData('job', job) };
  },
  actors: [
    (actor) => {
      actor.services.jobs.finish(at(actor.data, 'jobSlot'), 0);
      actor.note(0, 1);
    },
    (actor) => {
      actor.services.fds.remove(at(actor.data, 'fd'), 'close');
      noteStatus(actor, 0, await_(actor, pointOf(actor.data, 'job')));
    },
  ],
  check: (end) => [...cameThrough(end, [0, 1]), ...buffer(end, false)],
};

const dupClose: Scenario = {
  name: 'dup/close',
  setup: (stage) => {
    const { pointer, fd } = stage.buffer(0);
    const { fds } = stage.of(1);
    return { buffer: pointer, fd, other: fds.install((1 << 28) | pointer, 3, 'dup') };
  },
  actors: [
    (actor) => {
      const { fds } = actor.services;
      const { object, flags } = fds.entry(at(actor.data, 'fd'), 'dup');
      const copy = fds.install(object, flags, 'dup');
      fds.remove(at(actor.data, 'fd'), 'close');
      fds.remove(copy, 'close');
      actor.note(0, 1);
    },
    (actor) => {
      const { fds } = actor.services;
      const { object, flags } = fds.entry(at(actor.data, 'other'), 'dup');
      const copy = fds.install(object, flags, 'dup');
      fds.remove(at(actor.data, 'other'), 'close');
      fds.remove(copy, 'close');
      actor.note(0, 1);
    },
  ],
  check: (end) => [...cameThrough(end, [0, 1]), ...buffer(end, false)],
};

const passReceive: Scenario = {
  name: 'passFd/receiveFd',
  setup: (stage) => {
    const { pointer, fd } = stage.buffer(0);
    return { buffer: pointer, fd };
  },
  // A process of which nothing more is heard: who waits for it looks again after each bounded sleep.
  timeouts: 0,
  servers: [1],
  actors: [
    (actor) => {
      unlessGone(() => actor.services.ipc.passFd(2, at(actor.data, 'fd'), 7));
      actor.services.fds.remove(at(actor.data, 'fd'), 'close');
      actor.note(0, 1);
    },
    (actor) => {
      const { fd } = actor.services.ipc.receiveFd(Infinity);
      actor.services.fds.remove(fd, 'close');
      actor.note(0, 1);
    },
  ],
  check: (end) => {
    const dead = end.killed(0) || end.killed(1);
    return dead ? [] : [...cameThrough(end, [0, 1]), ...buffer(end, false)];
  },
};

const mailFull: Scenario = {
  name: 'send/receive, mailbox full',
  servers: [1],
  // Who waits for room of a receiver that has died is told by its bounded sleep.
  timeouts: 3,
  setup: () => ({}),
  actors: [
    (actor) => {
      try {
        for (let i = 1; i <= 3; i++) actor.services.ipc.send(2, i, true);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
        actor.note(1, 1);
      }
      actor.note(0, 1);
    },
    (actor) => {
      for (let i = 1; i <= 3; i++) {
        if (actor.services.ipc.receive(Infinity).value !== i) actor.note(1, i);
      }
      actor.note(0, 1);
    },
  ],
  check: (end) => {
    const dead = end.killed(0) || end.killed(1);
    const faults = cameThrough(end, dead ? [0] : [0, 1]);
    if (end.note(1, 1) !== 0)
      faults.push(`message ${end.note(1, 1)} did not arrive as it was sent`);
    if (!dead && end.note(0, 1) !== 0) faults.push('a live actor was not there');
    return faults;
  },
};

const ioctl: Scenario = {
  name: 'ioctl',
  servers: [1],
  devices: [1],
  timeouts: 3,
  setup: () => ({}),
  actors: [
    (actor) => {
      try {
        const reply = actor.services.ipc.ioctl(2, 'DOUBLE', 21, Infinity);
        actor.note(0, typeof reply === 'number' ? reply : 1);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error)) throw error;
        if (error.code !== 'EOWNERDEAD' && error.code !== 'ESRCH') throw error;
        actor.note(0, 2);
      }
    },
    (actor) =>
      serve(
        actor,
        () => {},
        (_request, args) => Number(args) * 2,
      ),
  ],
  check: (end) => {
    const faults = cameThrough(end, [0]);
    const dead = end.killed(0) || end.killed(1);
    if (!dead && end.note(0, 0) !== 42) faults.push(`the ioctl returned ${end.note(0, 0)}`);
    return faults;
  },
};

const importDevice = (actor: Actor): void => {
  const { importers, buffers } = actor.services;
  const record = buffers.record(at(actor.data, 'buffer'));
  const { self } = actor.services.kernel;
  const fixed = importers.attach(record, self, {}, false);
  importers.map(fixed, 'bidirectional', undefined);
  const moving = importers.attach(record, self, {}, true);
  importers.pin(moving);
  importers.detach(moving); // with its pin
  importers.unmap(fixed);
  importers.detach(fixed);
  actor.note(0, 1);
};

const attachments: Scenario = {
  name: 'attach/map/pin',
  setup: (stage) => {
    const { pointer, fd } = stage.buffer(0);
    stage.of(1).fds.install((1 << 28) | pointer, 3, 'dup');
    return { buffer: pointer, fd };
  },
  actors: [importDevice, importDevice],
  check: (end) => {
    const dead = end.killed(0) || end.killed(1);
    return [...cameThrough(end, [0, 1]), ...(dead ? [] : buffer(end, true))];
  },
};

/** Each makes a record of most tables, and gives it back. */
const makeAll = (actor: Actor): void => {
  const { buffers, fds, timelines, jobs, kernel } = actor.services;
  const pointer = buffers.export(oneOf(at(actor.data, 'region')));
  fds.remove(fds.install(objectWord(OBJECT.DMABUF, pointer), 3, 'export'), 'close');
  const line = timelines.create('t');
  fds.remove(fds.install(objectWord(OBJECT.TIMELINE, line), 3, 'timeline'), 'close');
  Queue.create(kernel).close();
  jobs.contexts.destroy(jobs.contexts.create(kernel.self, 'c', 0));
  actor.note(0, 1);
};

const makeMake: Scenario = {
  name: 'create/close of records',
  setup: (stage) => ({ region: stage.region, buffer: stage.buffer(1).pointer }),
  actors: [makeAll, makeAll],
  check: (end) => [
    ...cameThrough(end, [0, 1]),
    ...(end.killed(0) || end.killed(1) ? [] : buffer(end, true)),
  ],
};

/** The exporter moves a buffer that a dynamic importer has attached, and that a job may claim. */
const moves: Scenario = {
  name: 'move/hold',
  memory: true,
  setup: (stage) => {
    const { pointer, fd, queue } = stage.buffer(0);
    stage.of(1).fds.install((1 << 28) | pointer, 3, 'dup');
    stage.of(1).importers.attach(stage.of(1).buffers.record(pointer), 2, {}, true);
    return { buffer: pointer, fd, queue, region: stage.region, flags: CONTEXT_FLAG.UNORDERED };
  },
  actors: [
    (actor) => {
      const { moves: mover, buffers } = actor.services;
      const record = buffers.record(at(actor.data, 'buffer'));
      mover.move(record, { region: at(actor.data, 'region'), offset: 0 }, Infinity);
      actor.note(0, 1);
    },
    (actor) => {
      const { holds } = actor.services;
      holds.wait([at(actor.data, 'queue')], Infinity, 'claim', 'a buffer').release();
      actor.note(0, 1);
    },
  ],
  check: (end) => [...nothingPending(end), ...cameThrough(end, [0, 1])],
};

export const FD_SCENARIOS: readonly Scenario[] = [
  closeQueued,
  dupClose,
  passReceive,
  mailFull,
  ioctl,
  attachments,
  makeMake,
  moves,
];
