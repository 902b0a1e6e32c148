import type { DmaBuf, Fence, Machine } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { blend, blit, clear, copy, fill, fit } from './command.js';
import { GpuContext } from './context.js';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_NV21,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  packedLayout,
  type FourCC,
} from './fourcc.js';
import type { GpuImage } from './image.js';
import { scratchBytes } from './scratch-size.js';
import {
  bootMachine,
  Camera,
  poolBuffer,
  readBytes,
  type Shot,
  writeBytes,
} from './testing/machine.test-helper.js';
import {
  Canvas,
  crop,
  difference,
  I420,
  NV12,
  NV21,
  painted,
  rgbPicture,
  scaled,
  yuvPicture,
  type YuvShape,
} from './testing/pictures.test-helper.js';

let machine: Machine;
let context: GpuContext;
let camera: Camera;

test.before(async () => {
  machine = await bootMachine();
  context = GpuContext.create(machine);
  camera = new Camera(machine);
});
test.after(async () => {
  await machine.shutdown();
});

const SHAPES: ReadonlyMap<FourCC, Omit<YuvShape, 'planes'>> = new Map([
  [DRM_FORMAT_YUV420, I420],
  [DRM_FORMAT_NV12, NV12],
  [DRM_FORMAT_NV21, NV21],
]);

/** The camera's picture, as the GPU must see it. */
function pictureOf(shot: Shot, size: number): ReturnType<typeof yuvPicture> {
  const { fourcc, width, height, matrix = 709, full = false } = shot;
  const { planes } = packedLayout(fourcc, width, height);
  const shape = { planes, ...(SHAPES.get(fourcc) ?? I420) };
  return yuvPicture(painted(size, shot.seed), { width, height }, shape, matrix, full);
}

interface Target {
  readonly buffer: DmaBuf;
  readonly image: GpuImage;
}

function target(make: (bytes: number) => DmaBuf, width: number, height: number): Target {
  const buffer = make(width * height * 4);
  return {
    buffer,
    image: context.importImage({ buffer, fourcc: DRM_FORMAT_XRGB8888, width, height }),
  };
}

const inPool = (bytes: number): DmaBuf => poolBuffer(machine, bytes);
const outside = (bytes: number): DmaBuf => machine.alloc(bytes);

function good(fence: Fence): void {
  assert.is(fence.wait(20_000), 1, context.explain(fence));
}

function compare(buffer: DmaBuf, expected: Uint8Array, what: string): void {
  assert.is(difference(readBytes(buffer), expected), '', what);
}

/** Letterboxed video with a translucent overlay: clear, convert + scale, blend. */
async function composes(
  make: (bytes: number) => DmaBuf,
  fourcc: FourCC,
  seed: number,
): Promise<void> {
  const size = packedLayout(fourcc, 90, 50).size;
  const video = make(size);
  const shot: Shot = {
    seed,
    fourcc,
    width: 90,
    height: 50,
    matrix: seed % 2 === 0 ? 601 : 709,
    full: seed % 3 === 0,
  };
  using src = context.importFrame({ buffer: video, width: 90, height: 50 });
  const over = make(20 * 10 * 4);
  const overlay = painted(20 * 10 * 4, seed + 9);
  writeBytes(over, overlay);
  using top = context.importImage({
    buffer: over,
    fourcc: DRM_FORMAT_ARGB8888,
    width: 20,
    height: 10,
  });
  const screen = target(make, 121, 60);
  const to = fit({ width: 90, height: 50 }, { width: 121, height: 60 });
  camera.shoot(video, shot);
  good(
    context.submit({
      commands: [
        clear({ dst: screen.image }),
        blit({ src, dst: screen.image, to }),
        blend({
          src: top,
          dst: screen.image,
          to: { x: 50, y: 44, width: 20, height: 10 },
          alpha: 180,
        }),
      ],
    }),
  );
  const canvas = new Canvas(new Uint8Array(121 * 60 * 4), 121);
  canvas.draw({ width: 121, height: 60, at: () => [0, 0, 0, 255] }, 0, 0);
  canvas.draw(scaled(pictureOf(shot, size), to.width, to.height, 'bilinear'), to.x, to.y);
  canvas.blend(rgbPicture(overlay, 20, 10, false), 50, 44, 180);
  compare(screen.buffer, canvas.bytes, `seed ${seed}`);
  screen.image.close();
  for (const buffer of [video, over, screen.buffer]) buffer.close();
}

for (const [name, fourcc] of [
  ['YUV420', DRM_FORMAT_YUV420],
  ['NV12', DRM_FORMAT_NV12],
  ['NV21', DRM_FORMAT_NV21],
] as const) {
  test(`${name} converted, scaled and blended equals the naive reference, in the pool and outside`, async () => {
    for (const seed of [1, 2, 3, 6]) {
      await composes(inPool, fourcc, seed);
      await composes(outside, fourcc, seed);
    }
  });
}

test('scaling runs in wasm once the context has brought scratch, and in TypeScript without it', () => {
  const source = target(inPool, 64, 36);
  const bytes = painted(64 * 36 * 4, 5);
  writeBytes(source.buffer, bytes);
  const screen = target(inPool, 97, 41);
  const expected = new Canvas(new Uint8Array(97 * 41 * 4), 97);
  expected.draw(scaled(rgbPicture(bytes, 64, 36, true), 97, 41, 'bilinear'), 0, 0);
  const draw = (on: GpuContext): readonly number[] => {
    const before = on.stats();
    good(on.submit({ commands: [blit({ src: source.image, dst: screen.image })] }));
    compare(screen.buffer, expected.bytes, 'scaled');
    const after = on.stats();
    assert.is(after.pixels - before.pixels, 97 * 41);
    return [
      after.wasmRuns - before.wasmRuns,
      after.plainRuns - before.plainRuns,
      after.plainForScratch - before.plainForScratch,
    ];
  };
  assert.equal(draw(context), [0, 1, 1]);
  const scratch = inPool(scratchBytes(64, 97));
  const fast = GpuContext.create(machine, { scratch });
  scratch.close();
  assert.is(fast.stats().scratch, scratchBytes(64, 97));
  assert.equal(draw(fast), [1, 0, 0]);
  assert.equal(draw(context), [1, 0, 0]);
  const small = GpuContext.create(machine, { scratch: inPool(16) });
  assert.equal(draw(small), [1, 0, 0]);
  fast.close();
  assert.equal(draw(small), [0, 1, 1]);
  small.close();
  assert.is(context.stats().scratch, 0);
  assert.throws(
    () => GpuContext.create(machine, { scratch: outside(4096) }),
    /EINVAL.*outside the pool/,
  );
});

test('a crop, a filter and a verbatim copy do what they say', () => {
  const size = packedLayout(DRM_FORMAT_NV12, 60, 40).size;
  const video = inPool(size);
  const shot: Shot = {
    seed: 4,
    fourcc: DRM_FORMAT_NV12,
    width: 60,
    height: 40,
    crop: [3, 5, 41, 29],
  };
  using src = context.importFrame({ buffer: video, width: 60, height: 40 });
  camera.shoot(video, shot);
  const screen = target(outside, 60, 40);
  const part = { x: 7, y: 2, width: 30, height: 20 };
  const copied = target(inPool, 60, 40);
  const copiedBefore = context.stats().bytesCopied;
  good(
    context.submit({
      commands: [
        clear({ dst: screen.image }),
        blit({ src, dst: screen.image, to: { x: 1, y: 1, width: 41, height: 29 } }),
        blit({
          src,
          dst: screen.image,
          from: part,
          to: { x: 42, y: 30, width: 18, height: 10 },
          filter: 'nearest',
        }),
        copy({ src: screen.image, dst: copied.image }),
      ],
    }),
  );
  const canvas = new Canvas(new Uint8Array(60 * 40 * 4), 60);
  canvas.draw({ width: 60, height: 40, at: () => [0, 0, 0, 255] }, 0, 0);
  const visible = crop(pictureOf(shot, size), { x: 3, y: 5, width: 41, height: 29 });
  canvas.draw(visible, 1, 1);
  canvas.draw(scaled(crop(visible, part), 18, 10, 'nearest'), 42, 30);
  compare(screen.buffer, canvas.bytes, 'drawn');
  compare(copied.buffer, canvas.bytes, 'copied');
  assert.is(context.stats().bytesCopied - copiedBefore, 60 * 40 * 4);
});

test('an image with gaps, planes in any order and a colour space of its own is read as described', () => {
  const size = 4096;
  const buffer = inPool(size);
  const bytes = painted(size, 8);
  writeBytes(buffer, bytes);
  const planes = [
    { offset: 1500, pitch: 41 },
    { offset: 7, pitch: 23 },
    { offset: 600, pitch: 50 },
  ];
  using src = context.importImage({
    buffer,
    fourcc: DRM_FORMAT_YUV420,
    width: 37,
    height: 25,
    pitches: planes.map(({ pitch }) => pitch),
    offsets: planes.map(({ offset }) => offset),
    color: { encoding: 'bt601', range: 'full' },
  });
  const screen = target(inPool, 37, 25);
  good(context.submit({ commands: [blit({ src, dst: screen.image })] }));
  const canvas = new Canvas(new Uint8Array(37 * 25 * 4), 37);
  const shape = { planes, ...I420 };
  canvas.draw(yuvPicture(bytes, { width: 37, height: 25 }, shape, 601, true), 0, 0);
  compare(screen.buffer, canvas.bytes, 'converted');
});

test('a render says in its target’s metadata what is there, with time and sequence of its source', () => {
  const video = inPool(packedLayout(DRM_FORMAT_NV12, 8, 8).size);
  using src = context.importFrame({ buffer: video, width: 8, height: 8 });
  const screen = target(inPool, 16, 8);
  camera.shoot(video, { seed: 1, fourcc: DRM_FORMAT_NV12, width: 8, height: 8, sequence: 7 });
  good(
    context.submit({ commands: [clear({ dst: screen.image }), blit({ src, dst: screen.image })] }),
  );
  const shown = screen.buffer.metadata;
  assert.is(shown.fourcc, DRM_FORMAT_XRGB8888);
  assert.equal(
    [shown.width, shown.height, shown.pitches[0], shown.sequence, shown.timestamp],
    [16, 8, 64, 7, 280],
  );
  good(
    context.submit({
      commands: [fill({ dst: screen.image, to: { x: 0, y: 0, width: 1, height: 1 }, pixel: 0 })],
    }),
  );
  assert.is(screen.buffer.metadata.sequence, 7);
  // What the GPU rendered can be a frame for it, too.
  using again = context.importFrame({ buffer: screen.buffer, width: 16, height: 8 });
  const second = target(inPool, 16, 8);
  good(context.submit({ commands: [blit({ src: again, dst: second.image })] }));
  compare(second.buffer, readBytes(screen.buffer), 'second generation');
  assert.is(second.buffer.metadata.timestamp, 280);
  good(context.submit({ commands: [clear({ dst: screen.image })] }));
  assert.is(screen.buffer.metadata.sequence, 0);
});

test('a hundred jobs of two contexts, queued ahead over two buffers, run in their order', () => {
  const other = GpuContext.create(machine, { name: 'other' });
  const a = target(inPool, 20, 5);
  const b = target(inPool, 20, 5);
  const gate = a.buffer.access({ write: true });
  let last: Fence | undefined;
  for (let i = 0; i < 100; i++) {
    const [from, to] = i % 2 === 0 ? [a, b] : [b, a];
    const pixel = { x: i % 20, y: Math.floor(i / 20), width: 1, height: 1 };
    last = (i % 4 < 2 ? context : other).submit({
      commands: [
        copy({ src: from.image, dst: to.image }),
        fill({ dst: to.image, to: pixel, pixel: 0xff000000 + i * 0x10203 }),
      ],
    });
  }
  assert.is(last?.status, 0);
  gate.finish();
  assert.is(last?.wait(20_000), 1);
  const expected = new Uint32Array(100).map((_, i) => 0xff000000 + i * 0x10203);
  compare(a.buffer, new Uint8Array(expected.buffer), 'after 100 jobs');
  expected[99] = 0;
  const behind = new Uint32Array(readBytes(b.buffer).buffer);
  assert.equal([...behind.subarray(0, 99)], [...expected.subarray(0, 99)]);
  other.close();
});

test('a damaged frame costs that frame, not the ones behind it', () => {
  const imagesBefore = context.stats().images;
  const { size } = packedLayout(DRM_FORMAT_YUV420, 32, 16);
  const videos = [inPool(size), inPool(size)];
  const frames = videos.map((buffer) => context.importFrame({ buffer, width: 32, height: 16 }));
  const screens = [target(inPool, 32, 16), target(inPool, 32, 16)];
  const kept = Array.from({ length: 12 }, () => target(inPool, 32, 16));
  const failedBefore = context.stats().failed;
  const shots = kept.map((_, i): Shot => {
    return { seed: i, fourcc: DRM_FORMAT_YUV420, width: 32, height: 16, fail: i % 5 === 2 };
  });
  const fences = kept.map((keep, i) => {
    const [video, src, screen] = [videos[i % 2], frames[i % 2], screens[i % 2]];
    const shot = shots[i];
    if (!video || !src || !screen || !shot) throw new RangeError('no such frame');
    camera.shoot(video, shot);
    const render = context.submit({ commands: [blit({ src, dst: screen.image })] });
    return {
      render,
      shown: context.submit({ commands: [copy({ src: screen.image, dst: keep.image })] }),
    };
  });
  for (const [i, { render, shown }] of fences.entries()) {
    const shot = shots[i];
    const keep = kept[i];
    if (!shot || !keep) throw new RangeError('no such frame');
    shown.wait(20_000);
    assert.is(render.error, shot.fail === true ? 'EIO' : undefined, `render ${i}`);
    assert.is(shown.error, shot.fail === true ? 'EIO' : undefined, `frame ${i}`);
    if (shot.fail === true) continue;
    const canvas = new Canvas(new Uint8Array(32 * 16 * 4), 32);
    canvas.draw(pictureOf(shot, size), 0, 0);
    compare(keep.buffer, canvas.bytes, `frame ${i}`);
  }
  assert.is(context.stats().failed - failedBefore, 4);
  // Cancelled jobs give their images back, too.
  for (const { image } of [...kept, ...screens]) image.close();
  frames.forEach((frame) => frame.close());
  assert.is(context.stats().images, imagesBefore);
});

test('bad geometry in metadata fails that job with its errno, and poisons the target for that frame alone', () => {
  const { size } = packedLayout(DRM_FORMAT_YUV420, 32, 16);
  const video = inPool(size);
  using src = context.importFrame({ buffer: video, width: 32, height: 16 });
  const screen = target(inPool, 32, 16);
  const copied = target(inPool, 32, 16);
  const render = (shot: Partial<Shot>): { fence: Fence; shown: Fence } => {
    camera.shoot(video, { seed: 3, fourcc: DRM_FORMAT_YUV420, width: 32, height: 16, ...shot });
    const red = fill({ dst: screen.image, pixel: 0xffff0000 });
    const fence = context.submit({ commands: [red, blit({ src, dst: screen.image })] });
    const shown = context.submit({ commands: [copy({ src: screen.image, dst: copied.image })] });
    shown.wait(20_000);
    return { fence, shown };
  };
  const expected = new Canvas(new Uint8Array(32 * 16 * 4), 32);
  const whole = { seed: 8, fourcc: DRM_FORMAT_YUV420, width: 32, height: 16 };
  expected.draw(pictureOf(whole, size), 0, 0);
  const bad = (shot: Partial<Shot>, error: string, why: RegExp): void => {
    const { fence, shown } = render(shot);
    assert.is(fence.error, error);
    assert.match(context.explain(fence) ?? '', why);
    assert.is(shown.error, error, 'the target is poisoned');
    assert.is(context.explain(shown), undefined);
    const next = render({ seed: 8 });
    assert.is(next.fence.error, undefined, 'the next frame is not');
    assert.is(next.shown.error, undefined);
    compare(copied.buffer, expected.bytes, 'and it is right');
  };
  assert.is(
    render({ silent: true }).fence.error,
    'ENODATA',
    'nothing was ever said of this buffer',
  );
  bad({ width: 34 }, 'EOVERFLOW', /34x16; it was imported as at most 32x16/);
  bad({ fourcc: 0x30335258 }, 'EINVAL', /unknown format 'XR30'/);
  bad({ fourcc: 0x32315659 }, 'EINVAL', /unknown format/);
  bad({ crop: [0, 0, 32, 17] }, 'EOVERFLOW', /32x17/);
  bad({ crop: [1, 0, 32, 16] }, 'EINVAL', /shows 32x16\+1\+0 of a picture of 32x16/);
  bad({ pitches: [31, 16, 16], offsets: [0, 512, 640] }, 'EINVAL', /pitch 31/);
  bad(
    { pitches: [32, 16, 16], offsets: [0, 512, 700] },
    'EINVAL',
    /plane 2 takes bytes 700 to 828/,
  );
  bad(
    { fourcc: DRM_FORMAT_XRGB8888, width: 8, height: 8, pitches: [-32], offsets: [0] },
    'EINVAL',
    /pitch/,
  );
});

test('a job that finds bad geometry has touched nothing', () => {
  const { size } = packedLayout(DRM_FORMAT_YUV420, 32, 16);
  const video = inPool(size);
  using src = context.importFrame({ buffer: video, width: 64, height: 64 });
  const screen = target(inPool, 32, 16);
  camera.shoot(video, { seed: 3, fourcc: DRM_FORMAT_YUV420, width: 32, height: 16 });
  const part = { x: 0, y: 0, width: 33, height: 16 };
  const red = fill({ dst: screen.image, pixel: 0xffff0000 });
  const fence = context.submit({ commands: [red, blit({ src, dst: screen.image, from: part })] });
  assert.ok(fence.wait(20_000) < 0);
  assert.is(fence.error, 'EINVAL');
  assert.match(context.explain(fence) ?? '', /33x16\+0\+0 leaves its image of 32x16/);
  const bracket = screen.buffer.mmap().prepareAccess({ write: true, discard: true });
  assert.ok(bracket.bytes.every((byte) => byte === 0));
  bracket.finish();
});

test('in-fences hold a job back, and onError decides what their failure does', () => {
  const screen = target(inPool, 4, 4);
  const video = inPool(24);
  const held = video.access({ write: true });
  const broken = camera.shoot(video, {
    seed: 1,
    fourcc: DRM_FORMAT_NV12,
    width: 4,
    height: 4,
    fail: true,
  });
  const commands = [clear({ dst: screen.image })];
  const cancelled = context.submit({ commands, inFences: [broken] });
  const ran = context.submit({ commands, inFences: [broken], onError: 'run' });
  assert.is(cancelled.status, 0);
  held.finish();
  assert.is(ran.wait(20_000), 1);
  assert.is(cancelled.error, 'EIO');
});

test('images are gone when their handles and jobs are', () => {
  const before = context.stats().images;
  const some = Array.from({ length: 20 }, () => target(inPool, 4, 4));
  for (const { image } of some) context.submit({ commands: [clear({ dst: image })] });
  for (const { image } of some) image.close();
  context.submit({ commands: [] }).wait(20_000);
  assert.is(context.stats().images, before);
});

test.run();
