// Trace rings and their export for Perfetto (design D12).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '../errno.js';
import type { Job } from '../actor/job.js';
import { exclusive, shared } from '../sync/context.js';
import { FakeMachine } from '../testing/fake-machine.js';
import type { TraceEvent } from './perfetto.js';

const phases = (events: readonly TraceEvent[], ph: string): TraceEvent[] =>
  events.filter((event) => event.ph === ph);

test('a job is a span from queued to signalled, its run a slice on its device, with an arrow', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const context = machine.createContext(2, 'gpu');
  const buffer = machine.alloc(4096);
  context.submit({ buffers: [exclusive(buffer)] });
  fake.advance(2);
  context.submit({ buffers: [shared(buffer)] });
  fake.server(1, { run: () => fake.advance(5) }).run();
  const { traceEvents, otherData } = machine.trace();
  assert.is(otherData.recordsLost, 0);
  const begins = phases(traceEvents, 'b');
  const ends = phases(traceEvents, 'e');
  assert.equal(
    begins.map((e) => [e.name, e.ts, e.tid]),
    [
      ['gpu 1', 0, 1],
      ['gpu 2', 2000, 1],
    ],
  );
  assert.equal(
    ends.map((e) => [e.name, e.ts, e.tid]),
    [
      ['gpu 1', 7000, 2],
      ['gpu 2', 12000, 2],
    ],
  );
  assert.equal(
    begins.map((e) => e.id),
    ends.map((e) => e.id),
  );
  const slices = traceEvents.filter((e) => e.ph === 'B' || e.ph === 'E');
  assert.equal(
    slices.map((e) => e.ph + e.name),
    ['Bgpu 1', 'Egpu 1', 'Bgpu 2', 'Egpu 2'],
  );
  assert.ok(slices.every((e) => e.tid === 2));
  const arrows = phases(traceEvents, 's').map((e) => e.id);
  assert.equal(
    arrows,
    phases(traceEvents, 'f').map((e) => e.id),
  );
  assert.is(new Set(arrows).size, 2);
});

test('a job that its handler completes has run before its fence signals, and its run ends once', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const context = machine.createContext(2, 'gpu');
  context.submit({});
  const run = (job: Job): void => {
    fake.advance(1);
    job.complete();
    fake.advance(4);
    job.release();
  };
  fake.server(1, { run }).run();
  const events = machine.trace().traceEvents.filter(({ ph }) => 'BEe'.includes(ph));
  assert.equal(
    events.map(({ ph, ts }) => [ph, ts]),
    [
      ['B', 0],
      ['E', 1000],
      ['e', 1000],
    ],
  );
});

test('events are in order of time, and each span begins before it ends', () => {
  const fake = new FakeMachine({ clock: 'real' });
  const { machine } = fake.actor(0);
  const context = machine.createContext(2, 'own');
  const server = fake.server(1, { run: () => {} });
  for (let i = 0; i < 50; i++) {
    context.submit({});
    server.run();
  }
  const events = machine.trace().traceEvents.filter((e) => e.ph !== 'M');
  const open = new Set<string | undefined>();
  let last = 0;
  for (const event of events) {
    assert.ok(event.ts >= last);
    last = event.ts;
    if (event.ph === 'b') open.add(event.id);
    if (event.ph === 'e') assert.ok(open.delete(event.id), `${event.name} ends after it began`);
  }
  assert.is(open.size, 0);
});

test('a failed job says how it ended', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  machine.createContext(2, 'c').submit({});
  const server = fake.server(1, {
    run: () => {
      throw new DmaBufError('EIO', 'test', '');
    },
  });
  server.run();
  assert.equal(phases(machine.trace().traceEvents, 'e')[0]?.args, { status: -5 });
});

test('a ring that lapped keeps the newest records and says how many are lost', () => {
  const fake = new FakeMachine({ tables: { traceRecords: 8 } });
  const { machine } = fake.actor(0);
  for (let i = 1; i <= 21; i++) machine.mark(i);
  const { traceEvents, otherData } = machine.trace();
  assert.equal(
    phases(traceEvents, 'i').map((e) => e.name),
    [14, 15, 16, 17, 18, 19, 20, 21].map((i) => `mark ${i}`),
  );
  assert.is(otherData.recordsLost, 13);
});

test('ends whose begin was lost are left out, so that slices nest', () => {
  const fake = new FakeMachine({ tables: { traceRecords: 4 } });
  const { machine } = fake.actor(0);
  const context = machine.createContext(2, 'c');
  for (let i = 0; i < 10; i++) context.submit({});
  fake.server(1, { run: () => {} }).run();
  let depth = 0;
  for (const { ph, tid } of machine.trace().traceEvents) {
    if (tid !== 2) continue;
    if (ph === 'B') depth++;
    if (ph === 'E') assert.ok(--depth >= 0);
  }
});

test('every actor has a named track', () => {
  const { traceEvents } = new FakeMachine({ actors: 3 }).actor(0).machine.trace();
  const names = phases(traceEvents, 'M').map((e) => e.args?.name);
  assert.equal(names, ['1 actor1', '2 actor2', '3 actor3']);
});

test.run();
