// Circles of waits are refused to whoever closes them, and only to that one; what resolves itself is let be.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '../errno.js';
import { ACTOR } from '../memory/layout.js';
import { exclusive, shared } from '../sync/context.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';

/** Lets `act` happen once, when the first actor has said on what it sleeps; returns what it threw. */
function onSleep(f: FakeMachine, act: () => void): { error: unknown } {
  const seen: { error: unknown } = { error: undefined };
  const how = f.actor(0).services.kernel.actor + ACTOR.BLOCKED_HOW;
  let done = false;
  f.whileAsleep = () => {
    if (done || f.words.load(how) === 0) return;
    done = true;
    try {
      act();
    } catch (error) {
      seen.error = error;
    }
  };
  return seen;
}

function messageOf({ error }: { error: unknown }): string {
  assert.instance(error, DmaBufError);
  assert.is(error instanceof DmaBufError && error.code, 'EDEADLK');
  return String(error);
}

test('two that hold a buffer each and want the other: refused to the second, both named; nothing stays queued', () => {
  const f = new FakeMachine({ actors: 2 });
  const [a, b] = [f.actor(0).machine, f.actor(1).machine];
  const [x, y] = [a.createQueue(), a.createQueue()];
  const holdX = a.waitAll([exclusive(x)]);
  const holdY = b.waitAll([exclusive(y)]);
  const seen = onSleep(f, () => {
    try {
      b.waitAll([exclusive(x)]);
    } finally {
      assert.is(f.actor(0).machine.stats().jobs, 3, 'what was refused is gone');
      holdY.release();
    }
  });
  const both = a.waitAll([exclusive(y)]);
  assert.match(
    messageOf(seen),
    /queue \d+ is held by 'actor1' \(actor 1\), which waits until queue \d+ is held by this thread/,
  );
  both.release();
  holdX.release();
  assert.is(a.stats().jobs, 0);
});

test('a circle of three, one side of it a wait for the fence of a device’s job', () => {
  const f = new FakeMachine({ actors: 4 });
  const [a, b, c] = [f.actor(0).machine, f.actor(1).machine, f.actor(2).machine];
  const [x, y, z] = [a.createQueue(), a.createQueue(), a.createQueue()];
  const holdX = a.waitAll([exclusive(x)]);
  const holdY = b.waitAll([exclusive(y)]);
  const holdZ = c.waitAll([exclusive(z)]);
  const device = c.createContext(4, 'device');
  device.submit({ buffers: [exclusive(x)] }); // behind a
  const fence = device.submit({ payload: 0 }); // behind that one in its context
  let depth = 0;
  let refused: unknown;
  const serve = (): void => f.server(3, { run: () => {} }).run();
  f.whileAsleep = () => {
    depth++;
    if (depth === 1) b.waitAll([exclusive(z)]).release(); // a sleeps; b waits for c
    if (depth !== 2) return;
    try {
      fence.wait(); // c for the device, that for a
    } catch (error) {
      refused = error;
    }
    holdZ.release();
    holdX.release();
    holdY.release();
    serve();
  };
  a.waitAll([exclusive(y)]).release();
  const message = messageOf({ error: refused });
  assert.match(message, /'actor1' .* 'actor2' .* held by this thread/);
  assert.is(fence.wait(), 1);
  assert.is(a.stats().jobs, 0);
});

test('a fence behind the own hold: of a job that waits for it, of one behind that in its context, in a set, in a sync file, in a poll', () => {
  const f = new FakeMachine({ actors: 2 });
  const { machine } = f.actor(0);
  const buffer = machine.alloc(4096);
  const hold = machine.waitAll([exclusive(buffer)]);
  const context = machine.createContext(2);
  const fence = context.submit({ buffers: [shared(buffer)] });
  const next = context.submit({ payload: 1 });
  const tries: (() => unknown)[] = [
    () => fence.wait(),
    () => next.wait(),
    () => machine.fence(hold.fence).wait(),
    () => machine.merge(fence).wait(),
    () => machine.waitAny([fence, next]),
    () => machine.createSyncFile([fence]).wait(),
    () => machine.fenceArray([fence]).wait(),
    () => buffer.poll({ writable: true }, Infinity),
    () => machine.waitAll([shared(buffer)]),
  ];
  for (const wait of tries) assert.is(codeOf(wait), 'EDEADLK', String(wait));
  for (const wait of [() => fence.wait(5), () => machine.waitAll([shared(buffer)], 5)]) {
    assert.is(codeOf(wait), 'ETIME', 'a timeout resolves it');
  }
  hold.release();
  f.server(1, { run: () => {} }).run();
  assert.equal([fence.wait(), next.wait()], [1, 1]);
});

test('an open bracket counts as a hold', () => {
  const f = new FakeMachine({ actors: 2 });
  const { machine } = f.actor(0);
  const buffer = machine.alloc(4096);
  const bracket = buffer.mmap({}).prepareAccess({ write: true });
  const fence = machine.createContext(2).submit({ buffers: [shared(buffer)] });
  assert.is(
    codeOf(() => fence.wait()),
    'EDEADLK',
  );
  bracket.finish();
});

test('no circle while one of several fences may signal, a thread is awake, or its wait has a timeout', () => {
  const f = new FakeMachine({ actors: 3 });
  const [a, b] = [f.actor(0).machine, f.actor(1).machine];
  const [x, y] = [a.createQueue(), a.createQueue()];
  const holdX = a.waitAll([exclusive(x)]);
  const holdY = b.waitAll([exclusive(y)]);
  const stuck = a.createContext(3).submit({ buffers: [exclusive(x)] });
  const timeline = b.createTimeline('t');
  const may = timeline.createFence(1);
  onSleep(f, () => timeline.increment(1));
  assert.is(a.waitAny([stuck, may]), 1);
  const seen = onSleep(f, () => {
    f.whileAsleep = () => {
      holdX.release();
      f.server(2, { run: () => {} }).run();
    };
    b.waitAll([exclusive(x)]).release(); // a sleeps with a timeout: it is no link
  });
  assert.is(
    codeOf(() => a.waitAll([exclusive(y)], 1)),
    'ETIME',
  );
  assert.is(seen.error, undefined);
  holdY.release();
});

test('a circle through a thread that waits for any of several is found as well', () => {
  const f = new FakeMachine({ actors: 3 });
  const [a, b] = [f.actor(0).machine, f.actor(1).machine];
  const [x, y] = [a.createQueue(), a.createQueue()];
  const holdX = a.waitAll([exclusive(x)]);
  const holdY = b.waitAll([exclusive(y)]);
  const device = a.createContext(3);
  const fences = [
    device.submit({ buffers: [shared(y)] }),
    device.submit({ buffers: [exclusive(y)] }),
  ];
  const seen = onSleep(f, () => {
    try {
      b.waitAll([exclusive(x)]);
    } finally {
      holdY.release();
      f.server(2, { run: () => {} }).run();
    }
  });
  assert.is(a.waitAny(fences), 0);
  messageOf(seen);
  holdX.release();
});

test('a thread that holds nothing and serves nothing pays nothing and is never refused', () => {
  const f = new FakeMachine({ actors: 2 });
  const { machine } = f.actor(0);
  const fence = machine.createTimeline('t').createFence(1);
  let waits = 0;
  f.whileAsleep = () => {
    if (++waits === 3) machine.timeline(0).increment(1);
  };
  assert.is(fence.wait(), 1);
});

test.run();
