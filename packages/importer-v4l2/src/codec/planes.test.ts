/**
 * Copies of planes: pitches, offsets, odd sizes, and refusal of what does not fit.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { copyPlanes, planeSizes, tightLayout, type SourcePlane } from './planes.js';

/** Planes of a picture in a source with some padding, each sample telling plane, row and column. */
function source(width: number, height: number): { bytes: Uint8Array; planes: SourcePlane[] } {
  const planes: SourcePlane[] = [];
  let at = 5;
  for (const size of planeSizes('YU12', width, height)) {
    planes.push({ offset: at, pitch: size.width + 3, ...size });
    at += (size.width + 3) * size.rows;
  }
  const bytes = new Uint8Array(at);
  planes.forEach((plane, p) => {
    for (let y = 0; y < plane.rows; y++) {
      for (let x = 0; x < plane.width; x++)
        bytes[plane.offset + y * plane.pitch + x] = p * 64 + y * 8 + x;
    }
  });
  return { bytes, planes };
}

test('odd sizes have chroma planes of (size + 1) >> 1', () => {
  assert.equal(planeSizes('YU12', 5, 3), [
    { width: 5, rows: 3 },
    { width: 3, rows: 2 },
    { width: 3, rows: 2 },
  ]);
  assert.equal(planeSizes('NV12', 5, 3), [
    { width: 5, rows: 3 },
    { width: 6, rows: 2 },
  ]);
  assert.is(tightLayout('YU12', 5, 3).byteLength, 27);
  assert.equal(
    tightLayout('YU12', 4, 2, 100).planes.map(({ offset }) => offset),
    [100, 108, 110],
  );
});

test('planes are copied row by row to any pitch, and nothing beside them is touched', () => {
  const { bytes, planes } = source(5, 3);
  const layout = [
    { offset: 1, pitch: 8 },
    { offset: 30, pitch: 3 },
    { offset: 40, pitch: 4 },
  ];
  const target = new Uint8Array(50).fill(255);
  assert.is(copyPlanes(target, layout, bytes, planes), 27);
  const expected = new Uint8Array(50).fill(255);
  planes.forEach(({ width, rows }, p) => {
    const to = layout[p] ?? { offset: 0, pitch: 0 };
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < width; x++) expected[to.offset + y * to.pitch + x] = p * 64 + y * 8 + x;
    }
  });
  assert.equal([...target], [...expected]);
});

test('a layout that does not fit is refused before a byte is written', () => {
  const { bytes, planes } = source(4, 4);
  const { planes: layout, byteLength } = tightLayout('YU12', 4, 4);
  const target = new Uint8Array(byteLength);
  const copy = (to: typeof layout): unknown => copyPlanes(target, to, bytes, planes);
  assert.throws(() => copyPlanes(target.subarray(1), layout, bytes, planes), /^EINVAL.*plane 2/);
  assert.throws(() => copy(layout.slice(0, 2)), /^EINVAL.*2 plane layouts/);
  assert.throws(() => copy(layout.map((to) => ({ ...to, pitch: 1 }))), /^EINVAL.*plane 0.*pitch 1/);
  assert.throws(() => copy(layout.map((to) => ({ ...to, offset: -1 }))), /^EINVAL.*offset -1/);
  assert.ok(target.every((byte) => byte === 0));
  assert.is(copy(layout), byteLength);
});

test.run();
