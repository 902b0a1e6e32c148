// The broker's own death: everybody who waits gets ENODEV, nobody hangs (design D11).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '../errno.js';
import { exclusive } from '../sync/context.js';
import { testDriver } from '../testing/driver.js';
import { BROKER_DIES } from '../testing/mortal-main.js';
import { startWorker } from '../testing/worker.js';
import { boot } from './boot.js';

async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    if (error instanceof DmaBufError) return error.code;
    throw error;
  }
  return 'no error';
}

test('whoever blocks, awaits, serves or asks is told ENODEV, and shutdown still works', async () => {
  const broker = new URL('../testing/mortal-main.js', import.meta.url).href;
  const machine = await boot({ urls: { broker }, drivers: [testDriver({ dev0: 'work' })] });
  const door = machine.driver('test');
  const context = machine.createContext(machine.device('/dev/dev0').actor);
  const buffer = machine.alloc(4096);
  const fence = context.submit({ buffers: [exclusive(buffer)], payload: 'defer' });
  const blocked = startWorker(machine, 'waitForever', 'blocked', { fence: fence.toJSON() });
  const awaiting = startWorker(machine, 'awaitForever', 'awaiting', { fence: fence.toJSON() });
  const serving = startWorker(machine, 'serveAsync', 'serving');
  await machine.peer('serving');
  while (door.words.load(door.base + 1) < 2) {
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
  const settled = codeOf(async () => fence.settled());
  door.words.store(door.base + BROKER_DIES, 1);
  assert.is(await settled, 'ENODEV');
  assert.equal(await blocked.ended, { error: 'ENODEV' });
  assert.equal(await awaiting.ended, { error: 'ENODEV' });
  await serving.ended;
  assert.is(await codeOf(() => fence.wait()), 'ENODEV');
  assert.is(await codeOf(() => context.submit({})), 'ENODEV');
  assert.is(await codeOf(() => machine.alloc(4096)), 'ENODEV');
  assert.is(await codeOf(async () => machine.peer('x')), 'ENODEV');
  await machine.shutdown();
});

test.run();
