/** Triangles: plain and wasm against each other to the byte, and both against exact coverage and values. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DRM_FORMAT_ARGB8888, DRM_FORMAT_NV12, DRM_FORMAT_XRGB8888 } from '../fourcc.js';
import { PACKED } from './check.js';
import { matrixOf, rgbAt } from './convert-reference.test-helper.js';
import { Bench, pixelAddress, pixelAt, splitRows } from './harness.test-helper.js';
import type { Image, Rect, TriangleOptions } from './kernels.js';
import { plainKernels } from './plain.js';
import { type Field, reference } from './triangle-reference.test-helper.js';
import { type Mesh, packVertices, VERTEX_WORDS } from './vertex.js';

const SEED = 20120315;
console.log(`seed ${SEED}`);

const WHOLE = (image: Image): Rect => ({ x: 0, y: 0, width: image.width, height: image.height });
const BT709 = { encoding: 'bt709', range: 'limited' } as const;
const FIELDS: readonly Field[] = ['b', 'g', 'r', 'a'];

/**
 * Vertices at random: near the image and far from it, on the grid of pixel centres and off it; every other one level
 * with the one before it or straight below it, so that centres lie on edges.
 */
function someMesh(random: Bench['random'], count: number): Mesh {
  const place = (): number => {
    const near = random.int(-8 * 256, 48 * 256);
    const far = random.int(-8388608, 8388608);
    return random.pick([near, near & ~127, (near & ~255) | 128, (near & ~255) | 128, far]);
  };
  const words = new Int32Array(count * VERTEX_WORDS);
  for (let i = 0; i < count; i++) {
    const [u, v] = [random.int(-2000, 9000), random.int(-2000, 9000)];
    const before = words.subarray((i - 1) * VERTEX_WORDS);
    const x = i > 0 && random.int(0, 3) === 0 ? (before[0] ?? 0) : place();
    const y = i > 0 && random.int(0, 3) === 0 ? (before[1] ?? 0) : place();
    words.set([x, y, random.int(0, 0xffffffff) | 0, u, v], i * VERTEX_WORDS);
  }
  return { vertices: words };
}

/** What a texture may give at u, v: nearest and bilinear as the formula has it, at positions that rounding can tell. */
function texels(
  bytes: Uint8Array,
  texture: Image,
  { filter = 'bilinear', part = WHOLE(texture), color = BT709 }: TriangleOptions,
  at: readonly [number, number],
): number[][] {
  const clamp = (i: number, size: number): number => Math.min(size - 1, Math.max(0, i));
  const m = matrixOf(color.encoding, color.range);
  const load = (column: number, row: number): number[] => {
    const [x, y] = [part.x + clamp(column, part.width), part.y + clamp(row, part.height)];
    if (PACKED.includes(texture.fourcc)) return [...rgbAt(bytes, texture, m, x, y).reverse(), 255];
    const pixel = pixelAt(bytes, texture, x, y);
    return texture.fourcc === DRM_FORMAT_XRGB8888 ? [...pixel.slice(0, 3), 255] : pixel;
  };
  const near = (value: number): number[] => [
    ...new Set([Math.floor(value + 0.5 - 1e-4), Math.floor(value + 0.5 + 1e-4)]),
  ];
  return near(at[0]).flatMap((u) =>
    near(at[1]).map((v) => {
      if (filter === 'nearest') return load(Math.floor(u / 256), Math.floor(v / 256));
      const [x, y] = [Math.floor((u - 128) / 256), Math.floor((v - 128) / 256)];
      const [fx, fy] = [u - 128 - x * 256, v - 128 - y * 256];
      const four = [load(x, y), load(x + 1, y), load(x, y + 1), load(x + 1, y + 1)];
      const weights = [(256 - fx) * (256 - fy), fx * (256 - fy), (256 - fx) * fy, fx * fy];
      return [0, 1, 2, 3].map((c) =>
        Math.floor(
          (weights.reduce((sum, w, i) => sum + w * (four[i]?.[c] ?? 0), 0) + 32768) / 65536,
        ),
      );
    }),
  );
}

interface Scene {
  readonly dst: Image;
  readonly clip: Rect;
  readonly mesh: Mesh;
  readonly options: TriangleOptions;
}

/** Draws a scene into copies by both kernels, in parts; the bytes, which are equal. */
function both(bench: Bench, { dst, clip, mesh, options }: Scene): Uint8Array {
  const before = new Uint8Array(bench.memory.buffer).slice();
  const plain = before.slice();
  const { texture } = options;
  const moved = texture === undefined ? {} : { texture: { ...texture, memory: plain.buffer } };
  const drawn = { plain: 0, wasm: 0 };
  // In order within each triangle list only: rows are split the same way for each kernel's own call.
  for (const rows of splitRows(bench.random, clip.height)) {
    const target = { ...dst, memory: plain.buffer };
    drawn.plain += plainKernels.triangles(target, clip, mesh, { ...options, ...moved }, rows);
  }
  for (const rows of splitRows(bench.random, clip.height)) {
    drawn.wasm += bench.wasm.triangles(dst, clip, mesh, options, rows);
  }
  assert.equal(drawn.plain, drawn.wasm);
  const wasm = new Uint8Array(bench.memory.buffer).slice();
  const at = wasm.findIndex((byte, i) => byte !== plain[i]);
  assert.is(at, -1, `byte ${at} is ${wasm[at]} in wasm, ${plain[at]} in TypeScript`);
  new Uint8Array(bench.memory.buffer).set(before);
  return wasm;
}

/** Compares a scene of one triangle with the reference; how many pixels it drew. */
function agrees(bench: Bench, scene: Scene): number {
  const { dst, clip, mesh, options } = scene;
  const before = new Uint8Array(bench.memory.buffer).slice();
  const after = both(bench, scene);
  const exact = reference(mesh, 0);
  const { texture, blend } = options;
  let drawn = 0;
  for (let y = 0; y < dst.height; y++) {
    for (let x = 0; x < dst.width; x++) {
      const inside =
        x >= clip.x && x < clip.x + clip.width && y >= clip.y && y < clip.y + clip.height;
      const start = pixelAddress(dst, x, y);
      const got = pixelAt(after, dst, x, y);
      const old = pixelAt(before, dst, x, y);
      if (!inside || !exact.covers(x, y)) {
        assert.equal(got, old, `pixel ${x},${y} must not be drawn`);
        continue;
      }
      drawn++;
      const color = FIELDS.map((field) => exact.value(field, x, y));
      const uv = [exact.value('u', x, y), exact.value('v', x, y)] as const;
      const ways = texture === undefined ? [undefined] : texels(before, texture, options, uv);
      const wanted = ways.map((texel) => {
        const s = color.map((c, i) => (texel === undefined ? c : (c * (texel[i] ?? 0)) / 255));
        const rest = 255 - (s[3] ?? 0);
        const mixed = s.map((c, i) =>
          blend === 'replace' ? c : Math.min(255, c + (rest * (old[i] ?? 0)) / 255),
        );
        return dst.fourcc === DRM_FORMAT_XRGB8888 ? [...mixed.slice(0, 3), 255] : mixed;
      });
      // Colour, its product and its blend are each rounded once.
      const bound = 0.5 + (texture === undefined ? 0 : 0.5) + (blend === 'replace' ? 0 : 1);
      const close = wanted.some((w) =>
        w.every((c, i) => Math.abs(c - (got[i] ?? 0)) <= bound + 0.01),
      );
      assert.ok(
        close,
        `pixel ${x},${y} at ${start} is ${got.join()}, should be ${JSON.stringify(wanted)}`,
      );
    }
  }
  const outside = new Uint8Array(after);
  for (let y = 0; y < dst.height; y++) {
    const start = pixelAddress(dst, 0, y);
    outside.set(before.subarray(start, start + dst.width * 4), start);
  }
  assert.is(Buffer.compare(outside, before), 0, 'a byte outside the image was touched');
  return drawn;
}

test('random triangles, clipped, split into rows: coverage exact, colours as the real-valued formula', () => {
  const bench = new Bench(SEED);
  const { random } = bench;
  let drawn = 0;
  for (let round = 0; round < 240; round++) {
    bench.scramble();
    const dst = bench.image(
      random.pick([DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888]),
      random.int(1, 40),
      random.int(1, 40),
    );
    const texture = bench.image(
      random.pick([DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888]),
      random.int(1, 30),
      random.int(1, 30),
    );
    const options: TriangleOptions = {
      filter: random.pick(['nearest', 'bilinear']),
      blend: random.pick(['premultiplied', 'replace']),
      ...(round % 3 === 0 ? {} : { texture }),
    };
    const clip = random.rect(dst.width, dst.height);
    drawn += agrees(bench, { dst, clip, mesh: someMesh(random, 3), options });
  }
  assert.ok(drawn > 4000, `only ${drawn} pixels were looked at`);
});

test('textures of all formats and colour spaces, and parts of them: each pixel is converted, then filtered', () => {
  const bench = new Bench(SEED + 5);
  const { random } = bench;
  let drawn = 0;
  for (let round = 0; round < 180; round++) {
    bench.scramble();
    const dst = bench.image(DRM_FORMAT_ARGB8888, random.int(1, 40), random.int(1, 40));
    const fourcc = PACKED[round % PACKED.length] ?? 0;
    const texture = bench.image(fourcc, random.int(1, 31), random.int(1, 31));
    const encoding = random.pick(['bt601', 'bt709'] as const);
    const options: TriangleOptions = {
      ...{ texture, part: random.rect(texture.width, texture.height) },
      filter: random.pick(['nearest', 'bilinear']),
      blend: random.pick(['premultiplied', 'replace']),
      ...(round % 5 > 0 && { color: { encoding, range: random.pick(['limited', 'full']) } }),
    };
    const clip = random.rect(dst.width, dst.height);
    drawn += agrees(bench, { dst, clip, mesh: someMesh(random, 3), options });
  }
  assert.ok(drawn > 4000, `only ${drawn} pixels were looked at`);
});

test('a rectangle of two triangles with a frame for a texture is what a blit of that is', () => {
  const bench = new Bench(SEED + 6);
  const drawnTo = bench.image(DRM_FORMAT_XRGB8888, 33, 19);
  const blitTo = bench.image(DRM_FORMAT_XRGB8888, 33, 19);
  const part = { x: 5, y: 3, width: 24, height: 14 };
  const to = { x: 4, y: 2, width: 24, height: 14 };
  const vertices = packVertices([
    { x: 4, y: 2 },
    { x: 28, y: 2, u: 24 },
    { x: 4, y: 16, v: 14 },
    { x: 28, y: 16, u: 24, v: 14 },
  ]);
  const mesh = { vertices, indices: Int32Array.of(0, 1, 2, 2, 1, 3) };
  for (const fourcc of PACKED) {
    const texture = bench.image(fourcc, 32, 20);
    const color = { encoding: 'bt601', range: 'full' } as const;
    for (const filter of ['nearest', 'bilinear'] as const) {
      bench.wasm.triangles(drawnTo, WHOLE(drawnTo), mesh, {
        ...{ texture, part, color, filter, blend: 'replace' },
      });
      bench.wasm.convert(blitTo, to, texture, part, color);
      const bytes = new Uint8Array(bench.memory.buffer);
      for (let y = 2; y < 16; y++) {
        for (let x = 4; x < 28; x++) {
          assert.equal(pixelAt(bytes, drawnTo, x, y), pixelAt(bytes, blitTo, x, y), `${x},${y}`);
        }
      }
    }
  }
});

test('values are what the stated formula gives, to the byte', () => {
  const bench = new Bench(SEED + 1);
  const { random } = bench;
  const dst = bench.image(DRM_FORMAT_ARGB8888, 40, 30);
  for (let round = 0; round < 60; round++) {
    const mesh = someMesh(random, 3);
    const after = both(bench, { dst, clip: WHOLE(dst), mesh, options: { blend: 'replace' } });
    const exact = reference(mesh, 0);
    for (let y = 0; y < dst.height; y++) {
      for (let x = 0; x < dst.width; x++) {
        if (!exact.covers(x, y)) continue;
        const got = pixelAt(after, dst, x, y);
        for (const [i, field] of FIELDS.entries()) {
          const value = exact.value(field, x, y);
          const ways = [Math.floor(value + 0.5 - 1e-5), Math.floor(value + 0.5 + 1e-5)];
          assert.ok(
            ways.includes(got[i] ?? -1),
            `${field} at ${x},${y} is ${got[i]}, not ${value}`,
          );
        }
      }
    }
  }
});

test('triangles that share edges draw each pixel once', () => {
  // Colour 1 with alpha 0 adds 1 to what is there: a count of how often a pixel was drawn.
  const bench = new Bench(SEED + 2);
  const place = fc.integer({ min: -300, max: 300 });
  const inner = fc.tuple(place, place);
  console.log(`fast-check seed ${SEED}`);
  fc.assert(
    fc.property(fc.array(inner, { minLength: 9, maxLength: 9 }), fc.boolean(), (moves, snap) => {
      // A net of 4 x 4 cells over 32 x 32 pixels; its border is fixed, so that all of it is covered.
      const words: number[] = [];
      for (let j = 0; j <= 4; j++) {
        for (let i = 0; i <= 4; i++) {
          const border = i % 4 === 0 || j % 4 === 0;
          const [mx, my] = border ? [0, 0] : (moves[(j - 1) * 3 + i - 1] ?? [0, 0]);
          const at = (cell: number, move: number): number =>
            snap ? ((cell * 2048 + move) & ~255) | 128 : cell * 2048 + move;
          words.push(
            border ? i * 2048 : at(i, mx),
            border ? j * 2048 : at(j, my),
            0x00010101,
            0,
            0,
          );
        }
      }
      const indices: number[] = [];
      for (let j = 0; j < 4; j++) {
        for (let i = 0; i < 4; i++) {
          const [a, b, c, d] = [j * 5 + i, j * 5 + i + 1, j * 5 + i + 5, j * 5 + i + 6];
          indices.push(...(((i + j) & 1) === 0 ? [a, b, d, d, c, a] : [a, b, c, b, c, d]));
        }
      }
      bench.scramble();
      const dst = bench.image(DRM_FORMAT_ARGB8888, 32, 32);
      bench.wasm.clear(dst);
      const mesh = { vertices: Int32Array.from(words), indices: Int32Array.from(indices) };
      const after = both(bench, { dst, clip: WHOLE(dst), mesh, options: {} });
      for (let y = 0; y < 32; y++) {
        for (let x = 0; x < 32; x++)
          assert.equal(pixelAt(after, dst, x, y), [1, 1, 1, 0], `${x},${y}`);
      }
    }),
    { seed: SEED, numRuns: 60 },
  );
});

test('a rectangle of two triangles is a copy of its texture, with either filter', () => {
  const bench = new Bench(SEED + 3);
  const dst = bench.image(DRM_FORMAT_ARGB8888, 37, 21);
  const texture = bench.image(DRM_FORMAT_ARGB8888, 30, 17);
  const quad = (x: number, y: number): Mesh => ({
    vertices: packVertices([
      { x, y },
      { x: x + 30, y, u: 30 },
      { x, y: y + 17, v: 17 },
      { x: x + 30, y: y + 17, u: 30, v: 17 },
    ]),
    indices: Int32Array.of(0, 1, 2, 2, 1, 3),
  });
  for (const filter of ['nearest', 'bilinear'] as const) {
    const options = { texture, filter, blend: 'replace' } as const;
    const after = both(bench, { dst, clip: WHOLE(dst), mesh: quad(4, 3), options });
    for (let y = 0; y < 17; y++) {
      for (let x = 0; x < 30; x++) {
        assert.equal(pixelAt(after, dst, x + 4, y + 3), pixelAt(after, texture, x, y));
      }
    }
  }
});

test('what is wrong with a mesh is said, and nothing is drawn', () => {
  const bench = new Bench(SEED + 4);
  const dst = bench.image(DRM_FORMAT_XRGB8888, 8, 8);
  const overlapping = { ...dst, width: 4, height: 4 };
  const nv12 = bench.image(DRM_FORMAT_NV12, 8, 8);
  const three = packVertices([
    { x: 0, y: 0 },
    { x: 9, y: 0 },
    { x: 0, y: 9 },
  ]);
  const far = three.slice();
  far[5] = 8388609;
  const before = new Uint8Array(bench.memory.buffer).slice();
  const refused = (mesh: Mesh, why: RegExp, options: TriangleOptions = {}, target = dst): void => {
    assert.throws(() => bench.wasm.triangles(target, WHOLE(target), mesh, options), why);
  };
  refused({ vertices: three.subarray(0, 14) }, /EINVAL.*14 words of vertices; one has 5/);
  refused({ vertices: three.subarray(0, 10) }, /EINVAL.*2 vertices make no whole number/);
  refused({ vertices: three.subarray(0, 0) }, /EINVAL.*0 vertices make no whole/);
  refused({ vertices: far }, /EINVAL.*x of vertex 1 is 32768\.0039/);
  for (const index of [3, -1]) {
    const indices = Int32Array.of(0, 1, index);
    refused({ vertices: three, indices }, new RegExp(`EINVAL.*index 2 is ${index}; there are 3`));
  }
  refused({ vertices: three, indices: Int32Array.of(0, 1) }, /EINVAL.*2 indices make no whole/);
  refused({ vertices: three }, /EINVAL.*overlap in memory/, { texture: overlapping });
  refused({ vertices: three }, /EINVAL.*texture rectangle 9x1\+0\+0 leaves its image of 8x8/, {
    ...{ texture: nv12, part: { x: 0, y: 0, width: 9, height: 1 } },
  });
  refused({ vertices: three }, /EINVAL.*destination image is NV12/, {}, nv12);
  assert.is(Buffer.compare(new Uint8Array(bench.memory.buffer), before), 0);
  assert.throws(() => packVertices([{ x: 32769, y: 0 }]), /EINVAL.*x of vertex 0 is 32769/);
  assert.throws(() => packVertices([{ x: Number.NaN, y: 0 }]), TypeError);
  assert.throws(() => packVertices([{ x: 0, y: 0, color: 0.5 }]), TypeError);
});

test.run();
