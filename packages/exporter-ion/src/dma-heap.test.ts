/**
 * The modern face beyond the kernel's selftest: rights of the fd, and caches in a machine that is not coherent.
 */
import { boot, type DmaBuf, type Machine } from '@dmabuf/core';
import { BUFFER_FLAG } from '@dmabuf/core/driver';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dmaHeap, dmaHeaps, ion, O_CLOEXEC, O_RDONLY, O_RDWR } from './index.js';
import { MIB, PAGE, refused } from './machine.test-support.js';

async function withMachine(
  coherency: 'coherent' | 'noncoherent',
  work: (machine: Machine) => void,
): Promise<void> {
  const machine = await boot({ pool: 4 * MIB, coherency, drivers: [ion()] });
  try {
    work(machine);
  } finally {
    await machine.shutdown();
  }
}

/** What a second mapping's owner reads of a byte that was written through a bracket left open, and after it. */
function seenOf(buffer: DmaBuf, machine: Machine): [number | undefined, number | undefined] {
  const { region, offset } = buffer.record;
  const memory = machine.driver('ion').view(region, offset, PAGE);
  using mapping = buffer.mmap();
  const bracket = mapping.prepareAccess({ write: true });
  bracket.bytes[0] = 7;
  const before = memory[0];
  bracket.finish();
  return [before, memory[0]];
}

test('in a machine that is not coherent memory is cached: a write arrives at the end of its bracket', () =>
  withMachine('noncoherent', (machine) => {
    for (const name of dmaHeaps(machine)) {
      using buffer = dmaHeap(machine, name).alloc(PAGE);
      assert.is(buffer.record.flags & BUFFER_FLAG.NEEDS_SYNC, BUFFER_FLAG.NEEDS_SYNC, name);
      assert.equal(seenOf(buffer, machine), [0, 7], name);
    }
  }));

test('in a coherent one nothing needs maintenance', () =>
  withMachine('coherent', (machine) => {
    for (const name of dmaHeaps(machine)) {
      using buffer = dmaHeap(machine, name).alloc(PAGE);
      assert.is(buffer.record.flags & BUFFER_FLAG.NEEDS_SYNC, 0, name);
      assert.equal(seenOf(buffer, machine), [7, 7], name);
    }
  }));

test('O_RDONLY gives an fd that maps and claims to read only, O_RDWR one that may write', () =>
  withMachine('coherent', (machine) => {
    const heap = dmaHeap(machine, 'system');
    using buffer = heap.alloc(PAGE, { fdFlags: O_RDONLY | O_CLOEXEC, name: 'still' });
    assert.equal([buffer.mode, buffer.fd, buffer.record.name], ['read', 1, 'still']);
    buffer.access({ read: true }).finish();
    refused('EACCES', /reading only/, () => buffer.access({ write: true }));
    using other = heap.alloc(PAGE, { fdFlags: O_RDWR });
    assert.equal([other.mode, other.fd], ['readwrite', 0]);
  }));

test.run();
