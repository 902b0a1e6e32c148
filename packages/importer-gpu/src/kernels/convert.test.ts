/** YCbCr to RGB: plain and wasm against a reference from the standards' own Kr and Kb. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_NV21,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  packedLayout,
} from '../fourcc.js';
import { coefficients, CONVERT_ERROR_BOUND, type ColorEncoding, type ColorRange } from './color.js';
import { Bench, pixelAddress, splitRows, yuvAt, sharedMemory } from './harness.test-helper.js';
import type { Image } from './kernels.js';
import { plainKernels } from './plain.js';
import { wasmKernels } from './wasm.js';

const SEED = 20120314;
console.log(`seed ${SEED}`);

const ENCODINGS: readonly ColorEncoding[] = ['bt601', 'bt709'];
const RANGES: readonly ColorRange[] = ['limited', 'full'];
const KR_KB: Readonly<Record<ColorEncoding, readonly [number, number]>> = {
  bt601: [0.299, 0.114],
  bt709: [0.2126, 0.0722],
};

/** Real-valued factors of Y - black, Cb - 128 and Cr - 128 for R, G and B. */
function matrix(encoding: ColorEncoding, range: ColorRange): { black: number; rows: number[][] } {
  const [kr, kb] = KR_KB[encoding];
  const kg = 1 - kr - kb;
  const l = range === 'full' ? 1 : 255 / 219;
  const c = range === 'full' ? 1 : 255 / 224;
  return {
    black: range === 'full' ? 0 : 16,
    rows: [
      [l, 0, 2 * (1 - kr) * c],
      [l, (-2 * kb * (1 - kb) * c) / kg, (-2 * kr * (1 - kr) * c) / kg],
      [l, 2 * (1 - kb) * c, 0],
    ],
  };
}

const clamp = (v: number): number => Math.min(255, Math.max(0, v));

function real(m: ReturnType<typeof matrix>, y: number, u: number, v: number): number[] {
  return m.rows.map(([l = 0, a = 0, b = 0]) => l * (y - m.black) + a * (u - 128) + b * (v - 128));
}

/** The documented integer formula, from the rounded matrix, with division instead of shifts. */
function fixed(m: ReturnType<typeof matrix>, y: number, u: number, v: number): number[] {
  return m.rows.map(([l = 0, a = 0, b = 0]) => {
    const [ql, qa, qb] = [Math.round(l * 8192), Math.round(a * 8192), Math.round(b * 8192)];
    return clamp(Math.floor((ql * (y - m.black) + qa * (u - 128) + qb * (v - 128) + 4096) / 8192));
  });
}

test('the integer table is the matrices of BT.601 and BT.709 in Q13', () => {
  for (const encoding of ENCODINGS) {
    for (const range of RANGES) {
      const k = coefficients({ encoding, range });
      const { black, rows } = matrix(encoding, range);
      const q = rows.map((row) => row.map((c) => Math.round(c * 8192)));
      assert.equal([k.yo, k.cy, k.crv], [black, q[0]?.[0], q[0]?.[2]]);
      assert.equal([k.cgu, k.cgv, k.cbu], [q[1]?.[1], q[1]?.[2], q[2]?.[1]]);
    }
  }
});

test('the formula stays within its bound of the real-valued one', () => {
  // A 256x2 image has every luma value against one chroma pair.
  const memory = new ArrayBuffer(16384);
  const bytes = new Uint8Array(memory);
  const { planes, size } = packedLayout(DRM_FORMAT_NV12, 256, 2);
  const src: Image = {
    ...{ memory, byteOffset: 0, byteLength: size, planes },
    ...{ fourcc: DRM_FORMAT_NV12, width: 256, height: 2 },
  };
  const out = packedLayout(DRM_FORMAT_XRGB8888, 256, 2);
  const dst: Image = {
    ...{ memory, byteOffset: 1024, byteLength: out.size, planes: out.planes },
    ...{ fourcc: DRM_FORMAT_XRGB8888, width: 256, height: 2 },
  };
  const all = { x: 0, y: 0, width: 256, height: 2 };
  for (let i = 0; i < 512; i++) bytes[i] = i & 255;
  let worst = 0;
  for (const encoding of ENCODINGS) {
    for (const range of RANGES) {
      const m = matrix(encoding, range);
      for (let u = 0; u < 256; u += 15) {
        for (let v = 0; v < 256; v += 15) {
          for (let i = 512; i < 768; i += 2) {
            bytes[i] = u;
            bytes[i + 1] = v;
          }
          plainKernels.convert(dst, all, src, all, { encoding, range });
          for (let y = 0; y < 256; y++) {
            const at = pixelAddress(dst, y, 0);
            real(m, y, u, v).forEach((exact, channel) => {
              const error = Math.abs((bytes[at + 2 - channel] ?? 0) - clamp(exact));
              worst = Math.max(worst, error);
            });
          }
        }
      }
    }
  }
  assert.ok(worst <= CONVERT_ERROR_BOUND, `error ${worst}`);
  assert.ok(worst > 0.5, `an error of ${worst} says that this test looks at nothing`);
});

test('every luma with every Cb and every Cr rounds as documented', () => {
  const memory = sharedMemory(16);
  const bytes = new Uint8Array(memory.buffer);
  const words = new Uint32Array(memory.buffer);
  const image = (fourcc: number, byteOffset: number): Image => {
    const { planes, size: byteLength } = packedLayout(fourcc, 256, 512);
    return {
      memory: memory.buffer,
      byteOffset,
      byteLength,
      fourcc,
      width: 256,
      height: 512,
      planes,
    };
  };
  const src = image(DRM_FORMAT_NV12, 0);
  const dst = image(DRM_FORMAT_XRGB8888, 262144);
  const all = { x: 0, y: 0, width: 256, height: 512 };
  for (let i = 0; i < 512 * 256; i++) bytes[i] = i & 255;
  for (let i = 0; i < 256 * 256; i++) bytes[512 * 256 + i] = i & 1 ? (i >> 8) * 37 + 11 : i >> 8;
  for (const swap of [false, true]) {
    const source = swap ? { ...src, fourcc: DRM_FORMAT_NV21 } : src;
    for (const encoding of ENCODINGS) {
      for (const range of RANGES) {
        const m = matrix(encoding, range);
        for (const kernels of [plainKernels, wasmKernels(memory)]) {
          kernels.convert(dst, all, source, all, { encoding, range });
          for (let i = 0; i < 256 * 256; i++) {
            const [y, a, b] = [i & 255, i >> 8, ((i >> 8) * 37 + 11) & 255];
            const [r = 0, g = 0, bl = 0] = swap ? fixed(m, y, b, a) : fixed(m, y, a, b);
            const at = dst.byteOffset / 4 + (i >> 8) * 512 + (i & 255);
            const got = (words[at] ?? 0) & 0xffffff;
            if (got !== r * 65536 + g * 256 + bl) {
              assert.unreachable(
                `${kernels.name} ${encoding} ${range}: Y ${y} and ${a}, ${b} give ${got.toString(16)}`,
              );
            }
          }
        }
      }
    }
  }
});

test('black, white and the primaries of BT.601 come out right', () => {
  const bench = new Bench(1);
  const src = bench.image(DRM_FORMAT_YUV420, 1, 1);
  const dst = bench.image(DRM_FORMAT_XRGB8888, 1, 1);
  const one = { x: 0, y: 0, width: 1, height: 1 };
  const bytes = new Uint8Array(bench.memory.buffer);
  const cases: [number[], number[]][] = [
    [
      [16, 128, 128],
      [0, 0, 0],
    ],
    [
      [235, 128, 128],
      [255, 255, 255],
    ],
    [
      [81, 90, 240],
      [254, 0, 0],
    ],
    [
      [145, 54, 34],
      [0, 255, 1],
    ],
    [
      [41, 240, 110],
      [0, 0, 255],
    ],
  ];
  for (const [yuv, rgb] of cases) {
    src.planes.forEach((plane, i) => {
      bytes[src.byteOffset + plane.offset] = yuv[i] ?? 0;
    });
    bench.wasm.convert(dst, one, src, one, { encoding: 'bt601', range: 'limited' });
    const at = pixelAddress(dst, 0, 0);
    assert.equal([bytes[at + 2], bytes[at + 1], bytes[at], bytes[at + 3]], [...rgb, 255]);
  }
});

test('plain and wasm equal the reference for any size, pitch, offset and crop, and touch no other byte', () => {
  const bench = new Bench(SEED);
  const { random } = bench;
  for (let round = 0; round < 150; round++) {
    if (round % 10 === 0) bench.scramble();
    const width = random.pick([1, 2, 3, 15, 16, 17, 18, 33, random.int(1, 130)]);
    const height = random.pick([1, 2, 3, random.int(1, 20)]);
    const src = bench.image(
      random.pick([DRM_FORMAT_YUV420, DRM_FORMAT_NV12, DRM_FORMAT_NV21]),
      width,
      height,
    );
    const from = random.rect(width, height);
    const dst = bench.image(
      random.pick([DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888]),
      from.width + random.int(0, 9),
      from.height + random.int(0, 3),
    );
    const to = random.rect(dst.width, dst.height, from);
    const color = { encoding: random.pick(ENCODINGS), range: random.pick(RANGES) };
    const m = matrix(color.encoding, color.range);
    const rows = splitRows(random, to.height);
    bench.compare(
      `round ${round}: ${JSON.stringify({ src, from, to, color })}`,
      (kernels, at) => {
        for (const range of rows) kernels.convert(at(dst), to, at(src), from, color, range);
      },
      (bytes) => {
        for (let y = 0; y < to.height; y++) {
          for (let x = 0; x < to.width; x++) {
            const [r = 0, g = 0, b = 0] = fixed(m, ...yuvAt(bytes, src, from.x + x, from.y + y));
            bytes.set([b, g, r, 255], pixelAddress(dst, to.x + x, to.y + y));
          }
        }
      },
    );
  }
});

test.run();
