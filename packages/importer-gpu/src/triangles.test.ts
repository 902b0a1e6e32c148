/** Triangles as commands of jobs: where vertices come from, what is refused and when, and what is claimed. */
import type { DmaBuf, Fence, Machine } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { blit, clear, triangles } from './command.js';
import { GpuContext } from './context.js';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  DRM_FORMAT_YUYV,
} from './fourcc.js';
import type { GpuImage } from './image.js';
import { plainKernels } from './kernels/plain.js';
import { type Mesh, packVertices, type Vertex } from './kernels/vertex.js';
import {
  bootMachine,
  Camera,
  poolBuffer,
  readBytes,
  writeBytes,
} from './testing/machine.test-helper.js';
import { difference, painted } from './testing/pictures.test-helper.js';

const WIDTH = 32;
const HEIGHT = 20;
/** A quad with a texture of 8x8 turned a little, and a triangle that leaves the image on all sides. */
const VERTICES: readonly Vertex[] = [
  { x: 3.25, y: 1.5, color: 0xffff8040 },
  { x: 27.5, y: 4, u: 8, color: 0x80404040 },
  { x: 1, y: 15.75, v: 8 },
  { x: 25, y: 19, u: 8, v: 8, color: 0xc0a0b0c0 },
  { x: -900, y: -100, color: 0x40102030 },
  { x: 900, y: -50, color: 0x20201000 },
  { x: 10, y: 800.125, color: 0x60006000 },
];
const INDICES = [0, 1, 2, 2, 1, 3, 4, 5, 6];

let machine: Machine;
let context: GpuContext;

test.before(async () => {
  machine = await bootMachine({}, { tables: { payloadBytes: 1024 } });
  context = GpuContext.create(machine);
});
test.after(async () => {
  await machine.shutdown();
});

type Make = (bytes: number) => DmaBuf;
const inPool: Make = (bytes) => poolBuffer(machine, bytes);
const outside: Make = (bytes) => machine.alloc(bytes);

function filled(make: Make, bytes: Uint8Array): DmaBuf {
  const buffer = make(bytes.byteLength);
  writeBytes(buffer, bytes);
  return buffer;
}

const asBytes = (words: Int32Array): Uint8Array => new Uint8Array(words.buffer);

interface Scene {
  readonly dst: DmaBuf;
  readonly image: GpuImage;
  readonly texture: GpuImage;
  readonly before: Uint8Array;
}

function scene(make: Make): Scene {
  const before = painted(WIDTH * HEIGHT * 4, 5);
  const dst = filled(make, before);
  const shape = { width: WIDTH, height: HEIGHT };
  const image = context.importImage({ buffer: dst, fourcc: DRM_FORMAT_XRGB8888, ...shape });
  const texels = { buffer: filled(make, painted(256, 6)), width: 8, height: 8 };
  const texture = context.importImage({ ...texels, fourcc: DRM_FORMAT_ARGB8888 });
  return { dst, image, texture, before };
}

function buffers(make: Make): { vertices: GpuImage; indices: GpuImage } {
  const words = packVertices(VERTICES);
  // Vertices lie 32 bytes apart, from byte 12 on; indices from byte 4 on.
  const spread = new Uint8Array(12 + VERTICES.length * 32).fill(0xee);
  VERTICES.forEach((_, i) => spread.set(asBytes(words).subarray(i * 20, i * 20 + 20), 12 + i * 32));
  const vertex = { buffer: filled(make, spread), count: VERTICES.length, offset: 12, stride: 32 };
  const listed = filled(make, asBytes(Int32Array.of(-1, ...INDICES)));
  return {
    vertices: context.importVertices(vertex),
    indices: context.importIndices({ buffer: listed, triangles: 3, offset: 4 }),
  };
}

/** What the TypeScript kernel draws; it is tested against exact integers beside it. */
function expected(
  before: Uint8Array,
  mesh: Mesh,
  clip: { x: number; y: number; width: number; height: number },
): Uint8Array {
  const bytes = before.slice();
  const image = (memory: Uint8Array, fourcc: number, width: number, height: number) => ({
    ...{
      memory: memory.buffer,
      byteOffset: 0,
      byteLength: memory.byteLength,
      fourcc,
      width,
      height,
    },
    planes: [{ offset: 0, pitch: width * 4 }],
  });
  const texture = image(painted(256, 6), DRM_FORMAT_ARGB8888, 8, 8);
  const dst = image(bytes, DRM_FORMAT_XRGB8888, WIDTH, HEIGHT);
  plainKernels.triangles(dst, clip, mesh, { texture });
  return bytes;
}

function good(fence: Fence): void {
  assert.is(fence.wait(20_000), 1, context.explain(fence));
}

for (const [where, make] of [
  ['the pool', inPool],
  ['memory outside it', outside],
] as const) {
  test(`vertices and indices travel in the job, or lie in buffers: one picture, in ${where}`, () => {
    const clip = { x: 1, y: 2, width: 30, height: 17 };
    const mesh = { vertices: packVertices(VERTICES), indices: Int32Array.from(INDICES) };
    const { vertices, indices } = buffers(make);
    const sources = [
      { vertices: VERTICES, indices: INDICES },
      { vertices, indices },
      { vertices: VERTICES, indices },
      { vertices, indices: INDICES },
      { vertices: INDICES.flatMap((i) => VERTICES.slice(i, i + 1)) },
    ];
    for (const source of sources) {
      const { dst, image, texture, before } = scene(make);
      const stats = context.stats();
      good(context.submit({ commands: [triangles({ dst: image, texture, clip, ...source })] }));
      assert.is(difference(readBytes(dst), expected(before, mesh, clip)), '');
      const kind = make === inPool ? 'wasmRuns' : 'plainRuns';
      assert.is(context.stats()[kind], stats[kind] + 1);
    }
  });
}

test('an index of no vertex, or a vertex too far out, in a buffer: EINVAL when the job runs, nothing touched', () => {
  const { vertices } = buffers(inPool);
  const bad = filled(inPool, asBytes(Int32Array.of(0, 1, 7)));
  const indices = context.importIndices({ buffer: bad, triangles: 1 });
  const words = packVertices(VERTICES.slice(0, 3));
  words[6] = 0x7fffffff;
  const far = context.importVertices({ buffer: filled(inPool, asBytes(words)), count: 3 });
  for (const [source, why] of [
    [{ vertices, indices }, /index 2 is 7; there are 7 vertices/],
    [{ vertices: far }, /y of vertex 1 is 8388607\.99/],
  ] as const) {
    const { dst, image, texture, before } = scene(inPool);
    const draw = triangles({ dst: image, texture, ...source });
    const fence = context.submit({
      commands: [triangles({ dst: image, vertices: VERTICES.slice(0, 3) }), draw],
    });
    assert.is(fence.wait(20_000), -22);
    assert.match(context.explain(fence) ?? '', why);
    // Its content counts as damaged; the bytes are as they were.
    const bracket = dst.access({ write: true, discard: true });
    assert.is(difference(Uint8Array.from(bracket.bytes), before), '');
    bracket.finish();
    const next = [clear({ dst: image }), triangles({ dst: image, vertices: VERTICES.slice(0, 3) })];
    good(context.submit({ commands: next }));
  }
});

test('what submit can see is refused there, and leaves no residue', () => {
  const { dst, image, texture } = scene(inPool);
  const { vertices, indices } = buffers(inPool);
  const draw = { dst: image, vertices: VERTICES, indices: INDICES };
  const refused = (
    command: Parameters<typeof triangles>[0],
    why: RegExp | typeof TypeError,
  ): void => {
    assert.throws(() => context.submit({ commands: [triangles(command)] }), why);
  };
  const at = (detail: string): RegExp => new RegExp(`EINVAL.*command 0 \\(triangles\\): ${detail}`);
  refused({ ...draw, indices: [0, 1, 7] }, at('index 2 is 7'));
  refused({ ...draw, indices: [0, 1] }, at('2 indices make no whole number'));
  refused({ dst: image, vertices }, at('7 vertices make no whole number'));
  refused({ dst: image, vertices, indices: [0, 1, 7] }, at('index 2 is 7'));
  refused({ ...draw, vertices: [{ x: 1e9, y: 0 }] }, at('x of vertex 0 is 1000000000'));
  refused({ ...draw, clip: { x: 0, y: 0, width: 33, height: 1 } }, at('clip rectangle 33x1'));
  refused({ ...draw, texture: image }, at('an image is drawn into that the command reads'));
  refused({ ...draw, vertices: indices }, at('vertices must be what importVertices'));
  refused(
    { ...draw, indices: vertices },
    at('indices? must be what importVertices|indices must be'),
  );
  const yuv = { buffer: inPool(WIDTH * HEIGHT * 2), width: WIDTH, height: HEIGHT };
  using nv12 = context.importImage({ ...yuv, fourcc: DRM_FORMAT_NV12 });
  refused({ ...draw, dst: nv12 }, at('destination image is NV12'));
  using frame = context.importFrame(yuv);
  refused({ ...draw, dst: frame }, at('the destination is a frame'));
  refused({ ...draw, indices: [0, 1, 0.5] }, TypeError);
  const many = Array.from({ length: 99 }, () => ({ x: 300.5, y: 300.5 }));
  refused({ dst: image, vertices: many }, /EMSGSIZE/);
  using mesh = context.importImage({
    buffer: vertices.buffer,
    fourcc: DRM_FORMAT_ARGB8888,
    width: 5,
    height: 2,
  });
  const both = [clear({ dst: mesh }), triangles({ dst: image, vertices, indices, texture })];
  assert.throws(
    () => context.submit({ commands: both }),
    /EINVAL.*the job writes a buffer of vertices/,
  );
  const free = dst.access({ write: true }); // nothing is queued on it
  free.finish();
});

test('a texture may be a frame: what is visible of it, in its colour space, and of its size when the job runs', () => {
  const video = machine.alloc(4096);
  const frame = context.importFrame({ buffer: video, width: 32, height: 16 });
  const camera = new Camera(machine);
  for (const fourcc of [DRM_FORMAT_NV12, DRM_FORMAT_YUV420, DRM_FORMAT_YUYV]) {
    for (const [matrix, full] of [
      [601, true],
      [709, false],
    ] as const) {
      const { image, dst } = scene(outside);
      const quad = [
        { x: 3, y: 4 },
        { x: 22, y: 4, u: 19 },
        { x: 3, y: 13, v: 9 },
        { x: 22, y: 13, u: 19, v: 9 },
      ];
      const draw = { vertices: quad, indices: [0, 1, 2, 2, 1, 3], texture: frame };
      camera.shoot(video, {
        ...{ seed: 9, fourcc, width: 32, height: 16, crop: [5, 3, 19, 9] },
        ...{ matrix, full, sequence: 7 },
      });
      const commands = [clear({ dst: image }), triangles({ dst: image, ...draw })];
      good(context.submit({ commands }));
      const drawn = readBytes(dst);
      const to = { x: 3, y: 4, width: 19, height: 9 };
      good(
        context.submit({ commands: [clear({ dst: image }), blit({ src: frame, dst: image, to })] }),
      );
      assert.is(difference(drawn, readBytes(dst)), '');
    }
  }
  // One that is none, or is too large, costs its job, and nothing has been touched then.
  const { dst, image, before } = scene(outside);
  camera.shoot(video, { seed: 9, fourcc: DRM_FORMAT_NV12, width: 64, height: 16 });
  const fence = context.submit({
    commands: [
      clear({ dst: image }),
      triangles({ dst: image, vertices: VERTICES.slice(0, 3), texture: frame }),
    ],
  });
  assert.is(fence.wait(20_000), -75);
  const bracket = dst.access({ write: true, discard: true });
  assert.is(difference(Uint8Array.from(bracket.bytes), before), '');
  bracket.finish();
});

test('a buffer that is too short for its vertices or indices is refused at import', () => {
  const buffer = inPool(100);
  assert.throws(() => context.importVertices({ buffer, count: 6 }), /EINVAL.*of a buffer of 100/);
  assert.throws(() => context.importVertices({ buffer, count: 5, offset: 1 }), /EINVAL/);
  assert.throws(() => context.importVertices({ buffer, count: 2, stride: 19 }), /EINVAL.*pitch 19/);
  assert.throws(
    () => context.importIndices({ buffer, triangles: 9 }),
    /EINVAL.*of a buffer of 100/,
  );
  context.importVertices({ buffer, count: 5 }).close();
  context.importIndices({ buffer, triangles: 8 }).close();
});

test('vertices are claimed to be read: a job that writes them comes first, two that draw them go together', () => {
  const { image } = scene(inPool);
  const { vertices } = buffers(inPool);
  const first = vertices.buffer.access({ read: true }); // a reader does not hold up a drawing job
  good(context.submit({ commands: [triangles({ dst: image, vertices, indices: INDICES })] }));
  first.finish();
  const writer = vertices.buffer.access({ write: true });
  const fence = context.submit({
    commands: [triangles({ dst: image, vertices, indices: INDICES })],
  });
  assert.is(fence.status, 0);
  writer.finish();
  good(fence);
});

test.run();
