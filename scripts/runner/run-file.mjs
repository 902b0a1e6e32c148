// Runs one test file in a process group of its own and judges it.
//
// The group is what makes a leaked worker, a hang or an orphaned child harmless: past its limit
// the whole group is killed. A file that has printed its totals but does not end has leaked
// something, and fails after a short linger rather than at the full limit.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { isFinished, readReport } from './uvu-report.mjs';
import { sourceFaults } from './source-faults.mjs';

/**
 * @typedef {object} Limits
 * @property {number} fileMs wall-clock limit of one file
 * @property {number} lingerMs how long a file may live on after its totals
 * @property {string} cwd
 * @property {NodeJS.ProcessEnv} [env] added to the environment
 */

/**
 * @typedef {object} Verdict
 * @property {string} file
 * @property {number} passed
 * @property {number} failed at least 1 when anything at all is wrong
 * @property {number} skipped
 * @property {string[]} reasons of the skips
 * @property {string[]} problems empty when the file is good
 * @property {string} output stdout and stderr as they came
 * @property {number} ms
 */

const KEEP_CHARS = 4_000_000;
const POSIX = process.platform !== 'win32';

/** @type {Set<number>} */
const liveGroups = new Set();

/** Kills every process group that still runs. Called when the runner itself is ended. */
export function killAll() {
  for (const pid of liveGroups) killGroup(pid);
}

/** @param {number} pid */
function killGroup(pid) {
  if (!POSIX) {
    spawnSync('taskkill', ['/pid', String(pid), '/T', '/F']);
    return;
  }
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: nobody is left in the group.
  }
}

/**
 * @param {string} file
 * @param {Limits} limits
 * @returns {Promise<Verdict>}
 */
export async function runFile(file, limits) {
  const started = performance.now();
  const faults = sourceFaults(readFileSync(file, 'utf8'));
  const run = await execute(file, limits);
  const { report, problems } = readReport(run.stdout);
  const all = [...run.problems, ...faults, ...problems];
  return {
    file,
    passed: report?.passed ?? 0,
    failed: all.length === 0 ? 0 : Math.max(1, report?.failed ?? 1),
    skipped: report?.skipped ?? 0,
    reasons: report?.reasons ?? [],
    problems: all,
    output: run.output,
    ms: performance.now() - started,
  };
}

/**
 * @param {string} file
 * @param {Limits} limits
 * @returns {Promise<{ stdout: string, output: string, problems: string[] }>}
 */
function execute(file, limits) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--enable-source-maps', file], {
      cwd: limits.cwd,
      detached: POSIX,
      env: { ...process.env, FORCE_COLOR: undefined, NO_COLOR: '1', ...limits.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { pid } = child;
    if (pid !== undefined) liveGroups.add(pid);
    /** @type {string[]} */
    const problems = [];
    let stdout = '';
    let output = '';
    /** @type {NodeJS.Timeout | undefined} */
    let linger;

    /** @param {string} problem */
    const stop = (problem) => {
      problems.push(problem);
      if (pid !== undefined) killGroup(pid);
      // A process that left the group may still hold the pipes; 'close' shall come all the same.
      child.stdout.destroy();
      child.stderr.destroy();
    };
    const whole = setTimeout(
      () => stop(`did not end within ${limits.fileMs / 1000} s and was killed`),
      limits.fileMs,
    );
    /** @param {string} reason */
    const lingerFor = (reason) => {
      clearTimeout(linger);
      linger = setTimeout(() => stop(reason), limits.lingerMs);
    };

    child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
      const wasFinished = isFinished(stdout.slice(-4000));
      stdout = (stdout + chunk).slice(-KEEP_CHARS);
      output = (output + chunk).slice(-KEEP_CHARS);
      if (!wasFinished && isFinished(stdout.slice(-4000))) {
        lingerFor('printed its totals but did not exit: it leaks a worker, timer or port');
      }
    });
    child.stderr.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
      output = (output + chunk).slice(-KEEP_CHARS);
    });
    child.on('error', (error) => problems.push(`could not be started: ${error.message}`));
    child.on('exit', (code, signal) => {
      clearTimeout(whole);
      if (problems.length === 0 && code !== 0) {
        problems.push(signal === null ? `exit code ${code}` : `ended by ${signal}`);
      }
      lingerFor('left a process behind that holds its output');
    });
    child.on('close', () => {
      clearTimeout(whole);
      clearTimeout(linger);
      if (pid !== undefined) {
        killGroup(pid);
        liveGroups.delete(pid);
      }
      resolve({ stdout, output, problems });
    });
  });
}
