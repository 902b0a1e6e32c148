// kms_rmfb of igt-gpu-tools.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, makeFb, withDisplay } from '../display.test-helper.js';

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

test.run();
