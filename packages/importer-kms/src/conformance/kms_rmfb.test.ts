// kms_rmfb of igt-gpu-tools.
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, makeFb, withDisplay } from '../display.test-helper.js';
import { Display } from '../index.js';

test('rmfb-ioctl: what is on screen is removed: the CRTC shows nothing, and the framebuffer is gone', () =>
  withDisplay({}, (display, machine) => {
    const a = makeFb(machine, display, 1);
    const { handle } = a;
    const buffer = a.buffer.dup();
    display.setMode(display.mode, a);
    assert.is(display.onScreen, a.id);
    display.rmFramebuffer(a);
    assert.equal([display.onScreen, display.active], [0, false]);
    assert.is(
      codeOf(() => display.rmFramebuffer(a)),
      'ENOENT',
    );
    assert.is(
      codeOf(() => display.framebuffer(handle, buffer)),
      'ENOENT',
    );
    buffer.access({ write: true, timeout: 20_000 }).finish();
    buffer.close();
  }));

test('close-fd: closing the file removes its framebuffers from all planes', () =>
  withDisplay({}, (display, machine) => {
    const file = Display.open(machine);
    const [a, b] = [makeFb(machine, file, 1), makeFb(machine, file, 2)];
    const { planes, crtc, overlays } = file.objects;
    const [overlay] = overlays;
    if (overlay === undefined) throw new Error('an overlay');
    file.setMode(file.mode, a);
    file.setPlane(overlay, b);
    file.close();
    for (const plane of planes) {
      assert.is(display.getProperties(plane).get('FB_ID')?.value, 0);
      assert.is(display.shownOn(plane), 0);
    }
    assert.equal([display.onScreen, display.active], [0, false]);
    assert.is(display.getProperties(crtc).get('ACTIVE')?.value, 0);
    assert.is(machine.stats().buffers, 0);
  }));

test('a process that dies takes its framebuffers along, and others go on', () =>
  withDisplay({}, async (display, machine) => {
    const worker = new Worker(new URL('../owner.test-helper.js', import.meta.url), {
      ...machine.invite('owner'),
    });
    const owner = await machine.peer('owner');
    const mine = makeFb(machine, display, 3);
    display.setMode(display.mode, mine);
    const theirs = machine.ioctl(owner, 'SHOW', undefined, 20_000);
    const [overlay] = display.objects.overlays;
    if (overlay === undefined) throw new Error('an overlay');
    assert.is(display.shownOn(overlay), theirs);
    await worker.terminate();
    for (const start = performance.now(); display.shownOn(overlay) !== 0;) {
      if (performance.now() - start > 20_000) throw new Error('its framebuffer stays on screen');
      await new Promise((resolve) => {
        setTimeout(resolve, 2);
      });
    }
    assert.is(display.getProperties(overlay).get('FB_ID')?.value, 0);
    assert.is(display.onScreen, mine.id);
    assert.is(display.pageFlip(mine).wait(20_000), 1);
  }));

test.run();
