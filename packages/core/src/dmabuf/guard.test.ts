// Guard mode: access outside of a bracket throws at the faulting line (design D10).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '../errno.js';
import { FakeMachine } from '../testing/fake-machine.js';
import type { DmaBuf } from './dmabuf.js';

function guardedBuffer(): DmaBuf {
  return new FakeMachine({ guard: true }).actor(0).machine.alloc(4096);
}

/** Runs what must fault; the error. */
function fault(code: string, text: RegExp, run: () => unknown): void {
  try {
    run();
  } catch (error) {
    assert.instance(error, DmaBufError);
    if (!(error instanceof DmaBufError)) return;
    assert.is(error.code, code);
    assert.match(error.message, text);
    assert.match(error.message, /of buffer \d+ in process '.+', mapped at .*guard\.test\.[jt]s/);
    return;
  }
  assert.unreachable(`no ${code}`);
}

test('inside of its bracket a view works as an array', () => {
  const buffer = guardedBuffer();
  using bracket = buffer.access({ read: true, write: true, length: 16 });
  const { bytes, words } = bracket;
  bytes[0] = 1;
  bytes.set([2, 3], 1);
  assert.is(words[0], 0x030201);
  words[1] = 0x04;
  assert.equal([...bytes.subarray(0, 5)], [1, 2, 3, 0, 4]);
  assert.is(bytes.length, 16);
  assert.is(bytes.fill(9, 8, 9), bytes);
  assert.is(bytes.indexOf(9), 8);
  assert.is(bytes.at(-8), 9);
  assert.equal([...bytes.slice(8, 10)], [9, 0]);
  assert.is(
    bytes.reduce((sum, byte) => sum + byte, 0),
    19,
  );
  assert.equal([...bytes.entries()][1], [1, 2]);
  const native = new Uint8Array(16);
  native.set(bytes);
  assert.equal(native, bracket.copy());
});

test('a write in a read bracket faults', () => {
  using bracket = guardedBuffer().access({ read: true });
  const { bytes, words } = bracket;
  assert.is(bytes[0], 0);
  const text = /a write in a bracket that was prepared for reading/;
  fault('EACCES', text, () => (bytes[0] = 1));
  fault('EACCES', text, () => (words[0] = 1));
  fault('EACCES', text, () => bytes.fill(1));
  fault('EACCES', text, () => bytes.set([1]));
  fault('EACCES', text, () => bytes.sort());
  fault('EACCES', text, () => bytes.reverse());
  fault('EACCES', text, () => bytes.copyWithin(0, 1));
  fault('EACCES', text, () => (bytes.subarray(4)[0] = 1));
  fault('EACCES', text, () => Object.defineProperty(bytes, '0', { value: 1 }));
  assert.is(bytes[0], 0);
});

test('access outside of the range faults', () => {
  using bracket = guardedBuffer().access({ read: true, write: true, offset: 64, length: 64 });
  const { bytes } = bracket;
  const text = /bytes 64 to 128 .*outside its range of 64/;
  fault('EFAULT', text, () => bytes[64]);
  fault('EFAULT', text, () => bytes[-1]);
  fault('EFAULT', text, () => (bytes[64] = 1));
  fault('EFAULT', text, () => bytes.set([1, 2], 63));
  fault('EFAULT', /its buffer, which is not guarded/, () => bytes.buffer);
});

test('access after finish and after close faults, by every way that was taken before', () => {
  const buffer = guardedBuffer();
  const mapping = buffer.mmap();
  const bracket = mapping.prepareAccess({ read: true, write: true });
  const { bytes } = bracket;
  const part = bytes.subarray(0, 4);
  const steps = bytes.values();
  const { fill, slice } = bytes;
  steps.next();
  bracket.finish();
  const text = /its access bracket is finished/;
  const all = (): void => {
    fault('EFAULT', text, () => bytes[0]);
    fault('EFAULT', text, () => (bytes[0] = 1));
    fault('EFAULT', text, () => part[0]);
    fault('EFAULT', text, () => fill.call(bytes, 1));
    fault('EFAULT', text, () => slice.call(bytes));
    fault('EFAULT', text, () => bytes.forEach(() => {}));
    fault('EFAULT', text, () => Object.getOwnPropertyDescriptor(bytes, '0'));
  };
  fault('EFAULT', text, () => steps.next());
  all();
  mapping.close();
  all();
  buffer.close();
  all();
});

test('no callback gets hold of the array behind the guard', () => {
  using bracket = guardedBuffer().access({ read: true });
  const seen: object[] = [];
  bracket.bytes.forEach((_byte, _i, array) => seen.push(array));
  const [copy] = seen;
  if (copy instanceof Uint8Array) copy[0] = 1;
  assert.is(bracket.bytes[0], 0);
});

test('a guard in a machine that is not coherent guards the shadow', () => {
  const fake = new FakeMachine({ guard: true, coherency: 'noncoherent' });
  const buffer = fake.actor(0).machine.alloc(4096);
  using bracket = buffer.access({ write: true });
  bracket.bytes[0] = 7;
  const { region, offset, size } = buffer.record;
  const memory = fake.actor(0).services.regions.view(region, offset, size);
  assert.is(memory[0], 0);
  bracket.finish();
  assert.is(memory[0], 7);
});

test.run();
