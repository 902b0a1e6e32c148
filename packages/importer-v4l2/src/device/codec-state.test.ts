/**
 * Where a session goes on after the death of its worker, by what stands in the file's record.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Words } from '@dmabuf/core/driver';
import { FILE, FILE_TABLE_WORDS, fileResult } from '../file-table.js';
import { writeResult } from '../results.js';
import { V4L2_BUF_FLAG_LAST } from '../videodev2.js';
import { resumeOf } from './codec-state.js';
import { STOP } from './m2m.js';

/** Of the first file. */
const RECORD = 16;

/** A record whose worker had noted that the CAPTURE job `seqno` gets LAST. */
function lastNoted(stop: number, seqno: number): Words {
  const words = new Words(new ArrayBuffer(4 * FILE_TABLE_WORDS));
  words.setDouble(RECORD + FILE.LAST_SINK, seqno);
  words.store(RECORD + FILE.STOP, stop);
  return words;
}

function writeLast(words: Words, index: number, seqno: number): void {
  const flags = V4L2_BUF_FLAG_LAST;
  const result = { timestamp: 0, flags, sequence: 0, error: 0, bytesused: [0] };
  writeResult(words, fileResult(RECORD, false, index), seqno, result);
}

test('a worker that died before it had written LAST owes it still', () => {
  assert.is(resumeOf(lastNoted(STOP.STOPPED, 7), RECORD, 0).state.stop, STOP.DRAINING);
  assert.is(resumeOf(lastNoted(STOP.CHANGED, 7), RECORD, 0).state.stop, STOP.CHANGING);
  const older = lastNoted(STOP.STOPPED, 7);
  writeLast(older, 3, 6); // of the drain before
  assert.is(resumeOf(older, RECORD, 0).state.stop, STOP.DRAINING);
});

test('LAST that was written is not given twice', () => {
  for (const stop of [STOP.STOPPED, STOP.CHANGED]) {
    const words = lastNoted(stop, 7);
    writeLast(words, 3, 7);
    assert.is(resumeOf(words, RECORD, 0).state.stop, stop);
  }
});

test('drains that were taken back stay so', () => {
  const words = lastNoted(STOP.RUNNING, 0);
  words.setDouble(RECORD + FILE.VOID_DRAINS, 12);
  assert.is(resumeOf(words, RECORD, 0).state.cuts.drain, 12);
});

test.run();
