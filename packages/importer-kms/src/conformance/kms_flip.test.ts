// kms_flip of igt-gpu-tools. Fences say when a flip is through, and so do events.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, makeFb, withDisplay } from '../display.test-helper.js';
import { DRM_MODE_PAGE_FLIP_EVENT } from '../index.js';

test('nonblocking-read: EAGAIN without an event, and after the one that there was', () =>
  withDisplay({}, (display, machine) => {
    const read = (): unknown => display.readEvent();
    assert.is(codeOf(read), 'EAGAIN');
    const [a, b] = [makeFb(machine, display, 1), makeFb(machine, display, 2)];
    display.setMode(display.mode, a);
    const drawing = b.buffer.access({ write: true });
    display.pageFlip(b, { flags: DRM_MODE_PAGE_FLIP_EVENT, userData: 'b' });
    assert.is(codeOf(read), 'EAGAIN', 'it is still to come');
    drawing.finish();
    const event = display.readEvent({ timeout: 20_000 });
    assert.equal([event.type, event.userData, event.error], ['flip', 'b', undefined]);
    assert.is(codeOf(read), 'EAGAIN');
  }));

test('plain-flip: flip after flip, each shown in its turn', () =>
  withDisplay({}, (display, machine) => {
    const [a, b] = [makeFb(machine, display, 1), makeFb(machine, display, 2)];
    display.setMode(display.mode, a);
    for (let i = 0; i < 24; i++) {
      const fb = i % 2 === 0 ? b : a;
      assert.is(display.pageFlip(fb).wait(), 1);
      assert.is(display.onScreen, fb.id);
    }
    const { shown, dropped, failed } = display.stats();
    assert.equal([shown, dropped, failed], [24, 0, 0]);
  }));

test('busy-flip: a second flip at once is EBUSY, and works when the first is through', () =>
  withDisplay({}, (display, machine) => {
    const [a, b] = [makeFb(machine, display, 1), makeFb(machine, display, 2)];
    display.setMode(display.mode, a);
    // A render that is not ready keeps the flip pending for as long as the test wants it to be.
    const drawing = b.buffer.access({ write: true });
    const first = display.pageFlip(b);
    assert.is(
      codeOf(() => display.pageFlip(a)),
      'EBUSY',
    );
    drawing.finish();
    assert.is(first.wait(), 1);
    assert.is(display.pageFlip(a).wait(), 1);
  }));

test('nonexisting-fb: ENOENT for a flip and for a modeset', () =>
  withDisplay({}, (display, machine) => {
    const [a, gone] = [makeFb(machine, display, 1), makeFb(machine, display, 2)];
    display.setMode(display.mode, a);
    display.rmFramebuffer(gone);
    assert.is(
      codeOf(() => display.pageFlip(gone)),
      'ENOENT',
    );
    assert.is(
      codeOf(() => display.setMode(display.mode, gone)),
      'ENOENT',
    );
    assert.is(display.onScreen, a.id);
  }));

test('flip-vs-rmfb: removal waits for the flip in flight, then the CRTC goes off', () =>
  withDisplay({}, (display, machine) => {
    const [a, b] = [makeFb(machine, display, 1), makeFb(machine, display, 2)];
    display.setMode(display.mode, a);
    const flip = display.pageFlip(b);
    display.rmFramebuffer(b);
    assert.is(flip.status, 1);
    assert.equal([display.onScreen, display.active], [0, false]);
  }));

test('flip-vs-modeset: a modeset waits for the flip in flight', () =>
  withDisplay({}, (display, machine) => {
    const [a, b] = [makeFb(machine, display, 1), makeFb(machine, display, 2)];
    display.setMode(display.mode, a);
    const flip = display.pageFlip(b);
    display.setMode('64x64@120', a);
    assert.is(flip.status, 1);
    assert.equal([display.onScreen, display.mode.name], [a.id, '64x64@120']);
  }));

test('flip-vs-dpms-off: off takes the pending flip back; a flip on a CRTC that is off is EBUSY', () =>
  withDisplay({}, (display, machine) => {
    const [a, b] = [makeFb(machine, display, 1), makeFb(machine, display, 2)];
    display.setMode(display.mode, a);
    const drawing = b.buffer.access({ write: true });
    const flip = display.pageFlip(b);
    display.disable();
    drawing.finish();
    flip.wait();
    assert.is(flip.error, 'ECANCELED');
    assert.is(
      codeOf(() => display.pageFlip(b)),
      'EBUSY',
    );
    display.setMode(display.mode, a);
    assert.is(display.pageFlip(b).wait(), 1);
  }));

test.run();
