// mmap, access brackets and the ioctls of a dma-buf's fd: what drivers/dma-buf/dma-buf.c answers, and what
// the RFC of March 2012 asked for. Names are ours.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { DmaBuf } from '../dmabuf/dmabuf.js';
import { TestExporter, withoutContexts } from '../dmabuf/exporter.test-helper.js';
import * as uapi from '../dmabuf/ioctl.js';
import { errno } from '../errno.js';
import { BUFFER_FLAG } from '../memory/layout.js';
import { exclusive, shared } from '../sync/context.js';
import { codeOf } from '../testing/code-of.js';
import { FakeMachine } from '../testing/fake-machine.js';

interface Bench {
  readonly fake: FakeMachine;
  readonly machine: ReturnType<FakeMachine['actor']>['machine'];
  readonly exporter: TestExporter;
  readonly buffer: DmaBuf;
}

function bench(options: { flags?: number; without?: 'mmap'[] } = {}): Bench {
  const fake = new FakeMachine();
  const exporter = new TestExporter(fake, options.without ?? []);
  const { machine } = fake.actor(0);
  machine.waitAll([], 0).release(); // makes this thread's context of CPU claims
  return { fake, machine, exporter, buffer: exporter.export(0, { size: 8192, ...options }) };
}

/** Refused with this errno, and nothing is left behind. */
function refused({ fake }: Bench, code: string, call: () => unknown, what: string = ''): void {
  const dump = withoutContexts(fake);
  assert.is(codeOf(call), code, what);
  assert.is(withoutContexts(fake), dump, `residue of ${code} ${what}`);
}

test('enodev: the exporter offers no mmap', () => {
  const b = bench({ without: ['mmap'] });
  refused(b, 'ENODEV', () => b.buffer.mmap());
  refused(b, 'ENODEV', () => b.buffer.access({ read: true }));
});

test('eperm: the memory is protected', () => {
  const b = bench({ flags: BUFFER_FLAG.PROTECTED });
  refused(b, 'EPERM', () => b.buffer.mmap());
  refused(b, 'EPERM', () => b.buffer.access({ write: true }));
});

test('einval_bounds: what does not lie inside the buffer', () => {
  const b = bench();
  const ranges: [number, number][] = [
    [0, 8193],
    [8192, 1],
    [4096, 4097],
    [-1, 1],
    [0, 0],
    [0, -1],
    [0.5, 1],
    [0, 1.5],
    [NaN, 1],
  ];
  for (const [offset, length] of ranges) {
    refused(b, 'EINVAL', () => b.buffer.mmap({ offset, length }), `${offset} + ${length}`);
  }
  refused(b, 'EOVERFLOW', () => b.buffer.mmap({ offset: 4096, length: Number.MAX_SAFE_INTEGER }));
  const mapping = b.buffer.mmap({ offset: 4096, length: 4096 });
  for (const [offset, length] of [
    [4096, 1],
    [0, 4097],
    [-1, 1],
    [0, 0],
  ] as const) {
    refused(b, 'EINVAL', () => mapping.prepareAccess({ read: true, offset, length }));
  }
  mapping.close();
});

test('offset_0_is_the_start: offsets count from the start of the buffer, of the mapping, of the range', () => {
  const { buffer } = bench();
  const whole = buffer.mmap();
  const half = buffer.mmap({ offset: 4096 });
  assert.equal([whole.length, half.length], [8192, 4096]);
  const writing = whole.prepareAccess({ write: true });
  for (let i = 0; i < 2048; i++) writing.words[i] = i;
  writing.finish();
  const reading = half.prepareAccess({ read: true, offset: 64, length: 16 });
  assert.equal([...reading.words], [1040, 1041, 1042, 1043]);
  reading.finish();
  whole.close();
  half.close();
});

test('refusal_of_the_exporter: its errno passes through, and nothing stays claimed or mapped', () => {
  const b = bench();
  b.exporter.refusals.set('mmap', 'ENOMEM');
  refused(b, 'ENOMEM', () => b.buffer.mmap());
  b.exporter.refusals.clear();
  b.buffer.mmap().close();
});

test('refused_prepare: the exporter’s, in one bracket and in one of several', () => {
  const b = bench();
  const mapping = b.buffer.mmap();
  const other = b.exporter.export(0).mmap();
  b.exporter.refusals.set('prepareAccess', 'EIO');
  refused(b, 'EIO', () => mapping.prepareAccess({ read: true }));
  const both = [mapping, other].map((m) => ({ mapping: m, write: true }));
  refused(b, 'EIO', () => b.machine.prepareAccess(both));
  b.machine.waitAll([exclusive(b.buffer)], 0).release();
  b.exporter.refusals.clear();
  b.machine.prepareAccess(both).finish();
});

test('bracket_of_nothing: neither read nor write', () => {
  const b = bench();
  const mapping = b.buffer.mmap();
  refused(b, 'EINVAL', () => mapping.prepareAccess({}));
  refused(b, 'EINVAL', () => mapping.prepareAccess({ discard: true }));
  refused(b, 'EINVAL', () => b.machine.prepareAccess([]));
});

test('finish_twice: an unbalanced bracket is an error here', () => {
  const { buffer } = bench();
  const bracket = buffer.mmap().prepareAccess({ read: true });
  bracket.finish();
  assert.is(
    codeOf(() => bracket.finish()),
    'EINVAL',
  );
  bracket[Symbol.dispose]();
});

test('access_after_finish', () => {
  const { buffer } = bench();
  const bracket = buffer.mmap().prepareAccess({ write: true });
  bracket.words[0] = 1;
  bracket.finish();
  assert.is(
    codeOf(() => bracket.bytes),
    'EINVAL',
  );
  assert.is(
    codeOf(() => bracket.words),
    'EINVAL',
  );
});

test('unmap_in_a_bracket', () => {
  const { buffer } = bench();
  const mapping = buffer.mmap();
  const bracket = mapping.prepareAccess({ read: true });
  assert.is(
    codeOf(() => mapping.close()),
    'EBUSY',
  );
  bracket.finish();
  mapping.close();
  mapping.close();
});

test('prepare_after_unmap', () => {
  const b = bench();
  const mapping = b.buffer.mmap();
  mapping.close();
  refused(b, 'EINVAL', () => mapping.prepareAccess({ read: true }));
});

test('timeout_0_tries: a bracket waits for the queue like any job', () => {
  const b = bench();
  const mapping = b.buffer.mmap();
  const hold = b.fake.actor(1).machine.waitAll([], 0);
  hold.release();
  const context = b.machine.createContext(2);
  context.submit({ buffers: [shared(b.buffer)] });
  mapping.prepareAccess({ read: true, timeout: 0 }).finish();
  refused(b, 'ETIME', () => mapping.prepareAccess({ write: true, timeout: 0 }));
  refused(b, 'ETIME', () => mapping.prepareAccess({ write: true, timeout: 100 }));
  mapping.prepareAccess({ write: true, sync: false }).finish();
});

test('two_readers: brackets that read do not keep each other out, one that writes does', () => {
  const b = bench();
  const mapping = b.buffer.mmap();
  const first = mapping.prepareAccess({ read: true });
  const second = mapping.prepareAccess({ read: true });
  assert.is(
    codeOf(() => mapping.prepareAccess({ write: true, timeout: 0 })),
    'ETIME',
  );
  first.finish();
  second.finish();
  mapping.prepareAccess({ write: true, timeout: 0 }).finish();
});

test('several_at_once: all or none, and never one buffer twice', () => {
  const b = bench();
  const mappings = [b.buffer.mmap(), b.exporter.export(0).mmap()] as const;
  const both = mappings.map((mapping) => ({ mapping, write: true }));
  const busy = b.machine.waitAll([shared(b.buffer)], 0);
  refused(b, 'ETIME', () => b.machine.prepareAccess(both, { timeout: 0 }));
  mappings[1].prepareAccess({ write: true, timeout: 0 }).finish();
  busy.release();
  refused(b, 'EINVAL', () => b.machine.prepareAccess([...both, ...both]));
  const set = b.machine.prepareAccess(both, { timeout: 0 });
  assert.is(set.bytes(0).byteLength, 8192);
  set.finish();
  assert.is(
    codeOf(() => set.finish()),
    'EINVAL',
  );
});

test('poisoned_content: of a failed writer, for who reads it; not for who overwrites it', () => {
  const b = bench();
  const mapping = b.buffer.mmap();
  const writer = b.machine.createContext(2).submit({ buffers: [exclusive(b.buffer)] });
  b.fake.server(1, { run: (job) => job.finish(-errno.EIO) }).run();
  assert.is(writer.status, -errno.EIO);
  refused(b, 'EIO', () => mapping.prepareAccess({ read: true }));
  refused(b, 'EIO', () => mapping.prepareAccess({ write: true }));
  mapping.prepareAccess({ write: true, discard: true }).finish();
  mapping.prepareAccess({ read: true }).finish();
});

test('llseek: the size is asked by SEEK_END, and nothing else is', () => {
  const b = bench();
  const [SEEK_SET, SEEK_CUR, SEEK_END] = [0, 1, 2];
  assert.is(b.machine.lseek(b.buffer.fd, 0, SEEK_END), 8192);
  assert.is(b.machine.lseek(b.buffer.fd, 0, SEEK_SET), 0);
  for (const [offset, whence] of [
    [1, SEEK_SET],
    [-1, SEEK_END],
    [0, SEEK_CUR],
    [0, 3],
  ] as const) {
    refused(b, 'EINVAL', () => b.buffer.seek(offset, whence));
  }
  assert.is(
    codeOf(() => b.machine.lseek(9, 0, SEEK_END)),
    'EBADF',
  );
});

test('set_name: at most 31 bytes', () => {
  const b = bench();
  b.buffer.name = 'x'.repeat(31);
  refused(b, 'EINVAL', () => (b.buffer.name = 'x'.repeat(32)));
  for (const request of [uapi.DMA_BUF_SET_NAME_A, uapi.DMA_BUF_SET_NAME_B]) {
    b.machine.ioctlFd(b.buffer.fd, request, `by ${request}`);
    assert.is(b.buffer.name, `by ${request}`);
    refused(b, 'EINVAL', () => b.machine.ioctlFd(b.buffer.fd, request, 'é'.repeat(16)));
  }
});

test('unknown_ioctl: ENOTTY, and so is a dma-buf’s ioctl on another fd', () => {
  const b = bench();
  for (const request of [0, 0x5a02, 0x40086204, 0xc0046200]) {
    refused(b, 'ENOTTY', () => b.machine.ioctlFd(b.buffer.fd, request));
  }
  const { fd } = b.machine.createTimeline();
  refused(b, 'ENOTTY', () => b.machine.ioctlFd(fd, uapi.DMA_BUF_IOCTL_SYNC, { flags: 1 }));
});

test('sync_flags: READ, WRITE or both, START or END, and no other bit', () => {
  const b = bench();
  const sync = (flags: number): number =>
    b.machine.ioctlFd(b.buffer.fd, uapi.DMA_BUF_IOCTL_SYNC, { flags });
  for (const flags of [0, 4, 8, 9, 16, 1 << 30, -1, 1.5]) {
    refused(b, 'EINVAL', () => sync(flags), String(flags));
  }
  for (const access of [1, 2, 3]) {
    assert.is(sync(access), 0);
    assert.is(sync(access | uapi.DMA_BUF_SYNC_END), 0);
  }
});

test('sync_unbalanced: END without START is EINVAL here', () => {
  const b = bench();
  const sync = (flags: number): number =>
    b.machine.ioctlFd(b.buffer.fd, uapi.DMA_BUF_IOCTL_SYNC, { flags });
  refused(b, 'EINVAL', () => sync(1 | 4));
  sync(1);
  refused(b, 'EINVAL', () => sync(2 | 4), 'what was begun was a read');
  sync(1 | 4);
  refused(b, 'EINVAL', () => sync(1 | 4));
});

test('prepare_finish_2012: _IO(Z, 0) and _IO(Z, 1) claim the buffer and let it go', () => {
  const b = bench();
  assert.equal(
    [uapi.DMA_BUF_IOCTL_PREPARE_ACCESS, uapi.DMA_BUF_IOCTL_FINISH_ACCESS],
    [0x5a00, 0x5a01],
  );
  b.machine.ioctlFd(b.buffer.fd, uapi.DMA_BUF_IOCTL_PREPARE_ACCESS);
  assert.is(
    codeOf(() => b.machine.waitAll([shared(b.buffer)], 0)),
    'ETIME',
  );
  b.machine.ioctlFd(b.buffer.fd, uapi.DMA_BUF_IOCTL_FINISH_ACCESS);
  b.machine.waitAll([shared(b.buffer)], 0).release();
  refused(b, 'EINVAL', () => b.machine.ioctlFd(b.buffer.fd, uapi.DMA_BUF_IOCTL_FINISH_ACCESS));
});

test('sync_file_flags: a non-empty subset of RW, and a sync file’s fd', () => {
  const b = bench();
  const call = (request: number, arg: object): number =>
    b.machine.ioctlFd(b.buffer.fd, request, arg);
  const file = b.machine.createSyncFile([]);
  for (const flags of [0, 4, 7]) {
    refused(b, 'EINVAL', () => call(uapi.DMA_BUF_IOCTL_EXPORT_SYNC_FILE, { flags, fd: -1 }));
    refused(b, 'EINVAL', () => call(uapi.DMA_BUF_IOCTL_IMPORT_SYNC_FILE, { flags, fd: file.fd }));
  }
  for (const fd of [-1, 9, b.buffer.fd]) {
    refused(b, 'EINVAL', () => call(uapi.DMA_BUF_IOCTL_IMPORT_SYNC_FILE, { flags: 1, fd }));
  }
  const arg = { flags: 3, fd: -1 };
  assert.is(call(uapi.DMA_BUF_IOCTL_EXPORT_SYNC_FILE, arg), 0);
  assert.is(b.machine.syncFile(arg.fd).status, 1, 'no fence: a file that has signalled');
});

test('import_failed_fence: the error of a fence that failed long ago still reaches the content', () => {
  const b = bench();
  const context = b.machine.createContext(2);
  const server = b.fake.server(1, { run: (job) => job.finish(job.payload === 0 ? -errno.EIO : 0) });
  const failed = context.submit({ payload: 0 });
  server.run();
  for (let i = 1; failed.times() !== undefined; i++) {
    context.submit({ payload: i });
    server.run();
  }
  const file = b.machine.createSyncFile([failed]);
  assert.is(file.status, -errno.EIO);
  b.buffer.importSyncFile(file, { write: true });
  refused(b, 'EIO', () => b.buffer.access({ read: true }));
  b.buffer.access({ write: true, discard: true }).finish();
  const arg = { flags: 2, fd: file.fd };
  b.machine.ioctlFd(b.buffer.fd, uapi.DMA_BUF_IOCTL_IMPORT_SYNC_FILE, arg);
  refused(b, 'EIO', () => b.buffer.access({ read: true }));
});

test.run();
