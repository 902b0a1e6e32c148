// File descriptors: what fs/file.c, SCM_RIGHTS and dma-buf's file operations do. Names are ours.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot } from '../actor/boot.js';
import type { Machine } from '../actor/machine.js';
import { withoutContexts } from '../dmabuf/exporter.test-helper.js';
import { shared } from '../sync/context.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { withPeers } from '../testing/peers.js';

const roles = new URL('./fd.test-roles.js', import.meta.url);

/** One fd of each kind, by the name of the call that takes it. */
function kinds(machine: Machine): { kind: string; fd: number; take: (fd: number) => unknown }[] {
  return [
    { kind: 'dmabuf', fd: machine.alloc(4096).fd, take: (fd) => machine.dmabuf(fd) },
    { kind: 'timeline', fd: machine.createTimeline().fd, take: (fd) => machine.timeline(fd) },
    { kind: 'syncFile', fd: machine.createSyncFile([]).fd, take: (fd) => machine.syncFile(fd) },
  ];
}

const live = (machine: Machine): number[] => {
  const { buffers, bytes, jobs } = machine.stats();
  return [buffers, bytes, jobs];
};

test('lowest_free_number', () => {
  const { machine } = new FakeMachine().actor(0);
  const handles = [machine.alloc(1), machine.createTimeline(), machine.createSyncFile([])] as const;
  assert.equal(
    handles.map(({ fd }) => fd),
    [0, 1, 2],
  );
  handles[1].close();
  handles[0].close();
  assert.is(machine.alloc(1).fd, 0);
  assert.is(machine.alloc(1).fd, 1);
  assert.is(machine.alloc(1).fd, 3);
});

test('ebadf_closed: an fd that was closed, in every call that takes it or its handle', () => {
  const { machine } = new FakeMachine().actor(0);
  for (const { kind, fd, take } of kinds(machine)) {
    const handle = take(fd) as { close(): void };
    handle.close();
    assert.is(
      codeOf(() => take(fd)),
      'EBADF',
      kind,
    );
    assert.is(
      codeOf(() => handle.close()),
      'EBADF',
      kind,
    );
    assert.is(
      codeOf(() => machine.passFd(2, fd)),
      'EBADF',
      kind,
    );
    assert.is(
      codeOf(() => machine.ioctlFd(fd, 0)),
      'EBADF',
      kind,
    );
  }
});

test('ebadf_never_open: -1, a number that is not open, one beyond the table', () => {
  const { machine } = new FakeMachine().actor(0);
  for (const { kind, take } of kinds(machine)) {
    for (const fd of [-1, 7, 31, 32, 1e9])
      assert.is(
        codeOf(() => take(fd)),
        'EBADF',
        `${kind} ${fd}`,
      );
  }
});

test('ebadf_foreign: the fds of another process are not one’s own', () => {
  const fake = new FakeMachine();
  const mine = kinds(fake.actor(0).machine);
  const theirs = fake.actor(1).machine;
  for (const { kind, fd } of mine) {
    assert.is(
      codeOf(() => theirs.dmabuf(fd)),
      'EBADF',
      kind,
    );
    assert.is(
      codeOf(() => theirs.passFd(1, fd)),
      'EBADF',
      kind,
    );
  }
});

test('einval_other_kind: fences, timelines and dma-bufs are all fds, and not each other', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const all = kinds(machine);
  const dump = fake.dump();
  for (const { kind, take } of all) {
    for (const other of all) {
      const expected = other.kind === kind ? 'no error' : 'EINVAL';
      assert.is(
        codeOf(() => take(other.fd)),
        expected,
        `${kind} of ${other.kind}`,
      );
    }
  }
  assert.is(fake.dump(), dump);
});

test('not_an_integer: misuse, a TypeError', () => {
  const { machine } = new FakeMachine().actor(0);
  for (const { take } of kinds(machine)) {
    for (const fd of [1.5, NaN, '0', undefined]) {
      assert.throws(() => take(fd as number), TypeError);
    }
  }
});

test('emfile: the table is full, nothing is left of the refused call, and closing one helps', () => {
  const fake = new FakeMachine({ tables: { fds: 3 } });
  const { machine } = fake.actor(0);
  const [first] = kinds(machine);
  const dump = withoutContexts(fake); // a closed timeline's stays, to answer for its fences
  assert.is(
    codeOf(() => machine.alloc(4096)),
    'EMFILE',
  );
  assert.is(
    codeOf(() => machine.createTimeline()),
    'EMFILE',
  );
  assert.is(
    codeOf(() => machine.createSyncFile([])),
    'EMFILE',
  );
  assert.is(
    codeOf(() => machine.dmabuf(first?.fd ?? -1).dup()),
    'EMFILE',
  );
  assert.is(withoutContexts(fake), dump);
  machine.dmabuf(first?.fd ?? -1).close();
  assert.is(machine.alloc(4096).fd, 0);
});

test('dup: two fds of one buffer, which lives until both are closed', () => {
  const { machine } = new FakeMachine().actor(0);
  const first = machine.alloc(4096);
  const second = first.dup();
  assert.is.not(first.fd, second.fd);
  assert.is(first.record.ino, second.record.ino);
  first.close();
  assert.equal(live(machine), [1, 4096, 0]);
  second.access({ write: true }).finish();
  second.close();
  assert.equal(live(machine), [0, 0, 0]);
  assert.is(
    codeOf(() => second.dup()),
    'EBADF',
  );
});

test('close_twice: EBADF, and never the next owner of the number', () => {
  const { machine } = new FakeMachine().actor(0);
  const first = machine.alloc(4096);
  first.close();
  const second = machine.alloc(4096);
  assert.is(second.fd, first.fd);
  assert.is(
    codeOf(() => first.close()),
    'EBADF',
  );
  first[Symbol.dispose]();
  assert.is(second.size, 4096);
  assert.is(machine.dmabuf(second.fd).size, 4096);
});

test('pass_fd: the receiver gets its own lowest number for the same buffer', async () => {
  await withPeers(roles, 1, (peers, machine) => {
    const spare = [machine.alloc(4096), machine.alloc(4096)];
    const buffer = machine.alloc(8192);
    const bracket = buffer.access({ write: true });
    bracket.words[0] = 4711;
    bracket.finish();
    peers.play(0, 'look');
    machine.passFd(peers.actor(0), buffer.fd);
    assert.equal(peers.results(), [[0, 8192, 4711]]);
    assert.is(buffer.fd, 2, 'the sender keeps its own');
    for (const handle of [...spare, buffer]) handle.close();
  });
});

test('pass_fd_in_flight: a message keeps the object alive when the sender closes', () => {
  const fake = new FakeMachine();
  const sender = fake.actor(0).machine;
  const receiver = fake.actor(1).machine;
  const buffer = sender.alloc(4096);
  const { ino } = buffer.record;
  sender.passFd(2, buffer.fd, { what: 'frame' });
  buffer.close();
  assert.equal(live(sender), [1, 4096, 0]);
  const { fd, from, tag } = receiver.receiveFd(0);
  assert.equal([fd, from, tag], [0, 1, { what: 'frame' }]);
  const received = receiver.dmabuf(fd);
  assert.is(received.record.ino, ino);
  received.close();
  assert.equal(live(sender), [0, 0, 0]);
});

test('pass_fd_emfile: a receiver whose table is full can close one and try again', () => {
  const fake = new FakeMachine({ tables: { fds: 2 } });
  const receiver = fake.actor(1).machine;
  const own = [receiver.alloc(1), receiver.alloc(1)] as const;
  const { machine } = fake.actor(0);
  const timeline = machine.createTimeline('passed');
  machine.passFd(2, timeline.fd);
  assert.is(
    codeOf(() => receiver.receiveFd(0)),
    'EMFILE',
  );
  own[1].close();
  assert.is(receiver.timeline(receiver.receiveFd(0).fd).name, 'passed');
});

test('pass_fd_bad: a closed fd, a process that is not there, and nothing is sent', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const { fd } = machine.alloc(4096);
  const dump = fake.dump();
  assert.is(
    codeOf(() => machine.passFd(2, 9)),
    'EBADF',
  );
  for (const actor of [0, 3, 99])
    assert.is(
      codeOf(() => machine.passFd(actor, fd)),
      'ESRCH',
    );
  assert.is(fake.dump(), dump);
});

test('receive_timeout', () => {
  const { machine } = new FakeMachine().actor(0);
  assert.is(
    codeOf(() => machine.receiveFd(0)),
    'ETIME',
  );
  const start = machine.now();
  assert.is(
    codeOf(() => machine.receiveFd(250)),
    'ETIME',
  );
  assert.ok(machine.now() >= start + 250);
});

test('closed_on_leave: a process that leaves takes its fds, also those that it never received', async () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const leaver = fake.actor(1).machine;
  for (let i = 0; i < 3; i++) leaver.alloc(4096);
  const buffer = machine.alloc(4096);
  machine.passFd(2, buffer.fd);
  buffer.close();
  assert.equal(live(machine), [4, 4 * 4096, 0]);
  await leaver.leave();
  assert.equal(live(machine), [0, 0, 0]);
});

test('closed_on_death: so does a process that is terminated', async () => {
  await withPeers(roles, 1, async (peers, machine) => {
    const buffer = machine.alloc(4096);
    peers.play(0, 'keep');
    machine.passFd(peers.actor(0), buffer.fd);
    assert.is(peers.result(peers.actor(0)), 4096);
    buffer.close();
    assert.equal(live(machine), [1, 4096, 0]);
    await peers.kill(0);
    while (machine.stats().buffers > 0) await new Promise(setImmediate);
    assert.equal(live(machine), [0, 0, 0]);
  });
});

test('lives_while_mapped', () => {
  const { machine } = new FakeMachine().actor(0);
  const buffer = machine.alloc(4096);
  const mapping = buffer.mmap();
  buffer.close();
  assert.equal(live(machine), [1, 4096, 0]);
  using bracket = mapping.prepareAccess({ write: true });
  bracket.words[0] = 1;
  bracket.finish();
  mapping.close();
  assert.equal(live(machine), [0, 0, 0]);
});

test('lives_while_queued', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const context = machine.createContext(2);
  const fences = [1, 2].map(() => context.submit({ buffers: [shared(buffer)] }));
  buffer.close();
  assert.equal(live(machine), [1, 4096, 2]);
  fake.server(1, { run: (job) => void job.buffer(0).bytes }).run();
  assert.equal(
    fences.map(({ status }) => status),
    [1, 1],
  );
  assert.equal(live(machine), [0, 0, 0]);
});

test('lives_while_polled', async () => {
  const machine = await boot();
  const buffer = machine.alloc(4096);
  const hold = machine.waitAll([shared(buffer)]);
  const polled = buffer.pollAsync({ writable: true });
  buffer.close();
  hold.release();
  assert.equal(await polled, { readable: false, writable: true });
  assert.equal(live(machine), [0, 0, 0]);
  await machine.shutdown();
});

test('lives_while_attached', () => {
  const { machine } = new FakeMachine().actor(0);
  const buffer = machine.alloc(4096);
  const attachment = buffer.attach(2);
  buffer.close();
  assert.equal(live(machine), [1, 4096, 0]);
  attachment.map();
  assert.is(
    codeOf(() => attachment.detach()),
    'EBUSY',
  );
  attachment.unmap();
  attachment.detach();
  assert.equal(live(machine), [0, 0, 0]);
});

test.run();
