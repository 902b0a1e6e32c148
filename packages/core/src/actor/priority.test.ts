// Priorities of contexts: which of the ready jobs an actor starts next.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Context, exclusive, shared } from '../sync/context.js';
import type { Priority } from '../sync/context-options.js';
import { FakeMachine } from '../testing/fake-machine.js';
import type { Handlers } from './server.js';

const PRIORITIES: readonly Priority[] = ['low', 'normal', 'high'];

function bench(handlers: Partial<Handlers> = {}) {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const seen: unknown[] = [];
  const server = fake.server(1, {
    ...handlers,
    run: (job) => {
      seen.push(job.payload);
      void handlers.run?.(job);
    },
  });
  const context = (priority: Priority, early = false): Context =>
    machine.createContext(2, priority, { priority, early });
  return { fake, machine, seen, context, run: () => server.run() };
}

test('of the jobs that are ready the highest priority goes first, and each context keeps its order', () => {
  const b = bench();
  const contexts = [...PRIORITIES, ...PRIORITIES].map((priority) => b.context(priority));
  for (let i = 0; i < 2; i++) {
    contexts.forEach((context, c) => context.submit({ payload: `${context.name} ${c} ${i}` }));
  }
  b.run();
  assert.equal(
    b.seen.map((name) => String(name).split(' ')[0]),
    ['high', 'normal', 'low'].flatMap((name) => [name, name, name, name]),
  );
  for (const c of [0, 1, 2, 3, 4, 5]) {
    const mine = b.seen.filter((name) => String(name).split(' ')[1] === `${c}`);
    assert.equal(
      mine.map((name) => String(name).split(' ')[2]),
      ['0', '1'],
      'a context keeps its order',
    );
  }
});

test('a job of high priority that arrives while others run goes next, and interrupts none', () => {
  let arrive = true;
  const b = bench({
    run: () => {
      if (arrive) b.context('high').submit({ payload: 'urgent' });
      arrive = false;
    },
  });
  const low = b.context('low');
  for (const payload of ['a', 'b', 'c']) low.submit({ payload });
  b.run();
  assert.equal(b.seen, ['a', 'urgent', 'b', 'c']);
});

test('an engine that takes one job at a time offers its place to the highest priority', () => {
  let busy = true;
  const b = bench({ accepts: () => !busy });
  for (const priority of PRIORITIES) b.context(priority).submit({ payload: priority });
  b.run();
  assert.equal(b.seen, []);
  busy = false;
  b.run();
  assert.equal(b.seen, ['high', 'normal', 'low']);
});

test('priority decides among jobs that are due or granted at one time, not between claims of a buffer', () => {
  const b = bench();
  const buffer = b.machine.alloc(4096);
  const [low, high] = [b.context('low', true), b.context('high', true)];
  low.submit({ payload: 'low, timed', startAt: 10 });
  b.context('high').submit({ payload: 'high, timed', startAt: 10 });
  const hold = b.machine.waitAll([exclusive(buffer)]);
  low.submit({ buffers: [shared(buffer)], payload: 'low, early' });
  high.submit({ buffers: [shared(buffer)], payload: 'high, early' });
  b.run();
  hold.release();
  b.run();
  assert.equal(b.seen, ['high, early']);
  b.fake.advance(10);
  b.run();
  assert.equal(b.seen, ['high, early', 'high, timed', 'low, timed', 'low, early']);

  const first = b.context('low').submit({ buffers: [exclusive(buffer)], payload: 'first' });
  const second = b.context('high').submit({ buffers: [exclusive(buffer)], payload: 'second' });
  b.run();
  assert.equal(
    b.seen.slice(-2),
    ['first', 'second'],
    'the queue of a buffer is in order of arrival',
  );
  assert.equal([first.status, second.status], [1, 1]);
});

test('an unknown priority is refused', () => {
  const { machine } = bench();
  for (const priority of ['urgent', 1, 'toString']) {
    const options = JSON.parse(JSON.stringify({ priority })) as { priority: Priority };
    assert.throws(
      () => machine.createContext(2, 'c', options),
      /createContext: priority must be 'low', 'normal' or 'high'/,
    );
  }
});

test.run();
