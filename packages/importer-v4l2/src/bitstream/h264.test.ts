/**
 * Annex B, avcC, SPS, PPS and slice headers: what is written is read; damage ends in EINVAL.
 */
import { DmaBufError } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { splitAccessUnits } from './access-unit.js';
import { joinNalUnits, splitNalUnits, unescapeNal } from './annexb.js';
import { avcToAnnexB, parseAvcConfig } from './avcc.js';
import { h264ProfileName, parseSps } from './h264-sps.js';
import { parsePps } from './h264-slice.js';
import { writePps, writeSlice, writeSps } from './test/bit-writer.js';

const seed = Number(process.env['DMABUF_SEED'] ?? Date.now() % 1_000_000);
console.log(`seed ${seed} (DMABUF_SEED=${seed} repeats this run)`);

test('NAL units are found behind three- and four-byte start codes', () => {
  const stream = Uint8Array.of(
    9,
    0,
    0,
    1,
    0x67,
    1,
    0,
    0,
    0,
    1,
    0x68,
    2,
    3,
    0,
    0,
    0,
    0,
    1,
    0x65,
    0,
    0,
    1,
  );
  const units = splitNalUnits(stream);
  assert.equal(
    units.map(({ type, data }) => [type, ...data]),
    [
      [7, 0x67, 1],
      [8, 0x68, 2, 3],
      [5, 0x65],
    ],
  );
  assert.equal([...stream.subarray(units[1]?.start, units[1]?.end)], [0, 0, 0, 1, 0x68, 2, 3]);
});

test('joined NAL units are split into the same units', () => {
  const units = [writeSps(), writePps(), writeSlice(0, 2, true)];
  assert.equal(
    splitNalUnits(joinNalUnits(units)).map(({ data }) => [...data]),
    units.map((unit) => [...unit]),
  );
});

test('emulation prevention is taken out, and nothing else', () => {
  const nal = Uint8Array.of(0x65, 0, 0, 3, 0, 0, 3, 1, 0, 3, 3, 0, 0, 3);
  assert.equal([...unescapeNal(nal)], [0x65, 0, 0, 0, 0, 1, 0, 3, 3, 0, 0]);
});

test('the SPS gives size, crop and colour', () => {
  const sps = parseSps(
    unescapeNal(
      writeSps({
        widthMbs: 80,
        heightMbs: 46,
        crop: [1, 2, 3, 5],
        vui: { fullRange: true, matrix: 1, reorder: 0 },
      }),
    ),
  );
  assert.is(sps.codedWidth, 1280);
  assert.is(sps.codedHeight, 736);
  assert.equal(sps.crop, { left: 2, top: 6, width: 1274, height: 720 });
  assert.equal(sps.colour, { range: 'full', matrix: 'bt709' });
  assert.is(sps.numReorderFrames, 0);
  assert.is(sps.maxDecFrameBuffering, 1);
  assert.is(
    h264ProfileName(sps.profile, sps.constraintSet),
    'Constrained Baseline (profile_idc 66)',
  );
});

test('interlaced and 4:2:2 streams are read for what they are', () => {
  const interlaced = parseSps(unescapeNal(writeSps({ frameMbsOnly: false, crop: [0, 0, 0, 2] })));
  assert.not(interlaced.frameMbsOnly);
  assert.is(interlaced.codedHeight, 480);
  assert.is(interlaced.crop.height, 472);
  const high422 = parseSps(unescapeNal(writeSps({ profile: 122, crop: [0, 1, 0, 1] })));
  assert.is(high422.chromaFormat, 2);
  assert.equal(high422.crop, { left: 0, top: 0, width: 318, height: 239 });
});

test('a VUI that is cut short leaves the rest of the SPS as it is', () => {
  const whole = writeSps({ vui: { fullRange: true, matrix: 1, reorder: 2 } });
  const sps = parseSps(unescapeNal(whole.subarray(0, whole.length - 4)));
  assert.is(sps.codedWidth, 320);
  assert.is(sps.numReorderFrames, undefined);
});

test('cropping that leaves nothing is refused', () => {
  const nal = unescapeNal(writeSps({ crop: [80, 80, 0, 0] }));
  assert.throws(() => parseSps(nal), /^EINVAL.*leaves nothing of 320x240/);
});

test('the PPS tells CABAC', () => {
  assert.is(parsePps(unescapeNal(writePps(true))).cabac, true);
  assert.is(parsePps(unescapeNal(writePps(false))).cabac, false);
});

test('access units are cut at new pictures, not at every slice', () => {
  const stream = joinNalUnits([
    writeSps(),
    writePps(),
    writeSlice(0, 2, true),
    writeSlice(0, 2, true, 40), // second slice of the same picture
    writeSlice(1, 0, false, 40), // arbitrary slice order: not macroblock 0 first
    writeSlice(1, 0, false),
    writeSlice(2, 0, false),
    writeSps(),
    writePps(),
    writeSlice(0, 2, true),
  ]);
  const units = splitAccessUnits(stream);
  assert.equal(
    units.map(({ data, keyframe }) => [keyframe, splitNalUnits(data).map(({ type }) => type)]),
    [
      [true, [7, 8, 5, 5]],
      [false, [1, 1]],
      [false, [1]],
      [true, [7, 8, 5]],
    ],
  );
  assert.equal(
    [...joinNalUnits(units.flatMap(({ data }) => splitNalUnits(data).map((n) => n.data)))],
    [...stream],
  );
});

/** An avcC with one SPS and one PPS. */
function avcc(lengthSize: number): Uint8Array {
  const [sps, pps] = [writeSps(), writePps()];
  const head = [1, 66, 0xc0, 31, 0xfc | (lengthSize - 1), 0xe1, 0, sps.length, ...sps];
  return Uint8Array.from([...head, 1, 0, pps.length, ...pps]);
}

test('MP4 samples become Annex B packets, with parameter sets where asked', () => {
  for (const lengthSize of [1, 2, 4]) {
    const config = parseAvcConfig(avcc(lengthSize));
    assert.is(config.lengthSize, lengthSize);
    const slice = writeSlice(0, 2, true);
    const length = Array.from({ length: lengthSize }, (_, i) =>
      i === lengthSize - 1 ? slice.length : 0,
    );
    const sample = Uint8Array.from([...length, ...slice, ...length, ...slice]);
    const types = (parameterSets: boolean): number[] =>
      splitNalUnits(avcToAnnexB(sample, config, parameterSets)).map(({ type }) => type);
    assert.equal(types(true), [7, 8, 5, 5]);
    assert.equal(types(false), [5, 5]);
    assert.throws(() => avcToAnnexB(sample.subarray(0, -1), config, false), /^EINVAL.*claims/);
  }
  assert.throws(() => parseAvcConfig(avcc(3)), /^EINVAL.*3-byte/);
  assert.throws(() => parseAvcConfig(avcc(4).subarray(0, 12)), /^EINVAL.*ends/);
  assert.throws(() => parseAvcConfig(Uint8Array.of(2, 0, 0, 0, 0)), /^EINVAL.*version 2/);
});

test('random and damaged bytes throw EINVAL or nothing', () => {
  let state = seed;
  const next = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const samples = [
    writeSps({ crop: [1, 1, 1, 1], vui: { fullRange: false, matrix: 6, reorder: 1 } }),
    writeSps({ profile: 122, frameMbsOnly: false }),
    joinNalUnits([writeSps(), writePps(), writeSlice(0, 2, true), writeSlice(1, 1, false)]),
    avcc(4),
  ];
  let threw = 0;
  for (let i = 0; i < 20_000; i++) {
    const sample = samples[i % samples.length] ?? new Uint8Array(0);
    const bytes = i % 3 === 0 ? new Uint8Array(next(200)).map(() => next(256)) : sample.slice();
    for (let k = next(6); k > 0; k--) bytes[next(bytes.length)] = next(256);
    const data = bytes.subarray(0, next(4) === 0 ? next(bytes.length) : bytes.length);
    for (const parse of [
      () => parseSps(unescapeNal(data)),
      () => parsePps(unescapeNal(data)),
      () => splitAccessUnits(data),
      () => parseAvcConfig(data),
      () => avcToAnnexB(data, parseAvcConfig(avcc(2)), true),
    ]) {
      try {
        parse();
      } catch (error) {
        assert.instance(error, DmaBufError);
        threw++;
      }
    }
  }
  assert.ok(threw > 1000);
});

test.run();
