import { discard, shared, type Machine } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { blend, blit, clear, copy, fill, type Command } from './command.js';
import { GpuContext } from './context.js';
import { DRM_FORMAT_ARGB8888, DRM_FORMAT_NV12, DRM_FORMAT_XRGB8888 } from './fourcc.js';
import type { ImageRequest } from './image.js';
import type { Rect } from './kernels/kernels.js';
import { gpu } from './spec.js';
import { bootMachine, poolBuffer, readBytes } from './testing/machine.test-helper.js';

let machine: Machine;
let context: GpuContext;

test.before(async () => {
  machine = await bootMachine({ images: 8 });
  context = GpuContext.create(machine);
});
test.after(async () => {
  await machine.shutdown();
});

/** What a caller without types may pass. */
function pretend(_command: unknown): asserts _command is Command {}

/** What a refused call must not change. */
function residue(): unknown {
  const { buffers, jobs } = machine.stats();
  const { images } = context.stats();
  const fd = machine.alloc(1);
  const lowest = fd.fd;
  fd.close();
  return { buffers, jobs, images, lowest };
}

test('an import is refused with the reason, and leaves no residue', () => {
  using buffer = machine.alloc(64 * 48 * 4);
  const good = { buffer, fourcc: DRM_FORMAT_XRGB8888, width: 64, height: 48 };
  const before = residue();
  const refused = (change: Partial<ImageRequest>, reason: RegExp): void => {
    assert.throws(() => context.importImage({ ...good, ...change }), reason);
  };
  assert.throws(() => context.importImage({ ...good, width: 1.5 }), TypeError);
  refused({ fourcc: 0x30335258 }, /EINVAL.*'XR30' is not known.*XRGB8888/);
  refused({ width: 0 }, /EINVAL.*0x48/);
  refused({ pitches: [252] }, /EINVAL.*plane 0 has pitch 252; 64 pixels need 256/);
  refused({ pitches: [256, 256] }, /EINVAL.*2 pitches for XRGB8888, which has 1 planes/);
  refused({ offsets: [4] }, /EINVAL.*plane 0 takes bytes 4 to 12292 of a buffer of 12288/);
  refused({ height: 49 }, /EINVAL.*12544 of a buffer of 12288/);
  refused({ modifier: 1n }, /EINVAL.*modifier 0x1/);
  refused({ fourcc: DRM_FORMAT_NV12, offsets: [0, 12000] }, /EINVAL.*plane 1 takes/);
  assert.throws(() => context.importFrame({ buffer, width: 64, height: 0 }), /EINVAL.*64x0/);
  const closed = buffer.dup();
  closed.close();
  refused({ buffer: closed }, /EBADF/);
  assert.equal(residue(), before);
});

test('a GPU of the pool alone refuses other memory', async () => {
  await using other = await bootMachine({ poolOnly: true });
  using strict = GpuContext.create(other);
  using outside = other.alloc(4);
  const shape = { fourcc: DRM_FORMAT_XRGB8888, width: 1, height: 1 };
  assert.throws(() => strict.importImage({ buffer: outside, ...shape }), /EINVAL.*pool only/);
  assert.is(strict.stats().images, 0);
  using inside = poolBuffer(other, 4);
  using image = strict.importImage({ buffer: inside, ...shape });
  assert.is(strict.submit({ commands: [clear({ dst: image })] }).wait(5000), 1);
});

test('the image table is bounded, and its slots come back', () => {
  using buffer = machine.alloc(4);
  const request = { buffer, fourcc: DRM_FORMAT_XRGB8888, width: 1, height: 1 };
  const images = Array.from({ length: 8 }, () => context.importImage(request));
  const before = residue();
  assert.throws(() => context.importImage(request), /ENOSPC.*gpu\({ images: n }\)/);
  assert.equal(residue(), before);
  images.forEach((image) => image.close());
  images.forEach((image) => image.close());
  assert.is(context.stats().images, 0);
  const again = context.importImage(request);
  assert.not.ok(images.some(({ id }) => id === again.id));
  again.close();
  assert.throws(() => context.imageById(again.id, buffer), /ENOENT/);
});

test('a bad command is refused by its index and rectangle, touches nothing, and leaves no residue', () => {
  using a = machine.alloc(16 * 8 * 4);
  using b = machine.alloc(16 * 8 * 4);
  using y = machine.alloc(16 * 8 * 2);
  using dst = context.importImage({ buffer: a, fourcc: DRM_FORMAT_XRGB8888, width: 16, height: 8 });
  using src = context.importImage({ buffer: b, fourcc: DRM_FORMAT_ARGB8888, width: 16, height: 8 });
  using yuv = context.importImage({ buffer: y, fourcc: DRM_FORMAT_NV12, width: 16, height: 8 });
  using frame = context.importFrame({ buffer: y, width: 16, height: 8 });
  const gone = context.importImage({
    buffer: b,
    fourcc: DRM_FORMAT_ARGB8888,
    width: 16,
    height: 8,
  });
  gone.close();
  const ok = fill({ dst, pixel: 0xffffffff });
  const before = residue();
  const refused = (bad: Command, reason: RegExp): void => {
    assert.throws(
      () => context.submit({ commands: [ok, bad] }),
      reason,
      `${bad.op} ${String(reason)}`,
    );
  };
  const at = (x: number, top: number, width: number, height: number): Rect => {
    return { x, y: top, width, height };
  };
  const big = at(8, 0, 9, 8);
  refused(fill({ dst, to: big, pixel: 0 }), /EINVAL.*submit: command 1 \(fill\).*9x8\+8\+0.*16x8/);
  refused(blit({ src, dst, to: big }), /EINVAL.*command 1 \(blit\): destination.*9x8\+8\+0/);
  refused(
    blit({ src, dst, from: at(-1, 0, 4, 4) }),
    /EINVAL.*command 1 \(blit\): source.*4x4\+-1\+0/,
  );
  refused(blit({ src, dst, to: at(0, 0, 0, 1) }), /EINVAL.*empty/);
  refused(blit({ src: frame, dst, from: big }), /EINVAL.*command 1 \(blit\): source.*9x8\+8\+0/);
  refused(blit({ src: frame, dst, to: big }), /EINVAL.*command 1 \(blit\): destination/);
  refused(blit({ src: frame, dst: yuv }), /EINVAL.*destination image is NV12/);
  refused(blit({ src, dst: frame }), /EINVAL.*destination is a frame/);
  refused(blit({ src: dst, dst }), /EINVAL.*overlap/);
  refused(blend({ src, dst: src, to: at(0, 0, 16, 8) }), /EINVAL.*ARGB8888/);
  refused(blend({ src, dst, to: at(0, 0, 4, 4) }), /EINVAL.*differ in size; blit it to that size/);
  refused(copy({ src, dst, to: at(0, 0, 4, 4) }), /EINVAL.*differ in size; use blit/);
  refused(
    blit({ src: dst, dst: yuv, to: at(0, 0, 4, 4) }),
    /EINVAL.*only 32-bit pixels are scaled/,
  );
  refused(fill({ dst, pixel: 2 ** 32 }), /EINVAL.*command 1 \(fill\): pixel 4294967296 is no word/);
  refused(blend({ src, dst, to: at(0, 0, 16, 8), alpha: 256 }), /EINVAL.*alpha 256/);
  refused(copy({ src: yuv, dst }), /EINVAL.*NV12 cannot be copied/);
  refused(
    copy({ src: yuv, dst: yuv, from: at(0, 0, 3, 2), to: at(8, 0, 3, 2) }),
    /EINVAL.*cuts a 2x2/,
  );
  refused(clear({ dst: yuv }), /EINVAL.*command 1 \(clear\).*NV12/);
  refused(clear({ dst: gone }), /ENOENT.*image \d+ is closed/);
  const typed = (command: unknown): void => {
    pretend(command);
    assert.throws(() => context.submit({ commands: [command] }), TypeError);
  };
  typed({ op: 'draw', dst });
  typed({ op: 'clear', dst: {} });
  typed({ op: 'clear' });
  typed({ op: 'fill', dst, pixel: 0.5 });
  typed({ op: 'blit', dst, src, filter: 'cubic' });
  typed({ op: 'fill', dst, pixel: 0, to: { x: '0', y: 0, width: 1, height: 1 } });
  assert.equal(residue(), before);
  assert.ok(readBytes(a).every((byte) => byte === 0));
});

test('arguments that are missing or of a wrong type are a TypeError that names them', () => {
  const odd: readonly [RegExp, (given: Record<string, unknown>) => unknown][] = [
    [/^submit: commands must be an array, got undefined/, (given) => call('submit', given)],
    [/^submit: options must be an object, got undefined/, () => call('submit')],
    [/^importImage: buffer must be a DmaBuf, got undefined/, (given) => call('importImage', given)],
    [/^importImage: request must be an object, got undefined/, () => call('importImage')],
    [/^importFrame: buffer must be a DmaBuf/, (given) => call('importFrame', given)],
    [/^importVertices: request must be an object, got null/, () => call('importVertices', null)],
    [/^importIndices: request must be an object, got an array/, () => call('importIndices', [])],
    [/^imageById: buffer must be a DmaBuf/, () => call('imageById', 1)],
    [/^createPixelBuffer: buffer must be a DmaBuf/, () => call('createPixelBuffer')],
    [/^explain: fence must be an object/, () => call('explain')],
  ];
  function call(method: string, ...args: readonly unknown[]): unknown {
    const found: unknown = Reflect.get(context, method);
    return typeof found === 'function' ? Reflect.apply(found, context, args) : undefined;
  }
  for (const [why, attempt] of odd) {
    assert.throws(
      () => attempt({}),
      (error: unknown) => error instanceof TypeError && why.test(error.message),
      String(why),
    );
  }
  using buffer = machine.alloc(16);
  const named = { buffer, fourcc: 'NV12', width: 1, height: 1 };
  assert.throws(() => call('importImage', named), /importImage: fourcc must be a number, such as/);
});

test('four commands fit a payload whatever their numbers; too many are EMSGSIZE without residue', () => {
  using a = machine.alloc(4096 * 4096 * 4);
  using b = machine.alloc(4096 * 4096 * 4);
  using dst = context.importImage({
    buffer: a,
    fourcc: DRM_FORMAT_XRGB8888,
    width: 4096,
    height: 4096,
  });
  using src = context.importImage({
    buffer: b,
    fourcc: DRM_FORMAT_ARGB8888,
    width: 4096,
    height: 4096,
  });
  const rect = { x: 300, y: 2049, width: 3001, height: 2000 };
  const draw = blend({ src, dst, to: rect, from: { ...rect, x: 301 }, alpha: 200 });
  const tiny = fill({ dst, to: { ...rect, width: 1, height: 1 }, pixel: 0xfffefdfc });
  const before = residue();
  assert.throws(() => context.submit({ commands: Array(40).fill(draw) }), /EMSGSIZE.*256/);
  assert.equal(residue(), before);
  assert.is(context.submit({ commands: [tiny, draw, draw, draw] }).wait(20_000), 1);
});

test('closing an image leaves queued jobs alone, and frees its record once they are done', () => {
  using a = machine.alloc(16);
  using gate = machine.alloc(4);
  using hold = context.importImage({
    buffer: gate,
    fourcc: DRM_FORMAT_XRGB8888,
    width: 1,
    height: 1,
  });
  const image = context.importImage({
    buffer: a,
    fourcc: DRM_FORMAT_XRGB8888,
    width: 2,
    height: 2,
  });
  const bracket = gate.access({ write: true });
  const commands = [clear({ dst: hold }), fill({ dst: image, pixel: 0xff112233 })];
  const fence = context.submit({ commands });
  image.close();
  assert.is(context.stats().images, 2);
  assert.throws(() => context.submit({ commands }), /ENOENT/);
  bracket.finish();
  assert.is(fence.wait(5000), 1);
  assert.is(context.stats().images, 1);
  assert.equal(
    [...readBytes(a)],
    [0, 1, 2, 3].flatMap(() => [0x33, 0x22, 0x11, 0xff]),
  );
});

test('the application may close its own handle of an imported buffer', () => {
  const a = machine.alloc(16);
  using image = context.importImage({
    buffer: a,
    fourcc: DRM_FORMAT_XRGB8888,
    width: 2,
    height: 2,
  });
  a.close();
  assert.is(context.submit({ commands: [clear({ dst: image })] }).wait(5000), 1);
});

test('an empty job is a point on the line of its context', () => {
  assert.is(context.submit({ commands: [] }).wait(5000), 1);
});

test('a payload that no GpuContext made fails its job, and the GPU lives on', () => {
  const raw = machine.createContext(machine.device(context.path).actor, 'raw');
  using a = machine.alloc(16);
  using image = context.importImage({
    buffer: a,
    fourcc: DRM_FORMAT_XRGB8888,
    width: 2,
    height: 2,
  });
  const failed = (payload: unknown, error: string): void => {
    const fence = raw.submit({ payload, buffers: [shared(a)] });
    assert.ok(fence.wait(5000) < 0);
    assert.is(fence.error, error, JSON.stringify(payload));
  };
  failed('hello', 'EINVAL');
  failed([1, 99999999, 3, 0], 'ENOENT');
  const { id } = image;
  // A job in flight holds a reference of each image: these handles stand for the two jobs'.
  const handles = [context.imageById(id, a), context.imageById(id, a)];
  assert.is(handles.length, 2);
  failed([1, id, 3, 0], 'EPERM');
  const bare = raw.submit({ payload: [1, id, 3, 0] });
  assert.ok(bare.wait(5000) < 0);
  assert.match(context.explain(bare) ?? '', /EINVAL.*which the job does not claim/);
  const whole = raw.submit({ payload: [0], buffers: [discard(a)] });
  assert.is(whole.wait(5000), 1);
  raw.close();
});

test('a context must be opened on a GPU, and is of no use when closed', async () => {
  assert.throws(() => GpuContext.create(machine, { path: '/dev/camera' }), /ENODEV.*no GPU/);
  assert.throws(() => GpuContext.create(machine, { path: '/dev/gpu' }), /ENOENT/);
  const other = GpuContext.create(machine, { name: 'second' });
  const { handle } = other;
  const same = GpuContext.fromHandle(machine, handle);
  assert.is(same.name, 'second');
  same.close();
  assert.is(other.submit({ commands: [] }).wait(5000), 1);
  other.close();
  other.close();
  assert.throws(() => other.submit({ commands: [] }), /ENOENT.*closed/);
  assert.throws(() => GpuContext.fromHandle(machine, handle), /ENOENT/);
});

test('gpu() takes a sensible number of images', () => {
  for (const images of [0, 1.5, 4097]) assert.throws(() => gpu({ images }), RangeError);
});

test.run();
