#!/usr/bin/env node
// Runs before `npm pack` and `npm publish` of a package: builds, and puts the licence texts into
// the package's folder (they live once, at the root; the copies are not committed).
import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** @param {string} folder of the package */
export function copyLicences(folder) {
  for (const name of ['LICENSE', 'NOTICE']) copyFileSync(join(root, name), join(folder, name));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  copyLicences(process.cwd());
  const build = join(root, 'scripts', 'build.mjs');
  process.exitCode = spawnSync(process.execPath, [build], { stdio: 'inherit' }).status ?? 1;
}
