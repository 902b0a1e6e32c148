import { Words } from '@dmabuf/core/driver';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LATENESS_WORDS, LatenessHistogram } from './lateness.js';

test('an empty histogram reads as zeros', () => {
  assert.equal(new LatenessHistogram().summary(), { count: 0, p50: 0, p99: 0, max: 0 });
});

test('small values are exact to the microsecond', () => {
  const histogram = new LatenessHistogram();
  for (const us of [0, 1, 5, 15, 31]) histogram.record(us / 1000 + 1e-7);
  assert.equal(histogram.summary(), { count: 5, p50: 0.005, p99: 0.031, max: 0.031 });
});

test('early flips count as zero, NaN and the endless as the worst', () => {
  const histogram = new LatenessHistogram();
  histogram.record(-3);
  assert.is(histogram.summary().max, 0);
  histogram.record(NaN);
  assert.ok(histogram.summary().max > 134_000);
  const other = new LatenessHistogram();
  other.record(Infinity);
  other.record(1e9);
  assert.ok(other.percentile(0) > 134_000);
});

test('percentiles are never below the truth and at most 1/16 above it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 100_000_000 }), { minLength: 1, maxLength: 200 }),
      fc.constantFrom(0, 0.5, 0.9, 0.99, 1),
      (values, share) => {
        const histogram = new LatenessHistogram();
        for (const us of values) histogram.record((us + 0.01) / 1000);
        const sorted = values.toSorted((a, b) => a - b);
        const truth = sorted[Math.max(0, Math.ceil(values.length * share) - 1)] ?? 0;
        const read = Math.round(histogram.percentile(share) * 1000);
        assert.ok(read >= truth, `${read} for ${truth}`);
        assert.ok(read <= truth + truth / 16, `${read} for ${truth}`);
        assert.is(Math.round(histogram.summary().max * 1000), sorted.at(-1));
      },
    ),
  );
});

test('merging two gives the histogram of all their values', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1e5, noNaN: true })),
      fc.array(fc.double({ min: 0, max: 1e5, noNaN: true })),
      (first, second) => {
        const [a, b, all] = [
          new LatenessHistogram(),
          new LatenessHistogram(),
          new LatenessHistogram(),
        ];
        for (const ms of first) a.record(ms);
        for (const ms of second) b.record(ms);
        for (const ms of [...first, ...second]) all.record(ms);
        a.merge(b);
        assert.equal(a.summary(), all.summary());
        assert.is(a.percentile(0.25), all.percentile(0.25));
      },
    ),
  );
});

test('it lies in shared words that another histogram object reads', () => {
  const memory = new WebAssembly.Memory({ shared: true, initial: 1, maximum: 1 });
  const words = new Words(memory.buffer);
  const writer = new LatenessHistogram(words, 1024);
  const reader = new LatenessHistogram(words, 1024);
  writer.record(0.25);
  assert.is(reader.count, 1);
  assert.is(reader.summary().max, 0.25);
  reader.reset();
  assert.is(writer.count, 0);
  assert.ok(words.i32.every((word) => word === 0));
});

test('too few words are a RangeError', () => {
  const words = new Words(new ArrayBuffer(LATENESS_WORDS * 4));
  assert.throws(() => new LatenessHistogram(words, 1), RangeError);
  assert.throws(() => new LatenessHistogram(words, -1), RangeError);
});

test.run();
