import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  DRM_FORMATS,
  formatInfo,
  fourccCode,
  fourccName,
  frameLayout,
  minPitch,
  planeHeight,
  planeWidth,
  type FormatInfo,
} from './fourcc.js';

function info(fourcc: number): FormatInfo {
  const found = formatInfo(fourcc);
  if (found === undefined) throw new Error(`no format ${fourccName(fourcc)}`);
  return found;
}

test('fourcc codes are those of drm_fourcc.h', () => {
  assert.is(DRM_FORMAT_XRGB8888, 0x34325258);
  assert.is(DRM_FORMAT_ARGB8888, 0x34325241);
  assert.is(DRM_FORMAT_RGB565, 0x36314752);
  assert.is(DRM_FORMAT_NV12, 0x3231564e);
  assert.is(DRM_FORMAT_YUV420, 0x32315559);
});

test('a fourcc and its name convert into each other', () => {
  for (const { fourcc } of DRM_FORMATS) assert.is(fourccCode(fourccName(fourcc)), fourcc);
  assert.is(fourccName(0), '0x0');
  assert.throws(() => fourccCode('RGB'), TypeError);
  assert.is(formatInfo(fourccCode('XR30')), undefined);
});

test('chroma planes of odd sizes round up', () => {
  const nv12 = info(DRM_FORMAT_NV12);
  assert.is(planeWidth(nv12, 0, 33), 33);
  assert.is(planeWidth(nv12, 1, 33), 17);
  assert.is(planeHeight(nv12, 1, 19), 10);
  assert.is(minPitch(nv12, 0, 33), 33);
  assert.is(minPitch(nv12, 1, 33), 34);
  assert.is(minPitch(info(DRM_FORMAT_YUV420), 2, 33), 17);
  assert.is(minPitch(info(DRM_FORMAT_RGB565), 0, 33), 66);
  assert.throws(() => minPitch(nv12, 2, 33), RangeError);
});

test('a tight layout of 1280x720 takes the well-known sizes', () => {
  assert.equal(frameLayout(info(DRM_FORMAT_XRGB8888), 1280, 720), {
    pitches: [5120],
    offsets: [0],
    size: 3_686_400,
  });
  assert.equal(frameLayout(info(DRM_FORMAT_YUV420), 1280, 720), {
    pitches: [1280, 640, 640],
    offsets: [0, 921_600, 1_152_000],
    size: 1_382_400,
  });
});

test('planes of a layout never overlap and keep the alignment', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...DRM_FORMATS),
      fc.integer({ min: 1, max: 3000 }),
      fc.integer({ min: 1, max: 3000 }),
      fc.constantFrom(1, 4, 16, 64, 256),
      (format, width, height, align) => {
        const layout = frameLayout(format, width, height, align);
        let end = 0;
        for (const [plane, pitch] of layout.pitches.entries()) {
          assert.is(pitch % align, 0);
          assert.ok(pitch >= minPitch(format, plane, width));
          assert.is(layout.offsets[plane], end);
          end += pitch * planeHeight(format, plane, height);
        }
        assert.is(layout.size, end);
      },
    ),
  );
});

test.run();
