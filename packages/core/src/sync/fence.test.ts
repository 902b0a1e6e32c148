// Fences as plain values: they pin nothing, and answer long after their slot has another life. And queues that
// guard no buffer, by their ids.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError, errno } from '../errno.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { exclusive, shared } from './context.js';
import { isStale, statusText } from './fence.js';
import { DEFAULT_LIMITS } from './limits.js';

const FAILS = 1;

function bench() {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const server = fake.server(1, {
    run: (job) => {
      if (job.payload === FAILS) throw new DmaBufError('EIO', 'test', 'as asked');
    },
  });
  return { fake, machine, context: machine.createContext(2), server };
}

test('a program that ignores every fence never fills the table: 100,000 jobs in 256 slots', () => {
  const { machine, context, server } = bench();
  for (let i = 0; i < 100_000; i += 50) {
    for (let j = 0; j < 50; j++) context.submit({ payload: 0 });
    server.run();
  }
  assert.equal([context.submitted, context.completed], [100_000, 100_000]);
  assert.is(machine.stats().jobs, 0);
});

test('a fence answers after its slot was recycled: 1, its errno, and at last ESTALE', () => {
  const { fake, machine, context, server } = bench();
  const good = context.submit({ payload: 0 });
  const bad = context.submit({ payload: FAILS });
  server.run();
  const pass = (count: number, payload: number): void => {
    for (let i = 0; i < count; i++) {
      context.submit({ payload });
      server.run();
    }
  };
  pass(1000, 0);
  assert.is(bad.times(), undefined, 'its slot has another life');
  assert.equal([good.status, bad.status], [1, -errno.EIO]);
  assert.equal([good.wait(0), bad.wait(), bad.error], [1, -errno.EIO, 'EIO']);
  pass(20, FAILS);
  pass(300, 0);
  assert.ok(isStale(bad.status), statusText(bad.status));
  assert.ok(isStale(good.status), 'nobody remembers, and says so');
  const elsewhere = fake.actor(1).machine.fence(bad.toJSON());
  assert.is(elsewhere.error, 'ESTALE');
  const after = context.submit({ inFences: [bad], payload: 0 });
  server.run();
  assert.is(after.error, 'ESTALE', 'what waits for it fails rather than run on a guess');
  assert.is(machine.stats().jobs, 0);
});

test('what a status means, as text', () => {
  assert.equal([0, 1, -5].map(statusText), ['pending', 'signalled', 'failed with EIO (5)']);
});

test('settled without holding the process, and a deadline, reach the fence', async () => {
  const fake = new FakeMachine();
  const deadlines: number[] = [];
  const server = fake.server(1, { run: (job) => void deadlines.push(job.deadline) });
  const context = fake.actor(0).machine.createContext(2);
  const [fence, next] = [context.submit({}), context.submit({})];
  fence.setDeadline(70);
  fence.setDeadline(90);
  fake.whileAsleep = () => server.run();
  assert.is(await fence.settled({ unref: true }), 1);
  fence.setDeadline(5); // too late: no harm
  assert.is(next.status, 1);
  assert.equal(deadlines, [70, Infinity], 'the earliest hint stands');
});

test('queues by id guard what other processes guard with them, until they are closed', () => {
  const { fake, machine } = bench();
  const other = fake.actor(1).machine;
  const queue = machine.createQueue();
  const same = other.queueById(queue.id);
  assert.is(same.id, queue.id);
  const hold = machine.waitAll([exclusive(queue)]);
  assert.is(
    codeOf(() => other.waitAll([exclusive(same)], 0)),
    'ETIME',
  );
  let granted = 0;
  const pending = other.asyncWaitAll([exclusive(same)], (theirs) => {
    granted++;
    theirs.release();
  });
  hold.release();
  other.pump();
  assert.is(granted, 1);
  assert.not(pending.cancel());
  queue.close();
  assert.is(
    codeOf(() => other.waitAll([exclusive(same)])),
    'EINVAL',
  );
  assert.is(
    codeOf(() => other.queueById(queue.id)),
    'EINVAL',
  );
  using next = machine.createQueue();
  assert.is.not(next.id, queue.id);
});

test('all queues in use is ENFILE and names the option; disposing of one makes room', () => {
  const fake = new FakeMachine({ tables: { queues: 2 } });
  const { machine } = fake.actor(0);
  const [one] = [machine.createQueue(), machine.createQueue()];
  try {
    machine.createQueue();
    assert.unreachable();
  } catch (error) {
    assert.ok(error instanceof DmaBufError && error.code === 'ENFILE', String(error));
    assert.match(error.message, 'tables.queues');
  }
  one[Symbol.dispose]();
  one[Symbol.dispose]();
  machine.createQueue().close();
});

test('all contexts in use is ENOSPC and names the option', () => {
  const { fake, machine } = bench();
  const made = [];
  let message = '';
  while (message === '') {
    try {
      made.push(machine.createContext(2));
    } catch (error) {
      message = String(error);
    }
  }
  assert.match(message, /ENOSPC.*tables\.contexts/);
  const before = fake.dump();
  assert.is(
    codeOf(() => machine.createTimeline()),
    'ENOSPC',
  );
  assert.is(fake.dump(), before);
  made[0]?.close();
  machine.createContext(2).close();
});

test('a fence that is held answers for ever, and its slot goes with the hold', () => {
  const { machine, context, server } = bench();
  const bad = context.submit({ payload: FAILS });
  const held = bad.hold();
  server.run();
  for (let i = 0; i < 600; i++) {
    context.submit({ payload: i % 50 === 0 ? FAILS : 0 });
    server.run();
  }
  assert.equal([held.status, bad.status], [-errno.EIO, -errno.EIO]);
  assert.is(machine.stats().jobs, 1, 'the held one');
  held.close();
  assert.is(machine.stats().jobs, 0);
});

test('a job that waits can be cancelled: readers behind it move up, its fence fails in its turn', () => {
  const { machine, context, server } = bench();
  const buffer = machine.alloc(1);
  const hold = machine.waitAll([shared(buffer)]);
  const first = context.submit({ payload: 0, inFences: [] });
  const writer = context.submit({ buffers: [exclusive(buffer)], payload: 0 });
  const reader = machine.createContext(2).submit({ buffers: [shared(buffer)], payload: 0 });
  assert.is(reader.status, 0);
  assert.ok(context.cancel(writer));
  assert.not(context.cancel(writer), 'once');
  server.run();
  assert.equal([first.status, writer.error, reader.status], [1, 'ECANCELED', 1]);
  assert.not(context.cancel(first), 'it has ended');
  assert.is(
    codeOf(() => context.cancel(reader)),
    'EINVAL',
    'of another context',
  );
  hold.release();
  buffer.close();
  assert.is(machine.stats().jobs, 0);
});

test('a time limit travels with the job', () => {
  const fake = new FakeMachine();
  const context = fake.actor(0).machine.createContext(2);
  const seen: number[] = [];
  const server = fake.server(1, { run: (job) => void seen.push(job.limit) });
  context.submit({});
  context.submit({ limit: 16.5 });
  context.submit({ limit: 0 });
  context.submit({ limit: Infinity });
  server.run();
  assert.equal(seen, [DEFAULT_LIMITS.job, 17, Infinity, Infinity]);
});

test.run();
