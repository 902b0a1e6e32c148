/**
 * AV1 headers: what is written is read; damage ends in EINVAL.
 */
import { DmaBufError } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAv1Unit } from './av1.js';
import { BitWriter } from './test/bit-writer.js';

const seed = Number(process.env['DMABUF_SEED'] ?? Date.now() % 1_000_000);
console.log(`seed ${seed} (DMABUF_SEED=${seed} repeats this run)`);

interface Fields {
  profile?: number;
  high?: boolean;
  monochrome?: boolean;
  timing?: boolean;
  reduced?: boolean;
  matrix?: number;
}

function obu(type: number, data: Uint8Array, sized = true): Uint8Array {
  const head = (type << 3) | (sized ? 2 : 0);
  return Uint8Array.from(sized ? [head, data.length, ...data] : [head, ...data]);
}

/** A sequence header of 352x288 with every optional part that is asked for. */
function sequence(fields: Fields = {}): Uint8Array {
  const { profile = 0, high = false, monochrome = false, timing = false, matrix } = fields;
  const w = new BitWriter().u(3, profile).u(1, 0);
  if (fields.reduced === true) w.u(1, 1).u(5, 4);
  else {
    w.u(1, 0).u(1, timing ? 1 : 0);
    if (timing) w.u(32, 1).u(32, 30).u(1, 1).ue(0).u(1, 1).u(5, 9).u(32, 1).u(10, 0);
    w.u(1, 1).u(5, 1); // initial display delay, two operating points
    for (const level of [4, 9]) {
      w.u(12, 0).u(5, level);
      if (level > 7) w.u(1, 0);
      if (timing) w.u(1, 1).u(10, 1).u(10, 1).u(1, 0);
      w.u(1, 1).u(4, 3);
    }
  }
  w.u(4, 8).u(4, 8).u(9, 351).u(9, 287);
  if (fields.reduced !== true) w.u(1, 1).u(7, 0);
  w.u(3, 7);
  if (fields.reduced !== true) w.u(4, 15).u(1, 1).u(2, 3).u(1, 0).u(1, 1).u(1, 0).u(1, 1).u(3, 6);
  w.u(3, 7).u(1, high ? 1 : 0);
  if (profile === 2 && high) w.u(1, 1);
  if (profile !== 1) w.u(1, monochrome ? 1 : 0);
  w.u(1, matrix === undefined ? 0 : 1);
  if (matrix !== undefined) w.u(8, 1).u(8, 1).u(8, matrix);
  return obu(1, w.u(1, 1).u(8, 0).bytes());
}

const frame = (existing: number, type: number, shown: number): Uint8Array =>
  obu(6, new BitWriter().u(1, existing).u(2, type).u(1, shown).u(12, 0).bytes());
const unit = (...parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));

test('a key frame with its sequence header states size, depth and colour', () => {
  for (const timing of [false, true]) {
    const { sequence: found, ...rest } = parseAv1Unit(
      unit(obu(2, new Uint8Array(0)), sequence({ timing, matrix: 1 }), frame(0, 0, 1)),
    );
    assert.equal(rest, { keyframe: true, shown: true });
    assert.equal(found, {
      profile: 0,
      width: 352,
      height: 288,
      reduced: false,
      bitDepth: 8,
      monochrome: false,
      colour: { range: 'full', matrix: 'bt709' },
    });
  }
});

test('depth, monochrome and profile are told apart', () => {
  const of = (fields: Fields): unknown[] => {
    const { sequence: found } = parseAv1Unit(sequence(fields));
    return [found?.profile, found?.bitDepth, found?.monochrome, found?.width];
  };
  assert.equal(of({ high: true }), [0, 10, false, 352]);
  assert.equal(of({ profile: 2, high: true, monochrome: true }), [2, 12, true, 352]);
  assert.equal(of({ profile: 1 }), [1, 8, false, 352]);
});

test('a unit shows a picture where a frame is shown, or an older one again', () => {
  const shows = (...parts: readonly Uint8Array[]): unknown => {
    const { keyframe, shown } = parseAv1Unit(unit(...parts));
    return [keyframe, shown];
  };
  assert.equal(shows(frame(0, 1, 1)), [false, true]);
  assert.equal(shows(frame(0, 1, 0)), [false, false]);
  assert.equal(shows(frame(0, 1, 0), frame(1, 0, 0)), [false, true]);
  assert.equal(shows(frame(0, 0, 1)), [false, true], 'no sequence header: decoding cannot start');
  assert.equal(shows(sequence(), frame(0, 0, 0)), [false, false]);
  assert.equal(shows(sequence({ reduced: true }), frame(0, 3, 0)), [true, true]);
  assert.equal(shows(sequence()), [false, false]);
});

test('an OBU without a size ends with its packet', () => {
  const bare = obu(6, new BitWriter().u(4, 1).u(12, 0).bytes(), false);
  assert.equal(parseAv1Unit(unit(sequence(), bare)).keyframe, true);
});

test('damage ends in EINVAL, never in anything else', () => {
  const whole = unit(sequence({ timing: true, matrix: 1 }), frame(0, 0, 1));
  let state = seed;
  let refused = 0;
  for (let i = 0; i < 2000; i++) {
    const copy = Uint8Array.from(whole);
    for (let n = 0; n < 3; n++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      copy[(state >>> 8) % copy.length] = state >>> 24;
    }
    try {
      parseAv1Unit(copy.subarray(0, 1 + ((state >>> 4) % copy.length)));
    } catch (error) {
      assert.instance(error, DmaBufError);
      assert.is(error instanceof DmaBufError ? error.code : '', 'EINVAL');
      refused++;
    }
  }
  assert.ok(refused > 100, `${refused} of 2000 were refused`);
});

test.run();
