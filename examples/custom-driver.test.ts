import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linesOf } from './run.test-helper.js';

const source = fileURLToPath(new URL('../custom-driver.ts', import.meta.url));

test('custom-driver balances the white of a yellow scene by what its ISP measured', () => {
  assert.equal(linesOf('custom-driver'), [
    'as it comes: 160 140 80',
    'balanced: 140 140 140, a pixel ff8c8c8c',
  ]);
});

test('custom-driver is written with core alone, in fewer than 100 lines', () => {
  const text = readFileSync(source, 'utf8');
  const packages = [...text.matchAll(/ from '([^']+)'/g)].map(([, name]) => name);
  assert.equal(
    [...new Set(packages)],
    ['node:worker_threads', '@dmabuf/core', '@dmabuf/core/driver'],
  );
  const count = text.trimEnd().split('\n').length;
  assert.ok(count < 100, `${count} lines`);
});

test.run();
