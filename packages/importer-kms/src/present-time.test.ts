/** Flips and waits that are far ahead: no limit of the machine's ends them (on a manual clock). */
import { boot } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeFb } from './display.test-helper.js';
import { Display, DRM_VBLANK_EVENT, DRM_VBLANK_RELATIVE, kms } from './index.js';

test('a flip a minute ahead and a wait for a vblank do not make a hang of the display', async () => {
  const limits = { job: 100 };
  const drivers = [kms({ mode: '64x64@125' })];
  const machine = await boot({ drivers, clock: 'manual', limits });
  try {
    const display = Display.open(machine);
    const fb = makeFb(machine, display, 1);
    const first = display.queueFlip({ fb, at: 0 });
    const last = display.queueFlip({ fb, at: 60_000 });
    const next = display.queueFlip({ fb, at: 0, start: true });
    machine.advance(8);
    assert.is(first.status, 1);
    display.waitVblank({
      type: DRM_VBLANK_RELATIVE | DRM_VBLANK_EVENT,
      sequence: 1000,
      userData: 'far',
    });
    for (let i = 0; i < 5; i++) machine.advance(1000);
    assert.equal([last.status, next.status], [0, 0]);
    for (let i = 0; i < 4; i++) machine.advance(1000);
    assert.is(display.readEvent({ timeout: 0 }).userData, 'far');
    assert.ok(Number.isNaN(last.times()?.started));
    for (let i = 0; i < 51; i++) machine.advance(1000);
    assert.is(last.status, 1);
    assert.is(last.times()?.started, 60_008, 'its present time');
    machine.advance(8);
    assert.is(next.status, 1);
    assert.is(machine.actorStats(machine.device('/dev/dri/card0').actor).restarts, 0);
  } finally {
    await machine.shutdown();
  }
});

test.run();
