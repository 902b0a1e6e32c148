// drm_framebuffer_test.c of the kernel (KUnit): what ADDFB2 accepts and refuses, with its limits of 4 to 4096
// pixels. ABGR8888 is asked as XRGB8888 and YVU420 as YUV420, which lie in memory the same way.
import { DmaBufError } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DRM_FORMAT_NV12, DRM_FORMAT_XRGB8888, DRM_FORMAT_YUV420 } from '../fourcc.js';
import {
  checkFramebuffer,
  DRM_MODE_FB_MODIFIERS,
  type FramebufferLimits,
  type FramebufferRequest,
} from '../framebuffer.js';

const MAX = 4096;
const U32 = 0xffff_ffff;
const HALF: number = Math.floor(U32 / 2);
/** A buffer that is large enough for anything. */
const ANY: number = 2 ** 40;
const MODIFIERS: number = DRM_MODE_FB_MODIFIERS;
const TILED = 0x0400_0000_0000_0001n;
const SPARSE = 0x0800_0000_0000_0040n;

const rgb = { fourcc: DRM_FORMAT_XRGB8888, handles: [ANY], pitches: [4 * MAX] };
const nv12 = { fourcc: DRM_FORMAT_NV12, handles: [ANY, ANY], pitches: [MAX, MAX] };
const yuv = {
  fourcc: DRM_FORMAT_YUV420,
  handles: [ANY, ANY, ANY],
  pitches: [MAX, MAX / 2, MAX / 2],
};

type Base = Pick<FramebufferRequest, 'fourcc' | 'handles' | 'pitches'>;

/** Formats with a tiling that only hardware for NV12 has, as in the original. */
function limitsOf({ fourcc }: Base): FramebufferLimits {
  const modifiers = fourcc === DRM_FORMAT_XRGB8888 ? [0n, SPARSE] : [0n, TILED, SPARSE];
  const size = { minWidth: 4, maxWidth: MAX, minHeight: 4, maxHeight: MAX };
  return { ...size, modifiers, wholePixels: false };
}

/** Checks a request that differs from a base of the greatest size; refused, it must name `field`. */
function check(base: Base, change: Partial<FramebufferRequest>, field?: RegExp): void {
  const request = { width: MAX, height: MAX, ...base, ...change };
  try {
    checkFramebuffer(request, limitsOf(base));
  } catch (error) {
    if (!(error instanceof DmaBufError) || field === undefined) throw error;
    assert.match(error.detail, field);
    return;
  }
  if (field !== undefined) throw new Error(`accepted, though ${String(field)} is wrong`);
}

test('ABGR8888 normal sizes', () => check(rgb, { width: 600, height: 600, pitches: [2400] }));

test('ABGR8888 max sizes', () => check(rgb, {}));

test('ABGR8888 pitch greater than min required', () => check(rgb, { pitches: [4 * MAX + 1] }));

test('ABGR8888 pitch less than min required', () =>
  check(rgb, { pitches: [4 * MAX - 1] }, /pitches\[0\]/));

test('ABGR8888 Invalid width', () =>
  check(rgb, { width: MAX + 1, pitches: [4 * MAX + 4] }, /^width 4097/));

test('ABGR8888 Invalid buffer handle', () => check(rgb, { handles: [undefined] }, /handles\[0\]/));

test('No pixel format', () => check(rgb, { fourcc: 0 }, /fourcc/));

test('ABGR8888 Width 0', () => check(rgb, { width: 0 }, /^width 0/));

test('ABGR8888 Height 0', () => check(rgb, { height: 0 }, /^height 0/));

test('ABGR8888 Out of bound height * pitch combination', () =>
  check(rgb, { offsets: [U32 - 1] }, /pitches.*offsets/));

test('ABGR8888 Large buffer offset', () => check(rgb, { offsets: [HALF] }));

test('ABGR8888 Buffer offset for inexistent plane', () =>
  check(rgb, { flags: MODIFIERS, offsets: [HALF, HALF] }, /offsets\[1\]/));

test('ABGR8888 Invalid flag', () => check(rgb, { flags: 1 << 2, offsets: [HALF] }, /flags/));

test('ABGR8888 Set DRM_MODE_FB_MODIFIERS without modifiers', () =>
  check(rgb, { flags: MODIFIERS, offsets: [HALF] }));

test('ABGR8888 Valid buffer modifier', () =>
  check(rgb, { flags: MODIFIERS, offsets: [HALF], modifier: [SPARSE] }));

test('ABGR8888 Invalid buffer modifier(DRM_FORMAT_MOD_SAMSUNG_64_32_TILE)', () =>
  check(rgb, { flags: MODIFIERS, modifier: [TILED] }, /modifier\[0\]/));

test('ABGR8888 Extra pitches without DRM_MODE_FB_MODIFIERS', () =>
  check(rgb, { offsets: [HALF], pitches: [4 * MAX, 4 * MAX] }));

test('ABGR8888 Extra pitches with DRM_MODE_FB_MODIFIERS', () =>
  check(rgb, { flags: MODIFIERS, pitches: [4 * MAX, 4 * MAX] }, /pitches\[1\]/));

test('NV12 Normal sizes', () => check(nv12, { width: 600, height: 600, pitches: [600, 600] }));

test('NV12 Max sizes', () => check(nv12, {}));

test('NV12 Invalid pitch', () => check(nv12, { pitches: [MAX, MAX - 1] }, /pitches\[1\]/));

test('NV12 Invalid modifier/missing DRM_MODE_FB_MODIFIERS flag', () =>
  check(nv12, { modifier: [TILED] }, /modifier\[0\]/));

test('NV12 different  modifier per-plane', () =>
  check(nv12, { flags: MODIFIERS, modifier: [TILED, 0n] }, /modifier\[1\]/));

test('NV12 with DRM_FORMAT_MOD_SAMSUNG_64_32_TILE', () =>
  check(nv12, { flags: MODIFIERS, modifier: [TILED, TILED] }));

test('NV12 Valid modifiers without DRM_MODE_FB_MODIFIERS', () =>
  check(nv12, { modifier: [TILED, TILED] }, /modifier\[0\]/));

test('NV12 Modifier for inexistent plane', () =>
  check(nv12, { flags: MODIFIERS, modifier: [TILED, TILED, TILED] }, /modifier\[2\]/));

test('NV12 Handle for inexistent plane', () =>
  check(nv12, { flags: MODIFIERS, handles: [ANY, ANY, ANY] }, /handles\[2\]/));

test('NV12 Handle for inexistent plane without DRM_MODE_FB_MODIFIERS', () =>
  check(nv12, { width: 600, height: 600, handles: [ANY, ANY, ANY], pitches: [600, 600, 600] }));

test('YVU420 DRM_MODE_FB_MODIFIERS set without modifier', () =>
  check(yuv, { width: 600, height: 600, flags: MODIFIERS, pitches: [600, 300, 300] }));

test('YVU420 Normal sizes', () =>
  check(yuv, { width: 600, height: 600, pitches: [600, 300, 300] }));

test('YVU420 Max sizes', () => check(yuv, {}));

test('YVU420 Invalid pitch', () =>
  check(yuv, { pitches: [MAX, MAX / 2 - 1, MAX / 2] }, /pitches\[1\]/));

test('YVU420 Different pitches', () => check(yuv, { pitches: [MAX, MAX / 2 + 1, MAX / 2 + 7] }));

test('YVU420 Different buffer offsets/pitches', () =>
  check(yuv, {
    offsets: [MAX, MAX * MAX, 2 * MAX * MAX],
    pitches: [MAX, MAX / 2 + 1, MAX / 2 + 7],
  }));

test('YVU420 Modifier set just for plane 0, without DRM_MODE_FB_MODIFIERS', () =>
  check(yuv, { modifier: [SPARSE] }, /modifier\[0\]/));

test('YVU420 Modifier set just for planes 0, 1, without DRM_MODE_FB_MODIFIERS', () =>
  check(yuv, { modifier: [SPARSE, SPARSE] }, /modifier\[0\]/));

test('YVU420 Modifier set just for plane 0, 1, with DRM_MODE_FB_MODIFIERS', () =>
  check(yuv, { flags: MODIFIERS, modifier: [SPARSE, SPARSE] }, /modifier\[2\]/));

test('YVU420 Valid modifier', () =>
  check(yuv, { flags: MODIFIERS, modifier: [SPARSE, SPARSE, SPARSE] }));

test('YVU420 Different modifiers per plane', () =>
  check(yuv, { flags: MODIFIERS, modifier: [SPARSE, TILED, SPARSE] }, /modifier\[1\]/));

test('YVU420 Modifier for inexistent plane', () =>
  check(yuv, { flags: MODIFIERS, modifier: [SPARSE, SPARSE, SPARSE, SPARSE] }, /modifier\[3\]/));

test.run();
