/** Shader cores: the same bytes whatever their number, for every command and on all memory. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { blend, blit, clear, type Command, copy, dispatch, fill, triangles } from './command.js';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_NV21,
  DRM_FORMAT_P010,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  DRM_FORMAT_YUYV,
  type FourCC,
} from './fourcc.js';
import type { GpuImage } from './image.js';
import { ADD_KERNEL, compileKernel, type Compiled } from './testing/compile.test-helper.js';
import { type Bench, bench, good, HEIGHT, type Where, WIDTH } from './testing/cores.test-helper.js';
import { readBytes } from './testing/machine.test-helper.js';
import { difference } from './testing/pictures.test-helper.js';

const YUV = [DRM_FORMAT_YUV420, DRM_FORMAT_NV12, DRM_FORMAT_NV21, DRM_FORMAT_YUYV];
const SOURCES = [...YUV, DRM_FORMAT_P010, DRM_FORMAT_RGB565];
const MODULE = new URL('./testing/kernels.test-helper.js', import.meta.url);
let compiled: Compiled;

test.before(async () => {
  compiled = await compileKernel(ADD_KERNEL);
});
test.after(() => {
  compiled.remove();
});

/** What each kind of command draws, in order, from and into some memory. */
function pictures(one: Bench, from: Where, into: Where): readonly Uint8Array[] {
  const { context } = one;
  const draw = (dst: GpuImage, ...commands: Command[]): Uint8Array => {
    good(context, context.submit({ commands }));
    const bytes = readBytes(dst.buffer);
    dst.close();
    return bytes;
  };
  const image = (fourcc: FourCC, seed: number): GpuImage =>
    one.image(fourcc, seed, WIDTH, HEIGHT, from);
  const rgb = image(DRM_FORMAT_ARGB8888, 1);
  const target = (fourcc: FourCC = DRM_FORMAT_XRGB8888, seed = 2): GpuImage =>
    one.image(fourcc, seed, WIDTH, HEIGHT, into);
  const part = { x: 3, y: 3, width: 312, height: 212 };
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
    const dst = target(fourcc, 30);
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
    { x: 390, y: -10.25, u: WIDTH, color: 0x40404040 },
    { x: 150, y: 500, v: HEIGHT },
  ];
  out.push(draw(drawn, triangles({ dst: drawn, texture: rgb, vertices })));
  for (const fourcc of SOURCES) {
    const dst = target();
    const texture = image(fourcc, 70);
    out.push(draw(dst, triangles({ dst, texture, vertices })));
    texture.close();
  }
  const planar = [image(DRM_FORMAT_YUV420, 40), target(DRM_FORMAT_YUV420, 41)] as const;
  out.push(draw(planar[1], copy({ src: planar[0], dst: planar[1] })));
  for (const url of from === 'pool' && into === 'pool' ? [MODULE, compiled.url] : [MODULE]) {
    using kernel = context.loadKernel({ url, entry: 'add' });
    for (const grid of [undefined, { width: WIDTH, height: 4 }, { width: 5, height: HEIGHT }]) {
      const dst = target();
      const images = [
        { image: rgb, access: 'read' },
        { image: dst, access: 'readwrite' },
      ] as const;
      out.push(draw(dst, dispatch({ kernel, images, args: [77], ...(grid && { grid }) })));
    }
  }
  return out;
}

for (const [from, into, counts] of [
  ['pool', 'pool', [1, 2, 3, 4]],
  ['system', 'system', [1, 2, 3, 4]],
  ['system', 'pool', [1, 3]],
] as const) {
  test(`every command draws the same bytes with ${counts.join(', ')} cores, from ${from} to ${into} memory`, async () => {
    let wanted: readonly Uint8Array[] | undefined;
    for (const cores of counts) {
      const one = await bench(cores);
      const got = pictures(one, from, into);
      // A core that sleeps may come too late for each of them: so until it has come.
      while (cores > 1 && one.context.stats().coreTiles === 0) pictures(one, from, into);
      const { coreTiles } = one.context.stats();
      console.log(`# ${cores} cores: ${coreTiles} tiles not done by the first`);
      assert.is(coreTiles > 0, cores > 1);
      wanted ??= got;
      got.forEach((bytes, i) => assert.is(difference(bytes, wanted?.[i] ?? bytes), '', `${i}`));
      await one.end();
    }
  });
}

test.run();
