import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

test('the snippet at the head of the README runs as printed', () => {
  const readme = fs.readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const snippet = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  assert.match(snippet, /boot\(/);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dmabuf-readme-'));
  try {
    // Packages are found from the folder of the file: this one, not the temporary one.
    const base = fileURLToPath(new URL('.', import.meta.url));
    const file = path.join(base, `readme-${process.pid}.mjs`);
    fs.writeFileSync(file, snippet);
    try {
      const run = spawnSync(process.execPath, [file], {
        cwd: folder,
        encoding: 'utf8',
        timeout: 60_000,
      });
      assert.is(run.status, 0, run.stderr);
      assert.match(run.stdout, /recorded: \d+/);
      assert.match(run.stdout, /lateness: {/);
      assert.ok(fs.statSync(path.join(folder, 'flips.png')).size > 0);
    } finally {
      fs.rmSync(file, { force: true });
    }
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

test.run();
