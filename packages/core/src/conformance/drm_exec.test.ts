// drm_exec: the kernel's KUnit suite drivers/gpu/drm/tests/drm_exec_test.c, under its case names. A
// drm_exec is a set of claims here: named at once, so there is no loop that retries on contention.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { exclusive, shared } from '../sync/context.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';

test('sanitycheck: a set of nothing is granted and ended', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  machine.waitAll([]).release();
  assert.is(machine.stats().jobs, 0);
});

test('test_lock', () => {
  const { machine } = new FakeMachine().actor(0);
  const buffer = machine.alloc(4096);
  const hold = machine.waitAll([exclusive(buffer)], 0);
  assert.is(
    codeOf(() => machine.waitAll([shared(buffer)], 0)),
    'ETIME',
  );
  hold.release();
});

test('test_lock_unlock', () => {
  const { machine } = new FakeMachine().actor(0);
  const buffer = machine.alloc(4096);
  machine.waitAll([exclusive(buffer)], 0).release();
  machine.waitAll([exclusive(buffer)], 0).release();
  assert.is(machine.stats().jobs, 0);
});

test('test_duplicates: refused with EINVAL and no residue, never silently ignored', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  machine.waitAll([], 0).release(); // makes this thread's context of CPU claims
  const dump = fake.dump();
  assert.is(
    codeOf(() => machine.waitAll([exclusive(buffer), exclusive(buffer)], 0)),
    'EINVAL',
  );
  assert.is(
    codeOf(() => machine.waitAll([shared(buffer), shared(buffer)], 0)),
    'EINVAL',
  );
  assert.is(fake.dump(), dump);
});

test('test_prepare: what a job needs is reserved before it is added, or it is refused whole', () => {
  const fake = new FakeMachine({ tables: { jobs: 32 } });
  const { machine } = fake.actor(0);
  const context = machine.createContext(2);
  const buffer = machine.alloc(4096);
  const fences = Array.from({ length: 31 }, () => context.submit({ buffers: [shared(buffer)] }));
  const dump = fake.dump();
  // Twelve links take two records, and one is left.
  const inFences = fences.slice(0, 11);
  const submit = (): unknown => context.submit({ buffers: [exclusive(buffer)], inFences });
  assert.is(codeOf(submit), 'ENOSPC');
  assert.is(fake.dump(), dump);
  context.submit({ buffers: [exclusive(buffer)] });
});

test('test_prepare_array: two buffers at once', () => {
  const { machine } = new FakeMachine().actor(0);
  const buffers = [machine.alloc(4096), machine.alloc(4096)];
  const hold = machine.waitAll(buffers.map(exclusive), 0);
  for (const buffer of buffers) {
    assert.is(
      codeOf(() => machine.waitAll([shared(buffer)], 0)),
      'ETIME',
    );
  }
  hold.release();
  for (const buffer of buffers) machine.waitAll([shared(buffer)], 0).release();
});

test('test_multiple_loops', () => {
  const { machine } = new FakeMachine().actor(0);
  for (let i = 0; i < 2; i++) machine.waitAll([], 0).release();
  assert.is(machine.stats().jobs, 0);
});

test.run();
