import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('subtitle-overlay draws where it may map, and shows the frames without where it may not', () => {
  assert.equal(linesOf('subtitle-overlay'), [
    'carveout: 30 frames shown, 30 with a subtitle',
    'protected: 30 frames shown, 0 with a subtitle; mmap of the others: EPERM',
    'unmapped: 30 frames shown, 0 with a subtitle; mmap of the others: ENODEV',
  ]);
});

test.run();
