import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('preserved-swap copies from the front buffer while it is scanned out, and loses nothing', () => {
  assert.equal(linesOf('preserved-swap'), [
    'frame 0 is on screen, held by the display: true',
    'copied from the front buffer while it was on screen: true',
    '8 frames, each drew one bar; on screen are 8',
  ]);
});

test.run();
