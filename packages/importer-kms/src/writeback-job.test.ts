import { DmaBufError } from '@dmabuf/core';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DRM_FORMAT_NV12, DRM_FORMAT_RGB565, DRM_FORMAT_XRGB8888 } from './fourcc.js';
import { BARRIER, copyFrame, decodeWriteback, encodeWriteback } from './writeback-job.js';

const XR24 = { fourcc: DRM_FORMAT_XRGB8888, pitch: 32, offset: 16, width: 5, height: 3 };

test('a command comes out of its payload as it went in', () => {
  assert.equal(decodeWriteback(encodeWriteback(XR24)), XR24);
  assert.is(decodeWriteback(BARRIER), 'barrier');
});

test('what is no command is EINVAL', () => {
  const bad = [
    1,
    null,
    [],
    [1, 2, 3],
    encodeWriteback({ ...XR24, fourcc: DRM_FORMAT_NV12 }),
    encodeWriteback({ ...XR24, pitch: 19 }),
    encodeWriteback({ ...XR24, pitch: 16 }),
    encodeWriteback({ ...XR24, offset: 2 }),
    encodeWriteback({ ...XR24, width: 0 }),
    encodeWriteback({ ...XR24, height: -1 }),
  ];
  for (const payload of bad) {
    assert.throws(
      () => decodeWriteback(payload),
      (error: unknown) => {
        return error instanceof DmaBufError && error.code === 'EINVAL';
      },
    );
  }
});

test('a frame is copied with its rows where they were, into the memory of an old one if that fits', () => {
  const memory = new Uint32Array(40).map((_, i) => i);
  const bytes = new Uint8Array(memory.buffer, 8);
  const frame = copyFrame(bytes, XR24, undefined);
  assert.is(frame.pitch, 32);
  for (let y = 0; y < 3; y++) {
    const row = [...frame.pixels.subarray(y * 8, y * 8 + 5)];
    assert.equal(
      row,
      [0, 1, 2, 3, 4].map((x) => 6 + y * 8 + x),
    );
  }
  memory.fill(7);
  const again = copyFrame(bytes, XR24, frame.pixels);
  assert.is(again.pixels, frame.pixels);
  assert.is(again.pixels[0], 7);
  assert.is.not(copyFrame(bytes, { ...XR24, height: 2 }, frame.pixels).pixels, frame.pixels);
});

test('a frame that is not inside its buffer is EINVAL', () => {
  const bytes = new Uint8Array(16 + 2 * 32 + 5 * 4);
  copyFrame(bytes, XR24, undefined);
  assert.throws(() => copyFrame(bytes.subarray(4), XR24, undefined), /EINVAL/);
});

test('5:6:5 pixels become 8:8:8, black and white exactly, the rest to within rounding', () => {
  const command = { fourcc: DRM_FORMAT_RGB565, pitch: 6, offset: 2, width: 2, height: 2 };
  fc.assert(
    fc.property(fc.array(fc.nat(0xffff), { minLength: 4, maxLength: 4 }), (pixels) => {
      const [a = 0, b = 0, c = 0, d = 0] = pixels;
      const memory = Uint16Array.of(0xdead, a, b, 0xdead, c, d, 0xdead);
      const frame = copyFrame(new Uint8Array(memory.buffer), command, undefined);
      for (const [i, pixel] of pixels.entries()) {
        const out = frame.pixels[i] ?? 0;
        const near = (got: number, value: number, top: number): void => {
          assert.ok(Math.abs(got - (value * 255) / top) < 1.5, `${got} for ${value} of ${top}`);
        };
        near(out >>> 16, pixel >>> 11, 31);
        near((out >>> 8) & 255, (pixel >>> 5) & 63, 63);
        near(out & 255, pixel & 31, 31);
      }
    }),
  );
  const ends = copyFrame(
    new Uint8Array(Uint16Array.of(0, 0, 0xffff, 0, 0, 0).buffer),
    command,
    undefined,
  );
  assert.equal([...ends.pixels.subarray(0, 2)], [0, 0xffffff]);
});

test.run();
