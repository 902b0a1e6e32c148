/**
 * Compiles assembly/*.ts to dist/kernels/kernels.wasm with AssemblyScript's own compiler (plain
 * JavaScript: no toolchain is needed). Skipped when up to date: a hash of the sources, of this
 * script and of the compiler's version is kept in the module's custom section `dmabuf.sources`.
 * Runs before or after `tsc -b`. `--force` compiles anyway.
 *
 * A file and not an embedded base64 module: workers read 5 kB synchronously, bundlers know the
 * `new URL('./kernels.wasm', import.meta.url)` pattern, tsc needs no generated source to exist,
 * and the shipped thing can be inspected with any wasm tool.
 *
 * The imported memory is declared with 1..65536 pages, shared. An import accepts any memory whose
 * maximum is not larger than the declared one, so the pool may have whatever maximum it likes.
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

const root = new URL('../', import.meta.url);
const sourceDir = new URL('assembly/', root);
const output = new URL('dist/kernels/kernels.wasm', root);
const SECTION = 'dmabuf.sources';
/** Sections that would put state of the module's own into memory shared with others. */
const FORBIDDEN = new Map([
  [6, 'a global'],
  [8, 'a start function'],
  [11, 'a data segment'],
]);

const flags = [
  ...['--optimizeLevel', '3', '--shrinkLevel', '0', '--converge', '--noAssert', '--noColors'],
  ...['--runtime', 'stub', '--use', 'abort=', '--enable', 'simd', '--enable', 'threads'],
  ...['--importMemory', '--noExportMemory', '--sharedMemory'],
  ...['--initialMemory', '1', '--maximumMemory', '65536'],
];

function sourceHash() {
  const hash = createHash('sha256').update(asc.version);
  hash.update(readFileSync(fileURLToPath(import.meta.url)));
  for (const name of readdirSync(sourceDir).sort()) {
    if (name.endsWith('.ts')) hash.update(name).update(readFileSync(new URL(name, sourceDir)));
  }
  return hash.digest();
}

function upToDate(hash) {
  if (!existsSync(output)) return false;
  try {
    const built = new WebAssembly.Module(readFileSync(output));
    const [section] = WebAssembly.Module.customSections(built, SECTION);
    return section !== undefined && hash.equals(Buffer.from(section));
  } catch {
    return false; // not a module: build it again
  }
}

/** LEB128, as sizes are written in wasm. */
function leb(n) {
  const bytes = [];
  for (; n > 127; n >>>= 7) bytes.push((n & 127) | 128);
  return [...bytes, n];
}

function readLeb(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value |= (byte & 127) << shift;
    if (byte < 128) return [value, at];
  }
}

function refuseState(bytes) {
  for (let at = 8; at < bytes.length;) {
    const id = bytes[at];
    const [size, body] = readLeb(bytes, at + 1);
    const what = FORBIDDEN.get(id);
    if (what !== undefined) throw new Error(`kernels.wasm has ${what}; kernels may own no state`);
    at = body + size;
  }
}

async function compile(hash) {
  let binary;
  const { error, stderr } = await asc.main(['index.ts', '--outFile', 'kernels.wasm', ...flags], {
    readFile: (name) => {
      const url = new URL(name, sourceDir);
      return existsSync(url) ? readFileSync(url, 'utf8') : null;
    },
    writeFile: (_name, contents) => {
      binary = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || binary === undefined)
    throw new Error(`asc failed\n${stderr.toString()}`, { cause: error });
  refuseState(binary);
  const name = Buffer.from(SECTION);
  const body = Buffer.concat([Buffer.from(leb(name.length)), name, hash]);
  return Buffer.concat([binary, Buffer.from([0, ...leb(body.length)]), body]);
}

const hash = sourceHash();
if (!process.argv.includes('--force') && upToDate(hash)) {
  // Younger than its sources again, for whoever goes by times.
  const now = new Date();
  utimesSync(output, now, now);
  console.log('kernels.wasm is up to date');
} else {
  const module = await compile(hash);
  if (!WebAssembly.validate(module)) throw new Error('kernels.wasm does not validate');
  mkdirSync(new URL('./', output), { recursive: true });
  // Renamed into place, so that a worker that loads it meanwhile reads a whole module.
  const temporary = new URL(`kernels.wasm.${process.pid}`, output);
  writeFileSync(temporary, module);
  renameSync(temporary, output);
  console.log(`kernels.wasm: ${module.length} bytes`);
}
