import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('camera-preview shows every frame of the camera, at its rate, with the application out of the loop', () => {
  assert.equal(linesOf('camera-preview'), [
    '50 frames queued, 0 captured',
    '50 captured, 50 shown',
    'dropped: 0 for want of a buffer, 0 overtaken before their vblank',
    'a new one on screen every 40 ms',
  ]);
});

test.run();
