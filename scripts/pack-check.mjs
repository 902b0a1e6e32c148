#!/usr/bin/env node
// Proves that a packed package works by itself: packs it, installs the tarball in an empty folder
// outside the workspace, and type-checks, then runs there the first code block of its README.
//   node scripts/pack-check.mjs [FOLDER]...      default: packages/core packages/exporter-ion
// The install follows a lock file cut out of the workspace's own, so that npm finds everything in
// its cache after `npm ci`, and no version differs. A README's first block is its snippet; a block
// whose first line is `// name.ts` is written under that name, so that a snippet may have several.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { copyLicences } from './prepack.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * @typedef {object} Outcome
 * @property {string[]} files of the tarball
 * @property {string | undefined} skipped why there was no snippet to run
 * @property {string} output of the snippet
 */

/**
 * @typedef {object} Packed
 * @property {string} name
 * @property {string} version
 * @property {string} filename
 * @property {string} integrity
 * @property {{ path: string }[]} files
 */

/**
 * @typedef {object} LockEntry
 * @property {string} [version]
 * @property {string} [resolved]
 * @property {string} [integrity]
 * @property {boolean} [link]
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [optionalDependencies]
 */

/**
 * @param {string} folder of the package, as `packages/core`
 * @returns {Outcome}
 */
export function checkPack(folder) {
  const app = mkdtempSync(join(tmpdir(), 'pack-check-'));
  try {
    const packed = [folder, ...workspaceDependencies(folder)].map((each) => pack(each, app));
    const files = (packed[0]?.files ?? []).map(({ path }) => path);
    install(app, packed);
    importEntry(app, packed[0]?.name ?? '');
    const { blocks, missing } = readSnippet(folder);
    return {
      files,
      skipped: missing,
      output: missing === undefined ? runSnippet(app, blocks) : '',
    };
  } finally {
    rmSync(app, { recursive: true, force: true, maxRetries: 5 });
  }
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 * @returns {string} stdout
 */
function run(command, args, cwd) {
  // Settings of the npm that runs us (workspace, prefix) must not reach the npm that we run.
  const ours =
    /^npm_(?:lifecycle|package|config_(?:workspaces?|local_prefix|include_workspace_root)$)/;
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !ours.test(key)));
  const shell = process.platform === 'win32' && command === 'npm';
  const done = spawnSync(command, args, { cwd, env, encoding: 'utf8', shell, timeout: 50_000 });
  if (done.status === 0) return done.stdout;
  const how = done.error?.message ?? `status ${done.status ?? done.signal}`;
  throw new Error(`${command} ${args.join(' ')}: ${how}\n${done.stdout}${done.stderr}`);
}

/** @param {string} path */
function readJson(path) {
  return JSON.parse(readFileSync(join(root, path), 'utf8'));
}

/**
 * @param {string} folder
 * @returns {string[]} folders of the packages of this workspace that it depends on
 */
function workspaceDependencies(folder) {
  const names = Object.keys(readJson(join(folder, 'package.json')).dependencies ?? {});
  return names
    .filter((name) => name.startsWith('@dmabuf/'))
    .map((name) => name.replace('@dmabuf/', 'packages/'));
}

/**
 * Packs what is built. The build itself is left out: it may run for other tests at this moment.
 * @param {string} folder
 * @param {string} app
 * @returns {Packed}
 */
function pack(folder, app) {
  copyLicences(join(root, folder));
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', app];
  /** @type {Packed[] | Record<string, Packed>} an array before npm 12 */
  const answer = JSON.parse(run('npm', args, join(root, folder)));
  const [packed] = Object.values(answer);
  if (packed === undefined) throw new Error(`npm pack of ${folder} names no tarball`);
  return packed;
}

/**
 * @param {string} app
 * @param {Packed[]} packed
 */
function install(app, packed) {
  const dependencies = Object.fromEntries(packed.map((p) => [p.name, `file:${p.filename}`]));
  const manifest = { name: 'pack-check-app', version: '1.0.0', type: 'module', dependencies };
  /** @type {Record<string, LockEntry>} */
  const packages = { '': manifest };
  for (const each of packed) {
    const folder = each.name.replace('@dmabuf/', 'packages/');
    const own = readJson(join(folder, 'package.json'));
    const resolved = `file:${each.filename}`;
    const { integrity, version } = each;
    const entry = { version, resolved, integrity, dependencies: own.dependencies };
    packages[`node_modules/${each.name}`] = entry;
    addClosure(packages, own.dependencies ?? {}, folder);
  }
  const lock = {
    name: manifest.name,
    version: '1.0.0',
    lockfileVersion: 3,
    requires: true,
    packages,
  };
  writeFileSync(join(app, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(app, 'package-lock.json'), JSON.stringify(lock));
  run('npm', ['ci', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund'], app);
}

/**
 * Adds the lock entries of third-party dependencies, and of what they depend on.
 * @param {Record<string, LockEntry>} packages
 * @param {Record<string, string>} dependencies
 * @param {string} from place in the workspace's lock from where they are resolved
 */
function addClosure(packages, dependencies, from) {
  /** @type {Record<string, LockEntry>} */
  const lock = readJson('package-lock.json').packages;
  for (const name of Object.keys(dependencies)) {
    const place = findInLock(lock, name, from);
    if (place === undefined || packages[place] !== undefined) continue;
    const { dev: _dev, devOptional: _devOptional, ...entry } = /** @type {any} */ (lock[place]);
    if (entry.link === true) continue;
    packages[place] = entry;
    addClosure(packages, { ...entry.dependencies, ...entry.optionalDependencies }, place);
  }
}

/**
 * Node's own rule: the nearest node_modules on the way up.
 * @param {Record<string, LockEntry>} lock
 * @param {string} name
 * @param {string} from
 */
function findInLock(lock, name, from) {
  for (let at = from; ; at = at.includes('/') ? at.slice(0, at.lastIndexOf('/')) : '') {
    const place = at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`;
    if (lock[place] !== undefined) return place;
    if (at === '') return undefined;
  }
}

/**
 * @param {string} app
 * @param {string} name
 */
function importEntry(app, name) {
  const code = `await import(${JSON.stringify(name)});`;
  run(process.execPath, ['--input-type=module', '--eval', code], app);
}

/**
 * @param {string} folder
 * @returns {{ blocks: { file: string, code: string }[], missing: string | undefined }}
 */
export function readSnippet(folder) {
  const readme = join(root, folder, 'README.md');
  if (!existsSync(readme)) return { blocks: [], missing: `${folder} has no README.md yet` };
  const blocks = codeBlocks(readFileSync(readme, 'utf8'));
  const missing = blocks.length > 0 ? undefined : `${folder}/README.md has no ts or js block yet`;
  return { blocks, missing };
}

/**
 * The first block, and every other that names its file in its first line.
 * @param {string} markdown
 * @returns {{ file: string, code: string }[]}
 */
export function codeBlocks(markdown) {
  const fences = markdown.matchAll(/^```(ts|typescript|js|javascript|mjs)\b[^\n]*\n(.*?)^```/gms);
  const blocks = Array.from(fences, ([, language = '', code = '']) => {
    const named = /^\/\/ (?:[\w-]+\/)*([\w-]+\.[mc]?[jt]s)\b/.exec(code)?.[1];
    const suffix = language.startsWith('t') ? 'ts' : 'mjs';
    return { named, file: named ?? `snippet.${suffix}`, code };
  });
  return blocks
    .filter(({ named }, index) => index === 0 || named !== undefined)
    .map(({ file, code }) => ({ file, code }));
}

/**
 * @param {string} app
 * @param {{ file: string, code: string }[]} blocks the first one is run
 * @returns {string} what it printed
 */
function runSnippet(app, blocks) {
  for (const { file, code } of blocks) writeFileSync(join(app, file), code);
  if (blocks.some(({ file }) => file.endsWith('ts'))) compile(app);
  const [first] = blocks;
  if (first === undefined) throw new Error('no block to run');
  return run(process.execPath, [first.file.replace(/ts$/, 'js')], app);
}

/**
 * With the published declarations, under the settings that a user is likely to have.
 * @param {string} app
 */
function compile(app) {
  const require = createRequire(import.meta.url);
  const types = dirname(dirname(require.resolve('@types/node/package.json')));
  const config = {
    compilerOptions: {
      target: 'es2023',
      lib: ['es2023', 'esnext.disposable', 'dom'],
      module: 'nodenext',
      strict: true,
      skipLibCheck: true,
      types: ['node'],
      typeRoots: [types],
    },
    include: ['*.ts', '*.mts'],
  };
  mkdirSync(app, { recursive: true });
  writeFileSync(join(app, 'tsconfig.json'), JSON.stringify(config));
  const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
  run(process.execPath, [tsc, '-p', '.'], app);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const given = process.argv.slice(2);
  for (const folder of given.length > 0 ? given : ['packages/core', 'packages/exporter-ion']) {
    const { files, skipped, output } = checkPack(folder);
    console.log(`${folder}: ${files.length} files packed, installed, imported`);
    console.log(
      skipped === undefined ? `its README snippet ran:\n${output}` : `snippet: ${skipped}`,
    );
  }
}
