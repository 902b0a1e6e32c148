// Bundles the packages: what users and workers load, in a few files instead of hundreds.
//
// A thread that loads core module by module spends 60 ms of a core on finding, reading and compiling
// them, and a machine has a thread for each device, each of which loads all driver halves. A bundle
// takes the compiled modules as they are (nothing is minified; maps lead to the sources), shares what
// several entries need in chunks, and leaves dependencies where they are. A module that says
// `new URL('./x.js', import.meta.url)` finds x in the bundle if x is an entry, or a copy: chunks lie
// at its top. Tests import the single modules in `dist`.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { walk } from './runner/discover.mjs';

/**
 * @typedef {object} Bundle
 * @property {Record<string, string>} entries where it lies in the bundle, and in `dist`; without `.js`
 * @property {string[]} copies files of `dist` that are copied to the top of the bundle
 */

/** By package folder. @type {Record<string, Bundle>} */
export const BUNDLES = {
  'packages/core': {
    entries: {
      index: 'index',
      driver: 'driver',
      broker: 'actor/broker',
      'device-main': 'actor/device-main',
      'reaper-main': 'actor/reaper-main',
    },
    copies: ['substrate/enter.cjs'],
  },
  'packages/exporter-ion': {
    entries: { index: 'index', driver: 'driver', device: 'device' },
    copies: [],
  },
  'packages/importer-v4l2': {
    entries: {
      index: 'index',
      driver: 'driver',
      device: 'device',
      'device/camera': 'device/camera',
    },
    copies: [],
  },
  'packages/importer-gpu': {
    entries: { index: 'index', driver: 'driver', device: 'device', 'shader-core': 'shader-core' },
    copies: ['kernels/kernels.wasm'],
  },
  'packages/importer-kms': {
    entries: {
      index: 'index',
      driver: 'driver',
      'crtc-device': 'crtc-device',
      'writeback-device': 'writeback-device',
    },
    copies: ['compose/kernels.wasm'],
  },
};

/**
 * Brings `dist/bundle` up to date. A file whose content is the same is not touched: it may just be loaded by
 * another process.
 * @param {string} home folder of the package
 * @param {Bundle} what
 */
export async function bundle(home, { entries, copies }) {
  const dist = join(home, 'dist');
  const out = join(dist, 'bundle');
  const { outputFiles } = await build({
    entryPoints: Object.entries(entries).map(([at, from]) => ({
      in: join(dist, `${from}.js`),
      out: at,
    })),
    outdir: out,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    packages: 'external',
    sourcemap: 'linked',
    sourcesContent: false,
    tsconfigRaw: {}, // its paths are for types
    write: false,
    logLevel: 'warning',
  });
  const files = new Map(outputFiles.map(({ path, contents }) => [path, contents]));
  for (const copy of copies) files.set(join(out, basename(copy)), readFileSync(join(dist, copy)));
  for (const [path, contents] of files) {
    if (existsSync(path) && readFileSync(path).equals(contents)) continue;
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, contents);
  }
  for (const name of walk(out)) if (!files.has(join(out, name))) rmSync(join(out, name));
}
