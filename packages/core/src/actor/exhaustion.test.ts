// Every table of sync and actors full: the error names the option to raise, nothing is lost, and service goes on
// when room returns. And a soak: frames without end leave counters and memory as they were.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { discard, exclusive, shared } from '../sync/context.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { boot } from './boot.js';

/** Makes things until one is refused; the refusal, and what was made. */
function fill<T>(make: () => T, most = 5000): { made: T[]; refusal: string } {
  const made: T[] = [];
  for (let i = 0; i < most; i++) {
    try {
      made.push(make());
    } catch (error) {
      return { made, refusal: String(error) };
    }
  }
  throw new Error(`${most} were made and none was refused`);
}

test('the job table: of jobs, holds, callbacks and software fences; the queued ones all run', () => {
  const f = new FakeMachine({ tables: { jobs: 64 } });
  const { machine } = f.actor(0);
  const buffer = machine.alloc(4096);
  const timeline = machine.createTimeline('t');
  const context = machine.createContext(2);
  const server = f.server(1, { run: () => {} });
  machine.waitAll([shared(buffer)]).release(); // its context exists from now on
  machine.asyncWaitAll([shared(buffer)], (hold) => hold.release());
  for (let round = 0; round < 3; round++) {
    const inFences = [timeline.createFence(round + 1)];
    const { made, refusal } = fill(() => context.submit({ buffers: [shared(buffer)], inFences }));
    assert.match(refusal, /ENOSPC.*tables\.jobs/);
    const before = f.dump();
    const refused = [
      () => machine.waitAll([shared(buffer)], 0),
      () => machine.asyncWaitAll([shared(buffer)], () => {}),
      () => timeline.createFence(99),
      () => context.submit({ buffers: [exclusive(buffer)] }),
    ];
    for (const call of refused) assert.is(codeOf(call), 'ENOSPC', String(call));
    assert.is(f.dump(), before, 'a refused call leaves no residue');
    timeline.increment();
    server.run();
    assert.ok(made.every(({ status }) => status === 1));
    assert.is(machine.stats().jobs, 0);
  }
});

test('contexts, timelines, sync files, queues: each names its option, and has room again', () => {
  const tables = { contexts: 8, timelines: 3, syncFiles: 4, queues: 6, fds: 32 };
  const f = new FakeMachine({ tables });
  const { machine } = f.actor(0);
  const fence = machine.createTimeline('one').createFence(1);
  const kinds: [name: string, make: () => { close(): void }][] = [
    ['contexts', () => machine.createContext(2)],
    ['timelines', () => machine.createTimeline('t')],
    ['syncFiles', () => machine.createSyncFile([fence])],
    ['queues', () => machine.createQueue()],
  ];
  for (const [name, make] of kinds) {
    const counts: number[] = [];
    for (let round = 0; round < 3; round++) {
      const { made, refusal } = fill(make);
      counts.push(made.length);
      assert.match(refusal, new RegExp(`E(NOSPC|NFILE).*tables\\.${name}`));
      assert.ok(made.length > 1, name);
      for (const each of made) each.close();
    }
    assert.equal(counts, [counts[0], counts[0], counts[0]], `all room for ${name} is back`);
    make().close();
  }
});

test('a mailbox: EAGAIN while it is full, no message is lost, and there is room when one has been read', () => {
  const f = new FakeMachine({ tables: { mailSlots: 8 } });
  const [a, b] = [f.actor(0).machine, f.actor(1).machine];
  let sent = 0;
  const { refusal } = fill(() => a.send(2, ++sent, { block: false }));
  assert.match(refusal, /EAGAIN/);
  sent--; // the last one was refused
  for (let i = 1; i <= 100; i++) {
    assert.is(b.receive(0).value, i);
    a.send(2, ++sent, { block: false });
  }
  for (let i = 101; i <= sent; i++) assert.is(b.receive(0).value, i);
  assert.is(
    codeOf(() => b.receive(0)),
    'ETIME',
  );
});

test('a trace ring that is full keeps the newest', () => {
  const f = new FakeMachine({ tables: { traceRecords: 16 } });
  const { machine } = f.actor(0);
  for (let i = 0; i < 1000; i++) machine.mark(i);
  const marks = machine.trace().traceEvents.filter(({ ph }) => ph !== 'M');
  assert.ok(marks.length > 0 && marks.length <= 16, `${marks.length} records`);
  assert.match(JSON.stringify(marks), /999/);
});

test('the actor table: EMFILE names its option', async () => {
  const machine = await boot({ tables: { actors: 8 } });
  try {
    const { made, refusal } = fill(() => machine.invite('one more'));
    assert.match(refusal, /EMFILE.*tables\.actors/);
    for (const { workerData } of made) workerData.port.close();
  } finally {
    await machine.shutdown();
  }
});

const LONG = process.env['DMABUF_LONG_TESTS'] === '1';
/** 24 hours at 60 Hz. */
const FRAMES = LONG ? 5_184_000 : 10_000;

/** A frame: written, read by two, waited for by a bracket; every so often something less common. */
/** Collects garbage, which only a context made after the flag can. */
function collect(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

test(`${FRAMES} frames at 60 Hz of the manual clock: tables, fds and the heap stay as they are`, () => {
  const f = new FakeMachine({ tables: { jobs: 64, traceRecords: 16 } });
  const { machine } = f.actor(0);
  const buffers = [1, 2, 3].map(() => machine.alloc(4096));
  const timeline = machine.createTimeline('clock');
  const [decode, show] = [machine.createContext(2), machine.createContext(2)];
  const server = f.server(1, { run: () => {} });
  const state = (): unknown => {
    const { jobs, buffers: live, bytes } = machine.stats();
    const fds = f.actors.map(({ services }) => [...services.fds.open()].length);
    const { kernel } = f.actor(0).services;
    const holders = [...kernel.holders.live()].length;
    const files = [...kernel.syncFiles.live()].length;
    return { jobs, live, bytes, fds, holders, files, queues: [...kernel.queues.live()].length };
  };
  const frame = (i: number): void => {
    const buffer = buffers[i % buffers.length];
    if (buffer === undefined) return;
    const inFences = i % 7 === 0 ? [timeline.createFence(timeline.value + 1)] : [];
    const written = decode.submit({ buffers: [discard(buffer)], inFences });
    show.submit({ buffers: [shared(buffer)], inFences: [written] });
    if (i % 7 === 0) timeline.increment();
    if (i % 50 === 0) machine.createSyncFile([written]).close();
    server.run();
    if (i % 11 === 0) buffer.access({ read: true }).finish();
    if (i % 1000 === 999) {
      const late = machine.waitAll([exclusive(buffer)], 0, { limit: 5 });
      machine.advance(5);
      assert.is(
        codeOf(() => late.release()),
        'ETIMEDOUT',
      );
      machine.alloc(4096).close();
      f.notified.length = 0; // what the fake itself keeps
      f.posted.length = 0;
    }
    f.advance(1000 / 60);
  };
  for (let i = 0; i < 2000; i++) frame(i);
  collect();
  const before = state();
  const heap = process.memoryUsage().heapUsed;
  for (let i = 0; i < FRAMES; i++) frame(i);
  assert.equal(state(), before);
  collect();
  const grown = (process.memoryUsage().heapUsed - heap) / 2 ** 20;
  console.log(`# ${FRAMES} frames: the heap has grown by ${grown.toFixed(2)} MB`);
  assert.ok(grown < 4, `the heap has grown by ${grown.toFixed(1)} MB`);
  assert.equal(decode.submitted, decode.completed);
});

test('a writer behind a stream of readers gets its turn, and so do two producers of one buffer', () => {
  const f = new FakeMachine({ actors: 4, tables: { jobs: 256 } });
  const { machine } = f.actor(0);
  const buffer = machine.alloc(4096);
  const ran: string[] = [];
  const server = f.server(1, { run: (job) => void ran.push(String(job.payload)) });
  const readers = [1, 2, 3].map(() => machine.createContext(2));
  const writers = [0, 1].map(() => machine.createContext(2));
  const writes = writers.map((context, w) => {
    for (const reader of readers) reader.submit({ buffers: [shared(buffer)], payload: 'r' });
    return context.submit({ buffers: [exclusive(buffer)], payload: `w${w}` });
  });
  // Readers never stop coming; each is granted in the order of the queue, so none passes a writer.
  for (let i = 0; i < 20; i++) {
    for (const reader of readers) reader.submit({ buffers: [shared(buffer)], payload: 'late' });
  }
  server.run();
  assert.equal(ran.slice(0, 8), ['r', 'r', 'r', 'w0', 'r', 'r', 'r', 'w1']);
  assert.ok(writes.every(({ status }) => status === 1));
});

test.run();
