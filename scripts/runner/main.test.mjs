// Discovery, selection, and the last line on a small workspace of its own.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runAll } from './main.mjs';

const UVU = JSON.stringify(import.meta.resolve('uvu'));
const GOOD = `import { test as t } from ${UVU};\nt('a', () => {});\nt.run();\n`;
const BAD = `import { test as t } from ${UVU};\nt('a', () => { throw new Error('told'); });\nt.run();\n`;

let root = '';

/** @param {Record<string, string>} files */
function workspace(files) {
  root = mkdtempSync(join(tmpdir(), 'strict-workspace-'));
  const all = {
    'package.json': JSON.stringify({ workspaces: ['packages/core', 'packages/other', 'examples'] }),
    'packages/core/package.json': JSON.stringify({ name: '@dmabuf/core' }),
    'packages/other/package.json': JSON.stringify({ name: '@dmabuf/other' }),
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

/** @param {string[]} wanted */
async function run(...wanted) {
  /** @type {string[]} */
  const lines = [];
  const print = (/** @type {string} */ line) => void lines.push(line);
  const good = await runAll({ root, wanted, jobs: 2, fileMs: 60_000, lingerMs: 20_000, print });
  return { good, lines, last: lines.at(-1) };
}

test.after.each(() => rmSync(root, { recursive: true, force: true }));

test('the last line sums over all files and stands alone', async () => {
  workspace({
    'packages/core/src/a.test.ts': '',
    'packages/core/dist/a.test.js': GOOD,
    'packages/other/src/deep/b.test.ts': '',
    'packages/other/dist/deep/b.test.js': BAD,
    'scripts/c.test.mjs': GOOD,
  });
  const { good, lines, last } = await run();
  assert.not(good);
  assert.is(last, '2 passed, 1 failed');
  assert.ok(
    lines.some((line) => line.includes('told')),
    'the output of the failing file is shown',
  );
});

test('a package name or folder selects its files alone', async () => {
  workspace({
    'packages/core/src/a.test.ts': '',
    'packages/core/dist/a.test.js': GOOD,
    'packages/other/src/about-core.test.ts': '',
    'packages/other/dist/about-core.test.js': BAD,
  });
  assert.is((await run('core')).last, '1 passed, 0 failed');
  assert.is((await run('packages/core/')).last, '1 passed, 0 failed');
  assert.is((await run('about-core')).last, '0 passed, 1 failed');
});

test('a test that was not built fails', async () => {
  workspace({ 'packages/core/src/a.test.ts': '' });
  const { good, last } = await run();
  assert.not(good);
  assert.is(last, '0 passed, 1 failed');
});

test('a stale file in dist whose source is gone is not run', async () => {
  workspace({
    'packages/core/src/a.test.ts': '',
    'packages/core/dist/a.test.js': GOOD,
    'packages/core/dist/gone.test.js': BAD,
  });
  assert.is((await run()).last, '1 passed, 0 failed');
});

test('examples keep tests beside their sources, and node_modules is left out', async () => {
  workspace({
    'examples/package.json': JSON.stringify({ name: '@dmabuf/examples' }),
    'examples/tiny.test.ts': '',
    'examples/dist/tiny.test.js': GOOD,
    'examples/node_modules/x/y.test.ts': '',
  });
  assert.is((await run()).last, '1 passed, 0 failed');
});

test('no matching file at all is a failure', async () => {
  workspace({});
  const { good, last } = await run('nothing');
  assert.not(good);
  assert.is(last, '0 passed, 1 failed');
});

test.run();
