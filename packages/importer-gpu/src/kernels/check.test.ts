/** Arguments that must be refused, each before a byte is touched. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '@dmabuf/core';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  packedLayout,
  type FourCC,
} from '../fourcc.js';
import { sharedMemory } from './harness.test-helper.js';
import type { Image, Kernels, Rect } from './kernels.js';
import { plainKernels } from './plain.js';
import { eitherKernels, wasmKernels } from './wasm.js';

const memory = sharedMemory(2);
const wasm = wasmKernels(memory);
const both: readonly Kernels[] = [plainKernels, wasm];

function image(fourcc: FourCC, byteOffset: number, width = 16, height = 8): Image {
  const { planes, size } = packedLayout(fourcc, width, height);
  return { memory: memory.buffer, byteOffset, byteLength: size, fourcc, width, height, planes };
}

/** The same image in memory of its own. */
function elsewhere(of: Image): Image {
  return { ...of, memory: new ArrayBuffer(8192) };
}

const x = image(DRM_FORMAT_XRGB8888, 0);
const a = image(DRM_FORMAT_ARGB8888, 4096);
const nv = image(DRM_FORMAT_NV12, 8192);
const all: Rect = { x: 0, y: 0, width: 16, height: 8 };

function refuses(code: string, pattern: RegExp, call: () => void): void {
  const bytes = new Uint8Array(memory.buffer);
  const before = bytes.slice();
  assert.throws(call, (error: unknown) => {
    assert.instance(error, DmaBufError);
    assert.is(error instanceof DmaBufError && error.code, code);
    assert.match(String(error), pattern);
    return true;
  });
  assert.ok(
    Buffer.compare(Buffer.from(bytes.buffer), Buffer.from(before)) === 0,
    'memory was touched',
  );
}

test('a rectangle outside its image is EINVAL naming it', () => {
  for (const k of both) {
    refuses('EINVAL', /destination rectangle 16x8\+1\+0 leaves its image of 16x8/, () =>
      k.fill(x, { ...all, x: 1 }, 7),
    );
    refuses('EINVAL', /source rectangle 16x8\+0\+-1 leaves/, () =>
      k.blend(x, all, a, { ...all, y: -1 }),
    );
    refuses('EINVAL', /16x0\+0\+0 is empty/, () => k.fill(x, { ...all, height: 0 }, 7));
    refuses('EINVAL', /rows 0 to 9 leave/, () => k.fill(x, all, 7, { y0: 0, y1: 9 }));
    refuses('EINVAL', /rows 5 to 4 leave/, () => k.clear(x, { y0: 5, y1: 4 }));
  }
});

test('sizes that differ are EINVAL but for scale', () => {
  const part = { ...all, width: 4 };
  for (const k of both) {
    refuses('EINVAL', /differ in size; use scale/, () => k.convert(x, part, nv, all));
    refuses('EINVAL', /differ in size; blit it to that size first/, () => k.blend(x, part, a, all));
    refuses('EINVAL', /differ in size; use blit/, () => k.copy(x, part, a, all));
  }
});

test('a plane outside its buffer, or a short pitch, is EINVAL naming the plane', () => {
  const short = { ...nv, byteLength: nv.byteLength - 1 };
  const narrow = {
    ...nv,
    planes: [
      { offset: 0, pitch: 16 },
      { offset: 128, pitch: 15 },
    ],
  };
  const beyond = { ...x, byteOffset: memory.buffer.byteLength - 100 };
  const negative = { ...x, planes: [{ offset: -4, pitch: 64 }] };
  for (const k of both) {
    refuses('EINVAL', /source plane 1 takes bytes 128 to 192 of a buffer of 191/, () =>
      k.convert(x, all, short, all),
    );
    refuses('EINVAL', /source plane 1 has pitch 15; 16 pixels need 16/, () =>
      k.convert(x, all, narrow, all),
    );
    refuses(
      'EINVAL',
      /destination buffer, 512 bytes from 130972, leaves its region of 131072/,
      () => k.clear(beyond),
    );
    refuses('EINVAL', /destination plane 0 takes bytes -4/, () => k.clear(negative));
    refuses('EINVAL', /has 1 planes; NV12 has 2/, () =>
      k.convert(x, all, { ...nv, planes: x.planes }, all),
    );
    refuses('EINVAL', /16x0; sizes go from 1x1/, () => k.clear({ ...x, height: 0 }));
  }
});

test('a format that a kernel does not take is EINVAL listing those that it does', () => {
  for (const k of both) {
    refuses('EINVAL', /destination image is NV12; this kernel takes XRGB8888, ARGB8888/, () =>
      k.clear(nv),
    );
    refuses('EINVAL', /source image is XRGB8888; this kernel takes YUV420, NV12, NV21/, () =>
      k.convert(a, all, x, all),
    );
    refuses('EINVAL', /destination image is ARGB8888; this kernel takes XRGB8888/, () =>
      k.blend(a, all, x, all),
    );
    refuses('EINVAL', /NV12 cannot be copied to XRGB8888; use blit/, () => k.copy(x, all, nv, all));
    refuses('EINVAL', /is '\?\?\?\?'/, () => k.clear({ ...x, fourcc: 1 }));
    refuses('EINVAL', /cuts a 2x2 block of YUV420/, () => {
      const i420 = image(DRM_FORMAT_YUV420, 8192);
      const odd = { x: 1, y: 0, width: 2, height: 2 };
      k.copy(i420, odd, image(DRM_FORMAT_YUV420, 4096), odd);
    });
  }
});

test('overlap is EINVAL where the result would depend on the order of pixels', () => {
  for (const k of both) {
    const beside = { ...a, byteOffset: 0 };
    refuses('EINVAL', /overlap in memory/, () => k.blend(x, all, beside, all));
    refuses('EINVAL', /overlap in memory/, () => k.copy(x, all, x, all, { y0: 0, y1: 4 }));
    refuses('EINVAL', /overlap in memory/, () =>
      k.convert(x, all, { ...nv, byteOffset: 500 }, all),
    );
    // The left and the right half of the same rows have no byte in common.
    const left = { x: 0, y: 0, width: 8, height: 8 };
    k.blend(x, left, beside, { ...left, x: 8 });
  }
});

test('memory that wasm cannot reach is EINVAL, and plain work for a device that has both', () => {
  const other = elsewhere(x);
  refuses('EINVAL', /destination image is not in the pool/, () => wasm.clear(other));
  refuses('EINVAL', /source image is not in the pool/, () => wasm.copy(x, all, other, all));
  assert.is(wasm.reaches(other), false);
  assert.is(wasm.reaches(x), true);
  const either = eitherKernels(memory);
  either.fill(other, all, 0x123456);
  either.copy(x, all, other, all);
  assert.is(new Uint32Array(memory.buffer)[127], 0xff123456);
  eitherKernels().clear(x);
  assert.is(new Uint32Array(memory.buffer)[127], 0xff000000);
});

test('scaling in wasm without enough scratch is ENOMEM saying how much', () => {
  const from = { ...all, width: 8 };
  refuses('ENOMEM', /8 to 16 columns need \d+ bytes of scratch in the pool, have 0/, () =>
    wasm.scale(x, all, a, from, { filter: 'bilinear' }),
  );
  const small = wasmKernels(memory, { scratch: { byteOffset: 65536, byteLength: 64 } });
  refuses('ENOMEM', /have 64/, () => small.scale(x, all, a, from, { filter: 'bilinear' }));
  const outside = wasmKernels(memory, { scratch: { byteOffset: 131000, byteLength: 65536 } });
  refuses('EINVAL', /leaves the pool/, () =>
    outside.scale(x, all, a, from, { filter: 'bilinear' }),
  );
});

test('values of a wrong kind are TypeErrors', () => {
  for (const k of both) {
    const typeError = (pattern: RegExp, call: () => void): void =>
      assert.throws(
        call,
        (error: unknown) => error instanceof TypeError && pattern.test(error.message),
      );
    typeError(/must be integers, got 0.5/, () => k.fill(x, { ...all, x: 0.5 }, 7));
    typeError(/must be integers, got NaN/, () => k.clear({ ...x, byteOffset: NaN }));
    typeError(/alpha must be an integer/, () => k.blend(x, all, a, all, { alpha: 0.5 }));
    typeError(/pixel must be an integer/, () => k.fill(x, all, NaN));
  }
  refuses('EINVAL', /alpha 256 is outside 0..255/, () =>
    wasm.blend(x, all, a, all, { alpha: 256 }),
  );
});

test.run();
