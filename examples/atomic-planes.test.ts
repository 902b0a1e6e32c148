import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('atomic-planes shows every frame of the video with its subtitle, and says what cannot be shown', () => {
  assert.equal(linesOf('atomic-planes'), [
    '24 commits shown, 0 dropped',
    'both planes: CRC 79963cc2',
    'the video alone: CRC 390a2fc4',
    'ERANGE: result out of range, atomic: overlay-0 (object 768): CRTC_W 20000: 320 pixels of SRC_W are scaled by 62.5; the plane scales by 1/16 to 16',
  ]);
});

test.run();
