// Every known false pass of uvu, shown to be caught; and that a good file does pass.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runFile } from './run-file.mjs';

const folder = mkdtempSync(join(tmpdir(), 'strict-runner-'));
const IMPORT = `import { suite, test as t } from ${JSON.stringify(import.meta.resolve('uvu'))};\n`;
let count = 0;

/**
 * @param {string} body uses `t` for uvu's test, so that this file's own checks stay blind to it
 * @param {{ fileMs?: number, lingerMs?: number }} [limits]
 */
async function judge(body, limits = {}) {
  const file = join(folder, `case-${count++}.mjs`);
  writeFileSync(file, IMPORT + body);
  return runFile(file, { cwd: folder, fileMs: 60_000, lingerMs: 20_000, ...limits });
}

/**
 * @param {import('./run-file.mjs').Verdict} verdict
 * @param {RegExp} problem
 */
function assertFails(verdict, problem) {
  assert.ok(verdict.failed > 0, 'the file must fail');
  assert.match(verdict.problems.join('; '), problem);
}

test.after(() => rmSync(folder, { recursive: true, force: true }));

test('a good file passes with its counts', async () => {
  const verdict = await judge(`t('a', () => {}); t('b', () => {});\nt.run();`);
  assert.equal(verdict.problems, []);
  assert.equal([verdict.passed, verdict.failed, verdict.skipped], [2, 0, 0]);
});

test('a failing assertion fails, and the passing tests beside it are counted', async () => {
  const verdict = await judge(
    `t('a', () => {}); t('b', () => { throw new Error('no'); });\nt.run();`,
  );
  assertFails(verdict, /1 of 2 tests passed/);
  assert.equal([verdict.passed, verdict.failed], [1, 1]);
  assert.match(verdict.output, /no/);
});

test('a before hook that throws fails', async () => {
  const verdict = await judge(
    `t.before(() => { throw new Error('x'); }); t('a', () => {});\nt.run();`,
  );
  assertFails(verdict, /0 of 1 tests passed/);
});

test('an after.each hook that throws fails', async () => {
  const verdict = await judge(
    `t.after.each(() => { throw new Error('x'); }); t('a', () => {}); t('b', () => {});\nt.run();`,
  );
  assertFails(verdict, /0 of 2 tests passed/);
});

test('a before.each hook that throws fails', async () => {
  const verdict = await judge(
    `t.before.each(() => { throw new Error('x'); }); t('a', () => {});\nt.run();`,
  );
  assertFails(verdict, /tests passed/);
});

test('an after hook that throws fails', async () => {
  const verdict = await judge(
    `t.after(() => { throw new Error('x'); }); t('a', () => {});\nt.run();`,
  );
  assertFails(verdict, /exit code 1/);
});

test('a test that throws undefined fails', async () => {
  assertFails(await judge(`t('a', () => { throw undefined; });\nt.run();`), /0 of 1 tests passed/);
});

test('a skip does not hide a test that throws undefined', async () => {
  const body = `console.log('# skip: none');\nt.skip('s', () => {});
    t('a', () => {}); t('b', () => { throw undefined; });\nt.run();`;
  assertFails(await judge(body), /1 of 2 tests passed/);
});

test('a forgotten .run() fails', async () => {
  assertFails(await judge(`t('a', () => {});`), /no totals/);
});

test('one forgotten .run() among several suites fails', async () => {
  const body = `const a = suite('a');\na('x', () => {});\na.run();
const b = suite('b');\nb('y', () => {});\n`;
  assertFails(await judge(body), /never calls `b\.run\(\)`/);
});

test('a test that is added after .run() fails', async () => {
  const body = `const a = suite('a');\na('x', () => {});\na.run();\na('y', () => {});\n`;
  assertFails(await judge(body), /adds tests after `a\.run\(\)`/);
});

test('a left-over .only fails', async () => {
  const verdict = await judge(`t('a', () => {});\nt.only('b', () => {});\nt.run();`);
  assertFails(verdict, /left-over `\.only`/);
});

test('a suite without any test fails', async () => {
  assertFails(await judge(`t.run();`), /ran no test/);
});

test('a leaked worker fails soon after the totals instead of hanging', async () => {
  const body = `import { Worker } from 'node:worker_threads';
    t('a', () => { new Worker('setInterval(() => {}, 1000)', { eval: true }); });\nt.run();`;
  assertFails(await judge(body, { lingerMs: 300 }), /leaks a worker, timer or port/);
});

test('a thread stuck in a blocking wait is killed at the limit', async () => {
  const body = `t('a', () => { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); });
    t.run();`;
  assertFails(await judge(body, { fileMs: 1500 }), /did not end within 1\.5 s/);
});

test('a child that outlives the file and holds its output fails and is killed', async () => {
  const body = `import { spawn } from 'node:child_process';
    t('a', () => {
      spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' }).unref();
    });\nt.run();`;
  assertFails(await judge(body, { lingerMs: 300 }), /left a process behind/);
});

test('process.exit(0) in a test fails', async () => {
  assertFails(await judge(`t('a', () => { process.exit(0); });\nt.run();`), /no totals/);
});

test('process.exit(0) before the first test fails', async () => {
  assertFails(await judge(`t('a', () => {});\nt.run();\nprocess.exit(0);`), /no totals/);
});

test('process.reallyExit(0) in a test, past all exit handlers, fails', async () => {
  assertFails(await judge(`t('a', () => { process.reallyExit(0); });\nt.run();`), /no totals/);
});

test('an error after the totals fails', async () => {
  const body = `t('a', () => { setTimeout(() => { throw new Error('late'); }, 100); });\nt.run();`;
  assertFails(await judge(body), /exit code/);
});

test('a file that cannot be loaded fails', async () => {
  assertFails(await judge(`import './not-there.mjs';`), /exit code 1; printed no totals/);
});

test('skips are counted once, with their reasons, and are no passes', async () => {
  const body = `t('a', () => {});
    t('b', () => { console.log('# skip: no media here'); });\nt.run();`;
  const verdict = await judge(body);
  assert.equal(verdict.problems, []);
  assert.equal([verdict.passed, verdict.skipped], [1, 1]);
  assert.equal(verdict.reasons, ['no media here']);
});

test('one reason may stand for several skipped tests', async () => {
  const body = `console.log('# skip: no media here');
    t.skip('a', () => {}); t.skip('b', () => {}); t('c', () => {});\nt.run();`;
  const verdict = await judge(body);
  assert.equal(verdict.problems, []);
  assert.equal([verdict.passed, verdict.skipped], [1, 2]);
});

test('a skip without a reason fails', async () => {
  assertFails(
    await judge(`t.skip('a', () => {}); t('b', () => {});\nt.run();`),
    /without a reason/,
  );
});

test('a file in which everything is skipped for a reason is no failure', async () => {
  const verdict = await judge(`console.log('# skip: none');\nt.skip('a', () => {});\nt.run();`);
  assert.equal([verdict.passed, verdict.failed, verdict.skipped], [0, 0, 1]);
});

test.run();
