// The loop of an actor: order of starts and of signals, start times, failures (design D6 to D8).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { DmaBuf } from '../dmabuf/dmabuf.js';
import { DmaBufError, errno } from '../errno.js';
import { type Context, discard, exclusive, shared } from '../sync/context.js';
import type { Fence } from '../sync/fence.js';
import { checkQueues } from '../testing/check-queues.js';
import { FakeMachine } from '../testing/fake-machine.js';
import type { Job } from './job.js';
import type { Handlers } from './server.js';

interface Bench {
  readonly fake: FakeMachine;
  readonly context: Context;
  readonly buffers: readonly DmaBuf[];
  /** Payloads in the order in which the handler saw them. */
  readonly seen: unknown[];
  /** Jobs that the handler deferred. */
  readonly held: Job[];
  run(): void;
}

/** Actor 1 submits, actor 2 serves. */
function bench(handlers: Partial<Handlers> = {}): Bench {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const seen: unknown[] = [];
  const held: Job[] = [];
  const server = fake.server(1, {
    run: (job) => {
      seen.push(job.payload);
    },
    ...handlers,
  });
  return {
    fake,
    context: machine.createContext(2, 'line'),
    buffers: [0, 1, 2, 3].map(() => machine.alloc(4096)),
    seen,
    held,
    run: () => {
      server.run();
      assert.equal(checkQueues(fake.actor(0).services.kernel), []);
    },
  };
}

function buffer(b: Bench, i: number): DmaBuf {
  const buffer = b.buffers[i];
  if (buffer === undefined) throw new RangeError(`no buffer ${i}`);
  return buffer;
}

const jobsInUse = (b: Bench): number => b.fake.actor(0).machine.stats().jobs;

test('a device sees the times of a job: what has happened, until it releases it', () => {
  const b = bench({
    run: (job) => {
      job.defer();
      b.held.push(job);
    },
  });
  b.context.submit({ buffers: [shared(buffer(b, 0))] });
  b.fake.advance(5);
  b.run();
  const [job] = b.held;
  const before = job?.times;
  assert.equal([before?.queued, before?.granted, before?.started], [0, 0, 5]);
  assert.ok(Number.isNaN(before?.done));
  b.fake.advance(2);
  job?.complete();
  assert.is(job?.times.done, 7);
  job?.release();
});

test('jobs run in the order of their context, whatever the order of grants', () => {
  const b = bench();
  const other = b.fake.actor(0).machine.createContext(1, 'holder');
  const holder = other.submit({ buffers: [exclusive(buffer(b, 0))] });
  b.context.submit({ buffers: [shared(buffer(b, 0))], payload: 1 });
  b.context.submit({ buffers: [shared(buffer(b, 1))], payload: 2 });
  b.context.submit({ payload: 3 });
  b.run();
  assert.equal(b.seen, [], 'the second and the third are granted, and wait for their turn');
  const { jobs } = b.fake.actor(0).services;
  jobs.claim(holder.slot);
  jobs.complete(holder.slot, 0);
  jobs.release(holder.slot);
  b.run();
  assert.equal(b.seen, [1, 2, 3]);
});

test('fences of a context signal in its order, though its jobs complete in another', () => {
  const held: Job[] = [];
  const b = bench({
    run: (job) => {
      job.defer();
      held.push(job);
    },
  });
  const fences = [1, 2, 3].map((n) => b.context.submit({ buffers: [exclusive(buffer(b, n))] }));
  const after = b.context.submit({ buffers: [shared(buffer(b, 3))] });
  b.run();
  assert.is(held.length, 3);
  held[2]?.finish();
  held[1]?.complete(-errno.EIO);
  const status = (): number[] => fences.map((f) => f.status);
  assert.equal(status(), [0, 0, 0]);
  b.run();
  assert.is(held.length, 3, 'its claim lasts until its fence has signalled');
  held[0]?.finish();
  assert.equal(status(), [1, -errno.EIO, 1]);
  b.run();
  assert.is(held.length, 4);
  held[1]?.release();
  held[3]?.finish();
  assert.is(after.status, 1);
  assert.is(jobsInUse(b), 0);
});

test('two contexts of one actor do not hold each other up', () => {
  const b = bench();
  const second = b.fake.actor(0).machine.createContext(2, 'second');
  const holder = b.fake.actor(0).machine.createContext(1, 'holder');
  holder.submit({ buffers: [exclusive(buffer(b, 0))] });
  b.context.submit({ buffers: [shared(buffer(b, 0))], payload: 1 });
  second.submit({ buffers: [shared(buffer(b, 1))], payload: 2 });
  b.run();
  assert.equal(b.seen, [2]);
});

test('a start time holds back its own context, and no other', () => {
  const b = bench();
  const second = b.fake.actor(0).machine.createContext(2, 'second');
  b.context.submit({ payload: 'late', startAt: 1000 });
  b.context.submit({ payload: 'after' });
  second.submit({ payload: 'now' });
  b.run();
  assert.equal(b.seen, ['now']);
  b.fake.advance(999);
  b.run();
  assert.equal(b.seen, ['now']);
  b.fake.advance(1);
  b.run();
  assert.equal(b.seen, ['now', 'late', 'after']);
});

test('a start time in the middle of a context keeps the order', () => {
  const b = bench();
  b.context.submit({ payload: 1 });
  b.context.submit({ payload: 2, startAt: 1000 });
  b.context.submit({ payload: 3 });
  b.run();
  assert.equal(b.seen, [1]);
  b.fake.advance(1000);
  b.run();
  assert.equal(b.seen, [1, 2, 3]);
});

test('a granted job with a start time lets readers pass', () => {
  const b = bench();
  b.context.submit({ buffers: [shared(buffer(b, 0))], payload: 'late', startAt: 1000 });
  const second = b.fake.actor(0).machine.createContext(2, 'second');
  second.submit({ buffers: [shared(buffer(b, 0))], payload: 'reader' });
  b.run();
  assert.equal(b.seen, ['reader']);
});

test('jobs with start times run in the order of the times', () => {
  const b = bench();
  for (const at of [300, 100, 200]) {
    const context = b.fake.actor(0).machine.createContext(2, `at${at}`);
    context.submit({ payload: at, startAt: at });
  }
  b.run();
  b.fake.advance(1000);
  b.run();
  assert.equal(b.seen, [100, 200, 300]);
});

test('a thrown DmaBufError fails the job with its errno and poisons what it wrote', () => {
  const b = bench({
    run: (job) => {
      if (job.payload === 1) throw new DmaBufError('EIO', 'test', 'bad frame');
    },
  });
  const bad = b.context.submit({ buffers: [exclusive(buffer(b, 0))], payload: 1 });
  const reader = b.context.submit({ buffers: [shared(buffer(b, 0))], payload: 2 });
  const writer = b.context.submit({ buffers: [discard(buffer(b, 0))], payload: 3 });
  const next = b.context.submit({ buffers: [shared(buffer(b, 0))], payload: 4 });
  b.run();
  const status = [bad, reader, writer, next].map((f) => f.status);
  assert.equal(status, [-errno.EIO, -errno.EIO, 1, 1]);
  assert.is(bad.error, 'EIO');
  assert.is(jobsInUse(b), 0);
  const { jobsDone, jobsFailed } = b.fake.actor(0).machine.actorStats(2);
  assert.equal([jobsDone, jobsFailed], [2, 2]);
});

test('a DmaBufError that is thrown after defer() fails the job, too', () => {
  const b = bench({
    run: (job) => {
      job.defer();
      throw new DmaBufError('EIO', 'test', 'after all');
    },
  });
  const fence = b.context.submit({ buffers: [exclusive(buffer(b, 0))] });
  b.run();
  assert.is(fence.status, -errno.EIO);
  assert.is(jobsInUse(b), 0);
});

test('any other exception is a bug: it ends the loop, the job has failed', () => {
  const b = bench({
    run: () => {
      throw new RangeError('a bug');
    },
  });
  const fence = b.context.submit({});
  assert.throws(() => b.run(), 'a bug');
  assert.is(fence.status, -errno.EOWNERDEAD);
});

test('a handler that returns a promise in a synchronous loop is told so', () => {
  const b = bench({ run: async () => {} });
  b.context.submit({});
  assert.throws(() => b.run(), /serveAsync/);
});

test('a job whose dependency failed is not run: it ends with the same errno in its turn', () => {
  const b = bench({
    run: (job) => {
      b.seen.push(job.payload);
      if (job.payload === 1) throw new DmaBufError('ENODATA', 'test', '');
    },
  });
  const first = b.context.submit({ payload: 1 });
  const second = b.context.submit({ payload: 2, inFences: [first] });
  const third = b.context.submit({ payload: 3, inFences: [second] });
  const anyway = b.context.submit({ payload: 4, inFences: [third], onError: 'run' });
  b.run();
  assert.equal(b.seen, [1, 4]);
  assert.equal(
    [first, second, third, anyway].map((f) => f.error),
    ['ENODATA', 'ENODATA', 'ENODATA', undefined],
  );
});

test('a device that asks to see blocked jobs ends them itself', () => {
  const blockers: number[] = [];
  const b = bench({
    run: (job) => {
      if (job.payload === 1) throw new DmaBufError('EIO', 'test', '');
    },
    failed: (job) => {
      blockers.push(job.blocker);
      if (job.payload === 2) job.finish(-errno.ECANCELED);
    },
  });
  const first = b.context.submit({ payload: 1 });
  const second = b.context.submit({ payload: 2, inFences: [first] });
  const third = b.context.submit({ payload: 3, inFences: [first] });
  b.run();
  assert.equal(blockers, [-errno.EIO, -errno.EIO]);
  assert.is(second.status, -errno.ECANCELED);
  assert.is(third.status, -errno.EIO, 'one that it does not end is no success');
});

test('completing keeps the claims until release', () => {
  const held: Job[] = [];
  const b = bench({
    run: (job) => {
      b.seen.push(job.payload);
      if (job.payload !== 'flip') return;
      job.defer();
      held.push(job);
    },
  });
  const flip = b.context.submit({ buffers: [shared(buffer(b, 0))], payload: 'flip' });
  b.context.submit({ buffers: [exclusive(buffer(b, 0))], payload: 'render' });
  b.run();
  held[0]?.complete();
  assert.is(flip.status, 1);
  b.run();
  assert.equal(b.seen, ['flip']);
  held[0]?.release();
  held[0]?.release();
  b.run();
  assert.equal(b.seen, ['flip', 'render']);
});

test('a job completes once: the second time is EALREADY', () => {
  const codes: string[] = [];
  const b = bench({
    run: (job) => {
      job.finish();
      try {
        job.complete();
      } catch (error) {
        if (error instanceof DmaBufError) codes.push(error.code);
      }
    },
  });
  b.context.submit({});
  b.run();
  assert.equal(codes, ['EALREADY']);
  assert.is(jobsInUse(b), 0);
});

test('a job shows its buffers in order, with their memory, and their metadata to its readers', () => {
  const sizes: number[] = [];
  const b = bench({
    run: (job) => {
      sizes.push(...job.buffers.map((buf) => buf.bytes.byteLength));
      if (job.payload === 'write') {
        job.buffer(1).words.fill(7);
        job.buffer(1).metadata = { ...job.buffer(1).metadata, width: 640, timestamp: 1.5 };
        assert.throws(() => job.buffer(2), /EINVAL/);
        assert.throws(() => {
          job.buffer(0).metadata = job.buffer(1).metadata;
        }, /EPERM/);
      } else {
        assert.is(job.buffer(0).words[1023], 7);
        assert.is(job.buffer(0).metadata.width, 640);
        assert.is(job.buffer(0).metadata.timestamp, 1.5);
      }
    },
  });
  const write = b.context.submit({
    buffers: [shared(buffer(b, 0)), discard(buffer(b, 1))],
    payload: 'write',
  });
  const read = b.context.submit({ buffers: [shared(buffer(b, 1))], payload: 'read' });
  b.run();
  assert.equal([write.status, read.status], [1, 1]);
  assert.equal(sizes, [4096, 4096, 4096]);
});

test('payloads arrive as they were given', () => {
  const b = bench();
  const values = [0, -1, 2 ** 31 - 1, 2 ** 40, 1.5, 'text', null, [1, [2]], { a: { b: true } }];
  for (const payload of values) b.context.submit({ payload });
  b.context.submit({});
  b.run();
  assert.equal(b.seen, [...values, undefined]);
});

test('tick is called after each batch, and its time is kept', () => {
  const ticks: number[] = [];
  const b = bench({
    tick: (now) => {
      ticks.push(now);
      return now + 50;
    },
  });
  b.context.submit({});
  b.run();
  b.fake.advance(50);
  b.run();
  assert.equal(ticks, [0, 50]);
});

test("submitting from within a handler to one's own actor works", () => {
  const b = bench({
    run: (job) => {
      b.seen.push(job.payload);
      if (job.payload === 'first') own.submit({ payload: 'second' });
    },
  });
  const own = b.fake.actor(1).machine.createContext(2, 'own');
  b.context.submit({ payload: 'first' });
  b.run();
  assert.equal(b.seen, ['first', 'second']);
});

test('a fence waits in the calling thread until its job is done', () => {
  const b = bench();
  const fence = b.context.submit({});
  b.fake.whileAsleep = () => b.run();
  assert.is(fence.wait(), 1);
  assert.is(b.fake.actor(0).machine.fence(fence.toJSON()).wait(0), 1);
});

test('a wait that runs out is ETIME, 0 only looks, and a bad timeout is a TypeError', () => {
  const b = bench();
  const fence: Fence = b.context.submit({});
  assert.throws(() => fence.wait(0), /^DmaBufError: ETIME|ETIME/);
  assert.throws(() => fence.wait(250), /ETIME.*250 ms/);
  assert.is(b.fake.actor(0).machine.now(), 250);
  for (const bad of [-1, NaN])
    assert.throws(
      () => fence.wait(bad),
      (e: unknown) => e instanceof TypeError,
    );
});

test('times tell when a job passed its stages', () => {
  const b = bench({ run: () => b.fake.advance(5) });
  const fence = b.context.submit({});
  assert.equal(fence.times(), { queued: 0, granted: 0, started: NaN, done: NaN });
  b.fake.advance(10);
  const held = b.context.submit({});
  b.run();
  assert.is(held.times(), undefined, 'its slot is free');
  assert.is(fence.status, 1);
});

test('a context that is closed takes no more jobs; with jobs in flight it is EBUSY', () => {
  const b = bench();
  b.context.submit({});
  assert.throws(() => b.context.close(), /EBUSY/);
  b.run();
  b.context.close();
  b.context.close();
  assert.throws(() => b.context.submit({}), /ENOENT/);
  assert.throws(() => b.fake.actor(1).machine.contextById(b.context.id), /ENOENT/);
});

test('another thread continues a context by its id', () => {
  const b = bench();
  const first = b.context.submit({ payload: 1 });
  const again = b.fake.actor(1).machine.contextById(b.context.id);
  const second = again.submit({ payload: 2 });
  assert.equal([first.seqno, second.seqno, again.submitted], [1, 2, 2]);
  b.run();
  assert.equal(b.seen, [1, 2]);
  assert.is(again.completed, 2);
});

test('ids that were never given are ENOENT', () => {
  const { machine } = new FakeMachine().actor(0);
  for (const id of [0, 1, 15, 1023, -1, 1 << 30, 1.5]) {
    assert.throws(() => machine.contextById(id), /ENOENT/, String(id));
  }
  assert.throws(() => machine.createContext(0), /ESRCH/);
  assert.throws(() => machine.createContext(7), /ESRCH/);
});

test('what `accepts` refuses stays unstarted until it is accepted; the other lines go on', () => {
  let room = 1;
  let paused = 0;
  const taken: unknown[] = [];
  const b = bench({
    accepts: (context) => context !== paused || room > 0,
    run: (job) => {
      if (job.context === paused) room--;
      taken.push(job.payload);
      job.defer();
      job.finish();
    },
  });
  const free = b.fake.actor(0).machine.createContext(2, 'free');
  paused = b.context.id;
  const fences = [1, 2, 3].map((n) => b.context.submit({ payload: n }));
  free.submit({ payload: 'a' });
  free.submit({ payload: 'b' });
  b.run();
  assert.equal(taken, [1, 'a', 'b'], 'one of them, though three were granted');
  assert.equal(
    fences.map((fence) => [fence.status, Number.isNaN(fence.times()?.started)]),
    [
      [1, false],
      [0, true],
      [0, true],
    ],
  );
  room = 1;
  b.run();
  room = 5;
  b.run();
  assert.equal(taken, [1, 'a', 'b', 2, 3]);
});

test('`accepts` is asked when a job would start, after those of all lines that started before it', () => {
  const inHand: Job[] = [];
  const b = bench({
    accepts: () => inHand.length < 1,
    run: (job) => {
      inHand.push(job);
      job.defer();
    },
  });
  const { machine } = b.fake.actor(0);
  const contexts = ['a', 'b', 'c'].map((name) => machine.createContext(2, name));
  // All are there before the first of them runs; the line of b waits for its time.
  contexts.forEach((context) => {
    context.submit({ payload: `${context.name}1`, startAt: context.name === 'b' ? 5 : 0 });
    context.submit({ payload: `${context.name}2` });
  });
  const order: unknown[] = [];
  for (let i = 0; i < 6; i++) {
    if (i === 2) b.fake.advance(5);
    b.run();
    assert.is(inHand.length, 1, 'one at a time');
    const job = inHand.pop();
    order.push(job?.payload);
    job?.finish();
  }
  assert.equal(order, ['a1', 'c1', 'a2', 'c2', 'b1', 'b2']);
  b.run();
  assert.is(jobsInUse(b), 0);
});

test.run();
