// Regions: memory that is made here, and memory that was there before.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBuf } from '../dmabuf/dmabuf.js';
import { BUFFER_FLAG, REGION } from './layout.js';
import { exclusive } from '../sync/context.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';

/** Shared memory of one wasm page, as a caller may have it. */
const made = (): { readonly buffer: ArrayBufferLike } =>
  new WebAssembly.Memory({ initial: 1, maximum: 4, shared: true });

/** A buffer of a range of adopted memory. */
function adopted(fake: FakeMachine, memory: unknown, offset: number, size: number): DmaBuf {
  const { services } = fake.actor(0);
  const region = services.regions.adoptMemory(memory, 'test');
  const info = { region, offset, size, exporter: 0, flags: 0, name: '', priv: [] };
  return DmaBuf.fromExport(services, services.buffers.export(info));
}

for (const [what, of] of [
  ['a shared wasm memory', (memory: ReturnType<typeof made>): unknown => memory],
  ['its buffer', (memory: ReturnType<typeof made>): unknown => memory.buffer],
] as const) {
  test(`${what} becomes a region as it is, for others too, and is left as it was at the end`, () => {
    const fake = new FakeMachine();
    const memory = made();
    const bytes = new Uint8Array(memory.buffer);
    bytes[4096] = 9;
    const buffer = adopted(fake, of(memory), 4096, 8192);
    fake
      .actor(0)
      .machine.createContext(2)
      .submit({ buffers: [exclusive(buffer)] });
    const server = fake.server(1, {
      run: (job) => {
        const view = job.buffer(0).bytes;
        assert.equal([view.length, view[0]], [8192, 9]);
        view[1] = 10;
      },
    });
    server.run();
    assert.is(bytes[4097], 10);
    buffer.close();
    assert.equal([bytes[4096], bytes[4097]], [9, 10]);
    assert.is(fake.actor(0).machine.stats().regionsDropped, 0, 'nothing awaits collection');
    assert.equal([...fake.actor(0).services.kernel.regions.live()], []);
  });
}

test('memory that grows after it was adopted keeps the buffers that it has', () => {
  const fake = new FakeMachine();
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 4, shared: true });
  const buffer = adopted(fake, memory, 0, 65536);
  memory.grow(1);
  new Uint8Array(memory.buffer)[65535] = 7;
  using bracket = fake.actor(1).machine.dmabuf(passed(fake, buffer)).access({ read: true });
  assert.is(bracket.bytes[65535], 7);
});

function passed(fake: FakeMachine, buffer: DmaBuf): number {
  fake.actor(0).machine.passFd(2, buffer.fd);
  return fake.actor(1).machine.receiveFd().fd;
}

test('memory that threads cannot share is EBADFD and leaves nothing', () => {
  const fake = new FakeMachine();
  const dump = fake.dump();
  const own = new WebAssembly.Memory({ initial: 1 });
  for (const memory of [own, own.buffer, new ArrayBuffer(64), made, {}, null, 7, undefined]) {
    assert.is(
      codeOf(() => fake.actor(0).services.regions.adoptMemory(memory, 'test')),
      'EBADFD',
    );
  }
  assert.is(fake.dump(), dump);
});

/** A buffer of one page in a region that driver 1 keeps. */
function keptOne(fake: FakeMachine): { readonly buffer: DmaBuf; readonly region: number } {
  const { services } = fake.actor(0);
  const region = services.regions.make(4096, { keeper: 1, kept: 7 });
  const info = { region, offset: 0, size: 4096, exporter: 0, flags: 0, name: '', priv: [] };
  return { buffer: DmaBuf.fromExport(services, services.buffers.export(info)), region };
}

test('a region that a driver keeps outlives its buffers, until the driver gives it up', () => {
  const fake = new FakeMachine();
  const { services, machine } = fake.actor(0);
  const { buffer, region } = keptOne(fake);
  buffer.close();
  assert.equal([...services.kernel.regions.live()], [region]);
  assert.equal([fake.words.get(region + REGION.KEPT), machine.stats().regionsDropped], [7, 0]);
  assert.equal(services.regions.leaveEmpty(1), [], 'a death leaves it to its driver');
  services.regions.giveUp(region);
  assert.equal([...services.kernel.regions.live()], []);
  assert.is(machine.stats().regionsDropped, 1);
});

test('given up while a buffer lies in it, it goes with the buffer', () => {
  const fake = new FakeMachine();
  const { services } = fake.actor(0);
  const { buffer, region } = keptOne(fake);
  services.regions.giveUp(region);
  buffer.access({ write: true }).finish();
  assert.equal([...services.kernel.regions.live()], [region]);
  buffer.close();
  assert.equal([...services.kernel.regions.live()], []);
});

test('a buffer in pieces is not mapped by the CPU, nor moved', () => {
  const fake = new FakeMachine();
  const { services } = fake.actor(0);
  const region = services.regions.make(8192);
  const flags = BUFFER_FLAG.SCATTER;
  const info = { region, offset: 0, size: 8192, exporter: 0, flags, name: '', priv: [] };
  const buffer = DmaBuf.fromExport(services, services.buffers.export(info));
  assert.is(
    codeOf(() => buffer.mmap()),
    'ENODEV',
  );
  const to = { region: services.regions.make(8192), offset: 0 };
  assert.is(
    codeOf(() => services.moves.move(buffer.record, to, 0)),
    'EBUSY',
  );
  assert.is(fake.words.get(region + REGION.BUFFERS), 1);
});

test.run();
