// prime_self_import of igt-gpu-tools: export from and import into the same GPU, through one open file and two.
import { type DmaBuf, SEEK_END, SEEK_SET } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DrmFile } from '../index.js';
import { bootMachine } from '../testing/machine.test-helper.js';

const BO_SIZE = 16384;
const machine = await bootMachine();

test.after(() => machine.shutdown());

let counter = 0;

/** A test with two open files and a fresh counter, after which nothing may be left. */
function withFiles(run: (first: DrmFile, second: DrmFile) => void): () => void {
  return () => {
    const { buffers } = machine.stats();
    counter = 0;
    using first = DrmFile.open(machine);
    using second = DrmFile.open(machine);
    run(first, second);
    first.close();
    second.close();
    assert.is(machine.stats().buffers, buffers, 'no object is left');
  };
}

/** Both handles show the same memory: what was last written by one, and what the other writes now. */
function checkBo(file1: DrmFile, handle1: number, file2: DrmFile, handle2: number): void {
  using map1 = file1.gemMmap(handle1);
  using map2 = file2.gemMmap(handle2);
  for (const map of [map1, map2]) {
    using bracket = map.prepareAccess({ read: true });
    assert.ok(bracket.bytes.every((byte) => byte === counter));
  }
  counter++;
  using write = map1.prepareAccess({ write: true });
  write.bytes.fill(counter);
  write.finish();
  using read = map2.prepareAccess({ read: true });
  assert.ok(read.bytes.every((byte) => byte === counter));
}

test(
  'basic-with_one_bo: a re-import gives the same handle, and memory lives as long as any handle',
  withFiles((fd1, fd2) => {
    const handle = fd1.gemCreate(BO_SIZE);
    let dmaBuf = fd1.primeHandleToFd(handle);
    let imported = fd2.primeFdToHandle(dmaBuf.fd);
    checkBo(fd1, handle, fd2, imported);
    assert.is(fd2.primeFdToHandle(dmaBuf.fd), imported);
    assert.is(fd1.primeFdToHandle(dmaBuf.fd), handle, 'on the exporting file too');
    dmaBuf.close();
    checkBo(fd1, handle, fd2, imported);
    fd1.gemClose(handle);
    checkBo(fd2, imported, fd2, imported);
    dmaBuf = fd2.primeHandleToFd(imported);
    fd2.gemClose(imported);
    const again = fd1.primeFdToHandle(dmaBuf.fd);
    imported = fd2.primeFdToHandle(dmaBuf.fd);
    dmaBuf.close();
    checkBo(fd1, again, fd2, imported);
    fd1.close();
    checkBo(fd2, imported, fd2, imported);
  }),
);

test(
  'basic-with_two_bos: what a closed handle had does not come back under the next',
  withFiles((fd1, fd2) => {
    const handle1 = fd1.gemCreate(BO_SIZE);
    const handle2 = fd1.gemCreate(BO_SIZE);
    const first = fd1.primeHandleToFd(handle1);
    fd2.primeFdToHandle(first.fd);
    first.close();
    fd1.gemClose(handle1);
    const second = fd1.primeHandleToFd(handle2);
    const imported = fd2.primeFdToHandle(second.fd);
    checkBo(fd1, handle2, fd2, imported);
    fd1.gemClose(handle2);
    second.close();
    checkBo(fd2, imported, fd2, imported);
  }),
);

test(
  'basic-with_fd_dup: the buffer is found by any fd of it',
  withFiles((fd1, fd2) => {
    const handle = fd1.gemCreate(BO_SIZE);
    const original = fd1.primeHandleToFd(handle);
    fd1.gemClose(handle);
    const dup = original.dup();
    original.close();
    const imported = fd2.primeFdToHandle(dup.fd);
    checkBo(fd2, imported, fd2, imported);
    dup.close();
    checkBo(fd2, imported, fd2, imported);
  }),
);

test(
  'basic-llseek-size: SEEK_END is the size',
  withFiles((file) => {
    for (let i = 0; i < 10; i++) {
      const handle = file.gemCreate(4096 << i);
      const dmaBuf = file.primeHandleToFd(handle);
      file.gemClose(handle);
      assert.is(machine.lseek(dmaBuf.fd, 0, SEEK_END), 4096 << i);
      dmaBuf.close();
    }
  }),
);

test(
  'basic-llseek-bad: any other seek is EINVAL',
  withFiles((file) => {
    const handle = file.gemCreate(BO_SIZE);
    const dmaBuf: DmaBuf = file.primeHandleToFd(handle);
    file.gemClose(handle);
    for (const [offset, whence] of [
      [-1, SEEK_END],
      [1, SEEK_SET],
      [BO_SIZE, SEEK_SET],
      [BO_SIZE + 1, SEEK_SET],
      [BO_SIZE - 1, SEEK_SET],
    ] as const) {
      assert.throws(() => machine.lseek(dmaBuf.fd, offset, whence), /EINVAL/);
    }
    dmaBuf.close();
  }),
);

test.run();
