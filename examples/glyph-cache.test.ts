import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('glyph-cache flushes what it draws, and nothing in the frames in between', () => {
  const lines = linesOf('glyph-cache');
  assert.equal(lines.slice(0, 4), [
    'ten digits drawn: 10 flushes, 160 cache lines',
    '100 frames: 0 flushes, 0 cache lines',
    'a character that is new: 1 flushes, 16 cache lines',
    '60 frames more: 0 flushes, 0 cache lines',
  ]);
  assert.match(lines.slice(4).join('\n'), /^ +# +#####/, 'it shows 1:59');
});

test.run();
