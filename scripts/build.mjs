#!/usr/bin/env node
// Builds what is stale: TypeScript through project references, wasm kernels, then bundles.
//   node scripts/build.mjs [FOLDER]...      default: all; a folder brings what it depends on
// `tsc -b` knows by itself what is up to date (0.3 s when all is); the kernels are rebuilt when
// one of their sources is newer than they are. Output of a deleted source is removed, so that no
// stale module can be imported, tested or packed.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUNDLES, bundle } from './bundle.mjs';
import { walk } from './runner/discover.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const wanted = process.argv.slice(2);
/** Packages with kernels, and where those lie in their `dist`. */
const KERNELS = [
  ['packages/importer-gpu', 'kernels'],
  ['packages/importer-kms', 'compose'],
];

/**
 * @param {string} what for the message when it fails
 * @param {string} command
 * @param {string[]} args
 * @param {import('node:child_process').SpawnSyncOptions} [options]
 */
function run(what, command, args, options = {}) {
  // A child's chatter goes to stderr: stdout belongs to the program that is started after.
  const done = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    ...options,
  });
  if (done.status === 0) return;
  console.error(`build: ${what} failed${done.error ? `: ${done.error.message}` : ''}`);
  process.exit(1);
}

/** @returns {string[]} */
function workspaces() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).workspaces;
}

/** @param {string} folder */
function pruneStale(folder) {
  const dist = join(root, folder, 'dist');
  const source = existsSync(join(root, folder, 'src')) ? 'src' : '.';
  for (const path of walk(dist)) {
    if (path.startsWith(`bundle${sep}`)) continue;
    const [, stem, types, code] = /^(.+?)\.(?:d\.(c?)ts|(c?)js)(?:\.map)?$/.exec(path) ?? [];
    if (stem === undefined) continue;
    if (existsSync(join(root, folder, source, `${stem}.${types ?? code}ts`))) continue;
    rmSync(join(dist, path));
  }
}

function compileTypeScript() {
  const require = createRequire(import.meta.url);
  const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
  run('tsc -b', process.execPath, [tsc, '-b', ...wanted]);
}

/**
 * @param {string} folder of the package
 * @param {string} place of the module, in its dist
 */
function buildKernels(folder, place) {
  const home = join(root, folder);
  const built = times(join(home, 'dist', place), '.wasm');
  const sources = [...times(join(home, 'assembly'), ''), ...times(join(home, 'scripts'), '')];
  const compiler = times(join(root, 'scripts', 'kernels'), '.js');
  if (built.length > 0 && Math.min(...built) >= Math.max(...sources, ...compiler)) return;
  run('npm run build:wasm', 'npm', ['run', '--silent', 'build:wasm', '--if-present'], {
    cwd: home,
    shell: process.platform === 'win32',
  });
}

/**
 * @param {string} folder
 * @param {string} suffix
 * @returns {number[]} modification times of the files below it
 */
function times(folder, suffix) {
  const files = walk(folder).filter((path) => path.endsWith(suffix));
  return files.map((path) => statSync(join(folder, path)).mtimeMs);
}

/**
 * @param {string} folder
 * @returns {boolean} whether its TypeScript is compiled, which is done for what is asked for and all that this needs
 */
function isCompiled(folder) {
  return existsSync(join(root, folder, 'dist', '.tsbuildinfo'));
}

workspaces().forEach(pruneStale);
compileTypeScript();
for (const [folder = '', place = ''] of KERNELS)
  if (isCompiled(folder)) buildKernels(folder, place);
for (const [folder, what] of Object.entries(BUNDLES)) {
  if (isCompiled(folder)) await bundle(join(root, folder), what);
}
