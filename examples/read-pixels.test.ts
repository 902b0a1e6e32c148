import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('read-pixels shows what the GPU drew, and that only writing flushes', () => {
  assert.equal(linesOf('read-pixels'), [
    'three pixels across the left edge of the square: ff000000 ffcc8844 ffcc8844',
    'flushes after reading: 0',
    'two pixels across the edge of a white patch: ffffffff000000ff',
    'flushes after writing: 1',
  ]);
});

test.run();
