import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('heaps serves whom it can, says who is in the way where it cannot, and shows what is held', () => {
  assert.equal(linesOf('heaps'), [
    'a bitstream: system',
    'for a SIMD kernel: carveout',
    "chunks for a SIMD kernel: ENODEV, there is no heap 'chunk' that all of `for` can use: heap 'chunk' (id 3): kernel needs memory in one piece",
    'carveout: 8 MiB free in 8 runs, fragmentation 88 %',
    "two pieces at once: ENOMEM, heap 'carveout' (id 2) cannot give 2 MiB aligned to 4 KiB: 8 MiB of 16 MiB are free, in 8 pieces, the largest 1 MiB",
    'the same with a fall-back: chunk',
    'heap 0 system (system)',
    'total orphaned 0',
    'total 0',
    'heap 2 carveout (carveout)',
    'camera 2 main 8388608',
    'total orphaned 0',
    'total 8388608',
    'free of 16777216 8388608',
    'heap 3 chunk (chunk)',
    'total orphaned 0',
    'total 0',
    'free of 8388608 8388608',
  ]);
});

test.run();
