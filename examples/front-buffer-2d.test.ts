import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('front-buffer-2d draws on screen without a flip, once its cache lines are flushed', () => {
  assert.equal(linesOf('front-buffer-2d'), [
    'with exclusion: ETIME',
    'drawn, not flushed: the picture is as it was',
    'flushed: the picture has changed',
    '1 flush, and 800 cache lines of 3600 touched',
    'on screen all the time, without a flip: 0 flips',
  ]);
});

test.run();
