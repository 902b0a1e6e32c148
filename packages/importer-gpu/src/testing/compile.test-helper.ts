/** Compiles a kernel from AssemblyScript for a test, into a file of its own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import asc from 'assemblyscript/asc';

export interface Compiled {
  readonly url: URL;
  remove(): void;
}

export async function compileKernel(source: string): Promise<Compiled> {
  const flags = ['--runtime', 'stub', '--importMemory', '--sharedMemory', '--noExportMemory'];
  let binary: Uint8Array | undefined;
  const { error } = await asc.main(
    [
      ...['kernel.ts', '--outFile', 'kernel.wasm', '--optimizeLevel', '2', ...flags],
      ...[
        '--enable',
        'threads',
        '--initialMemory',
        '1',
        '--maximumMemory',
        '65536',
        '--use',
        'abort=',
      ],
    ],
    {
      readFile: (name) => (name === 'kernel.ts' ? source : null),
      writeFile: (_name, contents) => {
        if (typeof contents !== 'string') binary = contents;
      },
      listFiles: () => [],
    },
  );
  if (error !== null) throw error;
  if (binary === undefined) throw new Error('the compiler wrote nothing');
  const folder = mkdtempSync(join(tmpdir(), 'gpu-kernel-'));
  const file = join(folder, 'kernel.wasm');
  writeFileSync(file, binary);
  return { url: pathToFileURL(file), remove: () => rmSync(folder, { recursive: true }) };
}

/** Adds a number to words, as `add` of kernels.test-helper does. */
export const ADD_KERNEL = `
export function add(
  x0: i32, y0: i32, x1: i32, y1: i32,
  sw: i32, sh: i32, src: usize, srcPitch: i32,
  dw: i32, dh: i32, dst: usize, dstPitch: i32, value: f64,
): void {
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      store<u32>(dst + y * dstPitch + x * 4, load<u32>(src + y * srcPitch + x * 4) + <u32>value);
    }
  }
}
`;
