#!/usr/bin/env node
// The command behind `npm test`: strict tests of all packages, or of those that are named.
//   node scripts/test.mjs [--jobs N] [--timeout SECONDS] [--coverage] [FILE | PACKAGE]...
// It runs what is built; `npm test` builds first. Skips are counted, listed, and no passes.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runAll } from './runner/main.mjs';
import { killAll } from './runner/run-file.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: 'string', default: String(Math.min(2, availableParallelism())) },
    timeout: { type: 'string', default: '120' },
    coverage: { type: 'boolean', default: false },
  },
});

const coverageData = join(root, 'coverage', 'tmp');

/** Turns the raw coverage of all test processes and their workers into a report. */
function reportCoverage() {
  const c8 = createRequire(import.meta.url).resolve('c8/bin/c8.js');
  const flags = ['--temp-directory', coverageData, '--reporter', 'text', '--reporter', 'html'];
  const only = ['--include', 'packages/**', '--exclude', '**/*.test.*'];
  spawnSync(process.execPath, [c8, 'report', ...flags, ...only], { cwd: root, stdio: 'inherit' });
}

for (const [signal, code] of /** @type {const} */ ([
  ['SIGINT', 130],
  ['SIGTERM', 143],
])) {
  process.on(signal, () => {
    killAll();
    process.exit(code);
  });
}

if (values.coverage) rmSync(coverageData, { recursive: true, force: true });
const lines = /** @type {string[]} */ ([]);
const good = await runAll({
  root,
  // Arguments may be paths relative to where npm was called.
  wanted: positionals.map((word) => (word.startsWith('/') ? relative(root, word) : word)),
  jobs: Number(values.jobs),
  fileMs: Number(values.timeout) * 1000,
  lingerMs: 10_000,
  ...(values.coverage && { env: { NODE_V8_COVERAGE: coverageData } }),
  print: (line) => {
    // The last line is the verdict; a coverage report comes before it.
    lines.push(line);
    if (lines.length > 1) console.log(lines.shift());
  },
});
if (values.coverage) reportCoverage();
console.log(lines.pop());
process.exitCode = good ? 0 : 1;
