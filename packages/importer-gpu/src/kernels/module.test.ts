/** The wasm module as such: what it imports, what it owns (nothing), and many of it on one memory. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DRM_FORMAT_NV12, DRM_FORMAT_XRGB8888, packedLayout, type FourCC } from '../fourcc.js';
import { sharedMemory } from './harness.test-helper.js';
import type { Image } from './kernels.js';
import { plainKernels } from './plain.js';
import type { TileTask } from './tile.test-helper.js';
import { loadKernelModule, wasmKernels } from './wasm.js';

test('it imports its memory and exports functions, nothing else', () => {
  const module = loadKernelModule();
  assert.equal(
    WebAssembly.Module.imports(module).map((i) => [i.module, i.name, i.kind]),
    [['env', 'memory', 'memory']],
  );
  const exports = WebAssembly.Module.exports(module);
  assert.equal(exports.map((e) => e.name).sort(), [
    'blend',
    'convert',
    'copy',
    'fill',
    'pack',
    'scale',
    'triangle',
  ]);
  assert.ok(exports.every((e) => e.kind === 'function'));
});

test('a shared memory of any maximum is accepted, and instantiation writes nothing to it', () => {
  for (const maximum of [1, 2, 77, 16384, 65536]) {
    const memory = new WebAssembly.Memory({ initial: 1, maximum, shared: true });
    const words = new Uint32Array(memory.buffer).fill(0xdeadbeef);
    wasmKernels(memory);
    assert.ok(words.every((word) => word === 0xdeadbeef));
  }
});

test('a missing module file is ENOENT with the remedy', () => {
  assert.throws(
    () => loadKernelModule(new URL('./no-such.wasm', import.meta.url)),
    /ENOENT: .*, load_kernels: no kernel module at .*no-such\.wasm; run `npm run build`/,
  );
});

test('three workers on one memory at once do a third of the rows each, as one would', async () => {
  const memory = sharedMemory(64);
  const image = (
    fourcc: FourCC,
    byteOffset: number,
    width: number,
    height: number,
  ): Omit<Image, 'memory'> => {
    const { planes, size } = packedLayout(fourcc, width, height);
    return { byteOffset, byteLength: size, fourcc, width, height, planes };
  };
  const src = image(DRM_FORMAT_NV12, 0, 333, 201);
  const dst = image(DRM_FORMAT_XRGB8888, 1 << 20, 500, 300);
  const bytes = new Uint8Array(memory.buffer, 0, src.byteLength);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.imul(i, 2654435761) >>> 24;
  const from = { x: 1, y: 1, width: 331, height: 199 };
  const to = { x: 0, y: 0, width: 500, height: 300 };
  const workers = [0, 1, 2].map((i) => {
    const workerData: TileTask = {
      ...{ memory, module: loadKernelModule(), dst, to, src, from, times: 20 },
      rows: { y0: i * 100, y1: i * 100 + 100 },
      scratch: { byteOffset: (2 << 20) + i * 65536, byteLength: 65536 },
    };
    return new Worker(new URL('./tile.test-helper.js', import.meta.url), { workerData });
  });
  try {
    await Promise.all(workers.map((worker) => once(worker, 'message')));
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  const alone = new ArrayBuffer(2 << 20);
  new Uint8Array(alone).set(bytes);
  plainKernels.scale({ ...dst, memory: alone }, to, { ...src, memory: alone }, from, {
    filter: 'bilinear',
  });
  const got = Buffer.from(memory.buffer, dst.byteOffset, dst.byteLength);
  const expected = Buffer.from(alone, dst.byteOffset, dst.byteLength);
  assert.is(Buffer.compare(got, expected), 0);
});

test.run();
