/**
 * The kernel's selftest of dma-heap, for each heap that the CPU can map.
 */
import {
  boot,
  DMA_BUF_IOCTL_SYNC,
  DMA_BUF_SYNC_END,
  DMA_BUF_SYNC_RW,
  DMA_BUF_SYNC_START,
} from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dmaHeap, ion, O_CLOEXEC, O_RDWR } from '../index.js';
import { fill, HEAPS, isAll, MAPPABLE, MIB, PAGE, refused } from '../machine.test-support.js';
import { users } from '../users.test-support.js';

const machine = await boot({ pool: 32 * MIB, drivers: [ion(HEAPS), users] });
const importer = machine.device('/dev/lists').actor;
test.after(() => machine.shutdown());

test('alloc_and_import: what the CPU wrote is there after an import, and SYNC returns 0 around the next write', () => {
  for (const name of MAPPABLE) {
    using buffer = dmaHeap(machine, name).alloc(MIB);
    const sync = (flags: number): number =>
      machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_SYNC, { flags: flags | DMA_BUF_SYNC_RW });
    fill(buffer, 0x01010101);
    using attachment = buffer.attach(importer);
    const { sg } = attachment.map();
    assert.is(
      sg.reduce((sum, { length }) => sum + length, 0),
      MIB,
    );
    assert.ok(isAll(buffer, 0x01010101), name);
    assert.is(sync(DMA_BUF_SYNC_START), 0);
    assert.is(sync(DMA_BUF_SYNC_END), 0);
    fill(buffer, 0xffffffff);
    assert.ok(isAll(buffer, 0xffffffff), name);
  }
});

test('alloc_zeroed: 32 buffers that are written, freed and allocated again are all zero', () => {
  for (const name of MAPPABLE) {
    for (const size of [PAGE, MIB / 4]) {
      const heap = dmaHeap(machine, name);
      const buffers = Array.from({ length: 32 }, () => heap.alloc(size));
      for (const buffer of buffers) fill(buffer, 0xffffffff);
      for (const buffer of buffers) buffer.close();
      const again = Array.from({ length: 32 }, () => heap.alloc(size));
      assert.ok(
        again.every((buffer) => isAll(buffer, 0)),
        `${name} ${size}`,
      );
      for (const buffer of again) buffer.close();
    }
  }
});

test('alloc_compat: fewer fields than are known are taken, and more', () => {
  for (const name of MAPPABLE) {
    const heap = dmaHeap(machine, `/dev/dma_heap/${name}`);
    using older = heap.alloc(MIB, { fdFlags: O_RDWR | O_CLOEXEC });
    const options = { fdFlags: O_RDWR | O_CLOEXEC, heapFlags: 0, garbage1: 0xffffffff };
    using newer = heap.alloc(MIB, options);
    assert.equal([older.size, newer.size], [MIB, MIB]);
  }
});

test('alloc_errors: an unknown heap, heap flags, unknown fd flags and no length are refused', () => {
  refused('ENOENT', /system, .*carveout/, () => dmaHeap(machine, 'sytsem'));
  for (const name of MAPPABLE) {
    const heap = dmaHeap(machine, name);
    refused('EINVAL', /0x111111/, () => heap.alloc(MIB, { heapFlags: 0x111111 }));
    refused('EINVAL', /fd flags/, () => heap.alloc(MIB, { fdFlags: ~(O_RDWR | O_CLOEXEC) }));
    refused('EINVAL', /fd flags/, () => heap.alloc(MIB, { fdFlags: 0o4 }));
    refused('EINVAL', /0 bytes/, () => heap.alloc(0));
  }
  assert.is(machine.stats().buffers, 0);
});

test.run();
