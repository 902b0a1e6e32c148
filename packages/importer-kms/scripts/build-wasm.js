/**
 * Compiles assembly/*.ts to dist/compose/kernels.wasm. Runs before or after `tsc -b`; `--force` compiles
 * anyway. The memory is the composer's own: it lays it out, and no other thread sees it.
 */
import { buildKernels } from '../../../scripts/kernels/compile.js';

const root = new URL('../', import.meta.url);
await buildKernels({
  sources: new URL('assembly/', root),
  output: new URL('dist/compose/kernels.wasm', root),
  flags: [],
});
