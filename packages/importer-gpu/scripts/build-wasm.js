/**
 * Compiles assembly/*.ts to dist/kernels/kernels.wasm. Runs before or after `tsc -b`; `--force` compiles
 * anyway.
 *
 * The imported memory is declared with 1..65536 pages, shared. An import accepts any memory whose
 * maximum is not larger than the declared one, so the pool may have whatever maximum it likes.
 */
import { buildKernels } from '../../../scripts/kernels/compile.js';

const root = new URL('../', import.meta.url);
await buildKernels({
  sources: new URL('assembly/', root),
  output: new URL('dist/kernels/kernels.wasm', root),
  flags: [
    ...['--enable', 'threads', '--sharedMemory'],
    ...['--initialMemory', '1', '--maximumMemory', '65536'],
  ],
});
