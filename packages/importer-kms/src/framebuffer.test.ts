/** Cases from drm_framebuffer_test.c and kms_addfb_basic, each with the field that it must name. */
import { DmaBufError } from '@dmabuf/core';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DRM_FORMAT_NV12,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  DRM_FORMATS,
  fourccCode,
  frameLayout,
} from './fourcc.js';
import {
  checkFramebuffer,
  DRM_FORMAT_MOD_INVALID,
  DRM_MODE_FB_INTERLACED,
  DRM_MODE_FB_MODIFIERS,
  KMS_FB_LIMITS,
  type FramebufferLimits,
  type FramebufferRequest,
} from './framebuffer.js';

const UINT_MAX = 0xffff_ffff;
const MAX = 4096;
const TILED = 0x0400_0000_0000_0001n;
const SPARSE = 0x0800_0000_0000_0040n;
const HUGE = 2 ** 40;

/** The limits of the kernel's unit test: core checks alone, any modifier. */
const CORE: FramebufferLimits = {
  minWidth: 4,
  maxWidth: MAX,
  minHeight: 4,
  maxHeight: MAX,
  modifiers: [0n, TILED, SPARSE],
  wholePixels: false,
};

function refused(
  code: string,
  field: RegExp,
  request: FramebufferRequest,
  limits: FramebufferLimits = CORE,
): void {
  try {
    checkFramebuffer(request, limits);
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
    assert.is(error.code, code, error.message);
    assert.is(error.syscall, 'addfb2');
    assert.match(error.detail, field);
    return;
  }
  throw new Error(`accepted, wanted ${code} ${field}`);
}

const xrgb: FramebufferRequest = {
  width: MAX,
  height: MAX,
  fourcc: DRM_FORMAT_XRGB8888,
  handles: [HUGE],
  pitches: [4 * MAX],
};
const nv12: FramebufferRequest = {
  width: MAX,
  height: MAX,
  fourcc: DRM_FORMAT_NV12,
  handles: [HUGE, HUGE],
  pitches: [MAX, MAX],
};
const yuv420: FramebufferRequest = {
  width: MAX,
  height: MAX,
  fourcc: DRM_FORMAT_YUV420,
  handles: [HUGE, HUGE, HUGE],
  pitches: [MAX, MAX / 2, MAX / 2],
};

test('framebuffers that Linux accepts are accepted', () => {
  const accepted: FramebufferRequest[] = [
    xrgb,
    { ...xrgb, width: 600, height: 600, pitches: [2400] },
    { ...xrgb, pitches: [4 * MAX + 1] },
    { ...xrgb, offsets: [Math.floor(UINT_MAX / 2)] },
    { ...xrgb, flags: DRM_MODE_FB_MODIFIERS },
    { ...xrgb, flags: DRM_MODE_FB_INTERLACED },
    { ...xrgb, flags: DRM_MODE_FB_MODIFIERS, modifier: [SPARSE] },
    { ...xrgb, pitches: [4 * MAX, 4 * MAX] },
    { ...xrgb, offsets: [0, 0, 3] },
    nv12,
    { ...nv12, flags: DRM_MODE_FB_MODIFIERS, modifier: [TILED, TILED] },
    { ...nv12, handles: [HUGE, HUGE, HUGE], pitches: [MAX, MAX, 600] },
    yuv420,
    { ...yuv420, pitches: [MAX, MAX / 2 + 1, MAX / 2 + 7] },
  ];
  for (const request of accepted) checkFramebuffer(request, CORE);
});

test('width, height, format and flags are checked', () => {
  refused('EINVAL', /^width 0 /, { ...xrgb, width: 0 });
  refused('EINVAL', /^width 3 is not between 4 and 4096/, { ...xrgb, width: 3 });
  refused('EINVAL', /^width 4097 /, { ...xrgb, width: MAX + 1, pitches: [4 * (MAX + 1)] });
  refused('EINVAL', /^height 0 /, { ...xrgb, height: 0 });
  refused('EINVAL', /^height 4097 /, { ...xrgb, height: MAX + 1 });
  refused('EINVAL', /^fourcc 0x0 is not one of XRGB8888/, { ...xrgb, fourcc: 0 });
  refused('EINVAL', /^fourcc XR30 /, { ...xrgb, fourcc: fourccCode('XR30') });
  refused('EINVAL', /^flags has unknown bits 0x4/, { ...xrgb, flags: 4 });
});

test('a missing handle is EINVAL and an unknown one ENOENT', () => {
  refused('EINVAL', /^handles\[0\] is missing/, { ...xrgb, handles: [] });
  refused('EINVAL', /^handles\[1\] is missing: NV12 has 2/, { ...nv12, handles: [HUGE] });
  refused('ENOENT', /^handles\[2\] names no buffer/, {
    ...yuv420,
    handles: [HUGE, HUGE, 'unknown'],
  });
});

test('a pitch below the minimum is EINVAL', () => {
  refused('EINVAL', /^pitches\[0\] 16383 is below the minimum 16384/, {
    ...xrgb,
    pitches: [4 * MAX - 1],
  });
  refused('EINVAL', /^pitches\[1\] 4095 /, { ...nv12, pitches: [MAX, MAX - 1] });
  refused('EINVAL', /^pitches\[1\] 2047 /, { ...yuv420, pitches: [MAX, MAX / 2 - 1, MAX / 2] });
  for (const pitch of [0, 32, 63, 128, 256, 999, 1024]) {
    refused('EINVAL', /^pitches\[0\]/, { ...xrgb, width: 512, height: 512, pitches: [pitch] });
  }
});

test('pitch × height + offset beyond 32 bits is ERANGE, found before a bad pitch', () => {
  refused('ERANGE', /offsets\[0\] 4294967294 overflows/, { ...xrgb, offsets: [UINT_MAX - 1] });
  refused('ERANGE', /^pitches\[0\] 4294967295/, { ...xrgb, pitches: [UINT_MAX] });
  refused('ERANGE', /^pitches\[1\]/, { ...nv12, pitches: [MAX, UINT_MAX] });
});

test('modifiers need their flag, must agree, and must be one that is scanned out', () => {
  const flags = DRM_MODE_FB_MODIFIERS;
  refused('EINVAL', /^modifier\[0\] .*lacks DRM_MODE_FB_MODIFIERS/, {
    ...xrgb,
    modifier: [SPARSE],
  });
  refused('EINVAL', /^modifier\[0\]/, { ...nv12, modifier: [TILED, TILED] });
  refused('EINVAL', /^modifier\[1\] .*differs/, { ...nv12, flags, modifier: [TILED] });
  refused('EINVAL', /^modifier\[2\] .*differs/, { ...yuv420, flags, modifier: [SPARSE, SPARSE] });
  refused('EINVAL', /^modifier\[0\] .*not one of/, {
    ...xrgb,
    flags,
    modifier: [DRM_FORMAT_MOD_INVALID],
  });
  refused('EINVAL', /^modifier\[0\]/, { ...xrgb, flags, modifier: [SPARSE] }, KMS_FB_LIMITS);
});

test('unused planes must be zero with MODIFIERS, and only their modifier without', () => {
  const flags = DRM_MODE_FB_MODIFIERS;
  refused('EINVAL', /^handles\[1\] is set but XRGB8888/, { ...xrgb, flags, handles: [HUGE, HUGE] });
  refused('EINVAL', /^pitches\[1\]/, { ...xrgb, flags, pitches: [4 * MAX, 4 * MAX] });
  refused('EINVAL', /^offsets\[3\]/, { ...xrgb, flags, offsets: [0, 0, 0, 1] });
  refused('EINVAL', /^modifier\[2\]/, { ...nv12, flags, modifier: [TILED, TILED, TILED] });
  refused('EINVAL', /^modifier\[1\]/, { ...xrgb, modifier: [0n, SPARSE] });
});

test('a buffer must hold (height - 1) × pitch + last row + offset, and no byte more', () => {
  const request = { ...xrgb, width: 100, height: 10, pitches: [512], offsets: [64] };
  const needed = 9 * 512 + 400 + 64;
  checkFramebuffer({ ...request, handles: [needed] });
  refused('EINVAL', new RegExp(`^handles\\[0\\] is a buffer of ${needed - 1} bytes.*${needed}`), {
    ...request,
    handles: [needed - 1],
  });
  refused('EINVAL', /^handles\[1\] is a buffer of 8388607 /, { ...nv12, handles: [HUGE, 8388607] });
});

test('this display reads whole pixels, so RGB pitches and offsets must be multiples of them', () => {
  const rgb565 = { ...xrgb, fourcc: DRM_FORMAT_RGB565 };
  refused(
    'EINVAL',
    /^pitches\[0\] 16385 .*multiple of 4/,
    { ...xrgb, pitches: [16385] },
    KMS_FB_LIMITS,
  );
  refused('EINVAL', /^offsets\[0\] 2 .*multiple of 4/, { ...xrgb, offsets: [2] }, KMS_FB_LIMITS);
  refused('EINVAL', /^offsets\[0\] 1 .*multiple of 2/, { ...rgb565, offsets: [1] }, KMS_FB_LIMITS);
  checkFramebuffer({ ...nv12, pitches: [MAX + 1, MAX + 1] }, KMS_FB_LIMITS);
});

test('numbers that no u32 can hold are a TypeError', () => {
  for (const pitch of [-4, 1.5, NaN, UINT_MAX + 1]) {
    assert.throws(() => checkFramebuffer({ ...xrgb, pitches: [pitch] }), TypeError);
  }
});

test('every laid-out frame is accepted with exactly its own size, and its planes lie inside', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...DRM_FORMATS),
      fc.integer({ min: 1, max: 1024 }),
      fc.integer({ min: 1, max: 1024 }),
      fc.constantFrom(4, 64),
      (format, width, height, align) => {
        const { pitches, offsets, size } = frameLayout(format, width, height, align);
        const handles = pitches.map(() => size);
        const fb = checkFramebuffer({
          width,
          height,
          fourcc: format.fourcc,
          handles,
          pitches,
          offsets,
        });
        assert.is(fb.format, format);
        for (const plane of fb.planes) assert.ok(plane.offset + plane.bytes <= size);
      },
    ),
  );
});

test.run();
