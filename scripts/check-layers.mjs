#!/usr/bin/env node
// Checks the layer rules of the project on all TypeScript sources; part of `npm run lint`.
// Prints `file:line  rule  message` for each breach, and exits 1 if there is one.
import { existsSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkFile } from './layers/rules.mjs';
import { walk } from './runner/discover.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** @param {string} folder */
function readManifest(folder) {
  return JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
}

/**
 * @param {string} folder
 * @returns {import('./layers/rules.mjs').Package}
 */
function readPackage(folder) {
  const manifest = readManifest(folder);
  const names = (/** @type {string} */ field) => Object.keys(manifest[field] ?? {});
  return {
    folder,
    name: manifest.name,
    exports: names('exports'),
    dependencies: names('dependencies'),
    onDemand: [...names('peerDependencies'), ...names('devDependencies')],
  };
}

/** @type {string[]} */
const workspaces = readManifest('.').workspaces;
const packages = workspaces.map(readPackage);
const findings = packages.flatMap(({ folder }) => {
  const start = existsSync(join(root, folder, 'src')) ? join(folder, 'src') : folder;
  return walk(join(root, start))
    .filter((path) => /\.[mc]?ts$/.test(path))
    .map((path) => join(start, path).split(sep).join('/'))
    .flatMap((path) => checkFile(path, readFileSync(join(root, path), 'utf8'), packages));
});

for (const { path, line, rule, message } of findings) {
  console.error(`${path}:${line}  ${rule}  ${message}`);
}
if (findings.length > 0) {
  console.error(`check-layers: ${findings.length} breach${findings.length > 1 ? 'es' : ''}`);
  process.exitCode = 1;
}
