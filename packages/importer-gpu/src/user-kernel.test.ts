import { discard, type Machine } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { copy, dispatch, type DispatchCommand } from './command.js';
import { GpuContext } from './context.js';
import { DRM_FORMAT_NV12, DRM_FORMAT_XRGB8888 } from './fourcc.js';
import type { GpuImage } from './image.js';
import { ADD_KERNEL, compileKernel, type Compiled } from './testing/compile.test-helper.js';
import {
  bootMachine,
  Camera,
  poolBuffer,
  readBytes,
  writeBytes,
} from './testing/machine.test-helper.js';
import { difference, painted } from './testing/pictures.test-helper.js';
import type { GpuKernel } from './user-kernel.js';

const MODULE = new URL('./testing/kernels.test-helper.js', import.meta.url);
const rgb = { fourcc: DRM_FORMAT_XRGB8888, width: 16, height: 8 };
const SIZE = 16 * 8 * 4;

let machine: Machine;
let context: GpuContext;
let compiled: Compiled;

const SOURCE = `${ADD_KERNEL}
export function trap(x0: i32, y0: i32, x1: i32, y1: i32): void {
  unreachable();
}
`;

test.before(async () => {
  [machine, compiled] = await Promise.all([bootMachine({ kernels: 4 }), compileKernel(SOURCE)]);
  context = GpuContext.create(machine);
});
test.after(async () => {
  await machine.shutdown();
  compiled.remove();
});

/** An image in the pool or outside. */
function imageOf(where: 'pool' | 'system', seed: number): GpuImage {
  const buffer = where === 'pool' ? poolBuffer(machine, SIZE) : machine.alloc(SIZE);
  writeBytes(buffer, painted(SIZE, seed));
  const image = context.importImage({ buffer, ...rgb });
  buffer.close();
  return image;
}

function summed(seed: number, value: number): Uint8Array {
  const words = new Uint32Array(painted(SIZE, seed).buffer).map((word) => word + value);
  return new Uint8Array(words.buffer);
}

for (const [kind, where] of [
  ['module', 'pool'],
  ['module', 'system'],
  ['wasm', 'pool'],
] as const) {
  test(`a kernel (${kind}) runs over a grid on images in the ${where}`, () => {
    const url = kind === 'wasm' ? compiled.url : MODULE;
    using kernel = context.loadKernel({ url, entry: 'add' });
    assert.equal([kernel.kind, kernel.entry, kernel.url], [kind, 'add', url.href]);
    using src = imageOf(where, 1);
    using dst = imageOf(where, 2);
    const before = context.stats();
    const images = [
      { image: src, access: 'read' },
      { image: dst, access: 'overwrite' },
    ] as const;
    const fence = context.submit({ commands: [dispatch({ kernel, images, args: [0x010203] })] });
    assert.is(fence.wait(5000), 1);
    assert.is(difference(readBytes(dst.buffer), summed(1, 0x010203)), '');
    const after = context.stats();
    assert.equal(
      [
        after.wasmRuns - before.wasmRuns,
        after.plainRuns - before.plainRuns,
        after.pixels - before.pixels,
      ],
      [kind === 'wasm' ? 1 : 0, kind === 'wasm' ? 0 : 1, 128],
    );
    // A part of the grid, and together with another command.
    const grid = { width: 5, height: 3 };
    const part = dispatch({ kernel, images, args: [7], grid });
    context.submit({ commands: [copy({ src, dst }), part] });
    const expected = painted(SIZE, 1);
    const sums = summed(1, 7);
    for (let y = 0; y < 3; y++) expected.set(sums.subarray(y * 64, y * 64 + 20), y * 64);
    assert.is(difference(readBytes(dst.buffer), expected), '');
  });
}

test('a kernel is given its place in the grid, typed views, and a frame as its writer described it', () => {
  using where = context.loadKernel({ url: MODULE.href, entry: 'where' });
  using dst = imageOf('system', 3);
  const to = { image: dst, access: 'overwrite' } as const;
  context.submit({ commands: [dispatch({ kernel: where, images: [to] })] });
  const words = new Uint32Array(readBytes(dst.buffer).buffer);
  assert.ok(words.every((word, i) => word === ((i % 16) | ((i >> 4) << 16))));
  using luma = context.loadKernel({ url: MODULE, entry: 'luma' });
  using video = machine.alloc(4096);
  using frame = context.importFrame({ buffer: video, width: 16, height: 8 });
  const shot = { seed: 4, fourcc: DRM_FORMAT_NV12, width: 32, height: 16, crop: [3, 2, 16, 8] };
  new Camera(machine).shoot(video, { ...shot, sequence: 5 });
  const fence = context.submit({
    commands: [dispatch({ kernel: luma, images: [{ image: frame, access: 'read' }, to] })],
  });
  assert.is(fence.wait(5000), 1);
  const source = painted(4096, 4);
  const got = new Uint32Array(readBytes(dst.buffer).buffer);
  assert.ok(
    got.every((word, i) => word === 255 - (source[((i >> 4) + 2) * 32 + (i % 16) + 3] ?? 0)),
  );
  assert.is(dst.buffer.metadata.sequence, 5, 'the sequence of the picture that it was made from');
});

test('what a kernel throws fails its job with EIO in words, and the device goes on', () => {
  using dst = imageOf('pool', 1);
  const images = [{ image: dst, access: 'readwrite' }] as const;
  using broken = context.loadKernel({ url: MODULE, entry: 'broken' });
  const fence = context.submit({ commands: [dispatch({ kernel: broken, images })] });
  assert.is(fence.wait(5000), -5);
  assert.match(context.explain(fence) ?? '', /EIO.*kernel 'broken' failed: out of order/);
  using trap = context.loadKernel({ url: compiled.url, entry: 'trap' });
  const grid = { width: 1, height: 1 };
  const trapped = context.submit({ commands: [dispatch({ kernel: trap, images: [], grid })] });
  assert.is(trapped.wait(5000), -5);
  assert.match(context.explain(trapped) ?? '', /EIO.*'trap' failed: unreachable/);
  machine.waitAll([discard(dst.buffer)]).release(); // its content is poisoned until it is overwritten
  using where = context.loadKernel({ url: MODULE, entry: 'where' });
  const anew = dispatch({ kernel: where, images: [{ image: dst, access: 'overwrite' }] });
  assert.is(context.submit({ commands: [anew] }).wait(5000), 1);
});

test('a kernel of a module cannot write outside of its planes', () => {
  const buffer = machine.alloc(SIZE);
  writeBytes(buffer, painted(SIZE, 9));
  using dst = context.importImage({
    ...{ buffer, fourcc: DRM_FORMAT_XRGB8888, width: 4, height: 4 },
    ...{ offsets: [64], pitches: [16] },
  });
  using outside = context.loadKernel({ url: MODULE, entry: 'outside' });
  const images = [{ image: dst, access: 'readwrite' }] as const;
  context.submit({ commands: [dispatch({ kernel: outside, images })] });
  assert.is(difference(readBytes(buffer), painted(SIZE, 9)), '');
  buffer.close();
});

test('a kernel that cannot be loaded is refused with the reason, and leaves nothing', () => {
  const refused = (request: Parameters<GpuContext['loadKernel']>[0], reason: RegExp): void => {
    assert.throws(() => context.loadKernel(request), reason);
    assert.is(context.stats().kernels, 0);
  };
  refused({ url: new URL('./no-such.js', import.meta.url) }, /ENOENT.*cannot load.*no-such/);
  refused({ url: new URL('./no-such.wasm', import.meta.url) }, /ENOENT.*cannot load/);
  refused({ url: MODULE }, /EINVAL.*exports no function 'main'/);
  refused({ url: MODULE, entry: 'nothing' }, /EINVAL.*exports no function 'nothing'/);
  refused({ url: compiled.url, entry: 'sub' }, /EINVAL.*exports no function 'sub'/);
  refused({ url: MODULE, kind: 'wasm', entry: 'add' }, /EINVAL.*cannot load.*WebAssembly/);
  refused({ url: 'https://example.invalid/kernel.js' }, /EINVAL.*no file: URL/);
  refused({ url: 'kernel.js' }, /EINVAL.*no file: URL/);
  refused({ url: `file:///${'x'.repeat(600)}.js` }, /E2BIG.*take \d+ bytes; there is room for/);
  assert.throws(() => context.loadKernel({ url: MODULE, entry: '' }), TypeError);
  const four = Array.from({ length: 4 }, () => context.loadKernel({ url: MODULE, entry: 'add' }));
  assert.throws(() => context.loadKernel({ url: MODULE }), /ENOSPC.*all 4 kernels.*kernels: n/);
  for (const kernel of four) kernel.close();
  for (const kernel of four) kernel.close();
  assert.is(context.stats().kernels, 0);
});

test('a dispatch that cannot work is refused by submit, and leaves nothing', () => {
  using kernel = context.loadKernel({ url: compiled.url, entry: 'add' });
  using inPool = imageOf('pool', 1);
  using other = imageOf('pool', 1);
  using outside = imageOf('system', 1);
  using frame = context.importFrame({ buffer: outside.buffer, width: 8, height: 8 });
  const read = (image: GpuImage) => ({ image, access: 'read' }) as const;
  const write = (image: GpuImage) => ({ image, access: 'overwrite' }) as const;
  const good = { kernel, images: [read(inPool), write(other)], args: [1] };
  const { jobs } = machine.stats();
  const refused = (change: Partial<DispatchCommand>, reason: RegExp): void => {
    const command = dispatch({ ...good, ...change });
    assert.throws(() => context.submit({ commands: [command] }), reason);
  };
  refused(
    { args: [] },
    /EINVAL.*command 0 \(dispatch\).*takes 13 numbers and would be called with 12/,
  );
  refused({ images: [read(outside), write(other)] }, /EINVAL.*reaches the pool alone/);
  refused({ images: [read(inPool), write(inPool)] }, /EINVAL.*named twice/);
  refused({ images: [read(inPool), write(frame)] }, /EINVAL.*writes a frame/);
  refused({ images: [read(inPool), read(other)] }, /EINVAL.*how large its grid/);
  refused({ grid: { width: 0, height: 4 } }, /EINVAL.*grid of 0x4/);
  refused({ grid: { width: 1.5, height: 4 } }, /TypeError|integer/);
  const untyped = (change: object): (() => void) => {
    return () => context.submit({ commands: [Object.assign(dispatch(good), change)] });
  };
  assert.throws(untyped({ kernel: {} }), TypeError);
  assert.throws(untyped({ args: ['1'] }), TypeError);
  assert.throws(untyped({ images: [{ image: inPool, access: 'write' }] }), TypeError);
  kernel.close();
  refused({}, /ENOENT.*kernel \d+ is closed/);
  assert.is(machine.stats().jobs, jobs);
  assert.equal([context.stats().kernels, context.stats().images], [0, 4]);
});

test('a wasm kernel on a frame is checked when the frame is there', () => {
  using kernel = context.loadKernel({ url: compiled.url, entry: 'add' });
  using dst = imageOf('pool', 1);
  using video = poolBuffer(machine, 4096);
  using frame = context.importFrame({ buffer: video, width: 16, height: 8 });
  new Camera(machine).shoot(video, { seed: 1, fourcc: DRM_FORMAT_NV12, width: 16, height: 8 });
  const images = [
    { image: frame, access: 'read' },
    { image: dst, access: 'overwrite' },
  ] as const;
  const fence = context.submit({ commands: [dispatch({ kernel, images, args: [1] })] });
  assert.is(fence.wait(5000), -22);
  assert.match(context.explain(fence) ?? '', /takes 13 numbers and would be called with 15/);
});

test('a kernel may be closed while jobs that use it are queued, and another handle opened by its id', () => {
  const kernel: GpuKernel = context.loadKernel({ url: MODULE, entry: 'where' });
  using dst = imageOf('system', 3);
  using timeline = machine.createTimeline();
  const second = context.kernelById(kernel.id);
  const commands = [dispatch({ kernel: second, images: [{ image: dst, access: 'overwrite' }] })];
  const fence = context.submit({ commands, inFences: [timeline.createFence(1)] });
  kernel.close();
  second.close();
  assert.is(context.stats().kernels, 1);
  timeline.increment();
  assert.is(fence.wait(5000), 1);
  assert.is(context.stats().kernels, 0);
  assert.throws(() => context.kernelById(kernel.id), /ENOENT.*no kernel/);
});

test('kernels outlive a reset of the GPU', () => {
  using kernel = context.loadKernel({ url: compiled.url, entry: 'add' });
  using src = imageOf('pool', 5);
  using dst = imageOf('pool', 6);
  const { actor } = src;
  machine.resetDevice(actor);
  const images = [
    { image: src, access: 'read' },
    { image: dst, access: 'overwrite' },
  ] as const;
  while (machine.actorStats(actor).restarts === 0) machine.pump(5);
  const fence = context.submit({ commands: [dispatch({ kernel, images, args: [1] })] });
  assert.is(fence.wait(20_000), 1);
  assert.is(difference(readBytes(dst.buffer), summed(5, 1)), '');
});

test.run();
