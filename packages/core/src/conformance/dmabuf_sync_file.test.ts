// EXPORT_SYNC_FILE and IMPORT_SYNC_FILE: IGT tests/dmabuf_sync_file.c, under its case names. What vgem
// attaches as a fence is a job here.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Job } from '../actor/job.js';
import type { Machine } from '../actor/machine.js';
import type { DmaBuf } from '../dmabuf/dmabuf.js';
import { exclusive, shared } from '../sync/context.js';
import { FakeMachine } from '../testing/fake-machine.js';

interface Bo {
  readonly machine: Machine;
  readonly buffer: DmaBuf;
  /** vgem_fence_attach; returns what signals it. */
  attach(write: boolean): () => void;
}

function bo(): Bo {
  const tables = { timelines: 64, contexts: 128, syncFiles: 64, fds: 64 };
  const fake = new FakeMachine({ actors: 2, tables });
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const jobs = new Map<number, Job>();
  const server = fake.server(1, {
    run: (job) => {
      job.defer();
      jobs.set(job.context, job);
    },
  });
  const attach = (write: boolean): (() => void) => {
    const context = machine.createContext(2, 'vgem');
    context.submit({ buffers: [write ? exclusive(buffer) : shared(buffer)] });
    return () => {
      server.run();
      jobs.get(context.id)?.finish();
    };
  };
  return { machine, buffer, attach };
}

const READ = { read: true };
const WRITE = { write: true };
const RW = { read: true, write: true };

/** dmabuf_busy, by poll. */
function busy(buffer: DmaBuf, usage: { read?: boolean; write?: boolean }): boolean {
  const { readable, writable } = buffer.poll({ readable: true, writable: true });
  return usage.write === true ? !writable : !readable;
}

/** dmabuf_sync_file_busy: a sync file exported now. */
function fileBusy(buffer: DmaBuf, usage: { read?: boolean; write?: boolean }): boolean {
  using file = buffer.exportSyncFile(usage);
  return file.status === 0;
}

/** Busy for a reader and for a writer, by both ways of asking. */
function assertBusy(buffer: DmaBuf, read: boolean, write: boolean, when: string): void {
  assert.is(busy(buffer, READ), read, `poll read ${when}`);
  assert.is(busy(buffer, WRITE), write, `poll write ${when}`);
  assert.is(busy(buffer, RW), write, `poll both ${when}`);
  assert.is(fileBusy(buffer, READ), read, `export read ${when}`);
  assert.is(fileBusy(buffer, WRITE), write, `export write ${when}`);
  assert.is(fileBusy(buffer, RW), write, `export both ${when}`);
}

test('export-basic', () => {
  const { buffer, attach } = bo();
  assertBusy(buffer, false, false, 'idle');
  const reader = attach(false);
  assertBusy(buffer, false, true, 'with a reader');
  reader();
  assertBusy(buffer, false, false, 'without it');
  const writer = attach(true);
  assertBusy(buffer, true, true, 'with a writer');
  writer();
  assertBusy(buffer, false, false, 'without it');
});

test('export-before-signal', () => {
  const { buffer, attach } = bo();
  for (const write of [false, true]) {
    const signal = attach(write);
    using read = buffer.exportSyncFile(READ);
    using both = buffer.exportSyncFile(WRITE);
    assert.equal([read.status, both.status], [write ? 0 : 1, 0]);
    signal();
    assert.equal([read.status, both.status], [1, 1]);
  }
});

test('export-multiwait', () => {
  const { buffer, attach } = bo();
  const [first, second] = [attach(false), attach(false)];
  using file = buffer.exportSyncFile(WRITE);
  const third = attach(false);
  assert.is(file.status, 0);
  first();
  assert.is(file.status, 0);
  second();
  assert.is(file.status, 1, 'the third came after the export');
  third();
});

test('export-wait-after-attach', () => {
  const { buffer, attach } = bo();
  using early = buffer.exportSyncFile(READ);
  using earlyToo = buffer.exportSyncFile(WRITE);
  const first = attach(true);
  assert.equal([early.status, earlyToo.status], [1, 1]);
  using read = buffer.exportSyncFile(READ);
  using write = buffer.exportSyncFile(WRITE);
  assert.equal([read.status, write.status], [0, 0]);
  first();
  const second = attach(true);
  assert.equal([read.status, write.status], [1, 1], 'the second is not theirs');
  assert.ok(fileBusy(buffer, READ) && fileBusy(buffer, WRITE));
  second();
});

test('import-basic', () => {
  const { machine, buffer } = bo();
  assertBusy(buffer, false, false, 'idle');
  using timeline = machine.createTimeline();
  const steps = [
    { usage: READ, reads: false },
    { usage: WRITE, reads: true },
    { usage: RW, reads: true },
  ];
  steps.forEach(({ usage, reads }, i) => {
    buffer.importSyncFile(timeline.createFence(i + 1), usage);
    assertBusy(buffer, reads, true, `import ${i}`);
    timeline.increment(1);
    assertBusy(buffer, false, false, `after import ${i}`);
  });
});

function importMultiple(write: boolean): void {
  const { machine, buffer } = bo();
  const readers = Array.from({ length: 32 }, () => machine.createTimeline());
  for (const timeline of readers) buffer.importSyncFile(timeline.createFence(1), READ);
  const writer = machine.createTimeline();
  if (write) buffer.importSyncFile(writer.createFence(1), WRITE);
  using read = buffer.exportSyncFile(READ);
  using all = buffer.exportSyncFile(WRITE);
  for (const timeline of readers.toReversed()) {
    assert.is(busy(buffer, READ), write);
    assert.is(read.status === 0, write);
    assert.ok(busy(buffer, WRITE));
    assert.is(all.status, 0);
    timeline.increment(1);
  }
  assert.is(busy(buffer, READ), write);
  assert.is(busy(buffer, WRITE), write);
  assert.is(all.status === 0, write);
  if (write) writer.increment(1);
  assertBusy(buffer, false, false, 'at the end');
  assert.equal([read.status, all.status], [1, 1]);
}

test('import-multiple-read-only', () => {
  importMultiple(false);
});

test('import-multiple-read-write', () => {
  importMultiple(true);
});

test.run();
