import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('own-memory works in the memory that was there before, and copies nothing', () => {
  assert.equal(linesOf('own-memory'), [
    'frame 0: 1 became 254, its neighbour is 0',
    'frame 1: 2 became 253, its neighbour is 0',
    'frame 2: 3 became 252, its neighbour is 0',
    '110592 bytes in 2 pieces: 73728 + 36864',
    '0 bytes copied; the memory is yours: 254 is still there',
  ]);
});

test.run();
