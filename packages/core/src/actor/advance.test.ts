// The manual clock of a machine with real workers: time moves in steps, in order, and not by itself.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../testing/code-of.js';
import { testDriver } from '../testing/driver.js';
import { withPeers } from '../testing/peers.js';
import { boot } from './boot.js';

const ROLES = new URL('./advance.test-roles.js', import.meta.url);

test('jobs start at their start times, in their order, on synchronous and asynchronous devices', async () => {
  const drivers = [testDriver({ dev0: 'work', async0: 'work' })];
  const machine = await boot({ drivers, clock: 'manual' });
  try {
    assert.is(machine.now(), 0);
    const lines = ['/dev/dev0', '/dev/async0', '/dev/dev0'].map((path) =>
      machine.createContext(machine.device(path).actor, path),
    );
    const at = [500, 30, 200, 30, 999, 1000, 0, 1001];
    const fences = at.map((startAt, i) => lines[i % 3]?.submit({ startAt, payload: 0 }));
    using pinned = machine.createSyncFile(fences.flatMap((f) => f ?? [])); // else their times are forgotten
    const started = (): (number | undefined)[] =>
      fences.map((f) => (f?.signalled === true ? f.times()?.started : undefined));
    machine.advance(0);
    assert.equal(machine.now(), 0);
    assert.equal(
      started().map((ms, i) => (ms === undefined ? i : ms)),
      [0, 1, 2, 3, 4, 5, 6, 7],
      'the only one that is due waits for the one before it on its context',
    );
    machine.advance(300);
    assert.is(machine.now(), 300);
    machine.advance(700);
    assert.is(machine.now(), 1000);
    // Of one context a job starts at its own time or that of the one before it, whichever is later.
    assert.equal(started(), [500, 30, 200, 500, 999, 1000, 500, undefined]);
    machine.advance(1);
    assert.is(fences[7]?.times()?.started, 1001);
    assert.is(pinned.status, 1);
  } finally {
    await machine.shutdown();
  }
});

test('waits of other processes end with ETIME when their time has come, and not before', () =>
  withPeers(
    ROLES,
    2,
    async (peers, machine) => {
      const timeline = machine.createTimeline();
      const { slot, generation, context, seqno } = timeline.createFence(1);
      peers.play(0, 'waitFor', slot, generation, context, seqno, 250);
      peers.play(1, 'listen', 100);
      const answers = new Map<number, unknown>();
      while (answers.size < 2) {
        // They may not sleep yet, so time is moved on until they have answered.
        machine.advance(50);
        await new Promise(setImmediate);
        try {
          const { from, value } = machine.receive(0);
          answers.set(from, (value as { result: unknown }).result);
        } catch {
          // none yet
        }
      }
      assert.is(answers.get(peers.actor(1)), 'ETIME');
      const [how, after] = answers.get(peers.actor(0)) as [string, number];
      assert.is(how, 'ETIME');
      assert.ok(after >= 250, `after ${after} ms`);
      timeline.increment();
      timeline.close();
    },
    { clock: 'manual' },
  ));

test('the real clock cannot be advanced', async () => {
  const machine = await boot();
  try {
    assert.is(
      codeOf(() => machine.advance(1)),
      'EINVAL',
    );
  } finally {
    await machine.shutdown();
  }
});

test.run();
