// Death at every step (design D11): for each operation of core, its thread dies before each access to
// kernel memory; then it is recovered, and the recoverer dies too, here and there. Nothing may be left.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FdTable } from '../fd/fd-table.js';
import {
  ACTOR,
  ACTOR_STATE,
  BUFFER,
  CONTEXT,
  HEADER,
  JOB,
  JOB_STATE,
  JOB_STATE_MASK,
  MAIL,
  TIMELINE,
} from '../memory/layout.js';
import { discard, exclusive, shared } from '../sync/context.js';
import { checkQueues } from '../testing/check-queues.js';
import { FakeMachine, type FakeActor } from '../testing/fake-machine.js';
import { Dead, FusedWords } from '../testing/fused-words.js';
import { Random } from '../testing/random.js';
import { watchLocks } from './reaper.js';
import { recover } from './recovery.js';

/** Indexes of the actors: who lives on, who dies, the device, two reapers. */
const [SURVIVOR, VICTIM, DEVICE, REAPER] = [0, 1, 2, 3];
const TABLES = {
  jobs: 64,
  buffers: 16,
  queues: 20,
  regions: 16,
  contexts: 24,
  syncFiles: 8,
  timelines: 8,
  holders: 32,
  fds: 16,
  traceRecords: 256,
};

class Scene {
  readonly fake = new FakeMachine({ actors: 5, tables: TABLES, words: FusedWords });
  readonly survivor: FakeActor = this.fake.actor(SURVIVOR);
  readonly victim: FakeActor = this.fake.actor(VICTIM);
  /** Buffers of the survivor's; the victim has fds of them too. */
  readonly ours = [0, 1].map(() => this.survivor.machine.alloc(4096));
  readonly theirs = this.ours.map((buffer) => {
    this.survivor.machine.passFd(this.victim.id, buffer.fd);
    return this.victim.machine.dmabuf(this.victim.machine.receiveFd(0).fd);
  });
  readonly context = this.survivor.machine.createContext(DEVICE + 1, 'lives');
  readonly doomed = this.victim.machine.createContext(DEVICE + 1, 'doomed');
  readonly timeline = this.survivor.machine.createTimeline('lives');
  readonly device = this.fake.server(DEVICE, { run: () => {} });

  get words(): FusedWords {
    return this.fake.words as FusedWords;
  }
}

/** What the victim does; what it needs is made before it by `before`. */
interface Operation<T = unknown> {
  readonly name: string;
  before?(scene: Scene): T;
  run(scene: Scene, made: T): void;
  /** Dies as a device, which is started again. */
  readonly device?: boolean;
}

function operation<T>(name: string, parts: Omit<Operation<T>, 'name'>): Operation {
  const { before, run, device = false } = parts;
  return {
    name,
    device,
    before: (scene) => before?.(scene),
    run: (scene, made) => run(scene, made as T),
  };
}

const twelve = (scene: Scene) =>
  Array.from({ length: 10 }, () => scene.victim.machine.createQueue());

const OPERATIONS: readonly Operation[] = [
  operation('alloc', { run: ({ victim }) => void victim.machine.alloc(4096) }),
  operation('close the last fd', {
    before: ({ victim }) => victim.machine.alloc(4096),
    run: (_, buffer) => buffer.close(),
  }),
  operation('close one fd of several', { run: ({ theirs }) => theirs[0]?.close() }),
  operation('close the last fd with a job queued', {
    before: (scene) => {
      const buffer = scene.victim.machine.alloc(4096);
      scene.context.submit({ buffers: [exclusive(buffer)] });
      return buffer;
    },
    run: (_, buffer) => buffer.close(),
  }),
  operation('dup', { run: ({ theirs }) => void theirs[0]?.dup() }),
  operation('attach, map, unmap, detach', {
    run: ({ theirs, victim }) => {
      const attachment = theirs[0]?.attach(victim.id);
      attachment?.map();
      attachment?.unmap();
      attachment?.detach();
    },
  }),
  operation('a write bracket', {
    run: ({ theirs }) => {
      const bracket = theirs[0]?.access({ write: true });
      bracket?.finish();
    },
  }),
  operation('hold two, release', {
    run: ({ theirs, victim }) => victim.machine.waitAll(theirs.map(exclusive)).release(),
  }),
  operation('submit to two buffers, one in use', {
    before: ({ ours, context }) => context.submit({ buffers: ours.slice(0, 1).map(shared) }),
    run: ({ theirs, doomed }) => void doomed.submit({ buffers: theirs.map(exclusive) }),
  }),
  operation('submit behind the fences of others', {
    before: ({ timeline, context }) => [timeline.createFence(1), context.submit({})],
    run: ({ theirs, doomed }, inFences) =>
      void doomed.submit({ buffers: theirs.map(discard), inFences }),
  }),
  operation('submit with more links than a record has', {
    before: twelve,
    run: ({ doomed, theirs }, queues) =>
      void doomed.submit({ buffers: [...queues, ...theirs].map(exclusive) }),
  }),
  operation('the same behind others, then cancel', {
    before: (scene) => {
      const queues = twelve(scene);
      scene.context.submit({ buffers: [...queues, ...scene.theirs].map(exclusive) });
      const buffers = [...queues, ...scene.theirs].map(shared);
      return scene.doomed.submit({ buffers, inFences: [scene.timeline.createFence(1)] });
    },
    run: ({ doomed }, fence) => void doomed.cancel(fence),
  }),
  operation('cancel a writer between readers', {
    before: ({ ours, theirs, context, doomed, timeline }) => {
      const inFences = [timeline.createFence(1)];
      context.submit({ buffers: ours.map(shared), inFences });
      const fence = doomed.submit({ buffers: theirs.map(exclusive) });
      context.submit({ buffers: ours.map(shared) });
      return fence;
    },
    run: ({ doomed }, fence) => void doomed.cancel(fence),
  }),
  operation('run jobs as a device', {
    device: true,
    before: ({ ours, context, victim, survivor }) => {
      const line = survivor.machine.createContext(victim.id, 'to the victim');
      line.submit({ buffers: ours.map(exclusive) });
      line.submit({ buffers: ours.map(shared) });
      context.submit({ buffers: ours.map(exclusive) });
      return line;
    },
    run: ({ fake }) => fake.server(VICTIM, { run: () => {} }).run(),
  }),
  operation('serve as a process', {
    before: ({ ours, survivor, victim }) => {
      const line = survivor.machine.createContext(victim.id, 'to the victim');
      for (let i = 0; i < 3; i++) line.submit({ buffers: ours.map(i === 1 ? shared : exclusive) });
      return line;
    },
    run: ({ fake }) => fake.server(VICTIM, { run: () => {} }).run(),
  }),
  operation('pass an fd, receive one', {
    before: ({ survivor, victim, ours }) => {
      for (const { fd } of ours) survivor.machine.passFd(victim.id, fd);
    },
    run: ({ victim, theirs, survivor }) => {
      victim.machine.passFd(survivor.id, theirs[1]?.fd ?? 0);
      victim.machine.receiveFd(0);
    },
  }),
  operation('send and receive', {
    before: ({ survivor, victim }) => survivor.machine.send(victim.id, 'hello'),
    run: ({ victim, survivor }) => {
      victim.machine.receive(0);
      victim.machine.send(survivor.id, { some: 'thing' });
    },
  }),
  operation('make a sync file, merge, close it', {
    before: ({ timeline, context, ours }) => [
      timeline.createFence(3),
      context.submit({ buffers: ours.map(exclusive) }),
      ...Array.from({ length: 9 }, () => context.submit({})),
    ],
    run: ({ victim }, fences) => victim.machine.createSyncFile(fences).close(),
  }),
  operation('close a sync file that pins ended jobs', {
    before: ({ victim, context, device }) => {
      const file = victim.machine.createSyncFile([0, 1, 2].map(() => context.submit({})));
      device.run();
      return file;
    },
    run: (_, file) => file.close(),
  }),
  operation('make a timeline with fences, advance it', {
    run: ({ victim, doomed }) => {
      const timeline = victim.machine.createTimeline('t');
      const fences = [1, 1, 2].map((point) => timeline.createFence(point));
      doomed.submit({ inFences: fences.slice(0, 2) });
      timeline.increment();
    },
  }),
  operation('close a timeline with fences pending', {
    before: ({ victim, doomed, context }) => {
      const timeline = victim.machine.createTimeline('t');
      const inFences = [2, 3].map((point) => timeline.createFence(point));
      doomed.submit({ inFences });
      context.submit({ inFences, onError: 'run' });
      return timeline;
    },
    run: (_, timeline) => timeline.close(),
  }),
  operation('advance the timeline of somebody else', {
    before: (scene) => {
      const { survivor, victim, timeline, context } = scene;
      survivor.machine.passFd(victim.id, timeline.fd);
      const inFences = [1, 2, 2].map((point) => timeline.createFence(point));
      for (const fence of inFences) context.submit({ inFences: [fence] });
      return victim.machine.timeline(victim.machine.receiveFd(0).fd);
    },
    run: (_, timeline) => timeline.increment(2),
  }),
  operation('callbacks on a fence and on buffers', {
    before: ({ context, ours, timeline }) =>
      context.submit({ buffers: ours.map(exclusive), inFences: [timeline.createFence(1)] }),
    run: ({ victim, theirs }, fence) => {
      victim.services.inbox.serving = true; // it does not pump by itself in the event loop
      const callback = victim.machine.fence(fence).addCallback(() => {});
      const pending = victim.machine.asyncWaitAll(theirs.map(exclusive), (hold) => hold.release());
      callback.remove();
      pending.cancel();
    },
  }),
  operation('import a sync file that signals', {
    before: ({ survivor, victim, timeline }) => {
      survivor.machine.passFd(victim.id, timeline.fd);
      return victim.machine.timeline(victim.machine.receiveFd(0).fd);
    },
    run: ({ theirs, doomed }, timeline) => {
      theirs[0]?.importSyncFile(timeline.createFence(1), { write: true });
      doomed.submit({ buffers: theirs.map(exclusive) });
      timeline.increment();
    },
  }),
  operation('make and close contexts and queues', {
    run: ({ victim, survivor }) => {
      const context = victim.machine.createContext(survivor.id, 'c');
      context.close();
      victim.machine.createQueue().close();
    },
  }),
  operation('bufinfo', { run: ({ victim }) => void victim.machine.bufinfo() }),
];

/** Marks an actor as dead: a device that is to start again, or another. */
function bury({ fake, survivor }: Scene, actor: number, device: boolean): void {
  const state = survivor.services.kernel.actors.at(actor) + ACTOR.STATE;
  fake.words.store(state, device ? ACTOR_STATE.RESTARTING : ACTOR_STATE.DEAD);
}

/**
 * Recovers the victim. The first reaper has `fuse` accesses to live; if it dies, the second one recovers it and
 * does its work again: then true.
 */
function recoverVictim(scene: Scene, device: boolean, fuse: number): boolean {
  const { words, fake } = scene;
  const [first, second] = [fake.actor(REAPER), fake.actor(REAPER + 1)];
  for (const { services } of [first, second]) watchLocks(services);
  bury(scene, VICTIM + 1, device);
  words.fuse = fuse;
  try {
    recover(first.services, VICTIM + 1);
    return false;
  } catch (error) {
    if (!(error instanceof Dead)) throw error;
  } finally {
    words.fuse = Infinity;
  }
  bury(scene, first.id, false);
  recover(second.services, first.id);
  recover(second.services, VICTIM + 1);
  return true;
}

/** Lets everybody who lives finish, closes what is theirs, and says what is left. */
function leftovers(scene: Scene, device: boolean, twice: boolean): string[] {
  const { survivor, fake, timeline, ours } = scene;
  const { kernel } = survivor.services;
  const faults = locksHeld(scene);
  if (device) {
    fake.words.store(kernel.actors.at(VICTIM + 1) + ACTOR.STATE, ACTOR_STATE.LIVE);
    fake.server(VICTIM, { run: () => {} }).run();
  }
  timeline.increment(10);
  scene.device.run();
  faults.push(...checkQueues(kernel));
  const before = survivor.machine.waitAll(ours.map(exclusive), 1000);
  before.release();
  const pending = [...liveJobs(scene)];
  if (pending.length > 0) faults.push(`jobs that never end: ${pending.join(', ')}`);
  survivor.services.fds.removeAll();
  survivor.services.mail.drain(survivor.id);
  survivor.machine.bufinfo();
  const { buffers, bytes } = survivor.machine.stats();
  if (buffers !== 0 || bytes !== 0) faults.push(`${buffers} buffers, ${bytes} bytes are left`);
  for (const name of ['holders', 'syncFiles', 'timelines', 'regions'] as const) {
    const live = [...kernel[name].live()].length;
    if (live > 0) faults.push(`${live} ${name} are left`);
  }
  if ([...new FdTable(kernel, survivor.services.references, VICTIM + 1).open()].length > 0) {
    faults.push('the dead has open fds');
  }
  return [...faults, ...slotsLost(scene, twice)];
}

function* liveJobs({ fake, survivor }: Scene): Generator<string> {
  const { jobs } = survivor.services.kernel;
  for (let i = 0; i < jobs.count; i++) {
    const stage = fake.words.load(jobs.at(i) + JOB.STATE) & JOB_STATE_MASK;
    if (stage !== JOB_STATE.FREE && stage !== JOB_STATE.RELEASED) yield `${i} (state ${stage})`;
  }
}

function locksHeld({ fake, survivor }: Scene): string[] {
  const { words } = fake;
  const { kernel } = survivor.services;
  const named: [string, number][] = [
    ['ACTOR', HEADER.ACTOR_LOCK],
    ['BUFFER', HEADER.BUFFER_LOCK],
    ['CONTEXT', HEADER.CONTEXT_LOCK],
    ['JOB', HEADER.JOB_LOCK],
    ['FENCE', HEADER.FENCE_LOCK],
    ['WAIT', HEADER.WAIT_LOCK],
    ...[...kernel.contexts.live()].map((at): [string, number] => ['context', at + CONTEXT.LOCK]),
    ...[...kernel.buffers.live()].map((at): [string, number] => ['buffer', at + BUFFER.LOCK]),
    ...[...kernel.timelines.live()].map((at): [string, number] => ['timeline', at + TIMELINE.LOCK]),
    ...[1, 2, 3].map((actor): [string, number] => [
      'mailbox',
      words.get(HEADER.MAIL) + actor * words.get(HEADER.MAIL_WORDS) + MAIL.LOCK,
    ]),
  ];
  return named.filter(([, at]) => words.load(at) !== 0).map(([name]) => `a ${name} lock is held`);
}

/** Every slot of the job table is in the global list once all stacks have been given back. */
function slotsLost({ fake, survivor }: Scene, twice: boolean): string[] {
  const gone = twice ? [VICTIM, REAPER] : [VICTIM];
  fake.actors.forEach(({ services }, i) =>
    gone.includes(i) ? undefined : services.jobs.table.flush(),
  );
  const { kernel } = survivor.services;
  let free = 0;
  for (let job = fake.words.get(HEADER.FREE_JOBS); job !== 0 && free <= kernel.jobs.count; free++) {
    job = fake.words.get(job + JOB.NEXT);
  }
  return free === kernel.jobs.count ? [] : [`${free} of ${kernel.jobs.count} job slots are free`];
}

const random = new Random();
let killed = 0;
let again = 0;

for (const { name, before, run, device = false } of OPERATIONS) {
  test(`whoever dies in it leaves nothing behind: ${name}`, () => {
    for (let step = 0; ; step++) {
      const scene = new Scene();
      const made = before?.(scene);
      scene.words.fuse = step;
      let done = false;
      try {
        run(scene, made);
        done = true;
      } catch (error) {
        if (!(error instanceof Dead)) throw error;
      } finally {
        scene.words.fuse = Infinity;
      }
      // The recoverer dies too, once, somewhere in the first thousand steps of its work.
      const first = random.below(3) === 0 ? random.below(1000) : Infinity;
      const twice = recoverVictim(scene, device, first);
      if (twice) again++;
      assert.equal(
        leftovers(scene, device, twice),
        [],
        `${name}, died before access ${step}, recoverer ${first}`,
      );
      killed++;
      if (done) break;
    }
  });
}

test('how many deaths that were', () => {
  console.log(`# seed ${random.seed}: ${killed} deaths recovered, ${again} recoverers died in it`);
  assert.ok(killed > 2000);
});

test.run();
