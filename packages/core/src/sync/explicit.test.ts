// Jobs that synchronise explicitly: what they wait for, who waits for them, and what they keep.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Job } from '../actor/job.js';
import { errno } from '../errno.js';
import { QUEUE } from '../memory/layout.js';
import { recover } from '../actor/recovery.js';
import { checkQueues } from '../testing/check-queues.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { discard, exclusive, shared, type SubmitOptions } from './context.js';

const explicit = { sync: 'explicit' } as const;

function bench() {
  const fake = new FakeMachine({ actors: 3 });
  const { machine, services } = fake.actor(0);
  const held: Job[] = [];
  const server = fake.server(1, {
    run: (job) => {
      job.defer();
      held.push(job);
    },
  });
  const submit = (options: SubmitOptions) => machine.createContext(2).submit(options);
  return {
    ...{ fake, machine, services, held, submit },
    run: () => {
      server.run();
      assert.equal(checkQueues(services.kernel), []);
    },
    /** Ends the oldest job in hand. */
    end: (error = 0) => {
      held.shift()?.finish(error);
      assert.equal(checkQueues(services.kernel), []);
    },
  };
}

test('an explicit job waits for its in-fences alone, and nobody waits for it', () => {
  const b = bench();
  const buffer = b.machine.alloc(4096);
  const writer = b.submit({ buffers: [exclusive(buffer)] });
  const waiting = b.submit({ buffers: [shared(buffer)] });
  const timeline = b.machine.createTimeline();
  const inFences = [timeline.createFence(1)];
  const fenced = b.submit({ ...explicit, buffers: [exclusive(buffer)], inFences });
  const free = b.submit({ ...explicit, buffers: [discard(buffer)] });
  b.run();
  const started = () => b.held.map(({ context }) => context);
  assert.equal(
    started(),
    [writer.context, free.context],
    'beside the writer, without its in-fence',
  );
  b.end(); // the writer
  b.run();
  assert.equal(started(), [free.context, waiting.context], 'the reader waits for the writer alone');
  timeline.increment(1);
  b.run();
  assert.equal(started(), [free.context, waiting.context, fenced.context]);
  while (b.held.length > 0) b.end();
  assert.is(b.machine.stats().jobs, 0);
  buffer.close();
});

test('an explicit job is ordered with implicit ones by sync files, both ways', () => {
  const b = bench();
  const buffer = b.machine.alloc(4096);
  const writer = b.submit({ buffers: [exclusive(buffer)] });
  using before = buffer.exportSyncFile({ write: true });
  const job = b.submit({ ...explicit, buffers: [exclusive(buffer)], inFences: [before] });
  buffer.importSyncFile(job, { write: true });
  const reader = b.submit({ buffers: [shared(buffer)] });
  for (const fence of [writer, job, reader]) {
    b.run();
    assert.equal(
      b.held.map(({ context }) => context),
      [fence.context],
    );
    b.end();
  }
  assert.is(reader.status, 1);
});

test('content is marked by explicit jobs as by others, and read as by others', () => {
  const b = bench();
  const buffer = b.machine.alloc(4096);
  const failing = b.submit({ ...explicit, buffers: [exclusive(buffer)] });
  b.run();
  b.end(-errno.EIO);
  assert.is(failing.error, 'EIO');
  for (const options of [explicit, {}]) {
    const reader = b.submit({ ...options, buffers: [shared(buffer)] });
    b.run();
    assert.is(reader.error, 'EIO');
  }
  const whole = b.submit({ ...explicit, buffers: [discard(buffer)] });
  const reader = b.submit({ ...explicit, buffers: [shared(buffer)], inFences: [whole] });
  b.run();
  b.end();
  b.run();
  b.end();
  assert.is(reader.status, 1);
});

test('a buffer without references lives until its explicit jobs have ended', () => {
  const b = bench();
  const buffer = b.machine.alloc(4096);
  const before = b.machine.stats().buffers;
  b.submit({ ...explicit, buffers: [exclusive(buffer)] });
  b.run();
  buffer.close();
  assert.is(b.machine.stats().buffers, before);
  b.held[0]?.buffer(0).bytes.fill(1);
  b.end();
  assert.is(b.machine.stats().buffers, before - 1);
});

test('a CPU bracket does not wait for explicit jobs, and explain() does not name them', () => {
  const b = bench();
  const buffer = b.machine.alloc(4096);
  b.submit({ ...explicit, buffers: [exclusive(buffer)] });
  buffer.access({ write: true, read: true }).finish();
  const hold = b.machine.waitAll([exclusive(buffer)], 0);
  const reader = b.submit({ buffers: [shared(buffer)] });
  const text = String(b.machine.explain(reader));
  assert.match(text, /'actor1'/);
  assert.not.match(text, /'actor2'.*\n.*'actor2'/);
  hold.release();
});

test('a job takes its claims back when it is cancelled, and more than ten of them', () => {
  const b = bench();
  const timeline = b.machine.createTimeline();
  const buffers = Array.from({ length: 14 }, () => exclusive(b.machine.alloc(4096)));
  const context = b.machine.createContext(2);
  const inFences = [timeline.createFence(1)];
  const fence = context.submit({ ...explicit, buffers, inFences });
  b.run();
  assert.ok(context.cancel(fence));
  b.run();
  assert.is(fence.error, 'ECANCELED');
  for (const { buffer } of buffers) b.machine.waitAll([exclusive(buffer)], 0).release();
});

test('a queue is made anew with explicit claims in front, whoever died at it', () => {
  const b = bench();
  const buffer = b.machine.alloc(4096);
  b.submit({ buffers: [shared(buffer)] });
  b.submit({ ...explicit, buffers: [exclusive(buffer)] });
  b.submit({ buffers: [exclusive(buffer)] });
  b.submit({ ...explicit, buffers: [shared(buffer)] });
  const { words } = b.fake;
  const [queue = 0] = [...b.services.kernel.queues.live()];
  const fields = ['HEAD', 'TAIL', 'UNGRANTED', 'SHARED', 'EXCLUSIVE', 'LENGTH'] as const;
  for (const field of fields) words.set(queue + QUEUE[field], 0);
  words.set(queue + QUEUE.MOVING, 1);
  words.set(queue + QUEUE.LOCK, 3);
  recover(b.services, 3);
  assert.equal(checkQueues(b.services.kernel), []);
  assert.is(words.get(queue + QUEUE.LENGTH), 4);
  assert.is(words.get(queue + QUEUE.MOVING), 0);
});

test('an unknown way to synchronise is refused', () => {
  const b = bench();
  const options = JSON.parse('{"sync":"sometimes"}') as SubmitOptions;
  assert.throws(() => b.submit(options), /submit: sync must be 'implicit' or 'explicit'/);
  assert.is(b.machine.stats().jobs, 0);
});

test.run();
