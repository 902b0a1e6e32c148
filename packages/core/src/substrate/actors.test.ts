/** How actors are started and put to death. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ENTER, workerHost } from './actors.js';

/** An entry most of whose loading (120 ms) is linking: many names, each looked for through many modules. */
function writeEntry(folder: string): string {
  const names = Array.from({ length: 5000 }, (_, n) => `name${n}`);
  const exported = names.map((name) => `export const ${name} = 1;\n`).join('');
  writeFileSync(join(folder, 'm0.mjs'), exported);
  for (let n = 1; n < 50; n++) {
    writeFileSync(join(folder, `m${n}.mjs`), `export * from './m${n - 1}.mjs';\n`);
  }
  const entry = join(folder, 'entry.mjs');
  const imported = `import { ${names.join(', ')} } from './m49.mjs';\n`;
  writeFileSync(
    entry,
    `${imported}export default () => new Promise(() => setInterval(Date, 1e6));\n`,
  );
  return pathToFileURL(entry).href;
}

test('an actor that is put to death while it loads takes nobody along', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dmabuf-actors-'));
  try {
    const modules = { enter: ENTER, main: writeEntry(folder) };
    for (let after = 20; after < 260; after += 20) {
      const host = workerHost(modules, 1);
      const { ended, kill } = host.start({}, []);
      const end = Promise.allSettled([ended]);
      await host.ready();
      await delay(after); // the moment is what is tried
      kill();
      await host.destroy();
      assert.equal((await end)[0]?.status, 'rejected');
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
