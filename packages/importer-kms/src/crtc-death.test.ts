/** The CRTC worker of a real machine dies: the display plays on and loses what was in hand. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { die, makeFb, withDisplay } from './display.test-helper.js';

const LIMIT_MS = 20_000;

test('the picture and the mode stay, its buffer is free, and flips go on', () =>
  withDisplay({}, async (display, machine) => {
    const [a, b] = [makeFb(machine, display), makeFb(machine, display)];
    display.setMode('64x64@120', a);
    display.queueFlip({ fb: a }).wait();
    await die(machine, display);
    assert.is(display.mode.name, '64x64@120');
    assert.is(display.active, true);
    assert.is(display.onScreen, a.id);
    a.buffer.access({ write: true, timeout: LIMIT_MS }).finish();
    const { shown, vblanks } = display.stats();
    assert.is(display.pageFlip(b).wait(LIMIT_MS), 1);
    assert.is(display.onScreen, b.id);
    assert.is(display.stats().shown, shown + 1);
    assert.ok(display.stats().vblanks > vblanks);
    display.rmFramebuffer(b);
    assert.is(display.active, false);
  }));

test('flips that wait for their vblank or their render are shown by its next life', () =>
  withDisplay({}, async (display, machine) => {
    const [a, b, c] = [
      makeFb(machine, display),
      makeFb(machine, display),
      makeFb(machine, display),
    ];
    display.queueFlip({ fb: a, at: 0 }).wait();
    const timed = display.queueFlip({ fb: b, at: 500 });
    const drawing = c.buffer.access({ write: true });
    const unready = display.queueFlip({ fb: c, at: 530 });
    display.waitVblank({ sequence: 1 }); // by then the worker has taken the first: one in its hand would be lost
    await die(machine, display);
    assert.is(unready.status, 0);
    drawing.finish();
    assert.is(unready.wait(LIMIT_MS), 1);
    assert.ok(timed.status === 1 || timed.error === 'ECANCELED', 'shown, or overtaken if late');
    assert.is(display.onScreen, c.id);
    const { shown, dropped, failed } = display.stats();
    assert.equal([shown + dropped, failed], [3, 0]);
  }));

test('it may die again and again', () =>
  withDisplay({ speed: 'max' }, async (display, machine) => {
    const fbs = [makeFb(machine, display), makeFb(machine, display)] as const;
    for (let i = 0; i < 4; i++) {
      const fb = fbs[i % 2] ?? fbs[0];
      assert.is(display.queueFlip({ fb }).wait(LIMIT_MS), 1);
      await die(machine, display);
      assert.is(display.onScreen, fb.id);
    }
    assert.is(display.stats().shown, 4);
  }));

test.run();
