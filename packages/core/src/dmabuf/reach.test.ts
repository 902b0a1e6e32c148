// Who may use what memory by jobs: scatter lists, protected buffers, what a device declares to reach.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { DeviceNode } from '../actor/names.js';
import { DmaBufError, type ErrnoCode } from '../errno.js';
import { BUFFER_FLAG } from '../memory/layout.js';
import { exclusive, shared } from '../sync/context.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { DmaBuf } from './dmabuf.js';
import { TestExporter, withoutContexts } from './exporter.test-helper.js';
import type { BufferRecord, DmaBufOps, Importer, SgEntry } from './ops.js';
import { notPermitted } from './reach.js';

function device(actor: number, more: Partial<DeviceNode> = {}): DeviceNode {
  const path = `/dev/test${actor}`;
  return { path, driver: 'test', actor, info: null, reach: {}, protected: false, ...more };
}

function refused(fake: FakeMachine, code: ErrnoCode, text: RegExp, call: () => unknown): void {
  const dump = withoutContexts(fake);
  try {
    call();
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
    assert.is(error.code, code, error.message);
    assert.match(error.message, text);
    assert.is(withoutContexts(fake), dump, `residue of ${error.message}`);
    return;
  }
  throw new Error(`not refused with ${code}`);
}

/** An exporter of scatter lists: its buffers have no place of their own. */
class Pieces {
  sg: readonly SgEntry[] = [];
  maps = 0;
  readonly fake: FakeMachine;

  constructor(fake: FakeMachine) {
    this.fake = fake;
    for (const { services } of fake.actors) {
      services.ops[1] = {
        map: () => {
          this.maps++;
          return this.sg;
        },
        unmap: () => void this.maps--,
        release() {},
      };
    }
  }

  export(size: number): DmaBuf {
    const { services } = this.fake.actor(0);
    const info = { region: 0, offset: 0, size, exporter: 1, name: 'pieces', priv: [] };
    const flags = BUFFER_FLAG.NO_MMAP;
    return DmaBuf.fromExport(services, services.buffers.export({ ...info, flags }));
  }
}

test('a job sees the scatter list of its buffer, and the memory of each piece', () => {
  const fake = new FakeMachine();
  const { region, memory } = fake.addPool(65536);
  const exporter = new Pieces(fake);
  exporter.sg = [8192, 0, 4096].map((offset, i) => ({
    ...{ region, offset },
    length: i === 2 ? 100 : 4096,
  }));
  const buffer = exporter.export(8292);
  const context = fake.actor(0).machine.createContext(2);
  const seen: unknown[] = [];
  context.submit({ buffers: [exclusive(buffer)] });
  fake
    .server(1, {
      run: (job) => {
        const { sg, pieces } = job.buffer(0);
        seen.push(sg);
        pieces.forEach((piece, i) => piece.fill(i + 1));
        refused(fake, 'EINVAL', /scatter list of 3 pieces/, () => job.buffer(0).bytes);
      },
    })
    .run();
  assert.equal(seen, [exporter.sg]);
  const bytes = new Uint8Array(memory.buffer);
  assert.equal(
    [0, 4095, 4096, 4195, 4196, 8192].map((i) => bytes[i]),
    [2, 2, 3, 3, 0, 1],
  );
  assert.is(exporter.maps, 0, 'each map is undone');
});

test('of a buffer in one piece the list has one entry, and the piece is its bytes', () => {
  const fake = new FakeMachine();
  const buffer = fake.actor(0).machine.alloc(5000);
  const { region, offset, size: length } = buffer.record;
  fake
    .actor(0)
    .machine.createContext(2)
    .submit({ buffers: [shared(buffer)] });
  let ran = false;
  fake
    .server(1, {
      run: (job) => {
        const { sg, pieces, bytes } = job.buffer(0);
        assert.equal(sg, [{ region, offset, length }]);
        assert.equal(pieces, [bytes]);
        ran = true;
      },
    })
    .run();
  assert.ok(ran);
});

test('a list that names no memory, or less than the buffer has, is ENOMEM at submit', () => {
  const fake = new FakeMachine();
  const { region } = fake.addPool(65536);
  const exporter = new Pieces(fake);
  const buffer = exporter.export(8192);
  const context = fake.actor(0).machine.createContext(2);
  const submit = (): unknown => context.submit({ buffers: [shared(buffer)] });
  for (const sg of [
    [],
    [{ region: 0, offset: 0, length: 8192 }],
    [{ region, offset: 0, length: 8191 }],
  ]) {
    exporter.sg = sg;
    refused(fake, 'ENOMEM', /no memory/, submit);
  }
  exporter.sg = [{ region, offset: 0, length: 8192 }];
  submit();
});

test('protected memory is for devices that declare it: to all others attach and submit are EPERM', () => {
  const devices = [device(2, { protected: true }), device(3)];
  const fake = new FakeMachine({ actors: 4, devices });
  const buffer = new TestExporter(fake).export(0, { flags: BUFFER_FLAG.PROTECTED });
  const { machine } = fake.actor(0);
  const { ino } = buffer.record;
  for (const actor of [3, 4]) {
    const text = new RegExp(`buffer ${ino} is protected, and actor${actor} does not declare`);
    refused(fake, 'EPERM', text, () => buffer.attach(actor));
    const context = machine.createContext(actor);
    refused(fake, 'EPERM', text, () => context.submit({ buffers: [exclusive(buffer)] }));
  }
  buffer.attach(2).detach();
  machine.createContext(2).submit({ buffers: [exclusive(buffer)] });
  let bytes = 0;
  fake.server(1, { run: (job) => void (bytes = job.buffer(0).bytes.length) }).run();
  assert.is(bytes, 4096);
});

test('an exporter decides by itself who may use its protected memory, and is asked for no other', () => {
  const devices = [device(2), device(3, { protected: true })];
  const fake = new FakeMachine({ actors: 4, devices });
  const exporter = new TestExporter(fake);
  const asked: string[] = [];
  const permit = (buffer: BufferRecord, importer: Importer, syscall: string): void => {
    const { name, device: isDevice, protected: declares } = importer;
    asked.push(`${syscall} ${name} ${isDevice} ${declares}`);
    if (name !== 'actor2') throw notPermitted(buffer, importer, syscall, 'only actor2 may');
  };
  for (const { services } of fake.actors) {
    services.ops[1] = { ...services.ops[1], permit } as DmaBufOps;
  }
  const { machine } = fake.actor(0);
  const secret = exporter.export(0, { flags: BUFFER_FLAG.PROTECTED });
  const plain = exporter.export();
  const jobFor = (buffer: DmaBuf, actor: number): unknown =>
    machine.createContext(actor).submit({ buffers: [exclusive(buffer)] });
  jobFor(secret, 2);
  jobFor(plain, 3);
  plain.attach(4).detach();
  refused(fake, 'EPERM', /actor3 does not.*only actor2 may/, () => secret.attach(3));
  refused(fake, 'EPERM', /actor4 does not/, () => secret.attach(4));
  assert.equal(asked, [
    'submit actor2 true false',
    'attach actor3 true true',
    'attach actor4 false false',
  ]);
});

test('what a device declares to reach is what attach and submit go by', () => {
  const devices = [
    device(2, { reach: { pool: true } }),
    device(3, { reach: { contiguous: true } }),
  ];
  const fake = new FakeMachine({ actors: 3, devices });
  const { region } = fake.addPool(65536);
  const { machine } = fake.actor(0);
  const own = machine.alloc(4096);
  const toPool = machine.createContext(2);
  const needsPool = /actor2 reaches the pool only/;
  refused(fake, 'EINVAL', needsPool, () => own.attach(2));
  refused(fake, 'EINVAL', needsPool, () => toPool.submit({ buffers: [shared(own)] }));
  own.attach(2, {}).detach();
  own.attach(3).detach();
  const exporter = new Pieces(fake);
  exporter.sg = [0, 8192].map((offset) => ({ region, offset, length: 4096 }));
  const list = exporter.export(8192);
  refused(fake, 'EINVAL', /actor3 needs memory in one piece, buffer \d+ is in 2/, () =>
    machine.createContext(3).submit({ buffers: [shared(list)] }),
  );
});

test.run();
