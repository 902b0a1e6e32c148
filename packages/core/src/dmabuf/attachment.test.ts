// Attachments: map, unmap, pin, deferred memory, moves (drivers/dma-buf/dma-buf.c).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '../errno.js';
import type { JobBuffer } from '../actor/job.js';
import { BUFFER_FLAG, REGION } from '../memory/layout.js';
import { exclusive, shared } from '../sync/context.js';
import { checkQueues } from '../testing/check-queues.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';
import type { Attachment } from './attachment.js';
import type { BufferInfo } from './bufinfo.js';
import type { DmaBuf } from './dmabuf.js';
import { TestExporter, wrong } from './exporter.test-helper.js';
import { Vmap } from './vmap.js';

const infoOf = (fake: FakeMachine, buffer: DmaBuf): BufferInfo => {
  const info = fake
    .actor(0)
    .machine.bufinfo()
    .buffers.find(({ ino }) => ino === buffer.record.ino);
  if (info === undefined) throw new Error('the buffer is gone');
  return info;
};

function moveOf(
  fake: FakeMachine,
  buffer: DmaBuf,
  timeout: number = Infinity,
): { region: number; offset: number } {
  const { services } = fake.actor(0);
  const region = services.regions.make(buffer.size);
  try {
    return services.moves.move(buffer.record, { region, offset: 0 }, timeout);
  } catch (error) {
    fake.words.store(region + REGION.STATE, 0); // the exporter takes the new place back
    throw error;
  }
}

test('map gives the scatter list for a direction; unmap ends it', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const attachment = buffer.attach(2);
  const table = attachment.map('to_device');
  assert.equal(table, {
    sg: [{ region: buffer.record.region, offset: 0, length: 4096 }],
    direction: 'to_device',
  });
  assert.ok(attachment.mapped);
  attachment.unmap();
  assert.not(attachment.mapped);
  attachment.detach();
  assert.equal(exporter.take(), [
    'attach actor2',
    'pin actor2',
    'map actor2 to_device',
    'unmap actor2 to_device',
    'unpin actor2',
    'detach actor2',
  ]);
});

test('maps nest for one direction: the exporter is asked once; another direction is EBUSY', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const attachment = exporter.export().attach(2);
  const first = attachment.map('from_device');
  assert.is(attachment.map('from_device').sg, first.sg);
  const dump = fake.dump();
  assert.is(
    codeOf(() => attachment.map('to_device')),
    'EBUSY',
  );
  assert.is(
    codeOf(() => attachment.map()),
    'EBUSY',
  );
  assert.is(fake.dump(), dump);
  attachment.unmap();
  assert.ok(attachment.mapped);
  attachment.unmap();
  assert.is(exporter.told.filter((call) => call.startsWith('map')).length, 1);
  assert.is(attachment.map().direction, 'bidirectional');
});

test('two importers map one buffer for different directions', () => {
  const fake = new FakeMachine({ actors: 3 });
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const reader = buffer.attach(2);
  const writer = buffer.attach(3);
  reader.map('to_device');
  writer.map('from_device');
  assert.equal(
    infoOf(fake, buffer).attachments.map(({ device, mapped }) => [device, mapped]),
    [
      ['actor2', 'to_device'],
      ['actor3', 'from_device'],
    ],
  );
});

test('unbalanced unmap and unpin are EINVAL, detach of a mapped or pinned one EBUSY; no residue', () => {
  const fake = new FakeMachine();
  const buffer = new TestExporter(fake).export();
  const fixed = buffer.attach(2);
  const dynamic = buffer.attach(2, {}, { moveNotify() {} });
  const dump = fake.dump();
  assert.is(
    codeOf(() => fixed.unmap()),
    'EINVAL',
  );
  assert.is(
    codeOf(() => dynamic.unpin()),
    'EINVAL',
  );
  assert.is(
    codeOf(() => fixed.pin()),
    'EINVAL',
    'a static importer pins by mapping',
  );
  assert.is(fake.dump(), dump);
  fixed.map();
  dynamic.pin();
  assert.is(
    codeOf(() => fixed.detach()),
    'EBUSY',
  );
  assert.is(
    codeOf(() => dynamic.detach()),
    'EBUSY',
  );
  dynamic.unpin();
  dynamic.detach();
  fixed[Symbol.dispose]();
  assert.is(
    codeOf(() => fixed.map()),
    'EINVAL',
  );
  const { pins, attachments, count } = infoOf(fake, buffer);
  assert.equal([pins, attachments.length, count], [0, 0, 1]);
});

test('an exporter without memory is ENOMEM, and what was pinned is unpinned', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const { ops } = fake.actor(0).services;
  const table = ops[1];
  if (table === undefined) throw new Error('no exporter');
  const attachment = buffer.attach(2);
  exporter.take();
  const dump = fake.dump();
  for (const nothing of [undefined, []]) {
    ops[1] = { ...table, map: () => nothing };
    assert.is(
      codeOf(() => attachment.map()),
      'ENOMEM',
    );
  }
  assert.is(fake.dump(), dump);
  assert.equal(exporter.take(), ['pin actor2', 'unpin actor2', 'pin actor2', 'unpin actor2']);
});

test('refusals of the exporter pass through and leave no residue', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const fixed = buffer.attach(2);
  const dynamic = buffer.attach(2, {}, { moveNotify() {} });
  const dump = fake.dump();
  exporter.refusals.set('map', 'EINTR');
  assert.is(
    codeOf(() => fixed.map()),
    'EINTR',
  );
  assert.is(
    codeOf(() => dynamic.map()),
    'EINTR',
  );
  exporter.refusals.set('pin', 'EBUSY');
  assert.is(
    codeOf(() => fixed.map()),
    'EBUSY',
  );
  assert.is(
    codeOf(() => dynamic.pin()),
    'EBUSY',
  );
  exporter.refusals.set('attach', 'EBUSY');
  assert.is(
    codeOf(() => buffer.attach(2)),
    'EBUSY',
  );
  exporter.refusals.set('mmap', 'EACCES');
  assert.is(
    codeOf(() => fixed.mmap()),
    'EACCES',
  );
  assert.is(fake.dump(), dump);
});

test('an importer out of reach is refused, at attach or when the memory is there', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  assert.is(
    codeOf(() => exporter.export().attach(2, { pool: true })),
    'EINVAL',
  );
  exporter.deferred = true;
  const buffer = exporter.export();
  const late = buffer.attach(2, { pool: true });
  assert.is(
    codeOf(() => late.map()),
    'EINVAL',
  );
  const { ops } = fake.actor(0).services;
  const table = ops[1];
  if (table === undefined) throw new Error('no exporter');
  const { region } = buffer.record;
  const half = { region, offset: 0, length: 2048 };
  ops[1] = { ...table, map: () => [half, { ...half, offset: 2048 }] };
  assert.is(
    codeOf(() => buffer.attach(2, { contiguous: true }).map()),
    'EINVAL',
  );
  assert.is(buffer.attach(2).map().sg.length, 2);
});

test('memory is allocated at the first map, and by nobody twice', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  exporter.deferred = true;
  const buffer = exporter.export();
  const attachment = buffer.attach(2);
  assert.is(buffer.record.region, 0);
  assert.equal([...fake.actor(0).services.kernel.regions.live()].length, 0);
  const [entry] = attachment.map().sg;
  assert.is(entry?.region, buffer.record.region);
  assert.ok(buffer.record.region > 0);
  buffer.attach(1).map();
  buffer.mmap().close();
  assert.is([...fake.actor(0).services.kernel.regions.live()].length, 1);
});

test('mmap, vmap and a job allocate deferred memory as well; an unused buffer never has any', () => {
  const fake = new FakeMachine();
  const { machine, services } = fake.actor(0);
  const context = machine.createContext(2);
  const [unused, mapped, vmapped, used] = [0, 1, 2, 3].map(() =>
    machine.alloc(5000, { deferred: true }),
  );
  if (unused === undefined || mapped === undefined || vmapped === undefined || used === undefined)
    return;
  mapped.mmap().close();
  new Vmap(services, vmapped.record).vunmap();
  context.submit({ buffers: [exclusive(used)] });
  fake.server(1, { run: (job) => void job.buffer(0).words.fill(7) }).run();
  using bracket = used.access({ read: true });
  assert.is(bracket.words[0], 7);
  assert.equal(
    [unused, mapped, vmapped, used].map(({ record }) => record.region !== 0),
    [false, true, true, true],
  );
  assert.is(unused.size, 5000);
  unused.close();
  assert.is(machine.stats().buffers, 3);
});

test('an exporter that gives no memory when it should is ENOMEM', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  exporter.deferred = true;
  const buffer = exporter.export();
  exporter.deferred = false;
  const dump = fake.dump();
  assert.is(
    codeOf(() => buffer.mmap()),
    'ENOMEM',
  );
  assert.is(
    codeOf(() => new Vmap(fake.actor(0).services, buffer.record)),
    'ENOMEM',
  );
  assert.is(fake.dump(), dump);
});

test('one kernel mapping serves any number of users; one vunmap too many is EINVAL', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const first = new Vmap(fake.actor(0).services, buffer.record);
  const second = new Vmap(fake.actor(1).services, buffer.record);
  first.bytes[9] = 9;
  assert.is(second.bytes[9], 9);
  assert.is(infoOf(fake, buffer).mappings.filter(({ kind }) => kind === 'vmap').length, 2);
  first.vunmap();
  assert.equal(exporter.told, ['vmap']);
  assert.is(
    codeOf(() => first.vunmap()),
    'EINVAL',
  );
  assert.is(
    codeOf(() => first.bytes),
    'EINVAL',
  );
  buffer.close();
  assert.equal(exporter.told, ['vmap'], 'the mapping keeps the buffer alive');
  second[Symbol.dispose]();
  assert.equal(exporter.told, ['vmap', 'vunmap', 'release']);
});

test('without vmap it is EINVAL, of protected memory EPERM', () => {
  const fake = new FakeMachine();
  const { services } = fake.actor(0);
  const secret = new TestExporter(fake).export(0, { flags: BUFFER_FLAG.PROTECTED });
  assert.is(
    codeOf(() => new Vmap(services, secret.record)),
    'EPERM',
  );
  const plain = new TestExporter(fake, ['vmap', 'vunmap']).export();
  assert.is(
    codeOf(() => new Vmap(services, plain.record)),
    'EINVAL',
  );
});

test('a move takes the content along; jobs queued before see the old place, later ones the new', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = new TestExporter(fake).export();
  const { region: old } = buffer.record;
  const seen: [number | undefined, number][] = [];
  const server = fake.server(1, {
    run: (job) => {
      const { words, record } = job.buffer(0);
      seen.push([words[5], record.region]);
      if (job.buffer(0).exclusive) words[5] = 55;
    },
  });
  const context = machine.createContext(2);
  context.submit({ buffers: [exclusive(buffer)] });
  fake.whileAsleep = () => server.run();
  const from = moveOf(fake, buffer);
  assert.equal(from, { region: old, offset: 0 });
  const { region } = buffer.record;
  assert.is.not(region, old);
  context.submit({ buffers: [shared(buffer)] });
  server.run();
  assert.equal(seen, [
    [0, old],
    [55, region],
  ]);
  assert.equal(
    fake.posted.filter(({ type }) => type === 'import'),
    [],
    'the new place was delivered',
  );
  assert.is(machine.actorStats(1).bytesCopied, 4096);
  assert.is(fake.words.get(old + REGION.STATE), 0, 'the old region is given up');
});

test('a buffer that explicit jobs use stays; one that comes while it moves finds the new place', () => {
  const fake = new FakeMachine();
  const { machine, services } = fake.actor(0);
  const buffer = new TestExporter(fake).export();
  const { region: old } = buffer.record;
  const seen: number[] = [];
  const server = fake.server(1, { run: (job) => void seen.push(job.buffer(0).record.region) });
  const context = machine.createContext(2);
  const explicit = { buffers: [exclusive(buffer)], sync: 'explicit' } as const;
  context.submit(explicit);
  assert.throws(() => moveOf(fake, buffer), /EBUSY.*explicitly; wait for its fence/);
  assert.equal([buffer.record.region, machine.stats().jobs], [old, 1]);
  assert.equal(checkQueues(services.kernel), []);
  server.run();
  const { regions } = services;
  const deliver = regions.deliver.bind(regions);
  regions.deliver = (...args) => {
    regions.deliver = deliver;
    context.submit(explicit);
    server.run();
    return deliver(...args);
  };
  moveOf(fake, buffer);
  assert.equal(seen, [old], 'it did not run in the middle of the move');
  server.run();
  assert.equal(seen, [old, buffer.record.region]);
  context.submit(explicit);
  assert.is(machine.stats().jobs, 1);
  buffer.access({ write: true }).finish(); // explicit jobs are explicit again
  server.run();
});

test('pinned, CPU-mapped and kernel-mapped buffers stay: EBUSY, and nothing changes', () => {
  const fake = new FakeMachine();
  const buffer = new TestExporter(fake).export();
  const { services } = fake.actor(0);
  const { region } = buffer.record;
  const stays = (): void => {
    const dump = fake.dump();
    assert.is(
      codeOf(() => moveOf(fake, buffer)),
      'EBUSY',
    );
    assert.is(fake.dump(), dump);
    assert.is(buffer.record.region, region);
  };
  {
    using attachment = buffer.attach(2);
    attachment.map();
    stays();
  }
  {
    using attachment = buffer.attach(2, {}, { moveNotify() {} });
    attachment.pin();
    stays();
  }
  {
    using _mapping = buffer.mmap();
    stays();
  }
  {
    using _vmap = new Vmap(services, buffer.record);
    stays();
  }
  moveOf(fake, buffer);
  assert.is.not(buffer.record.region, region);
});

test('a mapping that is made while the content is being copied stops the move', () => {
  const fake = new FakeMachine();
  const buffer = new TestExporter(fake).export();
  const { region } = buffer.record;
  const { machine } = fake.actor(0);
  const hold = fake.actor(1).services.holds.wait([buffer.record.queue], 0, 'test', 'the buffer');
  fake.whileAsleep = () => {
    fake.actor(1).services.importers.locked(buffer.record.pointer, () => {});
    hold.release();
    buffer.mmap();
  };
  assert.is(
    codeOf(() => moveOf(fake, buffer)),
    'EBUSY',
  );
  assert.is(buffer.record.region, region);
  assert.equal(machine.stats().jobs, 0);
});

test('a thread that has a bracket open does not wait for itself to move the buffer', () => {
  const fake = new FakeMachine();
  const buffer = new TestExporter(fake).export();
  const { machine } = fake.actor(0);
  machine.ioctlFd(buffer.fd, 0x5a00); // a bracket without a mapping
  assert.is(
    codeOf(() => moveOf(fake, buffer)),
    'EDEADLK',
  );
  machine.ioctlFd(buffer.fd, 0x5a01);
  moveOf(fake, buffer);
});

test('a move that cannot have the buffer in time is ETIME; a place that does not hold it EINVAL', () => {
  const fake = new FakeMachine();
  const { machine, services } = fake.actor(0);
  const buffer = new TestExporter(fake).export();
  machine.createContext(2).submit({ buffers: [shared(buffer)] });
  assert.is(
    codeOf(() => moveOf(fake, buffer, 50)),
    'ETIME',
  );
  const { move } = services.moves;
  const to = (region: number, offset: number): string =>
    codeOf(() => move.call(services.moves, buffer.record, { region, offset }, 0));
  const { region } = buffer.record;
  for (const offset of [1, -1, 0.5]) assert.is(to(region, offset), 'EINVAL', String(offset));
  for (const other of [0, region + 1, -1]) assert.is(to(other, 0), 'EINVAL', String(other));
});

test('a dynamic importer is told of a move, maps again, and keeps its count of maps', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const told: Attachment[] = [];
  const attachment = buffer.attach(2, {}, { moveNotify: (a) => told.push(a) });
  const before = attachment.map();
  attachment.map();
  moveOf(fake, buffer);
  fake.actor(0).machine.pump();
  assert.equal(told, [attachment]);
  assert.ok(attachment.stale);
  const after = attachment.map();
  assert.not(attachment.stale);
  assert.is.not(after.sg[0]?.region, before.sg[0]?.region);
  assert.is(after.sg[0]?.region, buffer.record.region);
  for (let i = 0; i < 3; i++) attachment.unmap();
  assert.not(attachment.mapped);
  const count = (name: string): number =>
    exporter.told.filter((call) => call.startsWith(`${name} `)).length;
  assert.equal([count('map'), count('unmap'), count('pin')], [2, 2, 0]);
});

/** Runs one job that claims `buffer` on actor 2, which calls `act` in it. */
function inJob(
  fake: FakeMachine,
  buffer: DmaBuf,
  act: (record: JobBuffer) => void,
  claim = exclusive,
): number {
  const fence = fake
    .actor(0)
    .machine.createContext(2, 'work')
    .submit({ buffers: [claim(buffer)] });
  fake.server(1, { run: (job) => act(job.buffer(0)) }).run();
  return fence.status;
}

test('a device puts the buffer of its job where the new content is, and copies nothing', () => {
  const fake = new FakeMachine();
  const buffer = new TestExporter(fake).export();
  const told: Attachment[] = [];
  const attachment = buffer.attach(2, {}, { moveNotify: (a) => told.push(a) });
  attachment.map();
  const { services } = fake.actor(1);
  const region = services.regions.make(3 * 4096);
  services.regions.view(region, 4096, 4096).fill(7);
  const old = { region: buffer.record.region, offset: 0 };
  const status = inJob(fake, buffer, ({ record }) => {
    assert.equal(services.moves.relocate(record, { region, offset: 4096 }), old);
  });
  assert.is(status, 1);
  fake.actor(0).machine.pump();
  assert.equal(told, [attachment]);
  assert.equal(attachment.map().sg, [{ region, offset: 4096, length: 4096 }]);
  const bracket = buffer.access({ read: true });
  assert.equal([bracket.bytes[0], bracket.bytes[4095]], [7, 7]);
  bracket.finish();
  assert.is(fake.words.load(old.region + REGION.STATE), 0, 'its own region is given up');
  assert.is(fake.actor(1).machine.actorStats(2).bytesCopied, 0);
  assert.equal(checkQueues(fake.actor(0).services.kernel), []);
});

test('what is pinned, mapped, used by an explicit job or out of reach elsewhere is not relocated', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const { services } = fake.actor(1);
  const region = services.regions.make(2 * 4096);
  const refused = (buffer: DmaBuf, offset: number = 64): string | undefined => {
    const before = buffer.record.region;
    let code: string | undefined;
    inJob(fake, buffer, ({ record }) => {
      code = codeOf(() => services.moves.relocate(record, { region, offset }));
    });
    assert.is(buffer.record.region, before);
    return code;
  };
  const pinned = exporter.export();
  pinned.attach(2).map();
  assert.is(refused(pinned), 'EBUSY');
  const mapped = exporter.export();
  using _mapping = mapped.mmap();
  assert.is(refused(mapped), 'EBUSY');
  const aligned = exporter.export();
  const attachment = aligned.attach(2, { align: 4096 }, { moveNotify() {} });
  attachment.map();
  assert.is(refused(aligned), 'EINVAL');
  attachment.unmap();
  attachment.detach();
  assert.is(refused(aligned, 4097), 'EINVAL', 'not inside');
  const explicit = exporter.export();
  const unordered = { buffers: [shared(explicit)], sync: 'explicit' } as const;
  let code: string | undefined;
  inJob(fake, explicit, ({ record }) => {
    fake.actor(0).machine.createContext(2, 'explicit').submit(unordered);
    code = codeOf(() => services.moves.relocate(record, { region, offset: 64 }));
  });
  assert.is(code, 'EBUSY');
});

test('a device that gets a job for a buffer which moves meanwhile has the memory where it went', () => {
  const fake = new FakeMachine();
  const buffer = new TestExporter(fake).export();
  const { services } = fake.actor(0);
  const region = services.regions.make(buffer.size);
  const delivered: number[] = [];
  services.regions.deliver = (given) => {
    delivered.push(given);
    // Between the submitter's look at the buffer and its message: the move is over, and found nobody to tell.
    if (delivered.length > 1) return;
    services.buffers.rebase(buffer.record, region, 0);
    throw new DmaBufError('ENOENT', 'deliver', 'given up');
  };
  const old = buffer.record.region;
  services.importers.deliver(buffer.record, 2, 'submit');
  assert.equal(delivered, [old, region]);
});

test('moveNotify runs in the thread that attached, when it pumps or uses the attachment', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const theirs = fake.actor(1);
  fake.actor(0).machine.passFd(2, buffer.fd);
  const handle = theirs.machine.dmabuf(theirs.machine.receiveFd(0).fd);
  let told = 0;
  const attachment = handle.attach(2, {}, { moveNotify: () => void told++ });
  moveOf(fake, buffer);
  moveOf(fake, buffer);
  fake.actor(0).machine.pump();
  assert.is(told, 0);
  theirs.machine.pump();
  assert.is(told, 1, 'two moves that were not heard of are one');
  moveOf(fake, buffer);
  attachment.map();
  assert.is(told, 2);
  moveOf(fake, buffer);
  fake.server(1, { run() {} }).run();
  assert.is(told, 3, 'a serving thread is told by its loop');
  attachment.unmap();
  attachment.detach();
  moveOf(fake, buffer);
  theirs.machine.pump();
  assert.is(told, 3);
});

test('attachments and mappings beyond the table are ENFILE with the option to raise', () => {
  const fake = new FakeMachine({ tables: { holders: 2 } });
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const [first] = [buffer.attach(2), buffer.mmap()];
  const dump = fake.dump();
  assert.throws(() => buffer.attach(2), /ENFILE.*tables\.holders/);
  assert.throws(() => buffer.mmap(), /ENFILE.*tables\.holders/);
  assert.throws(() => buffer.access({ read: true }), /ENFILE/);
  assert.throws(() => new Vmap(fake.actor(0).services, buffer.record), /ENFILE/);
  assert.is(fake.dump(), dump);
  first?.detach();
  buffer.mmap().close();
});

test('leaving gives attachments, mappings and kernel mappings back to the exporter', async () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const { machine, services } = fake.actor(1);
  const buffer = exporter.export(1);
  const fixed = buffer.attach(1);
  fixed.map('to_device');
  const dynamic = buffer.attach(1, {}, { moveNotify() {} });
  dynamic.pin();
  const mapping = buffer.mmap();
  const vmap = new Vmap(services, buffer.record);
  const bracket = buffer.access({ write: true });
  exporter.take();
  await machine.leave();
  bracket.finish();
  for (const handle of [fixed, dynamic, mapping, vmap]) handle[Symbol.dispose](); // too late, and harmless
  fixed.detach();
  assert.is(
    codeOf(() => dynamic.map()),
    'EINVAL',
  );
  assert.equal([...services.kernel.holders.live()], []);
  assert.is(fake.actor(0).machine.stats().buffers, 0);
  assert.equal(exporter.take().sort(), [
    'detach actor1',
    'detach actor1',
    'release',
    'unmap actor1 to_device',
    'unpin actor1',
    'unpin actor1',
    'vunmap',
  ]);
});

test('an importer maps for the CPU through the exporter, and counts', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const buffer = exporter.export();
  const attachment = buffer.attach(2);
  using mapping = attachment.mmap({ offset: 128, length: 64 });
  assert.is(mapping.length, 64);
  assert.equal(exporter.told.slice(1), ['mmap 128 64']);
  assert.is(infoOf(fake, buffer).counters.mmaps, 1);
  assert.is(
    codeOf(() => attachment.mmap({ offset: 4096 })),
    'EINVAL',
  );
  assert.is(
    codeOf(() => attachment.mmap({ offset: Number.MAX_SAFE_INTEGER, length: 2 })),
    'EOVERFLOW',
  );
  const bare = new TestExporter(fake, ['mmap']).export();
  assert.is(
    codeOf(() => bare.attach(2).mmap()),
    'ENODEV',
  );
  const closed = new TestExporter(fake).export(0, { flags: BUFFER_FLAG.NO_MMAP });
  assert.is(
    codeOf(() => closed.attach(2).mmap()),
    'ENODEV',
  );
});

test('arguments of the wrong type are TypeErrors, wrong values EINVAL; no residue', () => {
  const fake = new FakeMachine();
  const buffer = new TestExporter(fake).export();
  const attachment = buffer.attach(2);
  const dump = fake.dump();
  for (const actor of [undefined, '2', null]) assertType(() => buffer.attach(wrong(actor)));
  assertType(() => buffer.attach(2, wrong('pool')));
  assertType(() => buffer.attach(2, { pool: wrong(1) }));
  assertType(() => buffer.attach(2, { align: wrong('4') }));
  assertType(() => buffer.attach(2, {}, { moveNotify: wrong(3) }));
  assertType(() => attachment.map(wrong(1)));
  assert.is(
    codeOf(() => attachment.map(wrong('sideways'))),
    'EINVAL',
  );
  for (const align of [0, 3, -4, 1.5, NaN])
    assert.is(
      codeOf(() => buffer.attach(2, { align })),
      'EINVAL',
      String(align),
    );
  assert.is(fake.dump(), dump);
});

function assertType(call: () => unknown): void {
  assert.throws(
    call,
    (error: unknown) => error instanceof TypeError && !(error instanceof DmaBufError),
  );
}

test.run();
