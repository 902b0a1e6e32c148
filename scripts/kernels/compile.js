/**
 * Compiles a package's assembly/*.ts to a wasm module with AssemblyScript's own compiler (plain
 * JavaScript: no toolchain is needed). Skipped when up to date: a hash of the sources, of the flags, of
 * this file and of the compiler's version is kept in the module's custom section `dmabuf.sources`.
 *
 * A file and not an embedded base64 module: workers read 5 kB synchronously, bundlers know the
 * `new URL('./kernels.wasm', import.meta.url)` pattern, tsc needs no generated source to exist,
 * and the shipped thing can be inspected with any wasm tool.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const SECTION = 'dmabuf.sources';
/** Sections that would put state of the module's own into the caller's memory. */
const FORBIDDEN = new Map([
  [6, 'a global'],
  [8, 'a start function'],
  [11, 'a data segment'],
]);

const COMMON = [
  ...['--optimizeLevel', '3', '--shrinkLevel', '0', '--converge', '--noAssert', '--noColors'],
  ...['--runtime', 'stub', '--use', 'abort=', '--enable', 'simd'],
  ...['--importMemory', '--noExportMemory'],
];

/**
 * @typedef {object} Kernels
 * @property {URL} sources folder, with an index.ts
 * @property {URL} output the module
 * @property {string[]} flags of the compiler, beside those that all kernels have
 */

/** @param {Kernels} kernels */
function sourceHash({ sources, flags }) {
  const hash = createHash('sha256').update(asc.version).update(flags.join(' '));
  hash.update(readFileSync(fileURLToPath(import.meta.url)));
  for (const name of readdirSync(sources).sort()) {
    if (name.endsWith('.ts')) hash.update(name).update(readFileSync(new URL(name, sources)));
  }
  return hash.digest();
}

/**
 * @param {URL} output
 * @param {Buffer} hash
 */
function upToDate(output, hash) {
  if (!existsSync(output)) return false;
  try {
    const built = new WebAssembly.Module(readFileSync(output));
    const [section] = WebAssembly.Module.customSections(built, SECTION);
    return section !== undefined && hash.equals(Buffer.from(section));
  } catch {
    return false; // not a module: build it again
  }
}

/**
 * LEB128, as sizes are written in wasm.
 * @param {number} n
 */
function leb(n) {
  const bytes = [];
  let rest = n;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  return [...bytes, rest];
}

/**
 * @param {Uint8Array} bytes
 * @param {number} from
 * @returns {[value: number, next: number]}
 */
function readLeb(bytes, from) {
  let value = 0;
  for (let at = from, shift = 0; ; shift += 7) {
    const byte = bytes[at++] ?? 0;
    value |= (byte & 127) << shift;
    if (byte < 128) return [value, at];
  }
}

/** @param {Uint8Array} bytes */
function refuseState(bytes) {
  for (let at = 8; at < bytes.length;) {
    const what = FORBIDDEN.get(bytes[at] ?? 0);
    const [size, body] = readLeb(bytes, at + 1);
    if (what !== undefined) throw new Error(`the kernels have ${what}; they may own no state`);
    at = body + size;
  }
}

/**
 * @param {Kernels} kernels
 * @param {Buffer} hash
 */
async function compile({ sources, flags }, hash) {
  /** @type {Uint8Array | undefined} */
  let binary;
  const args = ['index.ts', '--outFile', 'kernels.wasm', ...COMMON, ...flags];
  const { error, stderr } = await asc.main(args, {
    readFile: (name) => {
      const url = new URL(name, sources);
      return existsSync(url) ? readFileSync(url, 'utf8') : null;
    },
    writeFile: (_name, contents) => {
      if (typeof contents !== 'string') binary = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || binary === undefined) {
    throw new Error(`asc failed\n${stderr.toString()}`, { cause: error });
  }
  refuseState(binary);
  const name = Buffer.from(SECTION);
  const body = Buffer.concat([Buffer.from(leb(name.length)), name, hash]);
  return Buffer.concat([binary, Buffer.from([0, ...leb(body.length)]), body]);
}

/**
 * Builds the module if one of its sources has changed, or `--force` is given.
 * @param {Kernels} kernels
 */
export async function buildKernels(kernels) {
  const { output } = kernels;
  const hash = sourceHash(kernels);
  if (!process.argv.includes('--force') && upToDate(output, hash)) {
    // Younger than its sources again, for whoever goes by times.
    const now = new Date();
    utimesSync(output, now, now);
    console.log('kernels.wasm is up to date');
    return;
  }
  const module = await compile(kernels, hash);
  if (!WebAssembly.validate(module)) throw new Error('kernels.wasm does not validate');
  mkdirSync(new URL('./', output), { recursive: true });
  // Renamed into place, so that a worker that loads it meanwhile reads a whole module.
  const temporary = new URL(`kernels.wasm.${process.pid}`, output);
  writeFileSync(temporary, module);
  renameSync(temporary, output);
  console.log(`kernels.wasm: ${module.length} bytes`);
}
