/**
 * AVI: frames of the first video stream, whatever stands between them, and files that are cut off.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isAvi, parseAvi } from './avi.js';
import { aviFile, chunk, list } from './test/avi-writer.js';

const frame = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);
const text = (data: Uint8Array<ArrayBufferLike>): string => Buffer.from(data).toString('latin1');

test('frames come in order, with size, format and rate', () => {
  const bytes = aviFile({ width: 64, height: 48, rate: [30000, 1001] }, [
    chunk('00dc', frame(1, 2, 3)),
    chunk('01wb', frame(9, 9)),
    chunk('00dc', frame(4, 5)),
  ]);
  assert.ok(isAvi(bytes));
  const file = parseAvi(bytes);
  assert.is(file.fourcc, 'MJPG');
  assert.equal([file.width, file.height], [64, 48]);
  assert.equal(file.frameRate, { num: 30000, den: 1001 });
  assert.equal(
    file.frames.map(({ data, index }) => [index, ...data]),
    [
      [0, 1, 2, 3],
      [1, 4, 5],
    ],
  );
  assert.is(file.truncated, false);
});

test('frames in rec lists and in a second RIFF chunk are found, empty ones count', () => {
  const first = aviFile({ width: 8, height: -8, rate: [25, 1] }, [
    list('rec ', [chunk('00dc', frame(1)), chunk('00dc', frame())]),
    chunk('00dc', frame(2)),
  ]);
  const second = list('AVIX', [list('movi', [chunk('00db', frame(3))])], 'RIFF');
  const file = parseAvi(Uint8Array.from([...first, ...second]));
  assert.is(file.height, 8);
  assert.equal(
    file.frames.map(({ data, index }) => [index, ...data]),
    [
      [0, 1],
      [2, 2],
      [3, 3],
    ],
  );
});

test('a file that was cut off gives what is whole', () => {
  const bytes = aviFile({ width: 8, height: 8, rate: [25, 1] }, [
    chunk('00dc', frame(1, 2)),
    chunk('00dc', frame(3, 4, 5, 6)),
  ]);
  const file = parseAvi(bytes.subarray(0, bytes.length - 2));
  assert.is(file.frames.length, 1);
  assert.ok(file.truncated);
});

test('the second stream is the video where the first is sound', () => {
  const options = { width: 8, height: 8, rate: [25, 1] as const, soundFirst: true };
  const file = parseAvi(aviFile(options, [chunk('00wb', frame(7)), chunk('01dc', frame(1))]));
  assert.equal(
    file.frames.map(({ data }) => text(data)),
    ['\x01'],
  );
});

test('what is no AVI, or has no video, is refused', () => {
  assert.throws(() => parseAvi(frame(1, 2, 3)), /^EINVAL.*no AVI file/);
  const empty = list('AVI ', [list('movi', [])], 'RIFF');
  assert.throws(() => parseAvi(empty), /^EINVAL.*no video stream/);
});

test.run();
