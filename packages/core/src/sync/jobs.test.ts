// Jobs and their fences: in-fences, poison, cancel, and a full job table (design D6 to D8).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError, errno } from '../errno.js';
import { CONTEXT_RING_SIZE, JOB, JOB_FLAG } from '../memory/layout.js';
import { QueueRig } from '../testing/queue-rig.js';
import type { FencePoint } from './jobs.js';

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof DmaBufError) return error.code;
    throw error;
  }
  return 'no error';
}

test('an in-fence that has not signalled holds the job back', () => {
  const rig = new QueueRig();
  rig.add('first', 'wa');
  rig.add('second', 'wb', { after: ['first'] });
  assert.is(rig.granted(), 'first');
  rig.claim('first');
  rig.complete('first');
  assert.is(rig.granted(), 'second', 'at the signal, not at the release');
});

test('an in-fence that has signalled does not', () => {
  const rig = new QueueRig();
  rig.add('first', 'wa');
  rig.claim('first');
  rig.complete('first');
  rig.add('second', 'wb', { after: ['first'] });
  assert.is(rig.granted(), 'first second');
});

test('an in-fence whose slot was recycled counts as signalled', () => {
  const rig = new QueueRig({ tables: { jobs: 32 } });
  rig.add('first', 'wa');
  rig.end('first');
  for (let i = 0; i < 100; i++) {
    rig.add(`x${i}`, 'wa');
    rig.end(`x${i}`);
  }
  rig.granted();
  rig.add('second', 'wb', { after: ['first'] });
  assert.is(rig.granted(), 'second');
  assert.is(rig.status('first'), 1);
});

test('dependents are granted in the order in which they were added', () => {
  const rig = new QueueRig();
  rig.add('first', '');
  for (const name of ['a', 'b', 'c', 'd']) rig.add(name, '', { after: ['first'] });
  rig.granted();
  rig.end('first');
  assert.is(rig.granted(), 'a b c d');
});

test('a job can wait for several fences, the same one twice among them, and for buffers', () => {
  const rig = new QueueRig();
  for (const name of ['f1', 'f2', 'busy']) rig.add(name, name === 'busy' ? 'wa' : '');
  rig.add('job', 'wa wb', { after: ['f1', 'f2', 'f1'] });
  rig.granted();
  rig.end('f1');
  rig.end('busy');
  assert.is(rig.granted(), '');
  rig.end('f2');
  assert.is(rig.granted(), 'job');
});

test('a dependent that is cancelled leaves the fence in peace', () => {
  const rig = new QueueRig();
  rig.add('first', '');
  for (const name of ['a', 'b', 'c']) rig.add(name, 'ra', { after: ['first'] });
  rig.granted();
  assert.ok(rig.cancel('b'));
  rig.endCancelled('b');
  rig.granted();
  rig.end('first');
  assert.is(rig.granted(), 'a c');
});

test('the failure of an in-fence fails its dependents with the same errno', () => {
  const rig = new QueueRig();
  rig.add('first', '');
  rig.add('second', '', { after: ['first'] });
  rig.add('anyway', '', { after: ['first'], onError: 'run' });
  rig.end('first', -errno.EIO);
  for (const name of ['second', 'anyway']) rig.claim(name);
  assert.is(rig.blocker('second'), -errno.EIO);
  assert.is(rig.blocker('anyway'), 0);
});

test('an in-fence that failed earlier fails a job that is added later', () => {
  const rig = new QueueRig();
  rig.add('first', '');
  rig.end('first', -errno.EIO);
  rig.add('second', '', { after: ['first'] });
  rig.claim('second');
  assert.is(rig.blocker('second'), -errno.EIO);
});

test('a failed writer poisons what it wrote, for readers and for writers that read', () => {
  const rig = new QueueRig();
  rig.add('writer', 'wa wb rc');
  rig.end('writer', -errno.EIO);
  rig.add('reader', 'ra');
  rig.add('other', 'rc');
  rig.add('modifier', 'wb');
  for (const name of ['reader', 'other', 'modifier']) rig.claim(name);
  assert.is(rig.blocker('reader'), -errno.EIO);
  assert.is(rig.blocker('other'), 0, 'what it only read is as it was');
  assert.is(rig.blocker('modifier'), -errno.EIO);
});

test('a failed reader poisons nothing', () => {
  const rig = new QueueRig();
  rig.add('bad', 'ra');
  rig.end('bad', -errno.EIO);
  rig.add('good', 'ra');
  rig.claim('good');
  assert.is(rig.blocker('good'), 0);
});

test('a discard job runs on poisoned content and clears it; one that failed does not', () => {
  const rig = new QueueRig();
  rig.add('writer', 'wa');
  rig.end('writer', -errno.EIO);
  rig.add('worse', 'da');
  rig.claim('worse');
  assert.is(rig.blocker('worse'), 0);
  rig.complete('worse', -errno.ENODATA);
  rig.release('worse');
  rig.add('reader', 'ra');
  rig.claim('reader');
  assert.is(rig.blocker('reader'), -errno.ENODATA);
  rig.complete('reader', -errno.ENODATA);
  rig.release('reader');
  rig.add('better', 'da');
  rig.end('better');
  rig.add('next', 'ra');
  rig.claim('next');
  assert.is(rig.blocker('next'), 0);
});

test('a job that asked to run anyway runs on poisoned content, and does not clear it', () => {
  const rig = new QueueRig();
  rig.add('writer', 'wa');
  rig.end('writer', -errno.EIO);
  rig.add('anyway', 'wa', { onError: 'run' });
  rig.claim('anyway');
  assert.is(rig.blocker('anyway'), 0);
  rig.complete('anyway');
  rig.release('anyway');
  rig.add('reader', 'ra');
  rig.claim('reader');
  assert.is(rig.blocker('reader'), -errno.EIO);
});

test('waiting for a buffer to come free is no dependency: one failure costs one job', () => {
  const rig = new QueueRig();
  rig.add('reader', 'ra');
  rig.add('next', 'da');
  rig.end('reader', -errno.EIO);
  rig.claim('next');
  assert.is(rig.blocker('next'), 0);
});

test('a cancelled writer poisons nothing: it never wrote', () => {
  const rig = new QueueRig();
  rig.add('busy', 'ra');
  rig.add('writer', 'wa');
  rig.cancel('writer');
  rig.endCancelled('writer');
  rig.end('busy');
  rig.add('reader', 'ra');
  rig.claim('reader');
  assert.is(rig.blocker('reader'), 0);
});

test('a job can be claimed once', () => {
  const rig = new QueueRig();
  rig.add('job', 'wa');
  assert.ok(rig.claim('job'));
  assert.not(rig.claim('job'));
});

test('granted jobs arrive in the ready set of their target, each once', () => {
  const rig = new QueueRig();
  for (let i = 0; i < 40; i++) rig.add(`j${i}`, 'ra', { by: i % 2 });
  const taken = rig.fake.takeReady(2).toSorted((a, b) => a - b);
  const slots = Array.from({ length: 40 }, (_, i) => rig.fence(`j${i}`).slot).toSorted(
    (a, b) => a - b,
  );
  assert.equal(taken, slots);
  assert.equal(rig.fake.takeReady(2), []);
  assert.ok(rig.device.jobs.ready.isEmpty(3));
});

test('a full job table is ENOSPC without residue, and works again when jobs end', () => {
  const rig = new QueueRig({ tables: { jobs: 64 } });
  for (let i = 0; i < 64; i++) rig.add(`j${i}`, i % 2 === 0 ? 'ra' : 'rb', { by: i % 2 });
  const dump = rig.fake.dump();
  assert.is(
    codeOf(() => rig.add('more', 'wa wb')),
    'ENOSPC',
  );
  assert.is(rig.fake.dump(), dump);
  rig.end('j7');
  rig.add('more', 'wa wb');
  assert.is(
    codeOf(() => rig.add('again', 'wa')),
    'ENOSPC',
  );
  for (let i = 0; i < 64; i++) if (i !== 7) rig.end(`j${i}`);
  rig.end('more');
  assert.is(rig.jobsInUse, 0);
  for (let i = 0; i < 56; i++) rig.add(`k${i}`, 'ra', { by: i % 2 });
  assert.is(rig.jobsInUse, 56);
});

test('with few jobs none of them is kept back by an actor that once submitted', () => {
  const rig = new QueueRig({ tables: { jobs: 32 } });
  rig.add('mine', 'ra', { by: 0 });
  rig.end('mine');
  for (let i = 0; i < 24; i++) rig.add(`theirs${i}`, 'ra', { by: 1 });
  assert.is(rig.jobsInUse, 24);
});

test('fences pin nothing: a program that ignores them all never fills the table', () => {
  const rig = new QueueRig({ tables: { jobs: 32 } });
  for (let i = 0; i < 1000; i++) {
    rig.add('job', 'wa', { by: i % 2 });
    rig.end('job');
  }
  assert.is(rig.jobsInUse, 0);
});

test('a recycled fence still tells its error, then ESTALE when a ring of others have failed', () => {
  const rig = new QueueRig();
  const first = rig.add('first', '');
  rig.end('first', -errno.EIO);
  const good = rig.add('good', '');
  rig.end('good');
  const { waiter } = rig.fake.actor(0).services;
  for (let i = 1; i < CONTEXT_RING_SIZE; i++) {
    rig.add('bad', '');
    rig.end('bad', -errno.ENODATA);
  }
  assert.is(waiter.status(first), -errno.EIO);
  assert.is(waiter.status(good), 1);
  rig.add('bad', '');
  rig.end('bad', -errno.ENODATA);
  assert.is(waiter.status(first), -errno.ESTALE);
  for (let i = 0; i < 2; i++) {
    rig.add('bad', '');
    rig.end('bad', -errno.ENODATA);
  }
  assert.is(waiter.status(good), -errno.ESTALE, 'nobody knows whether it failed');
});

test('a fence of a closed context answers until the context is used anew, then ESTALE', () => {
  const rig = new QueueRig({ tables: { contexts: 2 } });
  const { jobs, waiter } = rig.fake.actor(0).services;
  const fence = rig.add('job', '', { by: 2 });
  rig.end('job', -errno.EIO);
  jobs.contexts.destroy(rig.context);
  const other = jobs.contexts.create(3, 'other', 0);
  const spec = { claims: [], inFences: [], flags: 0, startAt: 0, limit: 0, payload: 0 };
  const { slot } = rig.device.jobs.add({ context: other, ...spec });
  assert.is(slot, fence.slot, 'the slot was recycled');
  assert.is(waiter.status(fence), -errno.EIO);
  jobs.contexts.create(3, 'third', 0);
  assert.is(waiter.status(fence), -errno.ESTALE);
});

test('an unknown or forged fence is ESTALE, not a crash', () => {
  const rig = new QueueRig();
  const fence = rig.add('job', '');
  rig.end('job');
  const forged: FencePoint = { ...fence, generation: fence.generation + 7, context: 0x3ffff };
  assert.is(rig.fake.actor(0).services.waiter.status(forged), -errno.ESTALE);
});

test('slots keep 32 bits of generation: a fence is not mistaken after 32,768 re-uses', () => {
  const rig = new QueueRig();
  const fence = rig.add('job', '', { by: 2 });
  rig.end('job', -errno.EIO);
  const gen = JOB.GEN + fence.slot;
  rig.fake.words.set(gen, rig.fake.words.get(gen) + 32767);
  const again = rig.add('again', '', { by: 2 });
  assert.is(again.slot, fence.slot);
  assert.is(again.generation - fence.generation, 32768);
  assert.is(rig.fake.actor(0).services.waiter.status(fence), -errno.EIO);
  assert.is(rig.status('again'), 0);
});

test('order is a Lamport clock over the queues that a job names', () => {
  const rig = new QueueRig();
  const order = (name: string): number =>
    rig.fake.words.getDouble(rig.fence(name).slot + JOB.ORDER);
  rig.add('a1', 'wa');
  rig.add('a2', 'wa');
  rig.add('b1', 'wb');
  rig.add('ab', 'wa wb');
  rig.add('b2', 'wb');
  assert.equal(['a1', 'a2', 'b1', 'ab', 'b2'].map(order), [1, 2, 1, 3, 4]);
});

test('integer payloads travel in the record, larger ones as bytes, too large ones are EMSGSIZE', () => {
  const rig = new QueueRig();
  const { jobs } = rig.fake.actor(0).services;
  const spec = { context: rig.context, claims: [], inFences: [], flags: 0, startAt: 0, limit: 0 };
  const small = jobs.add({ ...spec, payload: -7 });
  assert.is(rig.device.jobs.payloads.read(small.slot), -7);
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  const large = jobs.add({ ...spec, payload: bytes });
  assert.equal(rig.device.jobs.payloads.read(large.slot), bytes);
  const none = jobs.add({ ...spec, payload: new Uint8Array(0) });
  assert.equal(rig.device.jobs.payloads.read(none.slot), new Uint8Array(0));
  const dump = rig.fake.dump();
  assert.is(
    codeOf(() => jobs.add({ ...spec, payload: new Uint8Array(257) })),
    'EMSGSIZE',
  );
  assert.is(rig.fake.dump(), dump);
});

test('a blocking job is not pushed to anybody and ends in its own thread when cancelled', () => {
  const rig = new QueueRig();
  const { jobs, waiter } = rig.fake.actor(0).services;
  rig.add('busy', 'wa');
  const context = jobs.contexts.create(1, 'cpu', 1);
  const fence = jobs.add({
    context,
    claims: [rig.queue('a')],
    inFences: [],
    flags: JOB_FLAG.BLOCKING,
    startAt: 0,
    limit: 0,
    payload: 0,
  });
  assert.ok(jobs.cancel(fence.slot, -errno.ETIME));
  assert.is(waiter.status(fence), -errno.ETIME);
  assert.equal(rig.fake.takeReady(0), []);
  rig.check();
  rig.end('busy');
  assert.is(rig.jobsInUse, 0);
});

// Design section 5: at most 24 Atomics for a job on two idle buffers.
test('a job on two idle buffers takes at most 24 Atomics from add to release', () => {
  const rig = new QueueRig({ tables: { jobs: 4096, traceRecords: 2 } });
  const { words } = rig.fake;
  const { jobs } = rig.device;
  const spec = { inFences: [], flags: 0, startAt: 0, limit: 0, payload: 1 };
  const claims = [rig.queue('a') | 1, rig.queue('b')];
  const taken: number[] = [];
  const parts: Record<string, number> = {};
  const measured = (part: string, step: () => void): void => {
    words.reset();
    step();
    parts[part] = words.atomics;
  };
  for (let i = 0; i < 3; i++) {
    let slot = 0;
    measured('add', () => ({ slot } = jobs.add({ context: rig.context, claims, ...spec })));
    measured('take', () => jobs.ready.take(3, taken));
    measured('claim', () => jobs.claim(slot));
    measured('blocker', () => jobs.blocker(slot));
    measured('complete', () => jobs.complete(slot, 0));
    measured('release', () => jobs.release(slot));
  }
  // The trace is on in the fake machine: two records, GRANT and QUEUE, are no part of a job.
  const total = Object.values(parts).reduce((sum, part) => sum + part, 0) - 2;
  console.log(`# atomics of a job on 2 idle buffers: ${total} (${JSON.stringify(parts)})`);
  assert.ok(total <= 24, `${total} Atomics: ${JSON.stringify(parts)}`);
});

test.run();
