import { discard, type BufferCounters, type DmaBuf, type Machine } from '@dmabuf/core';
import { BUFFER_FLAG } from '@dmabuf/core/driver';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { blit, clear, fill } from './command.js';
import { GpuContext } from './context.js';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_P010,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUYV,
  packedLayout,
} from './fourcc.js';
import type { Rect } from './kernels/kernels.js';
import {
  bootMachine,
  Camera,
  poolBuffer,
  readBytes,
  writeBytes,
} from './testing/machine.test-helper.js';
import {
  Canvas,
  crop,
  difference,
  NV12,
  painted,
  rgbPicture,
  yuvPicture,
} from './testing/pictures.test-helper.js';

const machines = await Promise.all([
  bootMachine(),
  bootMachine({}, { coherency: 'noncoherent' }),
  bootMachine({}, { guard: true }),
]);
const names = ['coherent', 'noncoherent', 'guarded'] as const;

test.after(async () => {
  for (const machine of machines) await machine.shutdown();
});

const [WIDTH, HEIGHT, PITCH] = [20, 12, 96];
const rgb = { fourcc: DRM_FORMAT_XRGB8888, width: WIDTH, height: HEIGHT, pitches: [PITCH] };
const nv12 = { fourcc: DRM_FORMAT_NV12, width: 19, height: 11 };
const at = (x: number, y: number, width: number, height: number): Rect => ({ x, y, width, height });

function counters(machine: Machine, buffer: DmaBuf): BufferCounters {
  const found = machine.bufinfo().buffers.find(({ ino }) => ino === buffer.record.ino);
  if (found === undefined) throw new RangeError('no such buffer');
  return found.counters;
}

/** The bytes of a rectangle, row by row. */
function rowsOf(bytes: Uint8Array, pitch: number, { x, y, width, height }: Rect): Uint8Array {
  const out = new Uint8Array(width * height * 4);
  for (let row = 0; row < height; row++) {
    const start = (y + row) * pitch + x * 4;
    out.set(bytes.subarray(start, start + width * 4), row * width * 4);
  }
  return out;
}

for (const [i, machine] of machines.entries()) {
  const where = names[i] ?? '';

  test(`readPixels gives a rectangle, packed, after the jobs before it (${where})`, () => {
    using context = GpuContext.create(machine);
    for (const buffer of [machine.alloc(PITCH * HEIGHT), poolBuffer(machine, PITCH * HEIGHT)]) {
      writeBytes(buffer, painted(buffer.size, 3));
      using image = context.importImage({ buffer, ...rgb });
      const expected = painted(buffer.size, 3);
      new Uint32Array(expected.buffer).fill(0xff112233, (2 * PITCH + 16) / 4, (2 * PITCH + 24) / 4);
      context.submit({ commands: [fill({ dst: image, to: at(4, 2, 2, 1), pixel: 0x112233 })] });
      const part = at(3, 1, 7, 9);
      const before = counters(machine, buffer);
      assert.is(
        difference(
          Uint8Array.from(context.readPixels(image, { from: part })),
          rowsOf(expected, PITCH, part),
        ),
        '',
      );
      const after = counters(machine, buffer);
      assert.is(after.mmaps - before.mmaps, 1, 'by the exporter’s op');
      assert.is(after.prepares - before.prepares, 1);
      assert.is(after.flushes, before.flushes, 'nothing is flushed after a read');
      const all = Uint8Array.from(context.readPixels(image));
      assert.is(difference(all, rowsOf(expected, PITCH, at(0, 0, WIDTH, HEIGHT))), '');
      buffer.close();
    }
  });

  test(`readPixels converts what it reads (${where})`, () => {
    using context = GpuContext.create(machine);
    const { planes, size } = packedLayout(nv12.fourcc, nv12.width, nv12.height);
    using buffer = machine.alloc(size);
    const bytes = painted(size, 5);
    writeBytes(buffer, bytes);
    using image = context.importImage({ buffer, ...nv12 });
    const picture = yuvPicture(bytes, nv12, { ...NV12, planes }, 709, false);
    for (const from of [at(0, 0, 19, 11), at(5, 3, 7, 6), at(18, 10, 1, 1)]) {
      const canvas = new Canvas(new Uint8Array(from.width * from.height * 4), from.width);
      canvas.draw(crop(picture, from), 0, 0);
      const got = context.readPixels(image, { from, fourcc: DRM_FORMAT_ARGB8888 });
      assert.is(difference(Uint8Array.from(got), canvas.bytes), '', JSON.stringify(from));
    }
    const verbatim = context.readPixels(image, { from: at(2, 2, 17, 9) });
    const part = packedLayout(nv12.fourcc, 17, 9);
    assert.is(verbatim.length, part.size);
    assert.is(verbatim[17], bytes[3 * 19 + 2], 'luma of its second row');
    assert.is(verbatim[17 * 9 + 18], bytes[19 * 11 + 2 * 20 + 2], 'chroma of its second row');
  });

  test(`texSubImage2D writes a rectangle and nothing else (${where})`, () => {
    using context = GpuContext.create(machine);
    using buffer = machine.alloc(PITCH * HEIGHT);
    writeBytes(buffer, painted(buffer.size, 7));
    using image = context.importImage({ buffer, ...rgb });
    const to = at(5, 4, 9, 6);
    const pixels = painted(10 * 4 * 6, 8);
    context.texSubImage2D(image, pixels, { to, pitch: 40 });
    const expected = painted(buffer.size, 7);
    for (let y = 0; y < to.height; y++) {
      const row = pixels.subarray(y * 40, y * 40 + to.width * 4);
      expected.set(row, (to.y + y) * PITCH + to.x * 4);
    }
    assert.is(difference(readBytes(buffer), expected), '');
    // The device sees it.
    using copyBuffer = machine.alloc(WIDTH * HEIGHT * 4);
    using target = context.importImage({ ...rgb, buffer: copyBuffer, pitches: [WIDTH * 4] });
    context.submit({ commands: [blit({ src: image, dst: target })] });
    const shown = readBytes(copyBuffer);
    const canvas = new Canvas(new Uint8Array(shown.length), WIDTH);
    const tight = rowsOf(expected, PITCH, at(0, 0, WIDTH, HEIGHT));
    canvas.draw(rgbPicture(tight, WIDTH, HEIGHT, true), 0, 0);
    assert.is(difference(shown, canvas.bytes), '');
  });

  test(`texSubImage2D converts what it is given (${where})`, () => {
    using context = GpuContext.create(machine);
    using buffer = machine.alloc(16 * 8 * 4);
    using image = context.importImage({
      buffer,
      fourcc: DRM_FORMAT_XRGB8888,
      width: 16,
      height: 8,
    });
    const { planes, size } = packedLayout(DRM_FORMAT_NV12, 9, 5);
    const pixels = painted(size, 9);
    const to = at(3, 2, 9, 5);
    context.texSubImage2D(image, pixels, { to, fourcc: DRM_FORMAT_NV12 });
    const canvas = new Canvas(new Uint8Array(16 * 8 * 4), 16);
    const shape = { ...NV12, planes };
    canvas.draw(yuvPicture(pixels, { width: 9, height: 5 }, shape, 709, false), 3, 2);
    assert.is(difference(readBytes(buffer), canvas.bytes), '');
  });

  test(`a pixel buffer is packed, mapped, written and unpacked (${where})`, () => {
    using context = GpuContext.create(machine);
    const size = 16 * 8 * 4;
    using video = machine.alloc(packedLayout(DRM_FORMAT_NV12, 16, 8).size);
    writeBytes(video, painted(video.size, 2));
    using src = context.importImage({
      buffer: video,
      fourcc: DRM_FORMAT_NV12,
      width: 16,
      height: 8,
    });
    using screen = machine.alloc(size);
    using dst = context.importImage({
      buffer: screen,
      fourcc: DRM_FORMAT_XRGB8888,
      width: 16,
      height: 8,
    });
    using memory = machine.alloc(8192);
    using pixels = context.createPixelBuffer(memory);
    const before = context.stats().images;
    pixels.pack(src, { fourcc: DRM_FORMAT_XRGB8888, offset: 64 });
    const expected = Uint8Array.from(context.readPixels(src, { fourcc: DRM_FORMAT_XRGB8888 }));
    const map = pixels.map({ read: true, write: true, offset: 64, length: size }); // waits for the pack
    assert.is(difference(map.copy(), expected), '');
    map.words[17] = 0xffabcdef;
    map.finish();
    pixels.unpack(dst, { offset: 64 });
    new Uint32Array(expected.buffer)[17] = 0xffabcdef;
    assert.is(difference(readBytes(screen), expected), '');
    assert.is(context.stats().images, before);
    assert.throws(() => pixels.pack(src, { offset: 8192 - 8 }), /EINVAL.*plane 0 takes/);
    assert.throws(() => pixels.map({}), /EINVAL.*neither read nor write/);
    assert.is(context.stats().images, before);
    const open = pixels.map({ write: true, invalidate: true, unsynchronized: true });
    assert.throws(() => pixels.close(), /EBUSY/);
    open.finish();
    pixels.close();
    pixels.close();
    assert.throws(() => pixels.pack(src), /ENOENT.*closed/);
    assert.throws(() => pixels.map({ read: true }), /ENOENT/);
  });
}

const [machine] = machines;

test('the GPU packs pixels into other formats as readPixels does, and reads them back', () => {
  if (machine === undefined) return;
  using context = GpuContext.create(machine);
  using source = machine.alloc(16 * 8 * 4);
  writeBytes(source, painted(source.size, 3));
  const size = { width: 16, height: 8 };
  using src = context.importImage({ buffer: source, fourcc: DRM_FORMAT_XRGB8888, ...size });
  for (const fourcc of [DRM_FORMAT_RGB565, DRM_FORMAT_NV12, DRM_FORMAT_YUYV]) {
    for (const make of [poolBuffer, (m: Machine, bytes: number) => m.alloc(bytes)]) {
      using buffer = make(machine, packedLayout(fourcc, 16, 8).size);
      using image = context.importImage({ buffer, fourcc, ...size });
      context.submit({ commands: [blit({ src, dst: image })] });
      const packed = Uint8Array.from(context.readPixels(src, { fourcc }));
      assert.is(difference(readBytes(buffer), packed), '');
      using back = machine.alloc(16 * 8 * 4);
      using screen = context.importImage({ buffer: back, fourcc: DRM_FORMAT_XRGB8888, ...size });
      context.submit({ commands: [blit({ src: image, dst: screen })] });
      const rgb32 = context.readPixels(image, { fourcc: DRM_FORMAT_XRGB8888 });
      assert.is(difference(readBytes(back), Uint8Array.from(rgb32)), '');
      const half = { x: 0, y: 0, width: 8, height: 4 };
      const small = blit({ src, dst: image, from: half });
      assert.throws(() => context.submit({ commands: [small] }), /EINVAL.*differ in size/);
    }
  }
});

test('a mapping without synchronisation does not wait for the job that writes', () => {
  if (machine === undefined) return;
  using context = GpuContext.create(machine);
  using buffer = machine.alloc(256);
  using pixels = context.createPixelBuffer(buffer);
  using timeline = machine.createTimeline();
  using source = machine.alloc(256);
  using image = context.importImage({
    buffer: source,
    fourcc: DRM_FORMAT_XRGB8888,
    width: 8,
    height: 8,
  });
  const fence = pixels.pack(image, { inFences: [timeline.createFence(1)] });
  assert.throws(() => pixels.map({ read: true, timeout: 0 }), /ETIME/);
  pixels.map({ read: true, unsynchronized: true }).finish();
  timeline.increment(1);
  assert.is(fence.wait(5000), 1);
});

test('readPixels of a frame goes by what its writer said of it', () => {
  if (machine === undefined) return;
  using context = GpuContext.create(machine);
  using buffer = machine.alloc(4096);
  using image = context.importFrame({ buffer, width: 32, height: 16 });
  assert.throws(() => context.readPixels(image), /ENODATA.*read_pixels.*no description/);
  const shot = { seed: 4, fourcc: DRM_FORMAT_NV12, width: 32, height: 16, crop: [3, 2, 9, 7] };
  new Camera(machine).shoot(buffer, { ...shot, matrix: 601, full: true });
  const { planes } = packedLayout(DRM_FORMAT_NV12, 32, 16);
  const bytes = painted(4096, 4);
  const picture = yuvPicture(bytes, { width: 32, height: 16 }, { ...NV12, planes }, 601, true);
  const canvas = new Canvas(new Uint8Array(9 * 7 * 4), 9);
  canvas.draw(crop(picture, at(3, 2, 9, 7)), 0, 0);
  const got = context.readPixels(image, { fourcc: DRM_FORMAT_XRGB8888 });
  assert.is(difference(Uint8Array.from(got), canvas.bytes), '');
  const tooLarge = { from: at(0, 0, 10, 7), fourcc: DRM_FORMAT_XRGB8888 };
  assert.throws(() => context.readPixels(image, tooLarge), /EINVAL.*10x7\+0\+0 leaves/);
  assert.throws(() => context.texSubImage2D(image, new Uint8Array(4096)), /EINVAL.*is a frame/);
  new Camera(machine).shoot(buffer, { ...shot, fail: true });
  assert.throws(() => context.readPixels(image), /EIO/);
});

test('what cannot be read or written is refused before the buffer is touched', () => {
  if (machine === undefined) return;
  using context = GpuContext.create(machine);
  using buffer = machine.alloc(16 * 8 * 4);
  writeBytes(buffer, painted(buffer.size, 1));
  const shape = { fourcc: DRM_FORMAT_XRGB8888, width: 16, height: 8 };
  using image = context.importImage({ buffer, ...shape });
  using yuv = context.importImage({ buffer, ...shape, fourcc: DRM_FORMAT_NV12 });
  const before = counters(machine, buffer);
  const tex = (pixels: Uint8Array, options: object): (() => void) => {
    return () => context.texSubImage2D(image, pixels, options);
  };
  const read = (options: object): (() => void) => {
    return () => void context.readPixels(image, options);
  };
  assert.throws(
    read({ from: at(9, 0, 8, 8) }),
    /EINVAL.*source rectangle 8x8\+9\+0 leaves its image/,
  );
  assert.throws(read({ into: new Uint8Array(511) }), /EINVAL.*512 bytes; there is room for 511/);
  assert.throws(read({ fourcc: DRM_FORMAT_P010 }), /EINVAL.*P010/);
  assert.throws(read({ fourcc: 1 }), /EINVAL.*not known/);
  assert.throws(() => context.readPixels(yuv, { from: at(1, 0, 2, 2) }), /EINVAL.*cuts a 2x2/);
  assert.throws(tex(new Uint8Array(511), {}), /EINVAL.*512 bytes; there is room for 511/);
  assert.throws(tex(new Uint8Array(512), { to: at(0, 1, 16, 8) }), /EINVAL.*16x8\+0\+1 leaves/);
  assert.throws(tex(new Uint8Array(512), { pitch: 60 }), /EINVAL.*pitch 60; 16 pixels need 64/);
  assert.throws(tex(new Uint8Array(512), { pitch: 65 }), /EINVAL.*plane 0 takes/);
  assert.throws(
    tex(new Uint8Array(512), { pitch: 16, fourcc: DRM_FORMAT_NV12 }),
    /EINVAL.*one plane/,
  );
  assert.equal(counters(machine, buffer), before);
  assert.is(difference(readBytes(buffer), painted(buffer.size, 1)), '');
  using readOnly = buffer.dup('read');
  using its = context.importImage({ buffer: readOnly, ...shape });
  assert.throws(() => context.texSubImage2D(its, new Uint8Array(512)), /EACCES/);
  context.readPixels(its);
  const hold = machine.waitAll([discard(buffer)]);
  assert.throws(read({ timeout: 0 }), /ETIME/);
  hold.release();
  assert.is(buffer.mappings, 0);
});

test('the exporter’s refusal of a CPU mapping passes through, and leaves nothing', () => {
  if (machine === undefined) return;
  using context = GpuContext.create(machine);
  using buffer = poolBuffer(machine, 16 * 8 * 4, BUFFER_FLAG.NO_MMAP);
  using image = context.importImage({ buffer, fourcc: DRM_FORMAT_RGB565, width: 16, height: 8 });
  using pixels = context.createPixelBuffer(buffer);
  const refusal = /ENODEV.*offers no CPU mapping/;
  assert.throws(() => context.readPixels(image), refusal);
  assert.throws(() => context.texSubImage2D(image, new Uint8Array(256)), refusal);
  assert.throws(() => pixels.map({ read: true }), refusal);
  assert.throws(() => image.mmap(), refusal);
  assert.is(counters(machine, buffer).mmaps, 0);
  assert.is(buffer.mappings, 0);
  using rgb32 = context.importImage({ buffer, fourcc: DRM_FORMAT_XRGB8888, width: 8, height: 8 });
  assert.is(context.submit({ commands: [clear({ dst: rgb32 })] }).wait(5000), 1, 'devices may');
});

test.run();
