// The strict test runner: runs the test files, reports, and ends with `N passed, N failed`.
import { existsSync } from 'node:fs';
import { discover, select } from './discover.mjs';
import { runFile } from './run-file.mjs';

/** @typedef {import('./discover.mjs').TestFile} TestFile */
/** @typedef {import('./run-file.mjs').Verdict} Verdict */

/**
 * @typedef {object} Options
 * @property {string} root
 * @property {string[]} wanted files or packages; empty means all
 * @property {number} jobs
 * @property {number} fileMs
 * @property {number} lingerMs
 * @property {NodeJS.ProcessEnv} [env]
 * @property {(line: string) => void} print
 */

const LAST_LINES = 200;

/**
 * @param {Options} options
 * @returns {Promise<boolean>} whether everything passed
 */
export async function runAll(options) {
  const { print } = options;
  const files = select(discover(options.root), options.wanted);
  /** @type {Verdict[]} */
  const verdicts = [];
  let next = 0;
  const lane = async () => {
    for (let file = files[next++]; file !== undefined; file = files[next++]) {
      const verdict = await judge(file, options);
      verdicts.push(verdict);
      show(verdict, print);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, options.jobs) }, lane));
  return summarise(verdicts, options);
}

/**
 * @param {TestFile} file
 * @param {Options} options
 * @returns {Promise<Verdict>}
 */
async function judge(file, { root, fileMs, lingerMs, env }) {
  if (!existsSync(file.run)) return unbuilt(file);
  const verdict = await runFile(file.run, { cwd: root, fileMs, lingerMs, ...(env && { env }) });
  return { ...verdict, file: file.name };
}

/**
 * @param {TestFile} file
 * @returns {Verdict}
 */
function unbuilt(file) {
  const problems = [`is not built: run \`npm run build\` (no ${file.run})`];
  return {
    file: file.name,
    passed: 0,
    failed: 1,
    skipped: 0,
    reasons: [],
    problems,
    output: '',
    ms: 0,
  };
}

/**
 * @param {Verdict} verdict
 * @param {(line: string) => void} print
 */
function show(verdict, print) {
  const good = verdict.problems.length === 0;
  const skipped = verdict.skipped > 0 ? `, ${verdict.skipped} skipped` : '';
  const counts = `${verdict.passed} passed${skipped}, ${(verdict.ms / 1000).toFixed(1)} s`;
  print(`${good ? 'ok  ' : 'FAIL'}  ${verdict.file}  (${counts})`);
  if (good) return;
  for (const problem of verdict.problems) print(`      ${verdict.file} ${problem}`);
  const lines = verdict.output.trimEnd().split('\n');
  const dropped = lines.length - LAST_LINES;
  if (dropped > 0) print(`    | … ${dropped} earlier lines`);
  for (const line of lines.slice(-LAST_LINES)) print(`    | ${line}`);
}

/**
 * @param {Verdict[]} verdicts
 * @param {Options} options
 * @returns {boolean}
 */
function summarise(verdicts, { print, wanted }) {
  const passed = verdicts.reduce((sum, verdict) => sum + verdict.passed, 0);
  const failed = verdicts.reduce((sum, verdict) => sum + verdict.failed, 0);
  const skipped = verdicts.reduce((sum, verdict) => sum + verdict.skipped, 0);
  print('');
  if (skipped > 0) print(`${skipped} skipped:`);
  for (const verdict of verdicts) {
    for (const reason of new Set(verdict.reasons)) print(`  ${verdict.file}: ${reason}`);
  }
  for (const verdict of verdicts) {
    if (verdict.problems.length > 0) print(`FAIL  ${verdict.file}: ${verdict.problems.join('; ')}`);
  }
  const nothing = verdicts.length === 0;
  if (nothing) print(`no test file matches ${wanted.length > 0 ? wanted.join(' ') : 'at all'}`);
  print(`${passed} passed, ${nothing ? 1 : failed} failed`);
  return failed === 0 && !nothing;
}
