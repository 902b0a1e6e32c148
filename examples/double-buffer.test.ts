import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('double-buffer drops no frame, and draws none that is on screen', () => {
  assert.equal(linesOf('double-buffer'), [
    '30 flips on 2 buffers, 0 dropped',
    'renders that began while their buffer was still on screen: 0',
  ]);
});

test.run();
