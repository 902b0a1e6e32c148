// Owner locks: what the word says, and who is woken. (Contention between threads: see stress.test.)
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Seam } from '../substrate/seam.js';
import { lockOwner, Locks } from './lock.js';
import { CountedWords } from './words.js';

interface Bench {
  readonly words: CountedWords;
  readonly a: Locks;
  readonly b: Locks;
  readonly notified: number[];
  asleep: () => void;
}

function bench(): Bench {
  const words = new CountedWords(new ArrayBuffer(256));
  const notified: number[] = [];
  const bench: { asleep: () => void } = { asleep: () => {} };
  const seam: Seam = {
    wait: (view, index, value) => {
      assert.is(view[index], value, 'sleeps on what the word holds');
      bench.asleep();
      return view[index] === value ? 'timeout' : 'woken';
    },
    notify: (_view, index) => notified.push(index),
    waitAsync: async () => 'mismatch',
  };
  const check = (): void => {
    throw new Error('the machine is over');
  };
  const make = (self: number): Locks => new Locks(words, seam, self, check);
  return Object.assign(bench, { words, a: make(1), b: make(2), notified });
}

test('the word of a held lock names its owner; free it is 0', () => {
  const { words, a, b } = bench();
  a.lock(5);
  assert.is(lockOwner(words.get(5)), 1);
  a.unlock(5);
  assert.is(words.get(5), 0);
  b.lock(5);
  assert.is(lockOwner(words.get(5)), 2);
});

test('an uncontended lock costs two Atomics and wakes nobody', () => {
  const { words, a, notified } = bench();
  a.lock(5);
  a.unlock(5);
  assert.is(words.atomics, 2);
  assert.equal(notified, []);
});

test('a contender sleeps, is woken by the unlock, and wakes the next in turn', () => {
  const t = bench();
  t.a.lock(5);
  t.asleep = () => t.a.unlock(5);
  t.b.lock(5);
  assert.is(lockOwner(t.words.get(5)), 2);
  assert.equal(t.notified, [5]);
  t.b.unlock(5);
  assert.equal(t.notified, [5, 5], 'another one may sleep behind it');
  assert.is(t.words.get(5), 0);
});

test('a lock that is not worth waiting for is given up before the first sleep, or a later one', () => {
  const own = bench();
  const { a, b } = own;
  a.lock(5);
  let sleeps = 0;
  own.asleep = () => {
    if (++sleeps === 2) a.unlock(5);
  };
  const asked: number[] = [];
  const never = (holder: number): boolean => asked.push(holder) === 0;
  assert.is(b.lockWhile(5, never), false);
  assert.equal([sleeps, ...asked], [0, 1], 'who holds it is asked about, and nobody slept');
  a.unlock(5);
  assert.is(b.lockWhile(5, never), true, 'it is free: nothing is asked');
  b.unlock(5);
});

test('a lock whose holder is gone is not waited for once the machine is over', () => {
  const t = bench();
  t.a.lock(5);
  assert.throws(() => t.b.lock(5), /the machine is over/);
  assert.is(lockOwner(t.words.get(5)), 1);
});

test.run();
