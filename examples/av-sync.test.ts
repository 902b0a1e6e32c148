import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('av-sync shows frames at their times, drops the late one, and begins anew after a seek', () => {
  assert.equal(linesOf('av-sync'), [
    'frame 0, wanted at 0 ms: shown at 0 ms',
    'frame 1, wanted at 41.667 ms: shown at 60 ms',
    'frame 2, wanted at 83.333 ms: shown at 100 ms',
    'frame 3, wanted at 125 ms: shown at 140 ms',
    'late frame 0, wanted at 200 ms: dropped (ECANCELED)',
    'late frame 1, wanted at 220 ms: shown at 260 ms',
    'after a seek to 90 s the second frame comes 60 ms after the first',
    '7 shown, 1 dropped, 0 vblanks missed',
  ]);
});

test.run();
