// bufinfo: what debugfs prints of dma-bufs, and more of it as a list.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BUFFER_FLAG } from '../memory/layout.js';
import { exclusive, shared } from '../sync/context.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { TestExporter } from './exporter.test-helper.js';

test('an empty machine has no objects', () => {
  const info = new FakeMachine().actor(0).machine.bufinfo();
  assert.equal(info.buffers, []);
  assert.is(
    String(info),
    '\nDma-buf Objects:\nsize    \tflags   \tmode    \tcount   \texp_name\tino     \tname\n\nTotal 0 objects, 0 bytes\n',
  );
});

test('each buffer with its holders, queue and counters', () => {
  const fake = new FakeMachine({ actors: 3 });
  const exporter = new TestExporter(fake);
  const { machine } = fake.actor(0);
  const buffer = exporter.export(0, { flags: BUFFER_FLAG.NEEDS_SYNC });
  const context = machine.createContext(2, 'video');
  const attachment = buffer.attach(3, {}, { moveNotify() {} });
  attachment.map('to_device');
  attachment.pin();
  const bracket = buffer.access({ write: true });
  bracket.bytes[0] = 1;
  bracket.finish();
  const mapping = buffer.mmap({ offset: 64, length: 128 });
  context.submit({ buffers: [exclusive(buffer)] });
  context.submit({ buffers: [shared(buffer)] });
  machine.passFd(2, buffer.fd);
  fake.actor(1).machine.receiveFd(0);
  const [info] = machine.bufinfo().buffers;
  assert.equal(info, {
    size: 4096,
    flags: 2,
    mode: 3,
    count: 4,
    expName: 'driver1',
    ino: buffer.record.ino,
    name: 'test',
    bufferFlags: BUFFER_FLAG.NEEDS_SYNC,
    region: buffer.record.region,
    offset: 0,
    pins: 1,
    fds: [
      { process: 'actor1', fd: 0 },
      { process: 'actor2', fd: 0 },
    ],
    attachments: [
      { device: 'actor3', owner: 'actor1', dynamic: true, mapped: 'to_device', pins: 1 },
    ],
    mappings: [{ owner: 'actor1', kind: 'mmap', offset: 64, length: 128 }],
    fences: [
      {
        usage: 'write',
        driver: 'actor2',
        timeline: 'video',
        seqno: 1,
        signalled: false,
        granted: true,
      },
      {
        usage: 'read',
        driver: 'actor2',
        timeline: 'video',
        seqno: 2,
        signalled: false,
        granted: false,
      },
    ],
    taintedBy: undefined,
    counters: { prepares: 1, finishes: 1, mmaps: 2, opCalls: 7, cacheLines: 128, flushes: 1 },
  });
  mapping.close();
});

test('the text is what debugfs prints', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const frame = machine.alloc(8192, { name: 'frame' });
  const plain = machine.alloc(100);
  using _attachment = frame.attach(2);
  const context = machine.createContext(2, 'gpu');
  const held: (() => void)[] = [];
  const server = fake.server(1, {
    run(job) {
      job.defer();
      job.complete();
      held.push(() => job.release());
    },
  });
  context.submit({ buffers: [shared(frame)] });
  server.run();
  context.submit({ buffers: [exclusive(frame)] });
  const text = String(machine.bufinfo());
  const inos = [frame, plain].map(({ record }) => String(record.ino).padStart(8, '0'));
  assert.is(
    text,
    [
      '',
      'Dma-buf Objects:',
      'size    \tflags   \tmode    \tcount   \texp_name\tino     \tname',
      `00008192\t00000002\t00000003\t00000002\tsystem\t${inos[0]}\tframe`,
      '\tread fence:actor2 gpu seq 1 signalled',
      '\twrite fence:actor2 gpu seq 2 unsignalled',
      '\tAttached Devices:',
      '\tactor2',
      'Total 1 devices attached',
      '\tCPU access: 0 prepares, 0 finishes, 0 mmaps, 1 op calls, 0 cache lines, 0 flushes',
      '',
      `00000100\t00000002\t00000003\t00000001\tsystem\t${inos[1]}\t<none>`,
      '\tAttached Devices:',
      'Total 0 devices attached',
      '\tCPU access: 0 prepares, 0 finishes, 0 mmaps, 0 op calls, 0 cache lines, 0 flushes',
      '',
      '',
      'Total 2 objects, 8292 bytes',
      '',
    ].join('\n'),
  );
});

test('looking changes nothing, and every process sees all buffers', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  buffer.attach(2);
  const dump = fake.dump();
  const mine = fake.actor(0).machine.bufinfo();
  assert.equal(fake.actor(1).machine.bufinfo(), mine);
  assert.is(mine.bytes, 4096);
  assert.is(fake.dump(), dump);
});

test('a buffer whose fds are all closed is listed as long as something holds it', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const mapping = buffer.mmap();
  buffer.close();
  const [info] = machine.bufinfo().buffers;
  assert.equal([info?.count, info?.fds], [1, []]);
  mapping.close();
  assert.equal(machine.bufinfo().buffers, []);
  const queued = machine.alloc(4096);
  machine.createContext(2).submit({ buffers: [shared(queued)] });
  queued.close(); // no reference is left; the queue alone keeps it
  const [orphan] = machine.bufinfo().buffers;
  assert.equal([orphan?.count, orphan?.fences.length], [0, 1]);
  fake.server(1, { run() {} }).run();
  assert.equal(machine.bufinfo().buffers, []);
  assert.is(machine.stats().buffers, 0);
});

test.run();
