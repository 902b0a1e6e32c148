/**
 * libion's Device tests, for each heap, in a machine that is not coherent: what the CPU, the kernel and a device see
 * of each other's writes. libion's "DMA" is a device's job here; its sync ioctl is the end of the access bracket.
 */
import { boot, type DmaBuf, exclusive, shared } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ion, IonClient, ION_FLAG } from '../index.js';
import { HEAPS, MAPPABLE, MIB, PAGE } from '../machine.test-support.js';
import { PATTERN, patternAt, type Seen, users } from '../users.test-support.js';

const CACHED = ION_FLAG.CACHED;
const NEEDS_SYNC = ION_FLAG.CACHED | ION_FLAG.CACHED_NEEDS_SYNC;

const machine = await boot({
  pool: 32 * MIB,
  coherency: 'noncoherent',
  drivers: [ion(HEAPS), users],
});
const client = IonClient.open(machine);
const device = machine.createContext(machine.device('/dev/lists').actor);
test.after(() => machine.shutdown());

/** Runs on a buffer of each heap, allocated with these flags. */
function onEachHeap(flags: number, work: (buffer: DmaBuf, heap: string) => void): () => void {
  return () => {
    for (const heap of MAPPABLE) {
      using buffer = client.alloc({ size: PAGE, heaps: heap, flags });
      work(buffer, heap);
    }
  };
}

const wrongIn = (bytes: Uint8Array<ArrayBufferLike>): number =>
  bytes.filter((byte, i) => byte !== patternAt(i)).length;

function cpuWrite(buffer: DmaBuf): void {
  using bracket = buffer.access({ write: true });
  for (let i = 0; i < PAGE; i++) bracket.bytes[i] = patternAt(i);
}

function cpuRead(buffer: DmaBuf): number {
  using bracket = buffer.access({ read: true });
  return wrongIn(bracket.bytes);
}

function deviceRead(buffer: DmaBuf, claim: (buffer: DmaBuf) => ReturnType<typeof shared>): number {
  device.submit({ buffers: [claim(buffer)] }).wait(20_000);
  return (machine.ioctl(device.target, 'seen') as Seen).wrong;
}

function kernelRead(buffer: DmaBuf, heap: string): void {
  cpuWrite(buffer);
  using mapping = machine.driver('ion').vmap(buffer);
  assert.is(wrongIn(mapping.bytes), 0, heap);
}

/** The CPU has the buffer in its cache, all of it dirty, when somebody else writes. */
function kernelWrite(buffer: DmaBuf, heap: string): void {
  using mapped = buffer.mmap();
  mapped.prepareAccess({ read: true }).finish();
  {
    using mapping = machine.driver('ion').vmap(buffer);
    using bracket = mapped.prepareAccess({ write: true });
    assert.is(bracket.bytes.length, PAGE);
    for (let i = 0; i < PAGE; i++) mapping.bytes[i] = patternAt(i);
  }
  assert.is(cpuRead(buffer), 0, heap);
}

function dmaRead(buffer: DmaBuf, heap: string): void {
  cpuWrite(buffer);
  assert.is(deviceRead(buffer, shared), 0, heap);
}

function dmaWrite(buffer: DmaBuf, heap: string): void {
  using mapped = buffer.mmap();
  {
    using bracket = mapped.prepareAccess({ write: true });
    bracket.bytes.fill(0xee);
  }
  device.submit({ buffers: [exclusive(buffer)], payload: PATTERN }).wait(20_000);
  using bracket = mapped.prepareAccess({ read: true });
  assert.is(wrongIn(bracket.bytes), 0, heap);
}

test('Device.KernelRead: the kernel sees what the CPU wrote', onEachHeap(0, kernelRead));
test('Device.KernelReadCached: the same, cached', onEachHeap(CACHED, kernelRead));
test('Device.KernelReadCachedNeedsSync: the same', onEachHeap(NEEDS_SYNC, kernelRead));
test('Device.KernelWrite: the CPU sees what the kernel wrote', onEachHeap(0, kernelWrite));
test('Device.KernelWriteCached: the same, cached', onEachHeap(CACHED, kernelWrite));
test('Device.KernelWriteCachedNeedsSync: the same', onEachHeap(NEEDS_SYNC, kernelWrite));
test('Device.DMARead: a device sees what the CPU wrote', onEachHeap(0, dmaRead));
test('Device.DMAReadCached: the same, cached', onEachHeap(CACHED, dmaRead));
test('Device.DMAReadCachedNeedsSync: after the bracket has ended', onEachHeap(NEEDS_SYNC, dmaRead));
test('Device.DMAWrite: the CPU sees what a device wrote', onEachHeap(0, dmaWrite));
test('Device.DMAWriteCached: the same, cached', onEachHeap(CACHED, dmaWrite));
test('Device.DMAWriteCachedNeedsSync: in the next bracket', onEachHeap(NEEDS_SYNC, dmaWrite));

test(
  'Device.IsCached: without the end of the bracket a device does not see what the CPU wrote, with it, it does',
  onEachHeap(NEEDS_SYNC, (buffer, heap) => {
    using mapped = buffer.mmap();
    const bracket = mapped.prepareAccess({ write: true, sync: false });
    for (let i = 0; i < PAGE; i++) bracket.bytes[i] = patternAt(i);
    assert.ok(deviceRead(buffer, shared) > PAGE / 2, heap);
    bracket.finish();
    assert.is(deviceRead(buffer, shared), 0, heap);
  }),
);

test('what needs no maintenance is seen at once, in the middle of a bracket', () => {
  for (const flags of [0, CACHED, ION_FLAG.CACHED_NEEDS_SYNC]) {
    using buffer = client.alloc({ size: PAGE, heaps: 'carveout', flags });
    using mapped = buffer.mmap();
    using bracket = mapped.prepareAccess({ write: true, sync: false });
    for (let i = 0; i < PAGE; i++) bracket.bytes[i] = patternAt(i);
    assert.is(deviceRead(buffer, shared), 0, `flags ${flags}`);
  }
});

test.run();
