/** The first snippet of the README runs as printed. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

test('the README starts with a snippet that runs', () => {
  const root = fileURLToPath(new URL('../', import.meta.url));
  const [, snippet] = readFileSync(`${root}README.md`, 'utf8').match(/```js\n(.*?)```/s) ?? [];
  assert.ok(snippet);
  const args = ['--input-type=module', '--eval', snippet ?? ''];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
  });
  assert.is(stderr, '');
  assert.is(status, 0);
  assert.match(stdout, /^4734976 bytes\nheap 0 system/);
});

test.run();
