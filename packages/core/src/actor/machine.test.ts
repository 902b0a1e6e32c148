// Machines with real workers: boot, join, leave, shutdown, and what dies on the way.
import { spawnSync } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '../errno.js';
import { discard, exclusive, shared } from '../sync/context.js';
import { ACTOR, ACTOR_STATE, HEADER } from '../memory/layout.js';
import { testDriver } from '../testing/driver.js';
import { startWorker } from '../testing/worker.js';
import { boot } from './boot.js';
import { join } from './join.js';
import type { Machine } from './machine.js';

async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    if (error instanceof DmaBufError) return error.code;
    throw error;
  }
  return 'no error';
}

/** Sleeps in the kernel until a condition on kernel memory holds: others run meanwhile. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Resolves with the actor id of a process that joined, or is about to. */
async function idOf(machine: Machine, name: string): Promise<number> {
  let id = 0;
  await until(() => {
    for (id = 1; id <= 16; id++) {
      if (isLive(machine, id) && machine.actorStats(id).name === name) return true;
    }
    return false;
  });
  return id;
}

function isLive(machine: Machine, id: number): boolean {
  try {
    machine.createContext(id).close();
    return true;
  } catch {
    return false;
  }
}

/** Actors that a machine without devices has by itself: this process, and core's own workers. */
async function residents(): Promise<number> {
  const machine = await boot();
  const { workerData } = machine.invite('next');
  await machine.shutdown();
  return workerData.actor - 1;
}

test('a machine boots with broker, devices and this process, and is gone after shutdown', async () => {
  const machine = await boot({ drivers: [testDriver({ one: 'work', two: 'work' })] });
  assert.is(machine.name, 'main');
  assert.equal([...machine.devices.keys()].toSorted(), ['/dev/one', '/dev/two']);
  const node = machine.device('/dev/one');
  assert.is(node.driver, 'test');
  assert.is(machine.actorStats(node.actor).name, 'one');
  assert.is(await machine.createContext(node.actor).submit({ payload: 1 }).settled(), 1);
  assert.is(await codeOf(() => machine.device('/dev/three')), 'ENOENT');
  assert.is(await codeOf(() => machine.driver('gpu')), 'ENODEV');
  await machine.shutdown();
  await machine.shutdown();
  assert.is(await codeOf(() => machine.createContext(node.actor)), 'ENODEV');
  assert.is(await codeOf(() => machine.alloc(4096)), 'ENODEV');
});

test('a process that boots and shuts down again and again ends by itself', () => {
  const script = `
    import { boot } from ${JSON.stringify(new URL('./boot.js', import.meta.url).href)};
    import { testDriver } from ${JSON.stringify(new URL('../testing/driver.js', import.meta.url).href)};
    for (let i = 0; i < 5; i++) {
      const machine = await boot({ drivers: i % 2 ? [] : [testDriver({ one: 'work', async1: 'work' })] });
      const fence = machine.devices.size > 0
        ? machine.createContext(machine.device('/dev/async1').actor).submit({})
        : undefined;
      if (fence !== undefined && (await fence.settled()) !== 1) throw new Error('failed');
      await machine.shutdown();
    }
    console.log('five machines');`;
  const { stdout, stderr, status, signal } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', script],
    { encoding: 'utf8', timeout: 60_000 },
  );
  assert.is(stderr, '');
  assert.is(stdout.trim(), 'five machines');
  assert.equal([status, signal], [0, null]);
});

test('workers join, leave, and their places are used again', async () => {
  const room = (await residents()) + 1;
  const machine = await boot({
    drivers: [testDriver()],
    tables: { actors: room, contexts: 4, jobs: 64 },
  });
  for (let i = 0; i < 6; i++) {
    const { ended } = startWorker(machine, 'touch', `guest${i}`);
    assert.equal(await ended, { result: 1 });
    await until(() => !isKnown(machine, room));
  }
  const { buffers, jobs } = machine.stats();
  assert.equal([buffers, jobs], [0, 0]);
  await machine.shutdown();
});

/** Whether a place is taken: the broker frees it a moment after its actor left. */
function isKnown(machine: Machine, id: number): boolean {
  const door = machine.driver('test');
  const table = door.words.get(HEADER.ACTORS);
  return door.words.load(table + id * ACTOR.WORDS + ACTOR.STATE) !== ACTOR_STATE.FREE;
}

test('an invitation too many is EMFILE and names the option', async () => {
  const machine = await boot({ tables: { actors: (await residents()) + 1 } });
  machine.invite('one');
  assert.throws(() => machine.invite('two'), /EMFILE.*tables\.actors/);
  await machine.shutdown();
});

test('what is no token is refused', async () => {
  const bads: readonly unknown[] = [{}, { actor: 1, port: undefined, boot: {} }];
  for (const bad of bads) {
    try {
      await join(bad);
      assert.unreachable();
    } catch (error) {
      assert.ok(error instanceof TypeError, String(error));
      assert.match(error.message, /^join: token/);
    }
  }
});

test('an fd that is passed to a worker opens the same memory there', async () => {
  const machine = await boot();
  const { ended } = startWorker(machine, 'receive', 'reader');
  const reader = await idOf(machine, 'reader');
  const buffer = machine.alloc(4096);
  const bracket = buffer.access({ write: true });
  bracket.words[0] = 4711;
  bracket.finish();
  machine.passFd(reader, buffer.fd, 'take it');
  buffer.close();
  assert.equal(await ended, { result: { fd: 0, from: 2, tag: 'take it', first: 4711 } });
  assert.is(machine.stats().buffers, 0);
  await machine.shutdown();
});

test('a worker without an fd cannot import: EACCES', async () => {
  const machine = await boot({ drivers: [testDriver()] });
  const buffer = machine.alloc(4096);
  const { region } = buffer.record;
  const { ended } = startWorker(machine, 'peek', 'thief', { region });
  assert.equal(await ended, { error: 'EACCES' });
  await machine.shutdown();
});

test('a worker in the place of one that left does not inherit its memory', async () => {
  const machine = await boot({
    drivers: [testDriver()],
    tables: { actors: (await residents()) + 1 },
  });
  const buffer = machine.alloc(4096);
  const first = startWorker(machine, 'receive', 'rightful');
  const place = await idOf(machine, 'rightful');
  machine.passFd(place, buffer.fd);
  assert.equal((await first.ended).error, undefined);
  await until(() => !isKnown(machine, place));
  const second = startWorker(machine, 'peek', 'thief', { region: buffer.record.region });
  assert.equal(await second.ended, { error: 'EACCES' });
  await machine.shutdown();
});

test('two workers pass frames while the main thread is blocked', async () => {
  const machine = await boot();
  const workers = ['filler', 'reader'].map((name) => startWorker(machine, 'serve', name));
  const fill = machine.createContext(await machine.peer('filler'));
  const read = machine.createContext(await machine.peer('reader'));
  const buffers = [0, 1, 2].map(() => machine.alloc(65_536));
  let last = fill.submit({ buffers: buffers.map(discard), payload: 0 });
  for (let frame = 1; frame <= 200; frame++) {
    const buffer = buffers[frame % 3];
    if (buffer === undefined) throw new RangeError('three buffers');
    fill.submit({ buffers: [discard(buffer)], payload: frame });
    last = read.submit({ buffers: [shared(buffer)], payload: frame });
  }
  for (const buffer of buffers) buffer.close();
  assert.is(last.wait(), 1, 'blocks this thread, its event loop does not turn');
  await until(() => machine.stats().buffers === 0);
  await machine.shutdown();
  const results = await Promise.all(workers.map(({ ended }) => ended));
  assert.equal(
    results.map((r) => r.result),
    [201, 200],
  );
});

test('a worker can serve from its event loop', async () => {
  const machine = await boot();
  const { ended } = startWorker(machine, 'serveAsync', 'server');
  const context = machine.createContext(await machine.peer('server'));
  const fences = Array.from({ length: 100 }, (_, i) => context.submit({ payload: i }));
  for (const fence of fences) assert.is(await fence.settled(), 1);
  await machine.shutdown();
  assert.equal(await ended, { result: 100 });
});

test('peer() of a name that nobody serves under is ETIME', async () => {
  const machine = await boot();
  assert.is(await codeOf(async () => machine.peer('nobody', 1)), 'ETIME');
  await machine.shutdown();
});

test('ioctls reach devices of both kinds, and their errnos come back', async () => {
  const machine = await boot({ drivers: [testDriver({ sync1: 'work', async1: 'work' })] });
  for (const path of ['/dev/sync1', '/dev/async1']) {
    const { actor } = machine.device(path);
    assert.equal(machine.ioctl(actor, 'ECHO', { a: [1, 2] }), { a: [1, 2] });
    assert.is(await codeOf(() => machine.ioctl(actor, 'NONSENSE')), 'ENOTTY');
  }
  await machine.shutdown();
});

for (const [behaviour, reason] of [
  ['throw-at-create', /EOWNERDEAD.*broken.*no such hardware/],
  ['throw-at-import', /EOWNERDEAD.*broken.*cannot be loaded/],
  ['no-create', /EOWNERDEAD.*broken.*createDevice/],
] as const) {
  test(`boot fails with the reason of a device that cannot start: ${behaviour}`, async () => {
    let message = 'no error';
    try {
      await boot({ drivers: [testDriver({ good: 'work', broken: behaviour })] });
    } catch (error) {
      message = String(error);
    }
    assert.match(message, reason);
  });
}

test('boot refuses options that make no sense, by name', async () => {
  for (const [tables, name] of [
    [{ actors: 1 }, 'actors'],
    [{ actors: 64 }, 'actors'],
    [{ jobs: 100 }, 'jobs'],
    [{ jobs: 0 }, 'jobs'],
    [{ mailSlots: 3 }, 'mailSlots'],
    [{ payloadBytes: 20 }, 'payloadBytes'],
    [{ fds: 1.5 }, 'fds'],
  ] as const) {
    let message = 'no error';
    try {
      await boot({ tables });
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error));
      message = error.message;
    }
    assert.match(message, `tables.${name}`);
  }
  for (const pool of [-1, 1.5, 2 ** 33]) {
    try {
      await boot({ pool });
      assert.unreachable(String(pool));
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error));
    }
  }
});

test('more devices than actors is EMFILE', async () => {
  const drivers = [testDriver({ one: 'work', two: 'work' })];
  assert.is(await codeOf(async () => boot({ drivers, tables: { actors: 5 } })), 'EMFILE');
});

test('33 drivers are refused', async () => {
  const drivers = Array.from({ length: 33 }, () => testDriver());
  try {
    await boot({ drivers });
    assert.unreachable();
  } catch (error) {
    assert.ok(error instanceof RangeError, String(error));
  }
});

test('shutdown wakes those who are blocked in a fence, a bracket or a serve loop: ENODEV', async () => {
  const machine = await boot({ drivers: [testDriver({ dev0: 'work' })] });
  const door = machine.driver('test');
  const context = machine.createContext(machine.device('/dev/dev0').actor);
  const buffer = machine.alloc(4096);
  const fence = context.submit({ buffers: [exclusive(buffer)], payload: 'defer' });
  const waiter = startWorker(machine, 'waitForever', 'waiter', { fence: fence.toJSON() });
  const server = startWorker(machine, 'serve', 'server');
  const peer = await machine.peer('server');
  const toucher = startWorker(machine, 'accessForever', 'toucher');
  machine.passFd(await idOf(machine, 'toucher'), buffer.fd);
  const settled = codeOf(async () => fence.settled());
  const pending = codeOf(async () => machine.peer('nobody'));
  await until(() => door.words.load(door.base + 1) === 2);
  await machine.shutdown();
  assert.equal(await waiter.ended, { error: 'ENODEV' });
  assert.equal(await toucher.ended, { error: 'ENODEV' });
  assert.equal(await server.ended, { result: 0 });
  assert.is(await settled, 'ENODEV');
  assert.is(await pending, 'ENODEV');
  assert.ok(peer.actor > 0);
});

test('a device that hangs does not keep shutdown from ending', async () => {
  const machine = await boot({ drivers: [testDriver({ dev0: 'work' })] });
  const door = machine.driver('test');
  machine.createContext(machine.device('/dev/dev0').actor).submit({ payload: 'hang' });
  await until(() => door.words.load(door.base + 1) > 0);
  await machine.shutdown();
});

test('any process may shut the machine down', async () => {
  const machine = await boot();
  const { workerData } = machine.invite('second');
  const second = await join(workerData);
  await second.shutdown();
  assert.is(await codeOf(async () => machine.peer('x')), 'ENODEV');
  await machine.shutdown();
});

test('the pool is one wasm memory for all, each buffer in it at its offset', async () => {
  const machine = await boot({ pool: 65_536 * 2, drivers: [testDriver({ dev0: 'work' })] });
  const door = machine.driver('test');
  const memory = door.poolMemory();
  assert.is(memory.buffer.byteLength, 131_072);
  const info = { region: door.pool, offset: 4096, size: 4096, flags: 0, name: 'in pool', priv: [] };
  const buffer = door.export(info);
  using bracket = buffer.access({ write: true });
  bracket.words.fill(0x01010101);
  assert.is(new Uint8Array(memory.buffer)[4096], 1);
  assert.is(new Uint8Array(memory.buffer)[8192], 0);
  bracket.finish();
  const context = machine.createContext(machine.device('/dev/dev0').actor);
  assert.is(context.submit({ buffers: [shared(buffer)] }).wait(), 1);
  await machine.shutdown();
  const none = await boot({ drivers: [testDriver()] });
  assert.is(await codeOf(() => none.driver('test').poolMemory()), 'ENODEV');
  await none.shutdown();
});

test('a machine with a trace records it over all threads', async () => {
  const machine = await boot({ trace: true, drivers: [testDriver({ dev0: 'work' })] });
  const { actor } = machine.device('/dev/dev0');
  const context = machine.createContext(actor, 'dev');
  for (let i = 0; i < 3; i++) assert.is(context.submit({}).wait(), 1);
  const runs = machine.trace().traceEvents.filter((e) => e.ph === 'B' && e.tid === actor);
  assert.equal(
    runs.map((e) => e.name),
    ['dev 1', 'dev 2', 'dev 3'],
  );
  await machine.shutdown();
});

test.run();
