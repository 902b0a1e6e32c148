// An fd is a capability: with read access it neither maps nor claims to write, nor hands on more (D5).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { DmaBuf } from '../dmabuf/dmabuf.js';
import {
  DMA_BUF_IOCTL_FINISH_ACCESS,
  DMA_BUF_IOCTL_IMPORT_SYNC_FILE,
  DMA_BUF_IOCTL_PREPARE_ACCESS,
  DMA_BUF_IOCTL_SYNC,
  DMA_BUF_SYNC_READ,
  DMA_BUF_SYNC_RW,
  DMA_BUF_SYNC_WRITE,
} from '../dmabuf/ioctl.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { discard, exclusive, shared } from '../sync/context.js';
import { codeOf } from '../testing/code-of.js';

/** A machine whose second process has a read-only fd of a buffer of the first. */
function given(): { fake: FakeMachine; mine: DmaBuf; theirs: DmaBuf } {
  const fake = new FakeMachine({ actors: 3 });
  const mine = fake.actor(0).machine.alloc(4096);
  fake.actor(0).machine.passFd(fake.actor(1).id, mine.fd, 0, { access: 'read' });
  const { fd } = fake.actor(1).machine.receiveFd(0);
  return { fake, mine, theirs: fake.actor(1).machine.dmabuf(fd) };
}

test('an fd has the rights that it was passed with', () => {
  const { mine, theirs } = given();
  assert.is(mine.mode, 'readwrite');
  assert.is(theirs.mode, 'read');
});

test('what is read-only is mapped for reading', () => {
  const { fake, theirs } = given();
  const { machine } = fake.actor(1);
  using mapping = theirs.mmap();
  mapping.prepareAccess({ read: true }).finish();
  assert.is(
    codeOf(() => mapping.prepareAccess({ write: true })),
    'EACCES',
  );
  assert.is(
    codeOf(() => mapping.prepareAccess({ write: true, discard: true })),
    'EACCES',
  );
  assert.is(
    codeOf(() => theirs.access({ read: true, write: true })),
    'EACCES',
  );
  assert.is(
    codeOf(() => machine.prepareAccess([{ mapping, write: true }])),
    'EACCES',
  );
  using attachment = theirs.attach(machine.self);
  using through = attachment.mmap();
  assert.is(
    codeOf(() => through.prepareAccess({ write: true })),
    'EACCES',
  );
  assert.is(theirs.mappings, 2, 'a refusal leaves no mapping');
});

test('the ioctls bracket it for reading only', () => {
  const { fake, theirs } = given();
  const { machine } = fake.actor(1);
  const sync = (flags: number): string | undefined =>
    codeOf(() => machine.ioctlFd(theirs.fd, DMA_BUF_IOCTL_SYNC, { flags }));
  assert.is(sync(DMA_BUF_SYNC_WRITE), 'EACCES');
  assert.is(sync(DMA_BUF_SYNC_RW), 'EACCES');
  machine.ioctlFd(theirs.fd, DMA_BUF_IOCTL_PREPARE_ACCESS);
  const own = fake.actor(0).machine;
  assert.ok(own.bufinfo().buffers[0]);
  machine.ioctlFd(theirs.fd, DMA_BUF_IOCTL_FINISH_ACCESS);
  using file = machine.createSyncFile([]);
  const arg = { flags: DMA_BUF_SYNC_WRITE, fd: file.fd };
  assert.is(
    codeOf(() => machine.ioctlFd(theirs.fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, arg)),
    'EACCES',
  );
  assert.is(
    codeOf(() => theirs.importSyncFile(file, { write: true })),
    'EACCES',
  );
  machine.ioctlFd(theirs.fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, { ...arg, flags: DMA_BUF_SYNC_READ });
});

test('no exclusive or discard job takes it, a shared one does', () => {
  const { fake, theirs } = given();
  const { machine } = fake.actor(1);
  const context = machine.createContext(1);
  for (const use of [exclusive(theirs), discard(theirs)]) {
    assert.is(
      codeOf(() => context.submit({ buffers: [use] })),
      'EACCES',
    );
    assert.is(
      codeOf(() => machine.waitAll([use], 0)),
      'EACCES',
    );
    assert.is(
      codeOf(() => machine.asyncWaitAll([use], () => {})),
      'EACCES',
    );
  }
  machine.waitAll([shared(theirs)], 0).release();
  context.submit({ buffers: [shared(theirs)] });
});

test('nobody hands on more than it has', () => {
  const { fake, theirs } = given();
  const { machine } = fake.actor(1);
  assert.is(
    codeOf(() => theirs.dup('readwrite')),
    'EACCES',
  );
  using copy = theirs.dup();
  assert.is(copy.mode, 'read');
  assert.is(machine.dmabuf(copy.fd).mode, 'read');
  const third = fake.actor(2);
  const pass = (access: 'readwrite'): unknown => machine.passFd(third.id, theirs.fd, 0, { access });
  assert.is(
    codeOf(() => pass('readwrite')),
    'EACCES',
  );
  machine.passFd(third.id, theirs.fd);
  assert.is(third.machine.dmabuf(third.machine.receiveFd(0).fd).mode, 'read');
});

test('rights are given up, and the fd that may write stays as it is', () => {
  const { mine } = given();
  using copy = mine.dup('read');
  assert.is(copy.mode, 'read');
  assert.is(mine.mode, 'readwrite');
  mine.access({ write: true }).finish();
});

test('guessed fds open nothing', () => {
  const { fake } = given();
  const { machine } = fake.actor(2);
  for (let fd = -1; fd < fake.tables.fds + fake.tables.mailSlots + 1; fd++) {
    assert.is(
      codeOf(() => machine.dmabuf(fd)),
      'EBADF',
      `fd ${fd}`,
    );
    assert.is(
      codeOf(() => machine.passFd(1, fd)),
      'EBADF',
      `fd ${fd}`,
    );
  }
});

test.run();
