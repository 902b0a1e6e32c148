// Tables of records, names in words, and the counting accessor.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readName, Table, writeName } from './tables.js';
import { CountedWords, Words } from './words.js';

const table = (words: Words): Table => new Table(words, 64, 4, 32, 0, 1);

test('free records are found in turn, round the table, from where the last one was', () => {
  const words = new Words(new ArrayBuffer(4096));
  const t = table(words);
  assert.equal([t.findFree(), t.findFree(), t.findFree(), t.findFree()], [96, 128, 160, 96]);
  words.set(96, 1);
  words.set(160, 1);
  assert.is(t.findFree(), 128);
  assert.is(t.findFree(), 128, 'the only one');
  words.set(128, 1);
  assert.is(t.findFree(), 0);
  words.set(96, 0);
  assert.is(t.findFree(), 96);
  assert.equal([...t.live()], [128, 160]);
});

test('a pointer belongs to a table if it is the start of a record from `first` on', () => {
  const t = table(new Words(new ArrayBuffer(4096)));
  assert.ok(t.owns(t.at(1)) && t.owns(t.at(3)));
  for (const pointer of [0, t.at(0), t.at(1) + 1, t.at(4), -32, NaN]) {
    assert.not(t.owns(pointer), String(pointer));
  }
  assert.is(t.indexOf(t.at(2)), 2);
});

test('names are cut to what fits, NUL-padded, and replace longer ones wholly', () => {
  const words = new Words(new ArrayBuffer(4096));
  words.set(18, 77);
  writeName(words, 10, 8, 'x'.repeat(40));
  assert.is(readName(words, 10, 8), 'x'.repeat(31));
  writeName(words, 10, 8, 'gpu0');
  assert.is(readName(words, 10, 8), 'gpu0');
  assert.is(words.get(17), 0);
  assert.is(words.get(18), 77, 'the word behind is untouched');
  writeName(words, 10, 8, '');
  assert.is(readName(words, 10, 8), '');
});

test('every access is counted, plain and atomic, and does what it does uncounted', () => {
  const words = new CountedWords(new ArrayBuffer(64));
  words.set(1, 5);
  words.setDouble(2, 1.5);
  assert.is(words.get(1), 5);
  assert.is(words.getDouble(2), 1.5);
  assert.is(words.plain, 4);
  words.store(4, 1);
  assert.is(words.load(4), 1);
  assert.is(words.add(4, 2), 1);
  assert.is(words.exchange(4, 9), 3);
  assert.not(words.cas(4, 8, 1));
  assert.ok(words.cas(4, 9, 1));
  assert.is(words.atomics, 6);
  words.reset();
  assert.equal([words.plain, words.atomics], [0, 0]);
});

test.run();
