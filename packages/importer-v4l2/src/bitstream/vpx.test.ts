/**
 * VP8 and VP9 headers and IVF: what is written is read; damage ends in EINVAL.
 */
import { DmaBufError } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseIvf } from './ivf.js';
import { BitWriter } from './test/bit-writer.js';
import { parseVp8Header } from './vp8.js';
import { parseVp9Header, parseVp9Packet, splitSuperframe } from './vp9.js';

const seed = Number(process.env['DMABUF_SEED'] ?? Date.now() % 1_000_000);
console.log(`seed ${seed} (DMABUF_SEED=${seed} repeats this run)`);

function vp8Key(width: number, height: number, shown = true): Uint8Array {
  const tag = (shown ? 0x10 : 0) | (4 << 5);
  const size = [width & 255, width >> 8, height & 255, height >> 8];
  return Uint8Array.of(tag, 0, 0, 0x9d, 0x01, 0x2a, ...size, 1, 2, 3, 4);
}

function vp9Key(width: number, height: number, profile = 0, space = 2): Uint8Array {
  const w = new BitWriter()
    .u(2, 2)
    .u(1, profile & 1)
    .u(1, profile >> 1);
  if (profile === 3) w.u(1, 0);
  w.u(1, 0).u(1, 0).u(1, 1).u(1, 0).u(24, 0x498342);
  if (profile >= 2) w.u(1, 0);
  w.u(3, space).u(1, 0);
  if (profile === 1 || profile === 3) w.u(3, 0);
  return w
    .u(16, width - 1)
    .u(16, height - 1)
    .u(40, 0)
    .bytes();
}

/** An inter frame that takes its size from its second reference. */
function vp9Inter(shown: boolean): Uint8Array {
  const w = new BitWriter()
    .u(4, 0b1000)
    .u(1, 0)
    .u(1, 1)
    .u(1, shown ? 1 : 0)
    .u(1, 0);
  if (!shown) w.u(1, 0);
  return w.u(2, 0).u(8, 1).u(12, 0).u(2, 0b01).u(32, 0).bytes();
}

function superframe(frames: readonly Uint8Array[]): Uint8Array {
  const marker = 0xc0 | (1 << 3) | (frames.length - 1);
  const sizes = frames.flatMap((frame) => [frame.length & 255, frame.length >> 8]);
  return Uint8Array.from([...frames.flatMap((f) => [...f]), marker, ...sizes, marker]);
}

function ivf(frames: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(32 + frames.reduce((sum, frame) => sum + 12 + frame.length, 0));
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode('DKIF'));
  view.setUint16(6, 32, true);
  bytes.set(new TextEncoder().encode('VP80'), 8);
  view.setUint16(12, 176, true);
  view.setUint16(14, 144, true);
  view.setUint32(16, 30, true);
  view.setUint32(20, 1, true);
  let at = 32;
  frames.forEach((frame, i) => {
    view.setUint32(at, frame.length, true);
    view.setBigUint64(at + 4, BigInt(i * 2), true);
    bytes.set(frame, at + 12);
    at += 12 + frame.length;
  });
  return bytes;
}

test('a VP8 key frame gives its size, an inter frame none', () => {
  const key = parseVp8Header(vp8Key(175, 143));
  assert.ok(key.keyframe && key.shown);
  assert.equal([key.width, key.height], [175, 143]);
  const hidden = parseVp8Header(Uint8Array.of(0x01 | (1 << 5), 0, 0, 9));
  assert.not(hidden.keyframe || hidden.shown);
  assert.is(hidden.width, undefined);
});

test('VP8 frames without start code, size or whole first partition are refused', () => {
  const noCode = vp8Key(16, 16);
  noCode[4] = 2;
  assert.throws(() => parseVp8Header(noCode), /^EINVAL.*start code/);
  assert.throws(() => parseVp8Header(vp8Key(0, 16)), /^EINVAL.*0x16/);
  assert.throws(() => parseVp8Header(vp8Key(16, 16).subarray(0, 12)), /^EINVAL.*first partition/);
  assert.throws(() => parseVp8Header(Uint8Array.of(1)), /^EINVAL.*no frame tag/);
});

test('a VP9 key frame gives profile, size and colour', () => {
  const key = parseVp9Header(vp9Key(1280, 719));
  assert.ok(key.keyframe && key.shown);
  assert.equal([key.profile, key.width, key.height, key.bitDepth], [0, 1280, 719, 8]);
  assert.equal(key.colour, { range: 'limited', matrix: 'bt709' });
  for (const [profile, depth] of [
    [1, 8],
    [2, 10],
    [3, 10],
  ] as const) {
    const other = parseVp9Header(vp9Key(640, 360, profile));
    assert.equal([other.profile, other.bitDepth, other.width], [profile, depth, 640]);
  }
});

test('a superframe is split, and its hidden frame counts as hidden', () => {
  const packet = superframe([vp9Inter(false), vp9Inter(true)]);
  assert.is(splitSuperframe(packet).length, 2);
  assert.equal(
    parseVp9Packet(packet).map(({ shown, keyframe, width }) => [shown, keyframe, width]),
    [
      [false, false, undefined],
      [true, false, undefined],
    ],
  );
  const liar = packet.slice();
  liar[liar.length - 2] = 255;
  assert.throws(() => splitSuperframe(liar), /^EINVAL.*claims/);
});

test('an older frame shown again yields a picture', () => {
  const header = parseVp9Header(Uint8Array.of(0b1000_1010));
  assert.ok(header.shown && header.showExisting && !header.keyframe);
});

test('an IVF file gives its frames as views with their timestamps', () => {
  const file = ivf([vp8Key(16, 16), Uint8Array.of(1, 2, 3)]);
  const { fourcc, width, height, timeBase, frames, truncated } = parseIvf(file);
  assert.equal([fourcc, width, height, timeBase.num, timeBase.den], ['VP80', 176, 144, 1, 30]);
  assert.equal(
    frames.map(({ timestamp, data }) => [timestamp, data.length]),
    [
      [0, 14],
      [2, 3],
    ],
  );
  assert.is(frames[0]?.data.buffer, file.buffer);
  assert.not(truncated);
  const cut = parseIvf(file.subarray(0, -1));
  assert.ok(cut.truncated);
  assert.is(cut.frames.length, 1);
  assert.throws(() => parseIvf(new Uint8Array(64)), /^EINVAL.*DKIF/);
});

test('random and damaged bytes throw EINVAL or nothing', () => {
  let state = seed;
  const next = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const samples = [
    vp8Key(16, 16),
    vp9Key(16, 16),
    superframe([vp9Inter(false), vp9Inter(true)]),
    ivf([vp8Key(16, 16), vp9Key(16, 16)]),
  ];
  let threw = 0;
  for (let i = 0; i < 20_000; i++) {
    const sample = samples[i % samples.length] ?? new Uint8Array(0);
    const bytes = i % 3 === 0 ? new Uint8Array(next(80)).map(() => next(256)) : sample.slice();
    for (let k = next(6); k > 0; k--) bytes[next(bytes.length)] = next(256);
    const data = bytes.subarray(0, next(4) === 0 ? next(bytes.length) : bytes.length);
    for (const parse of [parseVp8Header, parseVp9Packet, parseIvf]) {
      try {
        parse(data);
      } catch (error) {
        assert.instance(error, DmaBufError);
        threw++;
      }
    }
  }
  assert.ok(threw > 1000);
});

test.run();
