import { DmaBufError } from '@dmabuf/core';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ComposeCommand, decodeCompose, encodeCompose } from './compose-job.js';
import { DRM_FORMAT_NV12 } from './fourcc.js';
import { planeOff } from './plane-state.js';

const state = { ...planeOff(0), fb: 7, crtcX: -3, crtcW: 9, crtcH: 9, srcW: 99, srcH: 98 };
const fb = {
  fourcc: DRM_FORMAT_NV12,
  width: 64,
  height: 32,
  pitches: [64, 64],
  offsets: [0, 2048],
};

test('every command comes out of its payload as it went in', () => {
  const commands: ComposeCommand[] = [
    { kind: 'clear', width: 640, height: 480 },
    { kind: 'draw', fb, state },
    { kind: 'end', record: true, crc: false, to: undefined },
    { kind: 'end', record: false, crc: true, to: { fourcc: 1, pitches: [256], offsets: [64] } },
  ];
  for (const command of commands) assert.equal(decodeCompose(encodeCompose(command)), command);
});

test('what is none of its own is left to others, what is malformed is EINVAL', () => {
  for (const other of [0, undefined, [1, 2, 3], { kind: 'clear' }]) {
    assert.is(decodeCompose(other), undefined);
  }
  const good = encodeCompose({ kind: 'draw', fb, state }) as unknown[];
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.constantFrom(null, -1, 'x', 1.5), (at, wrong) => {
      const bad = good.map((field, i) => (i === at && i > 0 ? wrong : field));
      if (at > 0)
        assert.throws(
          () => decodeCompose(bad),
          (e: unknown) => e instanceof DmaBufError,
        );
    }),
  );
  assert.throws(() => decodeCompose(['clear', 0, 1]), /EINVAL/);
  assert.throws(() => decodeCompose(['shine']), /EINVAL/);
});

test.run();
