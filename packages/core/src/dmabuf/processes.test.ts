// dma-bufs between processes: real workers that join a machine (design D4, D5, D9, D11).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot } from '../actor/boot.js';
import type { Machine } from '../actor/machine.js';
import { DmaBufError } from '../errno.js';
import { Peers } from '../testing/peers.js';
import type { DmaBuf } from './dmabuf.js';
import { COUNT, spec } from './processes.test-helper.js';

const roles = new URL('./processes.test-helper.js', import.meta.url);

async function withPeers(
  count: number,
  run: (machine: Machine, peers: Peers) => Promise<void> | void,
): Promise<void> {
  await using machine = await boot({ drivers: [spec] });
  const peers = await Peers.start(machine, roles, count);
  await run(machine, peers);
  await peers.end();
}

/** A buffer of the test driver, without memory yet. */
function lazy(machine: Machine): DmaBuf {
  return machine
    .driver('lazy')
    .export({ region: 0, offset: 0, size: 4096, flags: 0, name: 'lazy', priv: [] });
}

function counted(machine: Machine, what: keyof typeof COUNT): number {
  const { words, base } = machine.driver('lazy');
  return words.load(base + COUNT[what]);
}

function give(peers: Peers, i: number, ...buffers: readonly DmaBuf[]): void {
  for (const buffer of buffers) {
    peers.machine.passFd(peers.actor(i), buffer.fd);
    peers.play(i, 'take');
    peers.result(peers.actor(i));
  }
}

test('of several processes that use a deferred buffer at once, one allocates and all agree', async () => {
  await withPeers(3, (machine, peers) => {
    for (let round = 0; round < 20; round++) {
      const buffer = lazy(machine);
      for (let i = 0; i < 3; i++) give(peers, i, buffer);
      for (let i = 0; i < 3; i++) peers.play(i, 'mapBoth', round);
      const regions = peers.results();
      assert.equal(new Set(regions).size, 1);
      assert.is(regions[0], buffer.record.region);
      assert.is(counted(machine, 'allocated'), round + 1);
      buffer.close();
    }
  });
});

test('brackets over {A, B} and {B, A} in two processes neither deadlock nor lose a write', async () => {
  await withPeers(2, (machine, peers) => {
    const times = 1500;
    const [a, b] = [machine.alloc(64), machine.alloc(64)];
    for (let i = 0; i < 2; i++) give(peers, i, a, b);
    peers.play(0, 'countBoth', 0, 1, times);
    peers.play(1, 'countBoth', 1, 0, times);
    peers.results();
    for (const buffer of [a, b]) {
      using bracket = buffer.access({ read: true });
      assert.is(bracket.words[0], 2 * times);
    }
    const { counters } = machine.bufinfo().buffers.find(({ ino }) => ino === a.record.ino) ?? {};
    assert.is(counters?.prepares, 2 * times + 1);
    assert.is(counters?.flushes, 0);
    assert.is(machine.stats().jobs, 0);
  });
});

test('the raw ioctls exclude other processes as brackets do', async () => {
  await withPeers(2, (machine, peers) => {
    const times = 1000;
    const buffer = machine.alloc(64);
    for (let i = 0; i < 2; i++) give(peers, i, buffer);
    for (let i = 0; i < 2; i++) peers.play(i, 'countRaw', 0, times);
    peers.results();
    using bracket = buffer.access({ read: true });
    assert.is(bracket.words[0], 2 * times);
  });
});

test('a mapping outlives the fd that it was made with, also where the memory was never looked at', async () => {
  await withPeers(1, (machine, peers) => {
    const buffer = machine.alloc(64);
    const bracket = buffer.access({ write: true });
    bracket.words[0] = 4711;
    bracket.finish();
    give(peers, 0, buffer);
    peers.play(0, 'readClosed', 0);
    assert.equal(peers.results(), [4711]);
  });
});

test('a move is told to importers in other processes, whose jobs and maps find the new place', async () => {
  await withPeers(1, (machine, peers) => {
    const door = machine.driver('lazy');
    const buffer = lazy(machine);
    give(peers, 0, buffer);
    peers.play(0, 'watch', 0);
    const [old] = peers.results();
    {
      using bracket = buffer.access({ write: true });
      bracket.words[0] = 99;
    }
    const from = door.move(buffer.record, { region: door.makeRegion(4096), offset: 0 });
    assert.is(from.region, old);
    peers.play(0, 'hear');
    assert.equal(peers.results(), [1]);
    peers.play(0, 'mapBoth', 0);
    assert.equal(peers.results(), [buffer.record.region]);
    peers.play(0, 'readClosed', 0);
    assert.equal(peers.results(), [99]);
  });
});

test('what a process held goes with it, be it that it leaves or dies', async () => {
  await using machine = await boot({ drivers: [spec] });
  const peers = await Peers.start(machine, roles, 2);
  const info = (buffer: DmaBuf): unknown => {
    const found = machine.bufinfo().buffers.find(({ ino }) => ino === buffer.record.ino);
    return [
      found?.count,
      found?.pins,
      found?.attachments.length,
      found?.mappings.length,
      found?.fences.length,
    ];
  };
  const isFree = (buffer: DmaBuf): boolean => String(info(buffer)) === '1,0,0,0,0';
  const buffers = [lazy(machine), lazy(machine)];
  for (const [i, buffer] of buffers.entries()) {
    give(peers, i, buffer);
    peers.play(i, 'hold', 0);
  }
  peers.results();
  for (const buffer of buffers) assert.equal(info(buffer), [6, 1, 1, 3, 1]);
  await peers.kill(0);
  // The reaper settles it in a worker of its own; a blocking claim is granted when it has.
  const [dead, left] = buffers;
  if (dead === undefined || left === undefined) return;
  dead.access({ write: true, discard: true }).finish(); // what the dead one was writing is poisoned
  await until(() => isFree(dead));
  machine.send(peers.actor(1), { role: '', args: [] });
  left.access({ write: true }).finish();
  await until(() => isFree(left));
  assert.is(counted(machine, 'detached'), 2);
  assert.equal([counted(machine, 'unmapped'), counted(machine, 'vunmapped')], [2, 2]);
  for (const buffer of buffers) buffer.close();
  assert.is(counted(machine, 'released'), 2);
  assert.equal(machine.bufinfo().buffers, []);
});

test('an exporter without a mandatory op is refused when its driver is loaded', async () => {
  const module = `${spec.module}?bad`;
  let refused: unknown;
  try {
    await boot({ drivers: [{ ...spec, name: 'bad', module }] });
  } catch (error) {
    refused = error;
  }
  assert.ok(refused instanceof DmaBufError);
  assert.is(refused.code, 'EINVAL');
  assert.match(refused.message, /'bad'.*'map'.*mandatory/);
});

/** Lets the event loop turn until another thread has done its part. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) {
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
}

test.run();
