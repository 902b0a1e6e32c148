// The layer rules of the project (design D2, D4, sections 1 and 2), checked on one file's text.
import { posix } from 'node:path';
import { blank } from './blank.mjs';

/**
 * @typedef {object} Package
 * @property {string} folder as `packages/core`
 * @property {string} name
 * @property {string[]} exports keys of its `exports`
 * @property {string[]} dependencies what its static imports may name
 * @property {string[]} onDemand what only an `import()` may name: peers and dev dependencies
 */

/**
 * @typedef {object} Finding
 * @property {string} path
 * @property {number} line
 * @property {string} rule
 * @property {string} message
 */

/** Files that may touch shared words by `Atomics` beside `substrate/`, each with its reason. */
const ATOMICS_ALLOWED = new Map([
  ['packages/core/src/memory/words.ts', 'the one accessor of kernel memory (D1)'],
]);

/** A descriptor that says `shared`, or one that is not spelled out on the spot. */
const SHARED_WASM = /\bnew\s+WebAssembly\s*\.\s*Memory\s*\(\s*(?:[^{\s]|\{[^}]*\bshared\b)/g;
const SUBSTRATE = 'packages/core/src/substrate/';
/** Baselines are measured against the bare primitives. */
const BARE_PRIMITIVES = 'bench/';

/**
 * A test may be exempted by a line that gives a reason:
 * `// check-layers: allow shared-memory -- two threads race on a bare word`
 */
const EXEMPTION = /^\s*\/\/ check-layers: allow ([\w-]+) -- \S.{9,}$/gm;

/** @param {string} path */
function isTest(path) {
  return /\.test(?:[-.][\w-]+)*\.ts$/.test(path) || path.includes('/test/');
}

/**
 * @param {string} path relative to the root, with forward slashes
 * @param {string} source
 * @param {Package[]} packages
 * @returns {Finding[]}
 */
export function checkFile(path, source, packages) {
  const exempt = isTest(path)
    ? new Set(Array.from(source.matchAll(EXEMPTION), (match) => match[1]))
    : new Set();
  const code = blank(source, { strings: true });
  const findings = [
    ...substrateRules(path, code),
    ...importRules(path, blank(source, { strings: false }), code, packages),
  ];
  return findings
    .filter(({ rule }) => !exempt.has(rule))
    .map(({ index, rule, message }) => ({ path, line: lineOf(source, index), rule, message }));
}

/** @typedef {{ index: number, rule: string, message: string }} Hit */

/**
 * @param {string} path
 * @param {string} code
 * @returns {Hit[]}
 */
function substrateRules(path, code) {
  if (path.startsWith(SUBSTRATE) || path.startsWith(BARE_PRIMITIVES)) return [];
  const only = 'only in packages/core/src/substrate/ (D2)';
  const hits = [
    ...find(code, /\bSharedArrayBuffer\b/g, 'shared-memory', `SharedArrayBuffer is named ${only}`),
    ...find(
      code,
      /\bAtomics\s*\.\s*(?:wait|notify|waitAsync)\b/g,
      'shared-memory',
      `Atomics.wait, notify and waitAsync are called ${only}`,
    ),
    // A module's own, unshared memory is nobody else's business; a test may make what it needs.
    ...(isTest(path) ? [] : find(code, SHARED_WASM, 'shared-memory', `a pool is made ${only}`)),
    // An alias or a destructured member would go unseen by the rules above.
    ...find(
      code,
      /\bAtomics\b(?!\s*\.\s*\w)/g,
      'atomics',
      'Atomics is used as `Atomics.member` alone, never renamed or taken apart',
    ),
  ];
  if (ATOMICS_ALLOWED.has(path)) return hits;
  const message = 'shared words are touched through core/src/memory/words.ts alone (D1)';
  const plain = /\bAtomics\s*\.\s*(?!wait\b|notify\b|waitAsync\b)\w/g;
  return [...hits, ...find(code, plain, 'atomics', message)];
}

/**
 * @param {string} path
 * @param {string} text with comments blanked
 * @param {string} code with comments and strings blanked
 * @param {Package[]} packages
 * @returns {Hit[]}
 */
function importRules(path, text, code, packages) {
  const home = packages.find(({ folder }) => path.startsWith(`${folder}/`));
  if (home === undefined) return [];
  return importsOf(text, code).flatMap(({ specifier, index, dynamic }) => {
    const problem =
      specifier.startsWith('.') || specifier.startsWith('/')
        ? leavesPackage(path, specifier, home)
        : specifier.startsWith('@dmabuf/')
          ? wrongWorkspaceImport(specifier, home, packages)
          : undeclared(path, specifier, dynamic, home);
    return problem === undefined ? [] : [{ index, rule: 'imports', message: problem }];
  });
}

/**
 * @param {string} text
 * @param {string} code
 */
function importsOf(text, code) {
  const patterns = [
    { pattern: /\b(?:import|export)\b[^'"`;()]*?\bfrom\s*(['"])(.+?)\1/g, dynamic: false },
    { pattern: /\bimport\s*(['"])(.+?)\1/g, dynamic: false },
    { pattern: /\bimport\s*\(\s*(['"`])(.+?)\1/g, dynamic: true },
    { pattern: /\bimport\.meta\.resolve\s*\(\s*(['"`])(.+?)\1/g, dynamic: true },
    { pattern: /\brequire(?:\.resolve)?\s*\(\s*(['"`])(.+?)\1/g, dynamic: true },
  ];
  return patterns.flatMap(({ pattern, dynamic }) =>
    Array.from(text.matchAll(pattern), (match) => ({
      specifier: match[2] ?? '',
      index: match.index,
      dynamic,
    })).filter(({ index }) => /\w/.test(code[index] ?? '')),
  );
}

/**
 * @param {string} path
 * @param {string} specifier
 * @param {Package} home
 */
function leavesPackage(path, specifier, home) {
  const target = posix.join(posix.dirname(path), specifier);
  if (target.startsWith(`${home.folder}/`)) return undefined;
  return `'${specifier}' leaves ${home.folder}: import the package by its name`;
}

/**
 * @param {string} specifier
 * @param {Package} home
 * @param {Package[]} packages
 */
function wrongWorkspaceImport(specifier, home, packages) {
  const [, base = ''] = specifier.split('/');
  const target = packages.find(({ name }) => name === `@dmabuf/${base}`);
  if (target === undefined) return `'${specifier}' is no package of this workspace`;
  if (target === home) return `'${specifier}' is this package itself: import by a relative path`;
  if (home.name === '@dmabuf/core') return `core imports no driver ('${specifier}')`;
  const isDriver = /^@dmabuf\/(?:exporter|importer)-/.test(home.name);
  if (isDriver && target.name !== '@dmabuf/core') {
    return `a driver imports @dmabuf/core alone, never another driver ('${specifier}')`;
  }
  const subpath = `.${specifier.slice(target.name.length)}`;
  if (target.exports.some((key) => matches(key, subpath))) return undefined;
  return `'${specifier}' is not exported by ${target.name} (package.json "exports")`;
}

/**
 * @param {string} key of `exports`, perhaps with one star
 * @param {string} subpath
 */
function matches(key, subpath) {
  const [head = '', tail] = key.split('*');
  if (tail === undefined) return key === subpath;
  return subpath.startsWith(head) && subpath.endsWith(tail);
}

/**
 * @param {string} path
 * @param {string} specifier
 * @param {boolean} dynamic
 * @param {Package} home
 */
function undeclared(path, specifier, dynamic, home) {
  if (specifier.startsWith('node:') || isTest(path)) return undefined;
  const parts = specifier.split('/');
  const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
  if (home.dependencies.includes(name)) return undefined;
  if (dynamic && home.onDemand.includes(name)) return undefined;
  return `'${name}' is not among the dependencies of ${home.folder}/package.json`;
}

/**
 * @param {string} code
 * @param {RegExp} pattern
 * @param {string} rule
 * @param {string} message
 * @returns {Hit[]}
 */
function find(code, pattern, rule, message) {
  return Array.from(code.matchAll(pattern), ({ index }) => ({ index, rule, message }));
}

/**
 * @param {string} source
 * @param {number} index
 */
function lineOf(source, index) {
  return source.slice(0, index).split('\n').length;
}
