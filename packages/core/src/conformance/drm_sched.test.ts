// The scheduler between contexts and an engine: the kernel's own tests of the DRM scheduler
// (drivers/gpu/drm/scheduler/tests/tests_basic.c), under their case names. An entity is a context, the mock
// scheduler a device; time is the manual clock's.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, type BootOptions } from '../actor/boot.js';
import type { Machine } from '../actor/machine.js';
import { errno } from '../errno.js';
import type { Context } from '../sync/context.js';
import type { Fence } from '../sync/fence.js';
import { Peers } from '../testing/peers.js';
import { ENGINE, type EngineOptions, mockEngine } from './drm_sched.test-roles.js';

const roles = new URL('./drm_sched.test-roles.js', import.meta.url);
const TIMEOUT = 200; // ms, as the original's
const JOB_US = 1000;

interface Bench {
  readonly machine: Machine;
  readonly engine: number;
  entities(count: number): readonly Context[];
  /** Ends so many jobs; how many there were. */
  advance(jobs: number): unknown;
}

async function withEngine(
  act: (bench: Bench) => void | Promise<void>,
  options: EngineOptions & Pick<BootOptions, 'limits'> = {},
): Promise<void> {
  const { limits = { job: 0 }, ...rest } = options;
  const drivers = [mockEngine(rest)];
  const machine = await boot({ clock: 'manual', heapMb: 32, limits, drivers });
  try {
    const engine = machine.device(ENGINE).actor;
    await act({
      machine,
      engine,
      entities: (n) => Array.from({ length: n }, (_, i) => machine.createContext(engine, `e${i}`)),
      advance: (jobs) => machine.ioctl(engine, 'ADVANCE', jobs),
    });
  } finally {
    await machine.shutdown();
  }
}

/** Whether a job has reached the engine, everybody else being at rest. */
function scheduled(machine: Machine, fence: Fence): boolean {
  machine.advance(0);
  return !Number.isNaN(fence.times()?.started ?? 0);
}

/** Jobs of 1 ms to each of the entities in turn, each behind the one before if `chain`. */
function submitTo(entities: readonly Context[], count: number, chain: boolean): Fence[] {
  const fences: Fence[] = [];
  for (let i = 0; i < count; i++) {
    const before = fences.slice(-1);
    const entity = entities[i % entities.length] as Context;
    fences.push(entity.submit({ payload: JOB_US, inFences: chain ? before : [] }));
  }
  return fences;
}

test('drm_sched_basic_submit: a job reaches the engine at once, and ends when the engine ends it', async () => {
  await withEngine(({ machine, entities, advance }) => {
    const [entity] = entities(1);
    const job = entity?.submit({ payload: 0 }) as Fence;
    assert.ok(scheduled(machine, job));
    machine.advance(500);
    assert.is(job.status, 0);
    assert.is(advance(1), 1);
    assert.is(job.status, 1);
    assert.is(advance(1), 0);
    entity?.close();
    assert.is(machine.stats().jobs, 0);
  });
});

for (const [count, chain] of [
  [1, false],
  [1, true],
  [4, false],
  [4, true],
] as const) {
  test(`drm_sched_basic_test: 100 jobs, ${count} entities, ${chain ? 'each behind the last' : 'free'}`, async () => {
    await withEngine(({ machine, entities }) => {
      const lines = entities(count);
      const fences = submitTo(lines, 100, chain);
      machine.advance(50);
      const half = fences.filter((fence) => fence.signalled).length;
      assert.is(half, 50, 'the engine does one in 1 ms');
      machine.advance(49);
      assert.is(fences.at(-1)?.status, 0);
      machine.advance(1);
      assert.ok(fences.every((fence) => fence.status === 1));
      for (const line of lines) line.close();
      assert.is(machine.stats().jobs, 0);
    });
  });
}

test('drm_sched_basic_entity_cleanup: with half of the queue pending', async () => {
  await withEngine(({ machine, entities }) => {
    const lines = entities(4);
    const fences = submitTo(lines, 100, true);
    const mid = fences[50] as Fence;
    while (!mid.signalled) machine.advance(1);
    const pending = fences.filter((fence) => !fence.signalled);
    assert.ok(pending.length >= 40, `${pending.length} pending`);
    const held = pending.map((fence) => fence.hold());
    for (const fence of pending) {
      lines.find(({ id }) => id === fence.context)?.cancel(fence);
    }
    machine.advance(1); // the one that the engine had in hand
    const ends = held.map((file) => file.status);
    assert.equal(ends, [1, ...Array<number>(pending.length - 1).fill(-errno.ECANCELED)]);
    for (const file of held) file.close();
    for (const line of lines) line.close();
    assert.is(machine.stats().jobs, 0);
  });
});

test('drm_sched_basic_cancel: what the engine has in hand when it is torn down', async () => {
  let job: Fence | undefined;
  await withEngine(({ machine, entities }) => {
    job = entities(1)[0]?.submit({ payload: 0 }) as Fence;
    assert.ok(scheduled(machine, job));
    assert.is(job.status, 0);
  });
  assert.is(job?.status, -errno.ECANCELED);
});

test('drm_sched_basic_timeout', async () => {
  await withEngine(
    ({ machine, engine, entities }) => {
      const job = entities(1)[0]?.submit({ payload: 0 }) as Fence;
      assert.ok(scheduled(machine, job));
      machine.advance(TIMEOUT / 2);
      assert.equal([job.status, machine.actorStats(engine).restarts], [0, 0]);
      machine.advance(TIMEOUT);
      assert.equal([job.status, machine.actorStats(engine).restarts], [-errno.ETIMEDOUT, 1]);
    },
    { limits: { job: TIMEOUT } },
  );
});

test('drm_sched_skip_reset', async () => {
  await withEngine(
    ({ machine, engine, entities, advance }) => {
      const job = entities(1)[0]?.submit({ payload: 0, limit: 0 }) as Fence;
      assert.ok(scheduled(machine, job));
      machine.advance(2 * TIMEOUT);
      assert.equal([job.status, machine.actorStats(engine).restarts], [0, 0]);
      assert.is(advance(1), 1);
      assert.is(job.status, 1);
    },
    { limits: { job: TIMEOUT } },
  );
});

test('drm_sched_priorities', async () => {
  await withEngine(({ machine, engine }) => {
    const priorities = ['high', 'normal', 'low'] as const;
    const lines = priorities.map((p) => machine.createContext(engine, p, { priority: p }));
    const fences = submitTo(lines, 100, false);
    machine.advance(100);
    assert.ok(fences.every((fence) => fence.status === 1));
    for (const line of lines) line.close();
  });
});

test('drm_sched_test_credits: an engine that takes one job at a time', async () => {
  await withEngine(
    ({ machine, entities, advance }) => {
      const [entity] = entities(1);
      const [first, second] = [0, 0].map((payload) => entity?.submit({ payload }) as Fence);
      if (first === undefined || second === undefined) throw new Error('no jobs');
      assert.ok(scheduled(machine, first));
      assert.not(scheduled(machine, second));
      assert.is(advance(1), 1);
      assert.ok(scheduled(machine, second));
      assert.is(advance(1), 1);
      assert.is(second.status, 1);
    },
    { credits: 1 },
  );
});

test('drm_sched_parallel_submit_test: 16 contexts, 8 jobs each, from 4 threads', async () => {
  await withEngine(async ({ machine, entities, advance }) => {
    const peers = await Peers.start(machine, roles, 4);
    const ids = entities(16).map(({ id }) => id);
    [0, 1, 2, 3].forEach((i) => peers.play(i, 'submitAll', 8, ...ids.slice(4 * i, 4 * i + 4)));
    peers.results();
    machine.advance(0);
    assert.is(advance(16 * 8), 16 * 8, 'all are scheduled');
    assert.is(machine.stats().jobs, 0);
    await peers.end();
  });
});

test('drm_sched_interleaved_submit_test: 4 threads, each with 8 jobs in flight', async () => {
  await withEngine(async ({ machine, engine, entities }) => {
    const peers = await Peers.start(machine, roles, 4);
    const jobs = entities(4).map(({ id }, i) => {
      const us = 100 * (i + 1);
      const count = Math.floor(20_000 / us); // each has 20 ms of the engine's time
      peers.play(i, 'keepInFlight', id, count, 8, us);
      return count;
    });
    const all = jobs.reduce((sum, count) => sum + count, 0);
    while (machine.actorStats(engine).jobsDone < all) machine.advance(1);
    assert.equal(peers.results(), jobs, 'each was told of the end of all its jobs');
    await peers.end();
  });
});

test.run();
