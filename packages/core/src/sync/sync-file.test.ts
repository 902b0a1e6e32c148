// Sync files of many fences, a full table, and what they remember of fences that are long gone.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError, errno } from '../errno.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';

test('a sync file of 20 fences holds them all, and lets them go when it is closed', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const timeline = machine.createTimeline('line');
  const fences = Array.from({ length: 20 }, (_, i) => timeline.createFence(i + 1));
  const before = fake.dump();
  const file = machine.createSyncFile(fences, 'many');
  assert.is(file.points.length, 20);
  timeline.increment(7);
  const { name, status, fences: info } = file.info();
  assert.equal([name, status, info.length], ['many', 0, 20]);
  assert.equal(
    info.map((f) => [f.timeline, f.seqno, f.status]),
    fences.map((f, i) => ['line', f.seqno, i < 7 ? 1 : 0]),
  );
  const copy = machine.createSyncFile([file]);
  assert.is(copy.info().fences.length, 20, 'a file of a file has its fences');
  timeline.increment(13);
  assert.equal([file.status, copy.status, file.wait(0)], [1, 1, 1]);
  assert.is(machine.stats().jobs, 20, 'they pin their slots');
  file.close();
  assert.is(machine.stats().jobs, 20);
  copy.close();
  assert.is(machine.stats().jobs, 0);
  timeline.close();
  assert.ok(before.length > 0);
});

test('a full table is ENOSPC and names the option, with no residue; closing one makes room', () => {
  const fake = new FakeMachine({ tables: { syncFiles: 4 } });
  const { machine } = fake.actor(0);
  const timeline = machine.createTimeline();
  const fences = Array.from({ length: 17 }, (_, i) => timeline.createFence(i + 1));
  const small = machine.createSyncFile(fences.slice(0, 8));
  const large = machine.createSyncFile(fences.slice(0, 16));
  const before = fake.dump();
  try {
    machine.createSyncFile(fences.slice(0, 9));
    assert.unreachable();
  } catch (error) {
    assert.ok(error instanceof DmaBufError && error.code === 'ENOSPC', String(error));
    assert.match(error.message, 'tables.syncFiles');
  }
  assert.is(fake.dump(), before);
  small.close();
  const again = machine.createSyncFile(fences.slice(8));
  assert.is(again.info().fences.length, 9);
  large.close();
  again.close();
});

test('no free fd is EMFILE, and the file and the timeline are gone with it', () => {
  const fake = new FakeMachine({ tables: { fds: 2 } });
  const { machine } = fake.actor(0);
  const timeline = machine.createTimeline();
  const fence = timeline.createFence(1);
  const file = machine.createSyncFile([fence]);
  const before = fake.dump();
  assert.is(
    codeOf(() => machine.createSyncFile([fence])),
    'EMFILE',
  );
  assert.is(
    codeOf(() => machine.createTimeline()),
    'EMFILE',
  );
  assert.is(fake.dump(), before);
  file.close();
  timeline.close();
});

test('a full table of timelines is ENOSPC without residue', () => {
  const fake = new FakeMachine({ tables: { timelines: 2 } });
  const { machine } = fake.actor(0);
  const [one] = [machine.createTimeline(), machine.createTimeline()];
  const before = fake.dump();
  assert.is(
    codeOf(() => machine.createTimeline()),
    'ENOSPC',
  );
  assert.is(fake.dump(), before);
  one.close();
  machine.createTimeline().close();
});

test('a fence whose slot was recycled before keeps the status that was known then', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const context = machine.createContext(2);
  const server = fake.server(1, {
    run: (job) => {
      if (job.payload !== 0) throw new DmaBufError('EIO', 'test', 'as asked');
    },
  });
  const [good, bad] = [context.submit({ payload: 0 }), context.submit({ payload: 1 })];
  server.run();
  for (let i = 0; i < 600; i++) {
    context.submit({ payload: 0 });
    server.run();
  }
  assert.is(good.times(), undefined, 'recycled');
  const file = machine.createSyncFile([good, bad]);
  assert.is(file.status, -errno.EIO);
  assert.equal(
    file.info().fences.map((f) => f.status),
    [1, -errno.EIO],
  );
  assert.is(file.wait(0), -errno.EIO);
  file.close();
});

test('async waits settle with the status', async () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const timeline = machine.createTimeline();
  const file = machine.createSyncFile([timeline.createFence(1), timeline.createFence(2)]);
  fake.whileAsleep = () => timeline.increment(1);
  assert.is(await file.settled(), 1);
  assert.is(file.wait(), 1);
  file.close();
  timeline.close();
});

test.run();
