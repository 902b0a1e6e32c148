/**
 * The wasm module of the h264decoder package, made to accept memory that threads share.
 *
 * The module imports its memory, and the limits of that import say whether it is shared (wasm binary format,
 * "limits": 1 has a maximum, 3 is shared, too). Its code is the same either way. The package exports the compiled
 * module only, so the bytes are taken from its file.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { DmaBufError } from '@dmabuf/core';

const FILE = 'h264decoder/dist/h264.wasm.js';
const HAS_MAXIMUM = 1;
const SHARED = 3;

/** The import `h264.memory`, of kind memory (2), up to its limits. */
const MEMORY_IMPORT: Buffer = Buffer.from('\x04h264\x06memory\x02', 'latin1');

let compiled: WebAssembly.Module | undefined;

/** The module for shared memory, compiled once a thread. ENOENT: the package is not the version that is known. */
export function sharedH264Module(): WebAssembly.Module {
  if (compiled === undefined) {
    const text = readFileSync(createRequire(import.meta.url).resolve(FILE), 'utf8');
    const base64 = /"(AGFzbQ[A-Za-z0-9+/=]+)"/.exec(text)?.[1];
    if (base64 === undefined) throw unknownVersion('its file holds no wasm module');
    compiled = new WebAssembly.Module(withSharedMemory(Buffer.from(base64, 'base64')));
  }
  return compiled;
}

/** A copy of a module whose import `h264.memory` is shared. ENOENT: it has no such import, or one of other limits. */
export function withSharedMemory(wasm: Uint8Array): Uint8Array<ArrayBuffer> {
  const patched = Uint8Array.from(wasm);
  const bytes = Buffer.from(patched.buffer);
  const at = bytes.indexOf(MEMORY_IMPORT);
  const limits = at + MEMORY_IMPORT.length;
  const only = at >= 0 && bytes.indexOf(MEMORY_IMPORT, limits) < 0;
  if (!only || patched[limits] !== HAS_MAXIMUM) {
    throw unknownVersion(
      'its module does not import a memory with a maximum where that is known to be',
    );
  }
  patched[limits] = SHARED;
  return patched;
}

function unknownVersion(what: string): DmaBufError {
  const detail = `h264decoder cannot decode in place: ${what}; version 1.0.0 is needed, npm install h264decoder@1.0.0`;
  return new DmaBufError('ENOENT', 'open_codec', detail);
}
