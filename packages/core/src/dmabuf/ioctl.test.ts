// The ioctls of a dma-buf's fd, by Linux's numbers (include/uapi/linux/dma-buf.h; the 2012 patch).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '../errno.js';
import { BUFFER_FLAG } from '../memory/layout.js';
import { exclusive, shared } from '../sync/context.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { SEEK_END, SEEK_SET } from './dmabuf.js';
import { TestExporter, withoutContexts, wrong } from './exporter.test-helper.js';
import {
  DMA_BUF_IOCTL_EXPORT_SYNC_FILE,
  DMA_BUF_IOCTL_FINISH_ACCESS,
  DMA_BUF_IOCTL_IMPORT_SYNC_FILE,
  DMA_BUF_IOCTL_PREPARE_ACCESS,
  DMA_BUF_IOCTL_SYNC,
  DMA_BUF_SET_NAME_A,
  DMA_BUF_SET_NAME_B,
  DMA_BUF_SYNC_END,
  DMA_BUF_SYNC_READ,
  DMA_BUF_SYNC_RW,
  DMA_BUF_SYNC_START,
  DMA_BUF_SYNC_WRITE,
} from './ioctl.js';

const NONE = 0;
const WRITE = 1;
const READ = 2;
/** _IOC of include/uapi/asm-generic/ioctl.h */
const ioc = (dir: number, type: string, nr: number, size: number): number =>
  ((dir << 30) | (size << 16) | (type.charCodeAt(0) << 8) | nr) >>> 0;

test('request numbers are those of Linux, and of the 2012 patch', () => {
  assert.is(DMA_BUF_IOCTL_PREPARE_ACCESS, ioc(NONE, 'Z', 0, 0));
  assert.is(DMA_BUF_IOCTL_FINISH_ACCESS, ioc(NONE, 'Z', 1, 0));
  assert.is(DMA_BUF_IOCTL_SYNC, ioc(WRITE, 'b', 0, 8));
  assert.is(DMA_BUF_SET_NAME_A, ioc(WRITE, 'b', 1, 4));
  assert.is(DMA_BUF_SET_NAME_B, ioc(WRITE, 'b', 1, 8));
  assert.is(DMA_BUF_IOCTL_EXPORT_SYNC_FILE, ioc(WRITE | READ, 'b', 2, 8));
  assert.is(DMA_BUF_IOCTL_IMPORT_SYNC_FILE, ioc(WRITE, 'b', 3, 8));
});

test('SYNC START claims and prepares, END flushes and lets go', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const { machine } = fake.actor(0);
  const { fd, ...buffer } = exporter.export();
  const sync = (flags: number): number => machine.ioctlFd(fd, DMA_BUF_IOCTL_SYNC, { flags });
  assert.is(sync(DMA_BUF_SYNC_WRITE | DMA_BUF_SYNC_START), 0);
  const reader = machine.createContext(2).submit({ buffers: [shared(machine.dmabuf(fd))] });
  const server = fake.server(1, { run() {} });
  server.run();
  assert.is(reader.status, 0);
  assert.is(sync(DMA_BUF_SYNC_WRITE | DMA_BUF_SYNC_END), 0);
  server.run();
  assert.is(reader.status, 1);
  sync(DMA_BUF_SYNC_READ);
  sync(DMA_BUF_SYNC_READ | DMA_BUF_SYNC_END);
  sync(DMA_BUF_SYNC_RW);
  sync(DMA_BUF_SYNC_RW | DMA_BUF_SYNC_END);
  assert.equal(exporter.told, [
    'prepareAccess rw 0 4096',
    'finishAccess rw 0 4096',
    'prepareAccess r 0 4096',
    'finishAccess r 0 4096',
    'prepareAccess rw 0 4096',
    'finishAccess rw 0 4096',
  ]);
  assert.ok(buffer);
});

test('SYNC waits for the queue like any reader or writer', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  machine.createContext(2).submit({ buffers: [exclusive(buffer)] });
  let slept = 0;
  const server = fake.server(1, { run: (job) => void job.buffer(0).words.fill(3) });
  fake.whileAsleep = () => {
    slept++;
    server.run();
  };
  machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_SYNC, { flags: DMA_BUF_SYNC_READ });
  assert.is(slept, 1);
});

test('bad flags are EINVAL and leave no residue', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const { fd } = machine.alloc(4096);
  const dump = fake.dump();
  for (const flags of [0, DMA_BUF_SYNC_END, 8, DMA_BUF_SYNC_READ | 8, -1, 1.5, 2 ** 33]) {
    assert.is(
      codeOf(() => machine.ioctlFd(fd, DMA_BUF_IOCTL_SYNC, { flags })),
      'EINVAL',
      `SYNC ${flags}`,
    );
  }
  const file = machine.createSyncFile([]).fd;
  const before = fake.dump();
  for (const flags of [0, 4, 7, -1]) {
    const args = { flags, fd: file };
    assert.is(
      codeOf(() => machine.ioctlFd(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, args)),
      'EINVAL',
      `EXPORT ${flags}`,
    );
    assert.is(
      codeOf(() => machine.ioctlFd(fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, args)),
      'EINVAL',
      `IMPORT ${flags}`,
    );
    assert.is(args.fd, file);
  }
  assert.is(fake.dump(), before);
  assert.ok(dump);
});

test('brackets are counted per fd: an END without its START is EINVAL', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const other = buffer.dup();
  const sync = (fd: number, flags: number): string =>
    codeOf(() => machine.ioctlFd(fd, DMA_BUF_IOCTL_SYNC, { flags }));
  const end = DMA_BUF_SYNC_END;
  const dump = fake.dump();
  assert.is(sync(buffer.fd, DMA_BUF_SYNC_READ | end), 'EINVAL');
  assert.is(
    codeOf(() => machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_FINISH_ACCESS)),
    'EINVAL',
  );
  assert.is(fake.dump(), dump);
  assert.is(sync(buffer.fd, DMA_BUF_SYNC_READ), 'no error');
  assert.is(sync(other.fd, DMA_BUF_SYNC_READ | end), 'EINVAL', 'another fd of the same buffer');
  assert.is(sync(buffer.fd, DMA_BUF_SYNC_WRITE | end), 'EINVAL', 'another access');
  assert.is(sync(buffer.fd, DMA_BUF_SYNC_RW), 'EDEADLK');
  assert.is(sync(buffer.fd, DMA_BUF_SYNC_READ), 'no error', 'reads nest');
  assert.is(sync(buffer.fd, DMA_BUF_SYNC_READ | end), 'no error');
  assert.is(sync(buffer.fd, DMA_BUF_SYNC_READ | end), 'no error');
  assert.is(sync(buffer.fd, DMA_BUF_SYNC_READ | end), 'EINVAL');
  assert.is(machine.stats().jobs, 0);
});

test('PREPARE_ACCESS and FINISH_ACCESS bracket the whole buffer, and are no SYNC', () => {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake);
  const { machine } = fake.actor(0);
  const { fd } = exporter.export();
  assert.is(machine.ioctlFd(fd, DMA_BUF_IOCTL_PREPARE_ACCESS), 0);
  assert.is(
    codeOf(() => machine.ioctlFd(fd, DMA_BUF_IOCTL_PREPARE_ACCESS)),
    'EDEADLK',
  );
  const flags = DMA_BUF_SYNC_RW | DMA_BUF_SYNC_END;
  assert.is(
    codeOf(() => machine.ioctlFd(fd, DMA_BUF_IOCTL_SYNC, { flags })),
    'EINVAL',
  );
  assert.is(machine.ioctlFd(fd, DMA_BUF_IOCTL_FINISH_ACCESS), 0);
  assert.equal(exporter.told, ['prepareAccess rw 0 4096', 'finishAccess rw 0 4096']);
});

test('a protected buffer is EPERM', () => {
  const fake = new FakeMachine();
  const { fd } = new TestExporter(fake).export(0, { flags: BUFFER_FLAG.PROTECTED });
  const { machine } = fake.actor(0);
  const dump = fake.dump();
  assert.is(
    codeOf(() => machine.ioctlFd(fd, DMA_BUF_IOCTL_SYNC, { flags: DMA_BUF_SYNC_READ })),
    'EPERM',
  );
  assert.is(
    codeOf(() => machine.ioctlFd(fd, DMA_BUF_IOCTL_PREPARE_ACCESS)),
    'EPERM',
  );
  assert.is(fake.dump(), dump);
});

test('closing an fd ends what is open on it, and on no other', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const other = buffer.dup();
  machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_SYNC, { flags: DMA_BUF_SYNC_READ });
  machine.ioctlFd(other.fd, DMA_BUF_IOCTL_SYNC, { flags: DMA_BUF_SYNC_READ });
  buffer.close();
  assert.is(machine.stats().jobs, 1);
  other.close();
  assert.equal([machine.stats().jobs, machine.stats().buffers], [0, 0]);
});

test('SET_NAME, A and B: at most 31 bytes', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(1);
  using _attachment = buffer.attach(2); // allowed with attachments
  machine.ioctlFd(buffer.fd, DMA_BUF_SET_NAME_A, 'a'.repeat(31));
  assert.is(buffer.name, 'a'.repeat(31));
  machine.ioctlFd(buffer.fd, DMA_BUF_SET_NAME_B, 'frame 7');
  assert.is(buffer.name, 'frame 7');
  const dump = fake.dump();
  assert.is(
    codeOf(() => machine.ioctlFd(buffer.fd, DMA_BUF_SET_NAME_B, 'b'.repeat(32))),
    'EINVAL',
  );
  assert.is(
    codeOf(() => machine.ioctlFd(buffer.fd, DMA_BUF_SET_NAME_B, 'a\0b')),
    'EINVAL',
  );
  assert.is(
    codeOf(() => machine.alloc(1, { name: 'é'.repeat(16) })),
    'EINVAL',
  );
  assert.is(fake.dump(), dump);
});

test('EXPORT_SYNC_FILE: readers wait for writers, writers for all; no fence is a signalled file', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const context = machine.createContext(2);
  const exportFile = (flags: number): number => {
    const args = { flags, fd: -1 };
    assert.is(machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, args), 0);
    return args.fd;
  };
  assert.is(machine.syncFile(exportFile(DMA_BUF_SYNC_RW)).status, 1);
  context.submit({ buffers: [shared(buffer)] });
  const forReader = machine.syncFile(exportFile(DMA_BUF_SYNC_READ));
  const forWriter = machine.syncFile(exportFile(DMA_BUF_SYNC_WRITE));
  const forBoth = machine.syncFile(exportFile(DMA_BUF_SYNC_RW));
  assert.equal([forReader.status, forWriter.status, forBoth.status], [1, 0, 0]);
  fake.server(1, { run() {} }).run();
  assert.equal([forReader.status, forWriter.status, forBoth.status], [1, 1, 1]);
  for (const file of [forReader, forWriter, forBoth]) file.close();
});

test('IMPORT_SYNC_FILE: later jobs wait for its fences', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(4096);
  const timeline = machine.createTimeline();
  const file = machine.createSyncFile([timeline.createFence(1)]);
  const args = { flags: DMA_BUF_SYNC_READ, fd: file.fd };
  assert.is(machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, args), 0);
  assert.equal(buffer.poll({ readable: true, writable: true }), {
    readable: true,
    writable: false,
  });
  machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, {
    ...args,
    flags: DMA_BUF_SYNC_WRITE,
  });
  assert.equal(buffer.poll({ readable: true, writable: true }), {
    readable: false,
    writable: false,
  });
  timeline.increment();
  assert.equal(buffer.poll({ readable: true, writable: true }), { readable: true, writable: true });
  const dump = withoutContexts(fake);
  for (const fd of [buffer.fd, timeline.fd, 31, -1, 1e9]) {
    const wrongFd = { flags: DMA_BUF_SYNC_READ, fd };
    assert.is(
      codeOf(() => machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, wrongFd)),
      'EINVAL',
      `fd ${fd}`,
    );
  }
  assert.is(withoutContexts(fake), dump);
});

test('unknown requests and other kinds of fd are ENOTTY, closed fds EBADF', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const { fd } = machine.alloc(1);
  const timeline = machine.createTimeline();
  const file = machine.createSyncFile([]);
  const dump = fake.dump();
  for (const request of [0, 0x5a02, 0x40086204, ioc(READ, 'b', 0, 8), 0xffffffff]) {
    assert.is(
      codeOf(() => machine.ioctlFd(fd, request, { flags: 1 })),
      'ENOTTY',
      request.toString(16),
    );
  }
  for (const other of [timeline.fd, file.fd]) {
    assert.is(
      codeOf(() => machine.ioctlFd(other, DMA_BUF_IOCTL_SYNC, { flags: 1 })),
      'ENOTTY',
    );
  }
  for (const closed of [30, -1, 1e6]) {
    assert.is(
      codeOf(() => machine.ioctlFd(closed, DMA_BUF_IOCTL_SYNC, { flags: 1 })),
      'EBADF',
    );
  }
  assert.is(fake.dump(), dump);
});

test('requests are taken as C passes them: signed numbers too', () => {
  const { machine } = new FakeMachine().actor(0);
  const { fd } = machine.alloc(1);
  const args = { flags: DMA_BUF_SYNC_READ, fd: -1 };
  assert.is(machine.ioctlFd(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE | 0, args), 0);
  assert.ok(args.fd >= 0);
});

test('arguments of the wrong type are TypeErrors and leave no residue', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const { fd } = machine.alloc(1);
  const dump = fake.dump();
  const bad: [request: number, arg: unknown][] = [
    [DMA_BUF_IOCTL_SYNC, undefined],
    [DMA_BUF_IOCTL_SYNC, 1],
    [DMA_BUF_IOCTL_SYNC, {}],
    [DMA_BUF_IOCTL_SYNC, { flags: '1' }],
    [DMA_BUF_SET_NAME_A, undefined],
    [DMA_BUF_SET_NAME_B, 7],
    [DMA_BUF_IOCTL_EXPORT_SYNC_FILE, null],
    [DMA_BUF_IOCTL_IMPORT_SYNC_FILE, { flags: 1 }],
    [DMA_BUF_IOCTL_IMPORT_SYNC_FILE, { flags: 1, fd: '3' }],
    ['SYNC' as never, { flags: 1 }],
  ];
  for (const [request, arg] of bad) {
    const what = `${request} ${JSON.stringify(arg)}`;
    assert.throws(
      () => machine.ioctlFd(fd, request, arg),
      (error: unknown) => error instanceof TypeError && !(error instanceof DmaBufError),
      what,
    );
  }
  assert.throws(() => machine.ioctlFd('0' as never, DMA_BUF_IOCTL_SYNC, { flags: 1 }), /integer/);
  assert.is(fake.dump(), dump);
});

test('poll, EXPORT_SYNC_FILE and IMPORT_SYNC_FILE of a handle refuse wrong types, without residue', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(1);
  const fence = { points: [] };
  const dump = fake.dump();
  const calls: (() => unknown)[] = [
    () => buffer.poll(wrong(undefined)),
    () => buffer.poll({ readable: wrong(1) }),
    () => buffer.poll({ readable: true }, wrong('0')),
    () => buffer.poll({ readable: true }, -1),
    () => buffer.exportSyncFile(wrong('read')),
    () => buffer.exportSyncFile({ read: wrong(1) }),
    () => buffer.importSyncFile(wrong(undefined), { read: true }),
    () => buffer.importSyncFile({ points: wrong(1) }, { read: true }),
    () => buffer.importSyncFile(fence, wrong([])),
    () => (buffer.name = wrong(5)),
    () => machine.alloc(1, wrong(null)),
    () => machine.alloc(1, { name: wrong(1) }),
    () => machine.alloc(1, { deferred: wrong('yes') }),
  ];
  for (const call of calls) {
    assert.throws(
      call,
      (error: unknown) => error instanceof TypeError && !(error instanceof DmaBufError),
      String(call),
    );
  }
  assert.is(
    codeOf(() => buffer.exportSyncFile({})),
    'EINVAL',
  );
  assert.is(
    codeOf(() => buffer.importSyncFile(fence, {})),
    'EINVAL',
  );
  assert.is(fake.dump(), dump);
});

test('llseek: the size by SEEK_END, 0 by SEEK_SET, EINVAL otherwise, EBADF for other kinds', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(5000);
  assert.is(buffer.seek(0, SEEK_END), 5000);
  assert.is(buffer.seek(0, SEEK_SET), 0);
  assert.is(machine.lseek(buffer.fd, 0, SEEK_END), 5000);
  for (const [offset, whence] of [
    [1, SEEK_SET],
    [-1, SEEK_END],
    [0, 1],
    [0, 3],
    [NaN, 0],
  ] as const) {
    assert.is(
      codeOf(() => buffer.seek(offset, whence)),
      'EINVAL',
      `${offset} ${whence}`,
    );
    assert.is(
      codeOf(() => machine.lseek(buffer.fd, offset, whence)),
      'EINVAL',
    );
  }
  assert.is(
    codeOf(() => machine.lseek(machine.createTimeline().fd, 0, SEEK_END)),
    'EBADF',
  );
  assert.is(
    codeOf(() => machine.lseek(30, 0, SEEK_END)),
    'EBADF',
  );
  assert.throws(
    () => buffer.seek('0' as never, SEEK_END),
    (e: unknown) => e instanceof TypeError,
  );
  buffer.close();
  assert.is(
    codeOf(() => buffer.seek(0, SEEK_END)),
    'EBADF',
  );
});

test.run();
