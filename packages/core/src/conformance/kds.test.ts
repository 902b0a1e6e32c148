// ARM KDS (drivers/base/kds.c and its users), for which no test program is known: the cases that its
// code, its users and its bugs imply, under names of our own. `weakness_N` are its known faults, as
// cases to pass.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Job } from '../actor/job.js';
import { errno } from '../errno.js';
import { discard, exclusive, shared } from '../sync/context.js';
import type { Hold } from '../sync/holds.js';
import type { Queue } from '../sync/queue-object.js';
import { checkQueues } from '../testing/check-queues.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { withPeers } from '../testing/peers.js';
import { QueueRig } from '../testing/queue-rig.js';

const roles = new URL('./locks.test-roles.js', import.meta.url);

/** Two processes and some kds_resources. */
function resources(count: number): { fake: FakeMachine; queues: Queue[] } {
  const fake = new FakeMachine({ actors: 2 });
  const { machine } = fake.actor(0);
  return { fake, queues: Array.from({ length: count }, () => machine.createQueue()) };
}

/** All tables but the contexts': a set that ran out of time has had its seqno. */
function queued(fake: FakeMachine): string {
  const lines = fake.dump().split('\n');
  return lines.filter((line) => !line.startsWith('contexts')).join('\n');
}

const at = <T>(items: readonly T[], i: number): T => items[i] as T;

test('shared_together: readers are granted together', () => {
  const rig = new QueueRig();
  for (const name of ['r1', 'r2', 'r3']) rig.add(name, 'ra');
  assert.is(rig.granted(), 'r1 r2 r3');
});

test('exclusive_waits_for_all: a writer waits for every reader before it', () => {
  const rig = new QueueRig();
  for (const name of ['r1', 'r2']) rig.add(name, 'ra');
  rig.add('w', 'wa');
  rig.granted();
  rig.end('r2');
  assert.is(rig.granted(), '');
  rig.end('r1');
  assert.is(rig.granted(), 'w');
});

test('shared_behind_exclusive: a reader behind a waiting writer waits, so no writer starves', () => {
  const rig = new QueueRig();
  rig.add('r1', 'ra');
  rig.add('w', 'wa');
  rig.add('r2', 'ra');
  assert.is(rig.granted(), 'r1');
  rig.end('r1');
  rig.end('w');
  assert.is(rig.granted(), 'w r2');
});

test('cancel_waiting_exclusive: the readers behind it move up, and nobody else is touched', () => {
  const rig = new QueueRig();
  rig.add('r1', 'ra');
  rig.add('w', 'wa wb');
  rig.add('r2', 'ra');
  rig.add('other', 'rb');
  rig.add('w2', 'wa');
  assert.is(rig.granted(), 'r1');
  assert.ok(rig.cancel('w'));
  assert.is(rig.granted(), 'r2 other w', 'w goes to its device to be ended');
  rig.endCancelled('w');
  for (const name of ['r1', 'r2']) rig.end(name);
  assert.is(rig.granted(), 'w2');
});

test('duplicate_resource: EINVAL, and no residue on any resource', () => {
  const { fake, queues } = resources(3);
  const { machine } = fake.actor(0);
  machine.waitAll([], 0).release();
  machine.asyncWaitAll([], (hold) => hold.release());
  const dump = fake.dump();
  const [a, b, c] = queues as [Queue, Queue, Queue];
  assert.is(
    codeOf(() => machine.waitAll([exclusive(a), shared(b), shared(a)], 0)),
    'EINVAL',
  );
  assert.is(
    codeOf(() => machine.asyncWaitAll([shared(c), shared(c)], () => {})),
    'EINVAL',
  );
  assert.is(fake.dump(), dump);
  machine.waitAll([a, b, c].map(exclusive), 0).release();
});

test('ten_resources: more than KDS ever warned of', () => {
  const { fake, queues } = resources(24);
  const { machine } = fake.actor(0);
  const hold = machine.waitAll(queues.map(exclusive), 0);
  for (const queue of queues)
    assert.is(
      codeOf(() => machine.waitAll([shared(queue)], 0)),
      'ETIME',
    );
  hold.release();
  machine.waitAll(queues.map(shared), 0).release();
  assert.is(machine.stats().jobs, 0);
});

test('abba_two_workers: {A, B} and {B, A} from two workers never deadlock', async () => {
  await withPeers(roles, 2, (peers, machine) => {
    const queues = [machine.createQueue(), machine.createQueue()];
    const buffer = machine.alloc(4096);
    const ids = queues.map((q) => q.id);
    peers.play(0, 'lockAll', 0, 500, ...ids);
    peers.play(1, 'lockAll', 2, 500, ...ids.toReversed());
    for (const actor of peers.actors) machine.passFd(actor, buffer.fd);
    assert.equal(peers.results(), [0, 0]);
    for (const handle of [...queues, buffer]) handle.close();
  });
});

test('free_set_callback_before_return: a set that is free calls back before the call returns', () => {
  const { fake, queues } = resources(2);
  const { machine } = fake.actor(0);
  let hold: Hold | undefined;
  const pending = machine.asyncWaitAll(queues.map(exclusive), (granted) => {
    hold = granted;
  });
  assert.ok(hold !== undefined);
  assert.not(pending.cancel(), 'it has run');
  hold.release();
});

test('release_twice: harmless', () => {
  const { fake, queues } = resources(1);
  const { machine } = fake.actor(0);
  const first = machine.waitAll(queues.map(exclusive), 0);
  first.release();
  const second = machine.waitAll(queues.map(exclusive), 0);
  first.release();
  assert.is(
    codeOf(() => machine.waitAll(queues.map(shared), 0)),
    'ETIME',
    'the second still holds',
  );
  second.release();
});

test('callback_may_enqueue: a callback may ask for the next set itself', () => {
  const { fake, queues } = resources(1);
  const { machine } = fake.actor(0);
  const first = machine.waitAll(queues.map(exclusive), 0);
  const order: number[] = [];
  const again = (n: number) => (hold: Hold) => {
    order.push(n);
    if (n < 5) machine.asyncWaitAll(queues.map(exclusive), again(n + 1));
    hold.release();
  };
  machine.asyncWaitAll(queues.map(exclusive), again(1));
  first.release();
  for (let i = 0; i < 10; i++) machine.pump();
  assert.equal(order, [1, 2, 3, 4, 5]);
  assert.is(machine.stats().jobs, 0);
});

test('waitall_try: timeout 0 takes what is free and nothing else', () => {
  const { fake, queues } = resources(2);
  const { machine } = fake.actor(0);
  const [a, b] = queues as [Queue, Queue];
  const hold = machine.waitAll([exclusive(a)], 0);
  const dump = queued(fake);
  assert.is(
    codeOf(() => machine.waitAll([exclusive(b), shared(a)], 0)),
    'ETIME',
  );
  assert.is(queued(fake), dump);
  machine.waitAll([exclusive(b)], 0).release();
  hold.release();
});

test('waitall_timeout: says so, and leaves nothing queued', () => {
  const { fake, queues } = resources(1);
  const first = fake.actor(0).machine;
  const second = fake.actor(1).machine;
  const hold = first.waitAll(queues.map(shared), 0);
  second.waitAll([], 0).release();
  const dump = queued(fake);
  assert.is(
    codeOf(() => second.waitAll(queues.map(exclusive), 500)),
    'ETIME',
  );
  assert.is(queued(fake), dump);
  first.waitAll(queues.map(shared), 0).release();
  hold.release();
});

test('resource_term_with_waiters: EBUSY, and it can be closed when they are gone', () => {
  const { fake, queues } = resources(1);
  const { machine } = fake.actor(0);
  const queue = at(queues, 0);
  const hold = machine.waitAll([exclusive(queue)], 0);
  const waiting = machine.asyncWaitAll([shared(queue)], () => {});
  assert.is(
    codeOf(() => queue.close()),
    'EBUSY',
  );
  assert.ok(waiting.cancel());
  assert.is(
    codeOf(() => queue.close()),
    'EBUSY',
  );
  hold.release();
  queue.close();
  assert.is(
    codeOf(() => queue.close()),
    'EINVAL',
  );
  assert.is(
    codeOf(() => machine.waitAll([shared(queue)])),
    'EINVAL',
  );
});

test('cancel_racing_with_grant: the callback runs once or not at all', async () => {
  await withPeers(roles, 1, (peers, machine) => {
    const queue = machine.createQueue();
    const buffer = machine.alloc(4096);
    const bracket = buffer.access({ write: true, sync: false, cache: false });
    const { words } = bracket;
    peers.play(0, 'holdAndRelease', queue.id);
    machine.passFd(peers.actor(0), buffer.fd);
    assert.is(peers.result(peers.actor(0)), 'ready');
    let granted = 0;
    let cancelled = 0;
    for (let i = 0; i < 2000; i++) {
      let runs = 0;
      const pending = machine.asyncWaitAll([exclusive(queue)], (hold) => {
        runs++;
        hold.release();
      });
      const won = pending.cancel();
      machine.pump();
      assert.is(runs, won ? 0 : 1);
      assert.not(pending.cancel(), 'only once');
      if (won) cancelled++;
      else granted++;
    }
    words[0] = 1; // the other looks between two claims
    bracket.finish();
    const [holds] = peers.results();
    console.log(`# ${granted} granted, ${cancelled} cancelled, against ${String(holds)} holds`);
    for (const handle of [queue, buffer]) handle.close();
  });
});

test('owner_death: what a dead process held is released, what it waited for is cancelled', async () => {
  await withPeers(roles, 1, async (peers, machine) => {
    const [held, wanted] = [machine.createQueue(), machine.createQueue()];
    const mine = machine.waitAll([exclusive(wanted)]);
    peers.play(0, 'holdForEver', held.id, wanted.id);
    assert.is(peers.result(peers.actor(0)), 'holding');
    assert.is(
      codeOf(() => machine.waitAll([shared(held)], 0)),
      'ETIME',
    );
    await peers.kill(0);
    machine.waitAll([exclusive(held)], 10_000).release();
    mine.release();
    machine.waitAll([exclusive(wanted)], 10_000).release();
    held.close();
    wanted.close();
  });
});

/** A renderer and a display, as a GPU and exynos' CRTC use KDS; jobs end when the test says so. */
function flipRig(): {
  fake: FakeMachine;
  render(i: number): ReturnType<ReturnType<FakeMachine['actor']>['machine']['fence']>;
  flip(i: number): ReturnType<ReturnType<FakeMachine['actor']>['machine']['fence']>;
  rendering: Job[];
  flipping: Job[];
  run(): void;
} {
  const fake = new FakeMachine({ actors: 3 });
  const { machine } = fake.actor(0);
  const buffers = [0, 1, 2].map(() => machine.alloc(4096));
  const rendering: Job[] = [];
  const flipping: Job[] = [];
  const into = (list: Job[]) => (job: Job) => {
    job.defer();
    list.push(job);
  };
  const gpu = fake.server(1, { run: into(rendering) });
  const display = fake.server(2, { run: into(flipping) });
  const renders = machine.createContext(2, 'gpu');
  const flips = machine.createContext(3, 'crtc');
  return {
    fake,
    rendering,
    flipping,
    render: (i) => renders.submit({ buffers: [discard(at(buffers, i))] }),
    flip: (i) => flips.submit({ buffers: [shared(at(buffers, i))] }),
    run: () => {
      gpu.run();
      display.run();
      assert.equal(checkQueues(fake.actor(0).services.kernel), []);
    },
  };
}

test('flip_after_render: no flip before the renderer has released its buffer', () => {
  const { render, flip, rendering, flipping, run } = flipRig();
  render(0);
  flip(0);
  run();
  assert.equal([rendering.length, flipping.length], [1, 0]);
  at(rendering, 0).complete();
  run();
  assert.is(flipping.length, 0, 'complete is not release');
  at(rendering, 0).release();
  run();
  assert.is(flipping.length, 1);
});

test('flip_holds_until_replaced: the next render starts at the vblank that shows the next buffer', () => {
  const { render, flip, rendering, flipping, run } = flipRig();
  for (const i of [0, 1]) {
    render(i);
    flip(i);
  }
  render(0);
  run();
  at(rendering, 0).finish();
  run();
  at(flipping, 0).complete(); // buffer 0 is shown, and scanned out until it is replaced
  at(rendering, 1).finish();
  run();
  assert.equal([rendering.length, flipping.length], [2, 2]);
  at(flipping, 1).complete(); // the vblank where 1 replaces 0
  run();
  assert.is(rendering.length, 2);
  at(flipping, 0).release();
  run();
  assert.is(rendering.length, 3, 'with no round trip');
});

test('failed_render_is_not_shown: its flip ends with the same error, its predecessor stays', () => {
  const { render, flip, rendering, flipping, run } = flipRig();
  for (const i of [0, 1, 2]) render(i);
  const flips = [0, 1, 2].map(flip);
  run();
  at(rendering, 1).finish(-errno.EIO);
  at(rendering, 0).finish();
  at(rendering, 2).finish();
  run();
  assert.equal(
    flipping.map((job) => job.seqno),
    [1, 3],
  );
  at(flipping, 0).complete();
  assert.is(at(flips, 1).status, -errno.EIO);
  at(flipping, 1).complete();
  assert.equal(
    flips.map((fence) => fence.status),
    [1, -errno.EIO, 1],
  );
});

// The faults of KDS itself (its releases of 2012 and 2013).
test('weakness_1: a release in the middle grants nobody who waits for something else', () => {
  const rig = new QueueRig();
  rig.add('H', 'wb');
  rig.add('A', 'ra');
  rig.add('B', 'ra');
  rig.add('C', 'ra rb');
  assert.is(rig.granted(), 'H A B');
  rig.end('B');
  assert.is(rig.granted(), '');
  assert.not(rig.claim('C'), 'C still waits for H');
  rig.end('H');
  assert.is(rig.granted(), 'C');
});

test('weakness_1: a release at the tail of three readers leaves the others as they are', () => {
  const rig = new QueueRig();
  for (const name of ['A', 'B', 'C']) rig.add(name, 'ra');
  rig.granted();
  rig.end('C');
  rig.add('w', 'wa');
  rig.end('A');
  assert.is(rig.granted(), '', 'B is still in there');
  rig.end('B');
  assert.is(rig.granted(), 'w');
});

test('weakness_2: a refused set leaves no lock count behind', () => {
  const { fake, queues } = resources(2);
  const { machine } = fake.actor(0);
  const [a, b] = queues as [Queue, Queue];
  for (let i = 0; i < 100; i++) {
    assert.is(
      codeOf(() => machine.waitAll([exclusive(a), exclusive(b), shared(a)], 0)),
      'EINVAL',
    );
  }
  assert.is(machine.stats().jobs, 0);
  machine.asyncWaitAll([exclusive(b), exclusive(a)], (hold) => hold.release());
  for (const queue of queues) queue.close();
});

test('weakness_3: a callback is handed its set, however early it runs', () => {
  const { fake, queues } = resources(1);
  const { machine } = fake.actor(0);
  let released = 0;
  for (let i = 0; i < 3; i++) {
    machine.asyncWaitAll(queues.map(exclusive), (hold) => {
      hold.release(); // before asyncWaitAll has returned
      released++;
    });
  }
  assert.is(released, 3);
  assert.is(machine.stats().jobs, 0);
});

for (const late of [false, true]) {
  test(`weakness_4: a grant that races with the timeout, ${late ? 'just too late' : 'just in time'}`, () => {
    const { fake, queues } = resources(1);
    const first = fake.actor(0).machine;
    const second = fake.actor(1).machine;
    const hold = first.waitAll(queues.map(exclusive), 0);
    // The waiter sleeps; when it wakes its time is over, and it has been granted or not.
    fake.whileAsleep = () => {
      fake.advance(1000);
      if (!late) hold.release();
    };
    const outcome = codeOf(() => second.waitAll(queues.map(exclusive), 500).release());
    fake.whileAsleep = () => {};
    assert.is(outcome, late ? 'ETIME' : 'no error');
    hold.release();
    first.waitAll(queues.map(exclusive), 0).release();
    assert.is(first.stats().jobs, 0);
    assert.equal(checkQueues(fake.actor(0).services.kernel), []);
  });
}

test('weakness_4: grants that race with timeouts in another thread free nothing twice', async () => {
  await withPeers(roles, 1, (peers, machine) => {
    const queue = machine.createQueue();
    const buffer = machine.alloc(4096);
    const bracket = buffer.access({ write: true, sync: false, cache: false });
    const { words } = bracket;
    peers.play(0, 'holdAndRelease', queue.id);
    machine.passFd(peers.actor(0), buffer.fd);
    assert.is(peers.result(peers.actor(0)), 'ready');
    const counts: Record<string, number> = {};
    for (let i = 0; i < 2000; i++) {
      const outcome = codeOf(() => machine.waitAll([exclusive(queue)], (i % 4) / 100).release());
      counts[outcome] = (counts[outcome] ?? 0) + 1;
    }
    words[0] = 1; // the other looks between two claims
    bracket.finish();
    peers.results();
    console.log(`# ${JSON.stringify(counts)}`);
    assert.equal(
      Object.keys(counts).filter((code) => !['ETIME', 'no error'].includes(code)),
      [],
    );
    machine.waitAll([exclusive(queue)], 0).release();
    for (const handle of [queue, buffer]) handle.close();
  });
});

test('weakness_5: to hold one set and wait for another ends at the latest with the timeout', () => {
  const { fake, queues } = resources(2);
  const first = fake.actor(0).machine;
  const second = fake.actor(1).machine;
  const [a, b] = queues as [Queue, Queue];
  const holdA = first.waitAll([exclusive(a)], 0);
  const holdB = second.waitAll([exclusive(b)], 0);
  const ends = ['ETIME', 'EDEADLK'];
  assert.ok(ends.includes(codeOf(() => first.waitAll([exclusive(b)], 100))));
  assert.ok(ends.includes(codeOf(() => second.waitAll([exclusive(a)], 100))));
  holdA.release();
  holdB.release();
  for (const { machine } of [fake.actor(0), fake.actor(1)]) {
    machine.waitAll([exclusive(b), exclusive(a)], 0).release(); // named at once there is no order to keep
  }
  assert.is(first.stats().jobs, 0);
});

test('weakness_6: a poll queues nothing, however often it is asked', () => {
  const fake = new FakeMachine({ actors: 2 });
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const hold = fake.actor(0).machine.waitAll([exclusive(buffer)], 0);
  assert.equal(buffer.poll({ readable: true }, 1), { readable: false, writable: false });
  const dump = queued(fake);
  for (let i = 0; i < 100; i++) {
    assert.equal(buffer.poll({ readable: true, writable: true }, 1), {
      readable: false,
      writable: false,
    });
  }
  assert.is(queued(fake), dump);
  hold.release();
  assert.equal(buffer.poll({ readable: true, writable: true }), { readable: true, writable: true });
});

test('weakness_6: a lock token is no pointer, and running out of time is no success', () => {
  const { fake, queues } = resources(1);
  const { machine } = fake.actor(0);
  const { id } = at(queues, 0);
  for (const forged of [0, -1, 1.5, id + 1, id + 2 ** 28, 2 ** 60]) {
    assert.is(
      codeOf(() => machine.queueById(forged)),
      'EINVAL',
      String(forged),
    );
  }
  const hold = machine.waitAll(queues.map(exclusive), 0);
  assert.is(
    codeOf(() => fake.actor(1).machine.waitAll(queues.map(shared), 1000)),
    'ETIME',
  );
  hold.release();
});

test('weakness_7: an exclusive use after a shared one of the same buffer is refused, not dropped', () => {
  const rig = new QueueRig();
  const dump = rig.fake.dump();
  for (const uses of ['ra wa', 'wa ra', 'ra da']) {
    assert.is(
      codeOf(() => rig.add('both', uses)),
      'EINVAL',
      uses,
    );
  }
  assert.is(rig.fake.dump(), dump);
});

test('weakness_8: jobs of a context start and signal in order, whatever the order of grants', () => {
  const { render, flip, rendering, flipping, run } = flipRig();
  for (const i of [0, 1, 2]) render(i);
  const flips = [0, 1, 2].map(flip);
  run();
  at(rendering, 2).finish();
  at(rendering, 1).finish(-errno.EIO);
  run();
  assert.is(flipping.length, 0, 'the head is not ready');
  assert.equal(
    flips.map((fence) => fence.status),
    [0, 0, 0],
  );
  at(rendering, 0).finish();
  run();
  assert.equal(
    flipping.map((job) => job.seqno),
    [1, 3],
  );
});

test('weakness_8: more than two flips can be queued', () => {
  const { render, flip, rendering, flipping, run } = flipRig();
  const flips = Array.from({ length: 30 }, (_, i) => {
    render(i % 3);
    return flip(i % 3);
  });
  for (let round = 0; round < 200 && flips.at(-1)?.status === 0; round++) {
    run();
    rendering.shift()?.finish();
    flipping.shift()?.finish();
  }
  assert.ok(flips.every((fence) => fence.status === 1));
});

test('weakness_9: a job can be told not to start before a time, and lets readers pass', () => {
  const { fake, flipping, run } = flipRig();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const crtc = machine.createContext(3, 'timed');
  const other = machine.createContext(3, 'other');
  crtc.submit({ buffers: [shared(buffer)], startAt: machine.now() + 40, payload: 1 });
  other.submit({ buffers: [shared(buffer)], payload: 2 });
  run();
  assert.equal(
    flipping.map((job) => job.payload),
    [2],
  );
  fake.advance(40);
  run();
  assert.equal(
    flipping.map((job) => job.payload),
    [2, 1],
  );
});

test.run();
