/**
 * The composer's row operations as wasm SIMD, on memory of the composer's own.
 */
import { existsSync, readFileSync } from 'node:fs';
import { DmaBufError } from '@dmabuf/core';
import type { RowOps } from './ops.js';

type Entry = (...args: number[]) => void;

let compiled: WebAssembly.Module | undefined;

/** Reads and compiles kernels.wasm, which lies beside this file; blocks for some ms, once a thread. ENOENT. */
function loadModule(): WebAssembly.Module {
  const url = new URL('./kernels.wasm', import.meta.url);
  if (!existsSync(url)) {
    const detail = `no kernel module at ${url.href}; run \`npm run build\`, or copy it there where a bundler moved this file`;
    throw new DmaBufError('ENOENT', 'compose', detail);
  }
  compiled ??= new WebAssembly.Module(readFileSync(url));
  return compiled;
}

function isEntry(value: unknown): value is Entry {
  return typeof value === 'function';
}

/** Operations on rows in `memory`, which the caller keeps, and grows if it likes. */
export function wasmOps(memory: WebAssembly.Memory): RowOps {
  const { exports } = new WebAssembly.Instance(loadModule(), { env: { memory } });
  const entry = (name: string): Entry => {
    const found = exports[name];
    if (!isEntry(found)) throw new TypeError(`kernel module has no function ${name}`);
    return found;
  };
  const blend = entry('blend');
  const expand565 = entry('expand565');
  const gather = entry('gather');
  const yuv = entry('yuv');
  return { blend, expand565, gather, yuv };
}
