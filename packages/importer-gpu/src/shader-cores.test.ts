/** Shader cores: what is shared, and what becomes of jobs when a core or a kernel fails, hangs or dies. */
import type { DmaBuf, Fence } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { blend, blit, clear, copy, dispatch } from './command.js';
import { GpuContext } from './context.js';
import { DRM_FORMAT_ARGB8888, DRM_FORMAT_NV12, DRM_FORMAT_XRGB8888 } from './fourcc.js';
import type { GpuImage } from './image.js';
import { gpu } from './spec.js';
import { type Bench, bench, good, HEIGHT, WIDTH } from './testing/cores.test-helper.js';
import { bootMachine, poolBuffer, readBytes } from './testing/machine.test-helper.js';
import { difference } from './testing/pictures.test-helper.js';

const MODULE = new URL('./testing/kernels.test-helper.js', import.meta.url);
test('a scaling that lacks scratch is shared in TypeScript', async () => {
  const machine = await bootMachine({ shaderCores: 2 });
  const context = GpuContext.create(machine);
  const [src, dst] = [BIG, [500, 400] as const].map(([width, height]) => {
    const buffer = poolBuffer(machine, width * height * 4);
    return context.importImage({ buffer, fourcc: DRM_FORMAT_XRGB8888, width, height });
  });
  if (src === undefined || dst === undefined) throw new RangeError('two images');
  for (let i = 0; i < 1000 && context.stats().coreTiles === 0; i++) {
    good(context, context.submit({ commands: [blit({ src, dst })] }));
  }
  const { coreTiles, plainForScratch } = context.stats();
  assert.ok(coreTiles > 0 && plainForScratch > 0);
  await machine.shutdown();
});

test('a kernel of the user’s that throws fails its job with EIO in words, in whichever core', async () => {
  const one = await bench(3);
  const { context } = one;
  const image = one.image(DRM_FORMAT_XRGB8888, 60);
  using kernel = context.loadKernel({ url: MODULE, entry: 'brokenFrom' });
  const images = [{ image, access: 'overwrite' }] as const;
  for (const row of [0, 8, 200, HEIGHT - 1]) {
    const fence = context.submit({ commands: [dispatch({ kernel, images, args: [row] })] });
    assert.is(fence.wait(20_000), -5);
    assert.match(context.explain(fence) ?? '', /EIO.*kernel 'brokenFrom' failed: no row/);
  }
  good(context, context.submit({ commands: [clear({ dst: image })] }));
  await one.end();
});

test('a kernel of the user’s that never ends is ETIMEDOUT, and all cores are there again', async () => {
  const one = await bench(3, { job: 300 });
  const { context } = one;
  const image = one.image(DRM_FORMAT_XRGB8888, 60);
  using spend = context.loadKernel({ url: MODULE, entry: 'spend' });
  using where = context.loadKernel({ url: MODULE, entry: 'where' });
  const images = [{ image, access: 'overwrite' }] as const;
  const fence = context.submit({ commands: [dispatch({ kernel: spend, images, args: [1e9] })] });
  assert.is(fence.wait(20_000), -110);
  const before = context.stats().coreTiles;
  const anew = dispatch({ kernel: where, images });
  for (let i = 0; i < 1000 && context.stats().coreTiles === before; i++) {
    good(context, context.submit({ commands: [anew] }));
  }
  assert.ok(context.stats().coreTiles > before);
  const words = new Uint32Array(readBytes(image.buffer).buffer);
  assert.ok(words.every((word, i) => word === ((i % WIDTH) | (Math.floor(i / WIDTH) << 16))));
  await one.end();
});

const BIG = [1280, 720] as const;

test('scaling is shared where there are as many times the scratch of one core', async () => {
  const one = await bench(3);
  const src = one.image(DRM_FORMAT_NV12, 1, 1280, 720);
  const dst = one.image(DRM_FORMAT_XRGB8888, 2, 1278, 718);
  for (let i = 0; i < 1000 && one.context.stats().coreTiles === 0; i++) {
    good(one.context, one.context.submit({ commands: [blit({ src, dst })] }));
  }
  assert.ok(one.context.stats().coreTiles > 0);
  await one.end();
});

/** Jobs that keep all cores in tiles for a tenth of a second and more. */
function busy({ context }: Bench, src: GpuImage, dst: GpuImage): Fence[] {
  const to = { x: 0, y: 0, width: BIG[0], height: BIG[1] };
  const commands = [blend({ src, dst, to }), blend({ src, dst, to, alpha: 100 })];
  return Array.from({ length: 100 }, () => context.submit({ commands }));
}

function clean({ context }: Bench, src: GpuImage, dst: GpuImage, wanted: Uint8Array): void {
  good(context, context.submit({ commands: [copy({ src, dst })] }));
  assert.is(difference(readBytes(dst.buffer), wanted), '');
}

const [FRONT, CORE] = ['/dev/dri/renderD128', '/dev/dri/renderD128.core1'];

for (const [who, paths] of [
  ['a shader core is killed', [CORE]],
  ['the front end is killed', [FRONT]],
  ['both are killed at once', [FRONT, CORE]],
] as const) {
  test(`${who} in the middle of jobs, again and again: all of them end, and no tile is written after`, async () => {
    const one = await bench(3);
    const { machine, context } = one;
    const src = one.image(DRM_FORMAT_ARGB8888, 50, ...BIG);
    const dst = one.image(DRM_FORMAT_ARGB8888, 51, ...BIG);
    const over = one.image(DRM_FORMAT_XRGB8888, 52, ...BIG);
    const wanted = readBytes(src.buffer);
    const ends = new Map<number, number>();
    const lost = (): boolean => ends.has(-5);
    // A core's death costs a tile only if it was in one: so until it has.
    for (
      let round = 0;
      round < 5 || (paths.length === 1 && paths[0] === CORE && !lost());
      round++
    ) {
      assert.ok(round < 100, 'no tile was ever lost');
      const fences = busy(one, src, over);
      fences[round % 10]?.wait(20_000);
      untilCoresWork(one);
      for (const path of paths) machine.resetDevice(machine.device(path).actor, 'a test kills it');
      for (const fence of fences) {
        const end = fence.wait(20_000);
        ends.set(end, (ends.get(end) ?? 0) + 1);
      }
      assert.ok(stays(over.buffer), 'a core wrote when the claim had been let go');
      clean(one, src, dst, wanted);
      good(context, context.submit({ commands: [clear({ dst: over })] }));
    }
    console.log(`# ends: ${[...ends].map(([end, count]) => `${count} of ${end}`).join(', ')}`);
    // -5: a tile was lost; -130: the front end died in it, and what waited on that; -116: it ended too long ago to tell.
    const known = [1, -5, -125, -130, -116];
    assert.equal(
      [...ends.keys()].filter((end) => !known.includes(end)),
      [],
    );
    await one.end();
  });
}

/** Returns just when a core has done a tile and is about to take the next, if it does one within a while. */
function untilCoresWork({ context }: Bench): void {
  const { coreTiles } = context.stats();
  for (let i = 0; i < 2000 && context.stats().coreTiles === coreTiles; i++);
}

/** Whether a buffer that the CPU has to itself keeps its content. */
function stays(buffer: DmaBuf): boolean {
  const bracket = buffer.access({ write: true, discard: true });
  const before = Uint8Array.from(bracket.bytes);
  let same = true;
  for (let i = 0; i < 20; i++)
    same &&= Buffer.compare(Uint8Array.from(bracket.bytes), before) === 0;
  bracket.finish();
  return same;
}

test('a number of cores that is none is refused, and a core takes no jobs', async () => {
  for (const shaderCores of [0, 17, 1.5]) assert.throws(() => gpu({ shaderCores }), RangeError);
  const one = await bench(2);
  const { machine } = one;
  const core = machine.device('/dev/dri/renderD128.core1').actor;
  const fence = machine.createContext(core, 'misled').submit({ buffers: [] });
  assert.is(fence.wait(20_000), -22);
  assert.throws(() => GpuContext.create(machine, { path: '/dev/dri/renderD128.core1' }), /ENODEV/);
  await one.end();
});

test.run();
