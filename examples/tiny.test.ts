// The first snippet of the README: runs as printed, and is small enough to be printed.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const program = fileURLToPath(new URL('./tiny.js', import.meta.url));
const source = fileURLToPath(new URL('../tiny.ts', import.meta.url));

test('tiny.ts passes 300 frames between two workers, says so, and ends', () => {
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, [program], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.is(stderr, '');
  assert.is(stdout, '300 frames through 3 buffers: all good\n');
  assert.equal([status, signal], [0, null]);
});

test('tiny.ts has at most 30 lines', () => {
  const lines = readFileSync(source, 'utf8').trimEnd().split('\n');
  assert.ok(lines.length <= 30, `${lines.length} lines`);
  assert.ok(lines.every((line) => line.length <= 120));
});

test.run();
