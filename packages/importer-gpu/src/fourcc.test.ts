import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as drm from './fourcc.js';

const code = (text: string): number => Buffer.from(text).readUInt32LE(0);

test('codes are their four characters, first one in the low byte', () => {
  assert.is(drm.DRM_FORMAT_XRGB8888, code('XR24'));
  assert.is(drm.DRM_FORMAT_ARGB8888, code('AR24'));
  assert.is(drm.DRM_FORMAT_RGB565, code('RG16'));
  assert.is(drm.DRM_FORMAT_NV12, code('NV12'));
  assert.is(drm.DRM_FORMAT_NV21, code('NV21'));
  assert.is(drm.DRM_FORMAT_YUV420, code('YU12'));
  assert.is(drm.DRM_FORMAT_YUYV, code('YUYV'));
  assert.is(drm.DRM_FORMAT_P010, code('P010'));
});

test('a known code has its name, a stranger its characters', () => {
  assert.is(drm.formatName(drm.DRM_FORMAT_NV12), 'NV12');
  assert.is(drm.formatName(code('XB30')), "'XB30'");
  assert.is(drm.formatName(0), "'????'");
  assert.is(drm.formatInfo(code('XB30')), undefined);
});

test('odd sizes round chroma up', () => {
  const sizes = (fourcc: number): number[] => {
    const { planes, size } = drm.packedLayout(fourcc, 5, 3);
    return [...planes.flatMap((plane) => [plane.offset, plane.pitch]), size];
  };
  assert.equal(sizes(drm.DRM_FORMAT_XRGB8888), [0, 20, 60]);
  assert.equal(sizes(drm.DRM_FORMAT_RGB565), [0, 10, 30]);
  assert.equal(sizes(drm.DRM_FORMAT_NV12), [0, 5, 15, 6, 27]);
  assert.equal(sizes(drm.DRM_FORMAT_NV21), [0, 5, 15, 6, 27]);
  assert.equal(sizes(drm.DRM_FORMAT_YUV420), [0, 5, 15, 3, 21, 3, 27]);
  assert.equal(sizes(drm.DRM_FORMAT_YUYV), [0, 12, 36]);
  assert.equal(sizes(drm.DRM_FORMAT_P010), [0, 10, 30, 12, 54]);
});

test('pitches are aligned as asked', () => {
  const { planes, size } = drm.packedLayout(drm.DRM_FORMAT_YUV420, 100, 50, 64);
  assert.equal(planes, [
    { offset: 0, pitch: 128 },
    { offset: 6400, pitch: 64 },
    { offset: 8000, pitch: 64 },
  ]);
  assert.is(size, 9600);
});

test('a layout of an unknown format is a RangeError', () => {
  assert.throws(
    () => drm.packedLayout(code('XB30'), 4, 4),
    (error: unknown) => error instanceof RangeError && /XB30/.test(error.message),
  );
});

test.run();
