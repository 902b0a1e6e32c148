// What a test file's own output says: uvu's totals and the reasons for skipped tests.
//
// uvu exits 0 where it should not (a hook that throws, a test that throws undefined), so its
// exit code is never believed alone. In uvu 0.5.6 skipped tests are NOT part of Total, hence
// the rule is passed === total; "passed + skipped === total" would let one `test.skip` hide
// one test that failed without a trace.

/**
 * @typedef {object} Report
 * @property {number} total tests that were to run, without those that uvu skipped
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped by `test.skip`, or by a test that printed a reason and returned
 * @property {string[]} reasons one per `# skip: reason` line
 */

/** `# skip: reason`, alone on a line or behind uvu's dots. */
const SKIP_REASON = /^(?:.*[•✘\s])?# skip: (.+)$/;

/**
 * @param {string} text
 * @param {string} label
 * @returns {number[]}
 */
function figures(text, label) {
  const pattern = new RegExp(`^ {2}${label}: +(\\d+)\\s*$`, 'gm');
  return Array.from(text.matchAll(pattern), (match) => Number(match[1]));
}

/**
 * True once uvu has printed its whole summary, after which the process has no reason to live.
 * @param {string} stdout
 * @returns {boolean}
 */
export function isFinished(stdout) {
  return /^ {2}Duration: /m.test(stdout);
}

/**
 * @param {string} stdout
 * @returns {{ report: Report | undefined, problems: string[] }}
 */
export function readReport(stdout) {
  // oxlint-disable-next-line no-control-regex -- ANSI colours are what is taken out
  const text = stdout.replace(/\u001b\[[\d;]*m/g, '');
  const totals = figures(text, 'Total');
  const passes = figures(text, 'Passed');
  const skips = figures(text, 'Skipped');
  if (totals.length === 0) {
    return { report: undefined, problems: ['printed no totals: was `.run()` forgotten?'] };
  }
  if (totals.length > 1 || passes.length !== 1 || skips.length !== 1) {
    return {
      report: undefined,
      problems: [
        `printed ${totals.length} totals: \`.run()\` belongs at the end, not behind await`,
      ],
    };
  }
  const [total = 0] = totals;
  const [uvuPassed = 0] = passes;
  const [uvuSkipped = 0] = skips;
  const reasons = readReasons(text);
  const problems = [];
  if (total + uvuSkipped === 0) problems.push('ran no test: was `.run()` forgotten?');
  if (uvuPassed !== total) {
    problems.push(`${uvuPassed} of ${total} tests passed (a hook or a test threw)`);
  }
  if (uvuSkipped > 0 && reasons.length === 0) {
    problems.push(`${uvuSkipped} skipped without a reason: print a line "# skip: reason"`);
  }
  // A test that prints a reason and returns counts as passed in uvu; here it is a skip.
  const inTest = Math.min(uvuPassed, Math.max(0, reasons.length - uvuSkipped));
  return {
    report: {
      total,
      passed: uvuPassed - inTest,
      failed: total - uvuPassed,
      skipped: uvuSkipped + inTest,
      reasons,
    },
    problems,
  };
}

/**
 * @param {string} text
 * @returns {string[]}
 */
function readReasons(text) {
  return text.split('\n').flatMap((line) => {
    const reason = SKIP_REASON.exec(line)?.[1];
    return reason === undefined ? [] : [reason.trim()];
  });
}
