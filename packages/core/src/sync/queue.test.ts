// The queues of design D6: KDS's cases, and its known faults as cases to pass.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '../errno.js';
import { QueueRig } from '../testing/queue-rig.js';

function refused(code: string, call: () => unknown): void {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof DmaBufError, String(error));
    assert.is(error.code, code, error.message);
    return;
  }
  assert.unreachable(`${code} was expected`);
}

test('readers are granted together, at once', () => {
  const rig = new QueueRig();
  for (const name of ['r1', 'r2', 'r3']) rig.add(name, 'ra');
  assert.is(rig.granted(), 'r1 r2 r3');
});

test('a writer waits for all readers before it', () => {
  const rig = new QueueRig();
  for (const name of ['r1', 'r2', 'r3']) rig.add(name, 'ra');
  rig.add('w', 'wa');
  rig.granted();
  for (const name of ['r2', 'r1']) {
    rig.end(name);
    assert.is(rig.granted(), '');
  }
  rig.end('r3');
  assert.is(rig.granted(), 'w');
});

test('writers go one by one, in the order in which they were added', () => {
  const rig = new QueueRig();
  for (const name of ['w1', 'w2', 'w3']) rig.add(name, 'wa');
  assert.is(rig.granted(), 'w1');
  rig.end('w1');
  assert.is(rig.granted(), 'w2');
  rig.end('w2');
  assert.is(rig.granted(), 'w3');
});

test('a reader behind a waiting writer waits, so writers do not starve', () => {
  const rig = new QueueRig();
  rig.add('r1', 'ra');
  rig.add('w', 'wa');
  rig.add('r2', 'ra');
  assert.is(rig.granted(), 'r1');
  rig.end('r1');
  assert.is(rig.granted(), 'w');
  rig.end('w');
  assert.is(rig.granted(), 'r2');
});

test('the readers between two writers are granted together', () => {
  const rig = new QueueRig();
  rig.add('w1', 'wa');
  for (const name of ['r1', 'r2']) rig.add(name, 'ra');
  rig.add('w2', 'wa');
  rig.add('r3', 'ra');
  rig.granted();
  rig.end('w1');
  assert.is(rig.granted(), 'r1 r2');
});

test('completing keeps the claim: the next writer is granted at release', () => {
  const rig = new QueueRig();
  rig.add('w1', 'wa');
  rig.add('w2', 'wa');
  rig.claim('w1');
  rig.complete('w1');
  assert.is(rig.status('w1'), 1);
  assert.is(rig.granted(), 'w1');
  rig.release('w1');
  assert.is(rig.granted(), 'w2');
});

test('cancelling a waiting writer re-opens the readers behind it, and touches nobody else', () => {
  const rig = new QueueRig();
  rig.add('r1', 'ra');
  rig.add('w', 'wa wb');
  rig.add('r2', 'ra');
  rig.add('r3', 'ra');
  rig.add('w2', 'wa');
  rig.add('other', 'rb');
  assert.is(rig.granted(), 'r1');
  assert.ok(rig.cancel('w'));
  assert.is(rig.granted(), 'r2 r3 other w');
  rig.endCancelled('w');
  assert.is(rig.status('w'), -125);
  for (const name of ['r1', 'r2', 'r3']) rig.end(name);
  assert.is(rig.granted(), 'w2');
});

test('a job that is granted can no longer be cancelled', () => {
  const rig = new QueueRig();
  rig.add('w', 'wa');
  assert.not(rig.cancel('w'));
  rig.end('w');
  assert.is(rig.status('w'), 1);
});

test('cancelling a waiting reader changes nothing for the others', () => {
  const rig = new QueueRig();
  rig.add('w', 'wa');
  rig.add('r1', 'ra');
  rig.add('r2', 'ra');
  rig.add('r3', 'ra');
  rig.granted();
  assert.ok(rig.cancel('r2'));
  assert.is(rig.granted(), 'r2');
  rig.end('w');
  assert.is(rig.granted(), 'r1 r3');
});

// KDS weakness 1: releasing B, which is not at the head, granted C before H had released b.
test('releasing a middle reader grants nobody who waits for something else', () => {
  const rig = new QueueRig();
  rig.add('H', 'wb');
  rig.add('A', 'ra');
  rig.add('B', 'ra');
  rig.add('C', 'ra rb');
  assert.is(rig.granted(), 'H A B');
  rig.end('B');
  assert.is(rig.granted(), '');
  assert.not(rig.claim('C'));
  rig.end('H');
  assert.is(rig.granted(), 'C');
});

// KDS weakness 1: releasing the tail walked round to the head and counted it down again.
test('releasing the tail of three readers leaves the others as they are', () => {
  const rig = new QueueRig();
  for (const name of ['A', 'B', 'C']) rig.add(name, 'ra');
  rig.granted();
  rig.end('C');
  rig.add('w', 'wa');
  assert.is(rig.granted(), '');
  rig.end('A');
  assert.is(rig.granted(), '');
  rig.end('B');
  assert.is(rig.granted(), 'w');
});

test('a job waits until all of its buffers are granted', () => {
  const rig = new QueueRig();
  rig.add('wa', 'wa');
  rig.add('wb', 'wb');
  rig.add('both', 'ra rb');
  rig.granted();
  rig.end('wa');
  assert.is(rig.granted(), '');
  rig.end('wb');
  assert.is(rig.granted(), 'both');
});

test('a job on {busy, free} holds up neither adding nor a job on a third buffer', () => {
  const rig = new QueueRig();
  rig.add('busy', 'wa');
  rig.add('ab', 'wa wb');
  rig.add('c', 'wc');
  assert.is(rig.granted(), 'busy c');
});

test('{a, b} and {b, a} are granted one after the other, whoever adds them', () => {
  const rig = new QueueRig();
  rig.add('ab', 'wa wb', { by: 0 });
  rig.add('ba', 'wb wa', { by: 1 });
  rig.add('ab2', 'wa wb', { by: 1 });
  assert.is(rig.granted(), 'ab');
  rig.end('ab');
  assert.is(rig.granted(), 'ba');
  rig.end('ba');
  assert.is(rig.granted(), 'ab2');
});

test('a job can claim ten buffers', () => {
  const rig = new QueueRig();
  rig.add('all', 'wa wb wc wd we wf wg wh wi wj');
  rig.add('one', 'rj');
  assert.is(rig.granted(), 'all');
  rig.end('all');
  assert.is(rig.granted(), 'one');
});

for (const uses of ['wa wa', 'ra ra', 'ra wa', 'wb ra wa', 'wa rb rc wa', 'da wb da']) {
  test(`the same buffer twice is EINVAL and leaves no residue: ${uses}`, () => {
    const rig = new QueueRig();
    rig.add('before', 'wa rb');
    const dump = rig.fake.dump();
    refused('EINVAL', () => rig.add('twice', uses));
    assert.is(rig.fake.dump(), dump);
    rig.end('before');
    rig.add('after', 'wa wb wc');
    rig.end('after');
    assert.is(rig.jobsInUse, 0);
  });
}

test('too many links are E2BIG and leave no residue', () => {
  const rig = new QueueRig();
  const first = rig.add('first', '');
  const dump = rig.fake.dump();
  const after = Array.from({ length: 65 }, () => first);
  refused('E2BIG', () => rig.add('many', 'wa', { after }));
  assert.is(rig.fake.dump(), dump);
});

test('a job without buffers is granted at once', () => {
  const rig = new QueueRig();
  rig.add('none', '');
  assert.is(rig.granted(), 'none');
});

test('releasing one of a thousand granted readers touches its neighbours only', () => {
  const rig = new QueueRig({ tables: { jobs: 2048, traceRecords: 4096 } });
  const { fake } = rig;
  for (let i = 0; i < 3; i++) rig.add(`few${i}`, 'ra');
  rig.claim('few1');
  rig.complete('few1');
  fake.words.reset();
  rig.device.jobs.release(rig.fence('few1').slot);
  const few = fake.words.atomics + fake.words.plain;
  const { jobs } = fake.actor(0).services;
  const spec = { inFences: [], flags: 0, startAt: 0, limit: 0, payload: 0 };
  const claims = [rig.queue('b')];
  const slots = Array.from(
    { length: 1000 },
    () => jobs.add({ context: rig.context, claims, ...spec }).slot,
  );
  const middle = slots[500] ?? 0;
  rig.device.jobs.claim(middle);
  rig.device.jobs.complete(middle, 0);
  fake.words.reset();
  rig.device.jobs.release(middle);
  assert.ok(fake.words.atomics + fake.words.plain <= few + 4);
  rig.check();
});

test.run();
