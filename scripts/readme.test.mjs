// What the READMEs print is what runs: their first snippet is examples/tiny.ts, to the letter.
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

/** @param {string} path */
const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

/** @param {string} markdown */
function firstSnippet(markdown) {
  return /```ts\n([\s\S]*?)```/.exec(markdown)?.[1];
}

for (const path of ['README.md', 'packages/core/README.md']) {
  test(`the first snippet of ${path} is examples/tiny.ts`, () => {
    assert.is(firstSnippet(read(path)), read('examples/tiny.ts'));
  });
}

test('the tiny example has at most 30 lines', () => {
  assert.ok(read('examples/tiny.ts').trimEnd().split('\n').length <= 30);
});

test.run();
