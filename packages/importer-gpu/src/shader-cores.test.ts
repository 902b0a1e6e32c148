/** Shader cores: the same bytes whatever their number, and what becomes of jobs when one of them dies. */
import type { DmaBuf, Fence, Machine } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { blend, blit, clear, type Command, copy, fill, triangles } from './command.js';
import { GpuContext } from './context.js';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_NV21,
  DRM_FORMAT_P010,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  DRM_FORMAT_YUYV,
  packedLayout,
  type FourCC,
} from './fourcc.js';
import type { GpuImage } from './image.js';
import { scratchBytes } from './scratch-size.js';
import { gpu } from './spec.js';
import { bootMachine, poolBuffer, readBytes, writeBytes } from './testing/machine.test-helper.js';
import { difference, painted } from './testing/pictures.test-helper.js';

const [WIDTH, HEIGHT] = [638, 358];
const YUV = [DRM_FORMAT_YUV420, DRM_FORMAT_NV12, DRM_FORMAT_NV21, DRM_FORMAT_YUYV];
const SOURCES = [...YUV, DRM_FORMAT_P010, DRM_FORMAT_RGB565];

interface Bench {
  readonly machine: Machine;
  readonly context: GpuContext;
  end(): Promise<void>;
  image(fourcc: FourCC, seed: number, width?: number, height?: number): GpuImage;
}

async function bench(shaderCores: number): Promise<Bench> {
  const machine = await bootMachine({ shaderCores }, { pool: 48 << 20 });
  const scratch = poolBuffer(machine, scratchBytes(1280, 1280) * 3);
  const context = GpuContext.create(machine, { scratch });
  const opened: { close(): void }[] = [scratch];
  return {
    machine,
    context,
    async end() {
      for (const each of opened) each.close();
      context.close();
      await machine.shutdown();
    },
    image(fourcc, seed, width = WIDTH, height = HEIGHT) {
      const { size } = packedLayout(fourcc, width, height);
      const buffer = poolBuffer(machine, size);
      writeBytes(buffer, painted(size, seed));
      const made = context.importImage({ buffer, fourcc, width, height });
      opened.push(buffer, made);
      return made;
    },
  };
}

function good(context: GpuContext, fence: Fence): void {
  assert.is(fence.wait(20_000), 1, context.explain(fence));
}

/** What each kind of command draws, in order. */
function pictures({ context, image }: Bench): readonly Uint8Array[] {
  const draw = (dst: GpuImage, ...commands: Command[]): Uint8Array => {
    good(context, context.submit({ commands }));
    const bytes = readBytes(dst.buffer);
    dst.close();
    return bytes;
  };
  const rgb = image(DRM_FORMAT_ARGB8888, 1);
  const target = (): GpuImage => image(DRM_FORMAT_XRGB8888, 2);
  const part = { x: 3, y: 5, width: 620, height: 340 };
  const out: Uint8Array[] = [];
  for (const [i, fourcc] of SOURCES.entries()) {
    const src = image(fourcc, 10 + i);
    for (const to of [undefined, part]) {
      const dst = target();
      out.push(draw(dst, blit({ src, dst, ...(to && { to }) })));
    }
    src.close();
  }
  for (const fourcc of [...YUV, DRM_FORMAT_RGB565]) {
    const dst = image(fourcc, 30);
    out.push(draw(dst, blit({ src: rgb, dst })));
  }
  for (const filter of ['nearest', 'bilinear'] as const) {
    const dst = target();
    out.push(draw(dst, blit({ src: rgb, dst, from: part, filter })));
  }
  for (const mode of ['premultiplied', 'coverage', 'none'] as const) {
    const dst = target();
    out.push(draw(dst, blend({ src: rgb, dst, from: part, to: part, mode, alpha: 200 })));
  }
  const [cleared, filled, copied, scrolled, drawn] = [0, 1, 2, 3, 4].map(() => target());
  if (!cleared || !filled || !copied || !scrolled || !drawn) throw new RangeError('five targets');
  out.push(draw(cleared, clear({ dst: cleared })));
  out.push(draw(filled, fill({ dst: filled, to: part, pixel: 0x12345678 })));
  out.push(draw(copied, copy({ src: rgb, dst: copied })));
  const down = { ...part, y: part.y + 7 };
  out.push(draw(scrolled, copy({ src: scrolled, dst: scrolled, from: part, to: down })));
  const vertices = [
    { x: -20.5, y: 3, color: 0xff8040ff },
    { x: 630, y: -10.25, u: 638, color: 0x40404040 },
    { x: 300, y: 700, v: 358 },
  ];
  out.push(draw(drawn, triangles({ dst: drawn, texture: rgb, vertices })));
  const planar = [image(DRM_FORMAT_YUV420, 40), image(DRM_FORMAT_YUV420, 41)] as const;
  out.push(draw(planar[1], copy({ src: planar[0], dst: planar[1] })));
  return out;
}

test('every command draws the same bytes with one, two and three cores', async () => {
  let wanted: readonly Uint8Array[] | undefined;
  for (const cores of [1, 2, 3]) {
    const one = await bench(cores);
    const got = pictures(one);
    // A core that sleeps may come too late for each of them: so until it has come.
    while (cores > 1 && one.context.stats().coreTiles === 0) pictures(one);
    const { coreTiles, plainRuns } = one.context.stats();
    console.log(`# ${cores} cores: ${coreTiles} tiles not done by the first`);
    assert.is(plainRuns, 0);
    assert.is(coreTiles > 0, cores > 1);
    wanted ??= got;
    got.forEach((bytes, i) => assert.is(difference(bytes, wanted?.[i] ?? bytes), '', `${i}`));
    await one.end();
  }
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
