/** Runs an example as a user does; its test says what it must print. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';

/** What `node examples/dist/<name>.js` printed, line by line. It must end by itself, and complain of nothing. */
export function linesOf(name: string): readonly string[] {
  const program = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const options = { encoding: 'utf8', timeout: 60_000 } as const;
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, [program], options);
  assert.is(stderr, '');
  assert.equal([status, signal], [0, null]);
  return stdout.replace(/\n$/, '').split('\n');
}
