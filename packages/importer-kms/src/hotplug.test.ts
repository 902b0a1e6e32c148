/** Hotplug: who watches a connector is told, from whichever thread and in whichever life of the worker. */
import { boot } from '@dmabuf/core';
import { Words } from '@dmabuf/core/driver';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ConnectorRecords } from './connector.js';
import { codeOf, die, makeFb, messageOf, MODE } from './display.test-helper.js';
import { DyingWords } from './dying-words.test-helper.js';
import { HotplugWaits } from './hotplug-waits.js';
import { Display, kms, parseMode } from './index.js';
import { registerWords, REG } from './registers.js';

const LIMIT_MS = 20_000;
const machine = await boot({ drivers: [kms({ mode: MODE })] });
const display = Display.open(machine);
const other = Display.open(machine);

test.before.each(() => {
  display.setConnectorStatus('connected', { modes: [MODE] });
  display.getConnector();
  other.getConnector();
});
test.after(() => machine.shutdown());

test('a connector tells its status, and the modes of its screen', () => {
  const { id, name, status, modes } = display.getConnector();
  assert.equal([id, name, status], [display.objects.connector.id, 'Virtual-1', 'connected']);
  assert.equal(modes, [parseMode(MODE)]);
  display.setConnectorStatus('connected', { modes: ['1920x1080@60', '1280x720@59.94'] });
  assert.equal(
    other.getConnector().modes.map((mode) => mode.name),
    ['1920x1080@60', '1280x720@59.94'],
  );
  display.setConnectorStatus('disconnected');
  assert.equal([other.getConnector().status, other.getConnector().modes], ['disconnected', []]);
  display.setConnectorStatus('unknown');
  assert.equal([other.getConnector().status, other.getConnector().modes.length], ['unknown', 1]);
});

test('who waits is told, once for what changed in between; no change, no event', async () => {
  const told = other.nextHotplug();
  display.setConnectorStatus('connected'); // it is
  display.setConnectorStatus('disconnected');
  display.setConnectorStatus('connected', { modes: ['800x600@60'] });
  assert.equal((await told).modes[0]?.name, '800x600@60');
  assert.is(
    codeOf(() => other.waitHotplug({ timeout: 0 })),
    'ETIME',
  );
  const { epoch } = display.getConnector();
  display.setConnectorStatus('disconnected');
  assert.equal(other.waitHotplug(), { ...other.getConnector(), epoch: epoch + 1 });
  assert.is(display.waitHotplug({ timeout: 0 }).status, 'disconnected', 'each Display has its own');
});

test('a screen that is pulled out leaves the CRTC as it is: flips and modesets go on', () => {
  const fb = makeFb(machine, display, 1);
  display.setMode(MODE, fb);
  display.setConnectorStatus('disconnected');
  assert.is(display.queueFlip({ fb }).wait(LIMIT_MS), 1);
  assert.is(display.onScreen, fb.id);
  display.setMode(MODE);
  assert.ok(display.active);
});

test('who waits when the worker dies is told by its next life', async () => {
  const told = other.nextHotplug();
  await die(machine, display);
  display.setConnectorStatus('disconnected');
  assert.is((await told).status, 'disconnected');
  assert.is(display.getConnector().status, 'disconnected', 'and it is so still');
});

test('what cannot be is refused, and changes nothing', () => {
  const { epoch } = display.getConnector();
  for (const refuse of [
    () => display.setConnectorStatus('connected', { modes: [] }),
    () => display.setConnectorStatus('connected', { modes: Array(17).fill(MODE) }),
    () => display.setConnectorStatus('connected', { modes: ['big'] }),
    // @ts-expect-error -- no status
    () => display.setConnectorStatus('plugged'),
  ]) {
    assert.match(messageOf(refuse), /^EINVAL: /);
  }
  assert.is(display.getConnector().epoch, epoch);
});

test('a change is there as a whole or not at all, wherever who makes it dies', () => {
  const full = ['640x480@60', '1280x720@50'].map(parseMode);
  for (let stores = 0; ; stores++) {
    const words = new DyingWords(new ArrayBuffer(registerWords(1) * 4));
    const records = new ConnectorRecords(words, 0);
    records.put('connected', [parseMode(MODE)], 0);
    words.left = stores;
    let died = false;
    try {
      records.put('unknown', full);
    } catch {
      died = true;
    }
    const { status, modes, epoch } = records.get();
    if (died) assert.equal([status, modes.length, epoch], ['connected', 1, 0]);
    else assert.equal([status, modes, epoch], ['unknown', full, 1]);
    if (!died) return;
  }
});

test('a request that has something to see already ends with its handler', () => {
  const words = new Words(new ArrayBuffer(registerWords(1) * 4));
  const waits = new HotplugWaits(new ConnectorRecords(words, 0));
  const log: string[] = [];
  const job = {
    defer: () => log.push('deferred'),
    waitUntil: (ms: number) => log.push(`until ${ms}`),
    finish: () => log.push('ended'),
  };
  waits.add(job, 5);
  assert.equal(log, [], 'it is finished as it returns');
  waits.add(job, 0);
  waits.look();
  assert.equal(log, ['deferred', 'until Infinity']);
  words.store(REG.CONNECTOR_EPOCH, 1);
  waits.look();
  waits.look();
  assert.equal(log.slice(2), ['ended']);
});

test('both workers of a display declare what memory they reach', () => {
  for (const path of ['/dev/dri/card0', '/dev/dri/card0-writeback']) {
    assert.equal(machine.device(path).reach, { align: 4, contiguous: true });
  }
});

test.run();
