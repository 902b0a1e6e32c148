#!/usr/bin/env node
// Completes package-lock.json after `npm install`, for `npm ci` to work on every platform.
//   node scripts/complete-lock.mjs [--check]
// npm leaves a platform package (`optionalDependencies` with os, cpu and libc) out of the lock
// where the registry in use does not offer that very version, and then `npm ci` refuses the lock
// on every platform. This adds the entries; npm skips them where os or cpu differ.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {object} Entry
 * @property {string} [version]
 * @property {boolean} [dev]
 * @property {boolean} [optional]
 * @property {string[]} [os]
 * @property {string[]} [cpu]
 * @property {string[]} [libc]
 * @property {Record<string, string>} [optionalDependencies]
 */

const OS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const CPU = ['arm', 'arm64', 'ia32', 'ppc64', 'riscv64', 's390x', 'x64'];

/**
 * What a platform package's name says: `binding-linux-arm64-musl`, `darwin-x64`.
 * @param {string} name
 * @returns {Pick<Entry, 'os' | 'cpu' | 'libc'> | undefined}
 */
export function platformOf(name) {
  const words = name.split(/[/-]/);
  const os = words.find((word) => OS.includes(word));
  const cpu = words.find((word) => CPU.includes(word));
  if (os === undefined || cpu === undefined) return undefined;
  const abi = words.at(-1) ?? '';
  const libc = abi.startsWith('gnu') ? 'glibc' : abi.startsWith('musl') ? 'musl' : undefined;
  return { os: [os], cpu: [cpu], ...(os === 'linux' && libc !== undefined && { libc: [libc] }) };
}

/**
 * @param {Record<string, Entry>} packages of a lock file
 * @returns {Record<string, Entry>} the entries that are missing
 */
export function missingEntries(packages) {
  /** @type {Record<string, Entry>} */
  const missing = {};
  for (const [place, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const nested = `${place}/node_modules/${name}`;
      const hoisted = `node_modules/${name}`;
      if (packages[nested] !== undefined || packages[hoisted] !== undefined) continue;
      const platform = platformOf(name);
      if (platform === undefined) throw new Error(`${place}: ${name} tells no platform`);
      const { cpu, libc, os } = platform;
      missing[hoisted] = {
        version,
        ...(cpu && { cpu }),
        ...(entry.dev === true && { dev: true }),
        ...(libc && { libc }),
        optional: true,
        ...(os && { os }),
      };
    }
  }
  return missing;
}

/** @returns {{ packages: Record<string, Entry> }} */
export function readLock() {
  return JSON.parse(readFileSync(lockFile, 'utf8'));
}

const lockFile = fileURLToPath(new URL('../package-lock.json', import.meta.url));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lock = readLock();
  const missing = missingEntries(lock.packages);
  const count = Object.keys(missing).length;
  if (process.argv.includes('--check')) {
    if (count > 0) console.error(`package-lock.json lacks ${Object.keys(missing).join(', ')}`);
    process.exitCode = count > 0 ? 1 : 0;
  } else if (count > 0) {
    const all = Object.entries({ ...lock.packages, ...missing });
    const packages = Object.fromEntries(all.toSorted(([a], [b]) => (a < b ? -1 : 1)));
    writeFileSync(lockFile, `${JSON.stringify({ ...lock, packages }, null, 2)}\n`);
    console.log(`package-lock.json: ${count} platform packages added`);
  }
}
