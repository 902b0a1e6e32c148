import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

test('custom-kernel draws the outlines of two boxes', () => {
  const lines = linesOf('custom-kernel');
  assert.is(lines.length, 24);
  const shown = lines.map((line) => line.padEnd(64));
  const at = (x: number, y: number): string => shown[y]?.[x] ?? '';
  for (const [x, y] of [
    [7, 8],
    [8, 8],
    [31, 6],
    [15, 3],
    [55, 15],
    [40, 19],
  ] as const) {
    assert.is.not(at(x, y), ' ', `an edge at ${x}, ${y}`);
  }
  for (const [x, y] of [
    [2, 2],
    [14, 8],
    [45, 14],
    [62, 22],
  ] as const) {
    assert.is(at(x, y), ' ', `no edge at ${x}, ${y}`);
  }
});

test.run();
