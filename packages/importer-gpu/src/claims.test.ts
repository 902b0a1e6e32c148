import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deriveClaims } from './claims.js';
import type { PixelStep, Step } from './step.js';

const A = { key: 100, width: 8, height: 4 };
const B = { key: 200, width: 8, height: 4 };
/** Another image of A's buffer. */
const A2 = { key: 100, width: 8, height: 4 };
const WHOLE = { x: 0, y: 0, width: 8, height: 4 };
const PART = { x: 0, y: 0, width: 8, height: 3 };

function step(op: PixelStep['op'], dst: number, src = -1, to?: PixelStep['to']): Step {
  const rest = { filter: 'bilinear', mode: 'premultiplied', alpha: 255, pixel: 0 } as const;
  return { op, dst, src, to, from: undefined, ...rest };
}

const claims = (steps: readonly Step[]): [number, string][] => [...deriveClaims(steps, [A, B, A2])];

test('what is only read is shared, what is wholly overwritten first is a discard', () => {
  assert.equal(claims([step('blit', 0, 1)]), [
    [200, 'shared'],
    [100, 'discard'],
  ]);
  for (const op of ['clear', 'fill'] as const)
    assert.equal(claims([step(op, 0)]), [[100, 'discard']]);
  assert.equal(claims([step('copy', 0, 1, WHOLE)]), [
    [200, 'shared'],
    [100, 'discard'],
  ]);
});

test('a first command that leaves pixels as they were is exclusive', () => {
  assert.equal(claims([step('fill', 0, -1, PART)]), [[100, 'exclusive']]);
  assert.equal(claims([step('blit', 0, 1, PART), step('clear', 0)]), [
    [200, 'shared'],
    [100, 'exclusive'],
  ]);
});

test('a clear before a letterboxed blit and a blend keeps the discard', () => {
  const steps = [step('clear', 0), step('blit', 0, 1, PART), step('blend', 0, 1, WHOLE)];
  assert.equal(claims(steps), [
    [100, 'discard'],
    [200, 'shared'],
  ]);
});

test('a blend reads its destination', () => {
  assert.equal(claims([step('blend', 0, 1, WHOLE)]), [
    [200, 'shared'],
    [100, 'exclusive'],
  ]);
});

test('a buffer that is read and written has one exclusive claim', () => {
  assert.equal(claims([step('copy', 0, 2)]), [[100, 'exclusive']]);
  assert.equal(claims([step('copy', 1, 0), step('clear', 0)]), [
    [100, 'exclusive'],
    [200, 'discard'],
  ]);
});

test('reading what the job itself has overwritten keeps the discard', () => {
  assert.equal(claims([step('clear', 0), step('copy', 1, 0)]), [
    [100, 'discard'],
    [200, 'discard'],
  ]);
});

test('reading another image of an overwritten buffer needs its old content', () => {
  assert.equal(claims([step('clear', 0), step('copy', 1, 2)]), [
    [100, 'exclusive'],
    [200, 'discard'],
  ]);
});

test('a blend onto another image of an overwritten buffer needs its old content', () => {
  assert.equal(claims([step('clear', 0), step('blend', 2, 1, WHOLE)]), [
    [100, 'exclusive'],
    [200, 'shared'],
  ]);
});

test('no commands claim nothing', () => {
  assert.equal(claims([]), []);
});

test.run();
