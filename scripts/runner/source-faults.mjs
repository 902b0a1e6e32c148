// Faults of a test file that no run can show: uvu drops, without a word, a suite that was never
// run and every test that is registered after `.run()`; a left-over `.only` drops all others.

/**
 * @param {string} source text of the test file
 * @returns {string[]} one sentence per fault
 */
export function sourceFaults(source) {
  const code = withoutComments(source);
  const faults = [];
  if (/^\s*[\w$]+\.only\s*\(/m.test(code)) faults.push('has a left-over `.only`');
  for (const name of suiteNames(code)) {
    const lastTest = lastIndex(code, new RegExp(`^\\s*${name}(?:\\.skip)?\\s*\\(`, 'gm'));
    const lastRun = lastIndex(code, new RegExp(`\\b${name}\\.run\\s*\\(`, 'g'));
    if (lastTest === -1) continue;
    if (lastRun === -1) faults.push(`never calls \`${name}.run()\``);
    else if (lastRun < lastTest) faults.push(`adds tests after \`${name}.run()\``);
  }
  return faults;
}

/**
 * @param {string} code
 * @returns {string[]}
 */
function suiteNames(code) {
  const made = code.matchAll(/\b(?:const|let)\s+([\w$]+)\s*=\s*suite\s*\(/g);
  const names = Array.from(made, (match) => match[1] ?? '');
  const imports = /\bimport\s*\{([^}]*)\}\s*from\s*['"][^'"]*uvu[^'"]*['"]/.exec(code)?.[1] ?? '';
  const alias = /\btest(?:\s+as\s+([\w$]+))?\b/.exec(imports);
  if (alias !== null) names.push(alias[1] ?? 'test');
  return names;
}

/**
 * Blanks whole-line comments, keeping positions.
 * @param {string} source
 * @returns {string}
 */
function withoutComments(source) {
  return source.replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, (line) => ' '.repeat(line.length));
}

/**
 * @param {string} text
 * @param {RegExp} pattern with the g flag
 * @returns {number}
 */
function lastIndex(text, pattern) {
  let last = -1;
  for (const match of text.matchAll(pattern)) last = match.index;
  return last;
}
