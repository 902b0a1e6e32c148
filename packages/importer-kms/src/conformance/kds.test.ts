// The case of KDS's users that is the display driver's own: drivers/gpu/drm/pl111 and its like refuse a
// flip while one is pending (DRM_IOCTL_MODE_PAGE_FLIP).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, makeFb, withDisplay } from '../display.test-helper.js';

test('third_flip_busy: EBUSY while two flips are pending, and no residue; queueFlip takes it', () =>
  withDisplay({ speed: 'max' }, (display, machine) => {
    const [a, b, c] = [1, 2, 3].map((n) => makeFb(machine, display, n)) as [
      ReturnType<typeof makeFb>,
      ReturnType<typeof makeFb>,
      ReturnType<typeof makeFb>,
    ];
    display.setMode(display.mode, a);
    const drawing = b.buffer.access({ write: true });
    const first = display.pageFlip(b);
    const second = display.queueFlip({ fb: a });
    const { jobs } = machine.stats();
    assert.is(
      codeOf(() => display.pageFlip(c)),
      'EBUSY',
    );
    assert.is(machine.stats().jobs, jobs, 'the refused flip has left nothing');
    assert.equal([first.status, second.status], [0, 0]);
    const third = display.queueFlip({ fb: c });
    drawing.finish();
    assert.equal([first.wait(), second.wait(), third.wait()], [1, 1, 1]);
    assert.is(display.onScreen, c.id);
    assert.is(display.pageFlip(a).wait(), 1, 'none is pending any more');
  }));

test.run();
