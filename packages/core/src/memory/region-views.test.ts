/** Kept views of a region. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RegionViews } from './region-views.js';

test('a view that is asked for again is the same', () => {
  const views = new RegionViews(new ArrayBuffer(8192));
  assert.is(views.bytes(4096, 64), views.bytes(4096, 64));
  assert.is(views.words(4096, 64), views.words(4096, 64));
  assert.is(views.words(4096, 64).byteOffset, 4096);
  assert.is(views.words(4096, 64).length, 16);
});

test('a view of another length at the same place is another', () => {
  const views = new RegionViews(new ArrayBuffer(8192));
  const long = views.bytes(0, 64);
  assert.is(views.bytes(0, 32).byteLength, 32);
  assert.is(views.words(0, 32).length, 8);
  assert.is(long.byteLength, 64);
});

test('words are the whole ones', () => {
  assert.is(new RegionViews(new ArrayBuffer(16)).words(0, 7).length, 1);
});

test('a view beyond the region is refused', () => {
  const views = new RegionViews(new ArrayBuffer(4096));
  assert.throws(() => views.bytes(4000, 100), RangeError);
});

test('no more than some are kept', () => {
  const views = new RegionViews(new ArrayBuffer(4096));
  const first = views.bytes(0, 1);
  for (let offset = 1; offset <= 256; offset++) views.bytes(offset, 1);
  assert.is.not(views.bytes(0, 1), first);
});

test.run();
