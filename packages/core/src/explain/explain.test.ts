// Why a fence has not signalled: the chain, down to each kind of culprit, by name.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FakeMachine } from '../testing/fake-machine.js';
import { discard, exclusive, shared } from '../sync/context.js';
import type { Explanation } from './explain.js';

const fake = (): FakeMachine => new FakeMachine({ actors: 3 });
const kinds = (why: Explanation): string[] => why.culprits.map(({ kind }) => kind);

test('through a job of a device and its in-fence, to a timeline of another process', () => {
  const f = fake();
  const { machine } = f.actor(0);
  const timeline = f.actor(2).machine.createTimeline('camera');
  timeline.increment(4);
  const buffer = machine.alloc(4096, { name: 'frame' });
  const context = machine.createContext(2, 'gpu');
  const inFences = [timeline.createFence(7)];
  context.submit({ buffers: [discard(buffer)], inFences });
  const reader = context.submit({ buffers: [shared(buffer)] });
  f.advance(12);
  const why = machine.explain(reader);
  assert.ok(kinds(why).every((kind) => kind === 'timeline'));
  const [culprit] = why.culprits;
  assert.equal([culprit?.actorName, culprit?.since, culprit?.limit], ['actor3', 0, 0]);
  assert.match(String(why), /buffer \d+ 'frame', wanted shared, held by/);
  assert.match(String(why), /timeline 'camera' of 'actor3' has not reached 7 \(it stands at 4/);
});

test('a hold of another process, with its age', () => {
  const f = fake();
  const buffer = f.actor(0).machine.alloc(4096);
  const hold = f.actor(0).machine.waitAll([exclusive(buffer)]);
  const fence = f
    .actor(0)
    .machine.createContext(2)
    .submit({ buffers: [shared(buffer)] });
  f.advance(250);
  const why = f.actor(1).machine.explain(fence);
  assert.equal(kinds(why), ['hold']);
  assert.match(why.culprits[0]?.text ?? '', /'actor1' has held its claims .* for 250.0 ms/);
  hold.release();
  assert.equal(kinds(f.actor(1).machine.explain(fence)), ['not-started']);
});

test('a job that runs, a job behind it in the same actor, and a start time', () => {
  const f = fake();
  const { machine } = f.actor(0);
  const context = machine.createContext(2, 'slow');
  const running = context.submit({ payload: 0, limit: 40 });
  const other = machine.createContext(2, 'other').submit({ payload: 0 });
  const later = machine.createContext(3, 'timed').submit({ payload: 0, startAt: 1000 });
  const texts: string[] = [];
  const server = f.server(1, {
    run: (job) => {
      if (job.seqno !== 1 || texts.length > 0) return;
      f.advance(30);
      texts.push(String(machine.explain(running)), String(machine.explain(other)));
    },
  });
  server.run();
  assert.match(texts[0] ?? '', /'actor2' has been running job \d+:1 for 30.0 ms \(no limit\)/);
  assert.match(texts[1] ?? '', /whose thread is waiting for\n.*context 'slow'/);
  f.server(2, { run: () => {} }).run();
  assert.match(String(machine.explain(later)), /is not to start for another 970.0 ms/);
});

test('a job that is held up by the one before it in its context', () => {
  const f = fake();
  const { machine } = f.actor(0);
  const buffer = machine.alloc(4096);
  const hold = f.actor(2).machine.waitAll([exclusive(f.actor(2).machine.createQueue())]);
  const mine = machine.waitAll([exclusive(buffer)]);
  const context = machine.createContext(2, 'line');
  context.submit({ buffers: [exclusive(buffer)] });
  const second = context.submit({ payload: 1 });
  const why = machine.explain(second);
  assert.equal(kinds(why), ['hold']);
  assert.match(String(why), /behind, in its context,/);
  mine.release();
  hold.release();
});

test('a signalled fence waits for nothing; a buffer tells who has it', () => {
  const f = fake();
  const { machine } = f.actor(0);
  const buffer = machine.alloc(4096);
  assert.match(String(machine.explain(buffer)), /buffer \d+ is free/);
  const context = machine.createContext(2);
  const fence = context.submit({ buffers: [exclusive(buffer)] });
  let keep: { release(): void } | undefined;
  const server = f.server(1, {
    run: (job) => {
      job.defer();
      job.complete();
      keep = job;
    },
  });
  server.run();
  assert.match(String(machine.explain(fence)), /is signalled$/);
  assert.equal(kinds(machine.explain(buffer)), ['unreleased']);
  const why = machine.explain(
    f
      .actor(1)
      .machine.createContext(2)
      .submit({ buffers: [shared(buffer)] }),
  );
  assert.equal(kinds(why), ['unreleased']);
  keep?.release();
  assert.throws(() => machine.explain({ slot: 1, generation: 1, context: 1, seqno: 1 }), /EINVAL/);
});

test('of a queue of thousands of jobs it follows some, and says how many it left out', () => {
  const f = new FakeMachine({ actors: 2, tables: { jobs: 4096 } });
  const { machine } = f.actor(0);
  const buffer = machine.alloc(4096);
  const hold = machine.waitAll([exclusive(buffer)]);
  const context = machine.createContext(2);
  let fence = context.submit({ buffers: [exclusive(buffer)] });
  for (let i = 0; i < 3000; i++) fence = context.submit({ buffers: [exclusive(buffer)] });
  const why = machine.explain(fence);
  assert.ok(kinds(why).includes('hold'));
  assert.match(String(why), /and \d\d\d\d more/);
  assert.ok(String(why).split('\n').length < 400);
  hold.release();
});

test.run();
