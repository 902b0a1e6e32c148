#!/usr/bin/env node
// The command behind `npm test`: strict tests of all packages, or of those that are named.
//   node scripts/test.mjs [--jobs N] [--timeout SECONDS] [--coverage] [FILE | PACKAGE]...
// --coverage reports lines covered, workers included, and fails the run if a package that is covered whole
// has less than its share (THRESHOLDS); tests, their helpers and `testing/` are not counted.
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

/** Lines of a package that its own tests must reach, %. Checked when they have all been run. */
const THRESHOLDS = { 'packages/core': 95 };

/** Not product code: tests, what helps them, roles of their workers. */
const NOT_COUNTED = [
  '**/*.test.*',
  '**/*.test-*',
  '**/testing/**',
  '**/scripts/**',
  '**/node_modules/**',
];

/**
 * Runs c8 on the raw coverage of all test processes and their workers.
 * @param {readonly string[]} args
 */
function c8(...args) {
  const bin = createRequire(import.meta.url).resolve('c8/bin/c8.js');
  const excluded = NOT_COUNTED.flatMap((pattern) => ['--exclude', pattern]);
  const all = [...args, '--temp-directory', coverageData, ...excluded];
  return spawnSync(process.execPath, [bin, ...all], { cwd: root, stdio: 'inherit' }).status === 0;
}

/**
 * Reports, and checks the packages whose tests were all run.
 * @param {readonly string[]} wanted
 */
function checkCoverage(wanted) {
  const flags = ['--reporter', 'text', '--reporter', 'html', '--include', 'packages/**'];
  const reported = c8('report', ...flags);
  const checked = Object.entries(THRESHOLDS).filter(
    ([folder]) => wanted.length === 0 || wanted.includes(folder),
  );
  return (
    checked.every(([folder, lines]) => {
      const enough = c8('check-coverage', '--lines', `${lines}`, '--include', `${folder}/**`);
      console.log(`${folder}: ${enough ? 'at least' : 'LESS THAN'} ${lines} % of lines covered`);
      return enough;
    }) && reported
  );
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

// Arguments may be paths relative to where npm was called.
const wanted = positionals.map((word) => (word.startsWith('/') ? relative(root, word) : word));
if (values.coverage) rmSync(coverageData, { recursive: true, force: true });
const lines = /** @type {string[]} */ ([]);
const good = await runAll({
  root,
  wanted,
  jobs: Number(values.jobs),
  fileMs: Number(values.timeout) * 1000,
  lingerMs: 10_000,
  // What is tested must not depend on whether this machine has an ffmpeg.
  env: { DMABUF_FFMPEG: 'none', ...(values.coverage && { NODE_V8_COVERAGE: coverageData }) },
  print: (line) => {
    // The last line is the verdict; a coverage report comes before it.
    lines.push(line);
    if (lines.length > 1) console.log(lines.shift());
  },
});
const covered = !values.coverage || checkCoverage(wanted.map((word) => word.replace(/\/$/, '')));
const verdict = lines.pop() ?? '';
// Too little coverage counts as a failed test.
console.log(covered ? verdict : verdict.replace(/\d+(?= failed$)/, (n) => `${Number(n) + 1}`));
process.exitCode = good && covered ? 0 : 1;
