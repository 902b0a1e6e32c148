/**
 * FFmpeg as WebAssembly (optional package @ffmpeg/core, GPL-2): one run a group of pictures, on files in
 * its own memory. A run blocks the worker.
 */
import { readFileSync } from 'node:fs';
import { DmaBufError } from '@dmabuf/core';
import { loadPackage, packagePath, type DecoderBackend } from './backend.js';
import { DECODE_ARGS } from './ffmpeg-program.js';
import { GroupDecoder } from './group-decoder.js';

const PACKAGE = '@ffmpeg/core';
const FORMATS = ['H264', 'HEVC', 'MPG1', 'MPG2'];

/** The part of its interface that is used here. */
interface Core {
  readonly FS: {
    writeFile(path: string, data: Uint8Array): void;
    readFile(path: string): Uint8Array;
    unlink(path: string): void;
  };
  exec(...args: readonly string[]): number;
  reset(): void;
  setLogger(logger: (entry: { readonly message: string }) => void): void;
}

function isCore(value: unknown): value is Core {
  if (typeof value !== 'object' || value === null) return false;
  const calls = ['exec', 'reset', 'setLogger'].every(
    (name) => typeof Reflect.get(value, name) === 'function',
  );
  return calls && typeof Reflect.get(value, 'FS') === 'object';
}

function broken(detail: string): DmaBufError {
  return new DmaBufError('EIO', 'open_codec', `${PACKAGE}: ${detail}`);
}

async function load(): Promise<Core> {
  const { default: create } = await loadPackage(PACKAGE);
  const wasm = packagePath(`${PACKAGE}/wasm`);
  if (typeof create !== 'function' || wasm === undefined) throw broken('it is not version 0.12');
  const core: unknown = await asInBrowser(
    async () => Reflect.apply(create, undefined, [{ wasmBinary: readFileSync(wasm) }]) as unknown,
  );
  if (!isCore(core)) throw broken('it has no exec, reset, setLogger and FS');
  return core;
}

/** It is built for browsers alone and looks at `self` while it starts. */
async function asInBrowser<T>(start: () => Promise<T>): Promise<T> {
  const had = Object.getOwnPropertyDescriptor(globalThis, 'self');
  const value = { location: { href: 'file:///' } };
  Object.defineProperty(globalThis, 'self', { value, configurable: true, writable: true });
  try {
    return await start();
  } finally {
    if (had === undefined) Reflect.deleteProperty(globalThis, 'self');
    else Object.defineProperty(globalThis, 'self', had);
  }
}

function run(core: Core, file: Uint8Array, demuxer: string): Uint8Array {
  let said = '';
  core.setLogger(({ message }) => {
    said = `${said}${message}\n`.slice(-2000);
  });
  core.FS.writeFile('in', file);
  try {
    const code = core.exec('-v', 'error', '-f', demuxer, '-i', 'in', ...DECODE_ARGS, 'out.y4m');
    if (code !== 0) throw new DmaBufError('EIO', 'decode', `it ended with code ${code}: ${said}`);
    const out = core.FS.readFile('out.y4m');
    core.FS.unlink('out.y4m');
    return out;
  } finally {
    core.FS.unlink('in');
    core.reset();
  }
}

export const ffmpegCore: DecoderBackend = {
  name: PACKAGE,
  install: `npm install ${PACKAGE}@0.12.10`,
  takes: (fourcc) => FORMATS.includes(fourcc),
  present: () => packagePath(PACKAGE) !== undefined,
  async open(format, header) {
    const core = await load();
    return new GroupDecoder(PACKAGE, format, header, async (file, demuxer) =>
      run(core, file, demuxer),
    );
  },
};
