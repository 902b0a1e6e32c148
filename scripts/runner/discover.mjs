// Finds the test files from their SOURCES, so that a stale file in dist is never run and a test
// that was not built is a failure rather than a silence.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, sep } from 'node:path';

/**
 * @typedef {object} TestFile
 * @property {string} name source path relative to the root, with forward slashes
 * @property {string} run file that node runs
 * @property {string} folder workspace folder, or `scripts`
 * @property {string} packageName
 */

const SKIPPED_FOLDERS = new Set(['node_modules', 'dist', 'coverage', '.git']);

/**
 * Every file below `folder` (relative to it), in a stable order.
 * @param {string} folder
 * @returns {string[]}
 */
export function walk(folder) {
  if (!existsSync(folder)) return [];
  const found = [];
  const entries = readdirSync(folder, { withFileTypes: true });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.isDirectory()) {
      if (SKIPPED_FOLDERS.has(entry.name)) continue;
      found.push(...walk(join(folder, entry.name)).map((path) => join(entry.name, path)));
    } else {
      found.push(entry.name);
    }
  }
  return found;
}

/**
 * @param {string} root folder of the workspace's package.json
 * @returns {TestFile[]}
 */
export function discover(root) {
  /** @type {{ workspaces?: string[] }} */
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const inPackages = (manifest.workspaces ?? []).flatMap((folder) => testsOf(root, folder));
  const inScripts = walk(join(root, 'scripts')).filter((path) => /\.test\.m?js$/.test(path));
  return [
    ...inPackages,
    ...inScripts.map((path) => ({
      name: slashed(join('scripts', path)),
      run: join(root, 'scripts', path),
      folder: 'scripts',
      packageName: 'scripts',
    })),
  ];
}

/**
 * A package keeps its sources in `src`; examples and bench keep them beside their package.json.
 * @param {string} root
 * @param {string} folder
 * @returns {TestFile[]}
 */
function testsOf(root, folder) {
  const manifest = join(root, folder, 'package.json');
  if (!existsSync(manifest)) return [];
  /** @type {{ name: string }} */
  const { name: packageName } = JSON.parse(readFileSync(manifest, 'utf8'));
  const source = existsSync(join(root, folder, 'src')) ? 'src' : '.';
  return walk(join(root, folder, source))
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => ({
      name: slashed(join(folder, source, path)),
      run: join(root, folder, 'dist', path.replace(/\.ts$/, '.js')),
      folder,
      packageName,
    }));
}

/**
 * Keeps what the arguments name: a folder (`packages/core`), a package (`@dmabuf/core`, `core`),
 * or else any part of a file's path. No argument keeps everything.
 * @param {TestFile[]} files
 * @param {string[]} wanted
 * @returns {TestFile[]}
 */
export function select(files, wanted) {
  if (wanted.length === 0) return files;
  const keeps = wanted.map((word) => keeper(files, slashed(word).replace(/\/+$/, '')));
  return files.filter((file) => keeps.some((keep) => keep(file)));
}

/**
 * @param {TestFile[]} files
 * @param {string} word
 * @returns {(file: TestFile) => boolean}
 */
function keeper(files, word) {
  /** @param {TestFile} file */
  const isPackage = (file) =>
    file.folder === word || file.packageName === word || file.packageName === `@dmabuf/${word}`;
  if (files.some(isPackage)) return isPackage;
  return (file) => file.name.includes(word) || slashed(file.run).includes(word);
}

/**
 * @param {string} path
 * @returns {string}
 */
function slashed(path) {
  return path.split(sep).join('/');
}
