/**
 * The kernel's selftest of dma-heap, for each heap (tools/testing/selftests/dmabuf-heaps).
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dmaHeap } from './index.js';
import {
  fill,
  HEAPS,
  isAll,
  MAPPABLE,
  MIB,
  PAGE,
  refused,
  withIon,
} from './machine.test-support.js';

test('alloc_and_import: memory that the CPU wrote can be attached to a device', () =>
  withIon(HEAPS, (_, machine) => {
    for (const name of MAPPABLE) {
      using buffer = dmaHeap(machine, name).alloc(MIB);
      fill(buffer, 0x5a5a5a5a);
      using attachment = buffer.attach(machine.device('/dev/ion').actor);
      assert.is(attachment.importer.name, 'ion');
      assert.ok(isAll(buffer, 0x5a5a5a5a));
    }
  }));

test('alloc_zeroed: 32 buffers that are written, freed and allocated again are all zero', () =>
  withIon(HEAPS, (_, machine) => {
    for (const [name, size] of MAPPABLE.flatMap(
      (name) =>
        [
          [name, PAGE],
          [name, MIB / 4],
        ] as const,
    )) {
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
  }));

test('alloc_compat: an argument with more fields than are known is taken', () =>
  withIon(HEAPS, (_, machine) => {
    const options = { heapFlags: 0, somethingNew: 1 };
    using buffer = dmaHeap(machine, '/dev/dma_heap/system').alloc(PAGE, options);
    assert.is(buffer.size, PAGE);
  }));

test('alloc_errors: an unknown heap, heap flags and unknown fd flags are refused', () =>
  withIon(HEAPS, (_, machine) => {
    refused('ENOENT', /system, .*carveout/, () => dmaHeap(machine, 'sytsem'));
    const heap = dmaHeap(machine, 'system');
    refused('EINVAL', /0x111111/, () => heap.alloc(PAGE, { heapFlags: 0x111111 }));
    refused('EINVAL', /fd flags/, () => heap.alloc(PAGE, { fdFlags: 0o4 }));
    refused('EINVAL', /0 bytes/, () => heap.alloc(0));
  }));

test.run();
