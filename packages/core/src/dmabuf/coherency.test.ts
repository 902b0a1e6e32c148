// The machine that is not coherent: what a missing bracket does there (design D10).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { discard, exclusive, shared } from '../sync/context.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';
import type { DmaBuf } from './dmabuf.js';
import { TestExporter } from './exporter.test-helper.js';
import {
  DMA_BUF_IOCTL_SYNC,
  DMA_BUF_SYNC_END,
  DMA_BUF_SYNC_READ,
  DMA_BUF_SYNC_RW,
} from './ioctl.js';
import { Vmap } from './vmap.js';

/** A machine that is not coherent with one buffer in both of its processes. */
function machine(): { fake: FakeMachine; mine: DmaBuf; theirs: DmaBuf } {
  const fake = new FakeMachine({ coherency: 'noncoherent' });
  const mine = fake.actor(0).machine.alloc(4096);
  fake.actor(0).machine.passFd(fake.actor(1).id, mine.fd);
  const { fd } = fake.actor(1).machine.receiveFd(0);
  return { fake, mine, theirs: fake.actor(1).machine.dmabuf(fd) };
}

/** The memory itself, as devices see it. */
function memory(fake: FakeMachine, { record }: DmaBuf): Uint8Array<ArrayBufferLike> {
  return fake.actor(0).services.regions.view(record.region, record.offset, record.size);
}

test('without prepare a process sees stale data', () => {
  const { mine, theirs } = machine();
  using reader = theirs.mmap();
  const early = reader.prepareAccess({ read: true });
  const view = early.bytes;
  early.finish();
  using bracket = mine.access({ write: true });
  bracket.bytes[0] = 42;
  bracket.finish();
  assert.is(view[0], 0, 'the goof: an old view');
  using late = reader.prepareAccess({ read: true });
  assert.is(late.bytes[0], 42);
});

test('without finish(write) a write never arrives', () => {
  const { fake, mine, theirs } = machine();
  using mapping = mine.mmap();
  const read = mapping.prepareAccess({ read: true });
  read.bytes[0] = 1; // the goof: a write in a read bracket
  read.finish();
  assert.is(memory(fake, mine)[0], 0);
  using write = mapping.prepareAccess({ read: true, write: true });
  write.bytes[1] = 2;
  assert.is(memory(fake, mine)[1], 0, 'not before finish');
  write.finish();
  using other = theirs.access({ read: true });
  assert.equal([...other.bytes.subarray(0, 2)], [0, 2]);
});

test('a write after finish stays in the cache of its process', () => {
  const { fake, mine } = machine();
  using mapping = mine.mmap();
  const bracket = mapping.prepareAccess({ write: true });
  const view = bracket.bytes;
  bracket.finish();
  view[0] = 9;
  assert.is(memory(fake, mine)[0], 0);
  using second = mapping.prepareAccess({ read: true });
  assert.is(second.bytes[0], 0, 'and is gone when its line is invalidated');
});

test('only the lines of the range move, whole ones', () => {
  const { fake, mine } = machine();
  using mapping = mine.mmap();
  const bracket = mapping.prepareAccess({ write: true, offset: 70, length: 10 });
  const device = memory(fake, mine);
  device[64] = 5; // a device that shares the line without sharing the claim
  device[128] = 6;
  bracket.bytes.fill(7);
  bracket.finish();
  assert.is(device[69], 0);
  assert.is(device[70], 7);
  assert.is(device[64], 0, "the neighbour's byte in the line is overwritten, as on the board");
  assert.is(device[128], 6, 'the next line is left alone');
});

test('a write outside of the range of its bracket is lost', () => {
  const { fake, mine } = machine();
  using mapping = mine.mmap();
  const whole = mapping.prepareAccess({ read: true, sync: false, cache: false });
  const bracket = mapping.prepareAccess({ write: true, offset: 0, length: 64 });
  void bracket.bytes;
  whole.bytes[63] = 1;
  whole.bytes[64] = 2;
  bracket.finish();
  whole.finish();
  assert.equal([...memory(fake, mine).subarray(63, 65)], [1, 0]);
});

test('a discard bracket loads nothing, and writes back what it left as it was', () => {
  const { fake, mine } = machine();
  using mapping = mine.mmap();
  memory(fake, mine).fill(3);
  using bracket = mapping.prepareAccess({ write: true, discard: true });
  assert.is(bracket.bytes[0], 0, 'the cache has not read the memory');
  bracket.bytes[0] = 1;
  bracket.finish();
  assert.equal([...memory(fake, mine).subarray(0, 2)], [1, 0]);
});

test('two mappings of one process share its cache', () => {
  const { mine } = machine();
  using first = mine.mmap();
  using second = mine.mmap({ offset: 64 });
  const a = first.prepareAccess({ read: true, cache: false });
  const b = second.prepareAccess({ read: true, cache: false });
  a.bytes[64] = 8;
  assert.is(b.bytes[0], 8);
  a.finish();
  b.finish();
});

test('cache maintenance goes without exclusion, and exclusion without maintenance', () => {
  const { fake, mine, theirs } = machine();
  using mapping = theirs.mmap();
  using scanout = fake.actor(0).machine.waitAll([shared(mine)]);
  const bracket = mapping.prepareAccess({ write: true, sync: false });
  bracket.bytes[0] = 4;
  bracket.finish();
  assert.is(memory(fake, mine)[0], 4, 'a front buffer is drawn to while it is shown');
  scanout.release();
  const claimed = mapping.prepareAccess({ write: true, cache: false });
  claimed.bytes[0] = 5;
  claimed.finish();
  assert.is(memory(fake, mine)[0], 4, 'claimed, but not maintained');
});

test('what a bracket wrote that was evicted never arrives', () => {
  const { fake, mine, theirs } = machine();
  using mapping = mine.mmap();
  const late = mapping.prepareAccess({ write: true, limit: 40 });
  late.bytes[0] = 1;
  late.bytes[1] = 1;
  fake.actor(0).machine.advance(40);
  using next = theirs.access({ write: true, discard: true });
  next.bytes[0] = 2;
  next.finish();
  assert.is(
    codeOf(() => late.finish()),
    'ETIMEDOUT',
  );
  assert.equal([...memory(fake, mine).subarray(0, 2)], [2, 0]);
  using reader = mapping.prepareAccess({ read: true });
  assert.equal([...reader.bytes.subarray(0, 2)], [2, 0]);
});

test('a device works on the memory itself', () => {
  const { fake, mine } = machine();
  const context = fake.actor(0).machine.createContext(2);
  using mapping = mine.mmap();
  const stale = mapping.prepareAccess({ read: true, sync: false, cache: false });
  context.submit({ buffers: [exclusive(mine)] });
  fake.server(1, { run: (job) => void job.buffer(0).bytes.fill(6) }).run();
  assert.is(stale.bytes[0], 0);
  stale.finish();
  using fresh = mapping.prepareAccess({ read: true });
  assert.is(fresh.bytes[0], 6);
});

test('DMA_BUF_IOCTL_SYNC maintains the cache of the process that calls it', () => {
  const { fake, mine } = machine();
  const { machine: me } = fake.actor(0);
  using mapping = mine.mmap();
  const raw = mapping.prepareAccess({ read: true, sync: false, cache: false });
  memory(fake, mine)[0] = 1;
  assert.is(raw.bytes[0], 0);
  me.ioctlFd(mine.fd, DMA_BUF_IOCTL_SYNC, { flags: DMA_BUF_SYNC_RW });
  assert.is(raw.bytes[0], 1);
  raw.bytes[1] = 2;
  assert.is(memory(fake, mine)[1], 0);
  me.ioctlFd(mine.fd, DMA_BUF_IOCTL_SYNC, { flags: DMA_BUF_SYNC_RW | DMA_BUF_SYNC_END });
  assert.is(memory(fake, mine)[1], 2);
  me.ioctlFd(mine.fd, DMA_BUF_IOCTL_SYNC, { flags: DMA_BUF_SYNC_READ });
  raw.bytes[2] = 3;
  me.ioctlFd(mine.fd, DMA_BUF_IOCTL_SYNC, { flags: DMA_BUF_SYNC_READ | DMA_BUF_SYNC_END });
  assert.is(memory(fake, mine)[2], 0, 'a read bracket writes nothing back');
  raw.finish();
});

test('uncached memory needs no maintenance: its mapping is the memory', () => {
  const fake = new FakeMachine({ coherency: 'noncoherent' });
  const exporter = new TestExporter(fake);
  const buffer = exporter.export(0, { flags: 0 });
  using bracket = buffer.access({ write: true });
  bracket.bytes[0] = 7;
  assert.is(memory(fake, buffer)[0], 7);
  assert.is(fake.actor(0).services.shadows?.bytes, 0);
});

test("the exporter's ops run and count as in a coherent machine", () => {
  const fake = new FakeMachine({ coherency: 'noncoherent' });
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  exporter.take();
  using bracket = buffer.access({ read: true, write: true, offset: 0, length: 65 });
  bracket.bytes[0] = 1;
  bracket.finish();
  assert.equal(
    exporter.take().filter((call) => call.includes('Access')),
    ['prepareAccess rw 0 128', 'finishAccess rw 0 128'],
  );
});

test('a kernel mapping is behind the cache of its thread, too', () => {
  const { fake, mine } = machine();
  const { services } = fake.actor(0);
  memory(fake, mine)[0] = 1;
  const vmap = new Vmap(services, mine.record);
  memory(fake, mine)[0] = 2;
  assert.is(vmap.bytes[0], 1);
  mine.access({ read: true }).finish();
  assert.is(vmap.bytes[0], 2, 'a bracket of the same process maintains it');
  assert.is(services.shadows?.bytes, 4096);
  vmap.vunmap();
  assert.is(services.shadows?.bytes, 0);
});

test('a cache costs the size of its buffer until the last mapping of the process is closed', () => {
  const { fake, mine } = machine();
  const { shadows } = fake.actor(0).services;
  const first = mine.mmap();
  const second = mine.mmap();
  assert.is(shadows?.bytes, 4096);
  first.close();
  assert.is(shadows?.bytes, 4096);
  second.close();
  assert.is(shadows?.bytes, 0);
  assert.is(
    codeOf(() => mine.access({ write: true, offset: 4096 })),
    'EINVAL',
  );
  assert.is(shadows?.bytes, 0, 'a refused access leaves nothing');
});

test('a coherent machine has no cache to maintain', () => {
  const fake = new FakeMachine();
  assert.is(fake.actor(0).services.shadows, undefined);
  const buffer = fake.actor(0).machine.alloc(4096);
  using bracket = buffer.access({ write: true });
  bracket.bytes[0] = 7;
  assert.is(memory(fake, buffer)[0], 7);
  assert.ok(discard(buffer));
});

test.run();
