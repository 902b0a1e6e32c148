// prime_nv_api of igt-gpu-tools: buffers go to and fro between two GPUs, with two open files of each.
import { boot, type DmaBuf } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DrmFile, gpu } from '../index.js';

const BO_SIZE = 256 * 1024;
const NOUVEAU = '/dev/dri/renderD129';
const nouveau = gpu({ driver: 'nouveau', name: 'gpu1', path: NOUVEAU });
const machine = await boot({ drivers: [gpu(), nouveau] });

test.after(() => machine.shutdown());

interface Files {
  readonly intel: DrmFile;
  readonly intel2: DrmFile;
  readonly nv: DrmFile;
  readonly nv2: DrmFile;
}

/** A test with two open files of each GPU, after which nothing may be left. */
function withFiles(run: (files: Files) => void): () => void {
  return () => {
    const { buffers } = machine.stats();
    using intel = DrmFile.open(machine);
    using intel2 = DrmFile.open(machine);
    using nv = DrmFile.open(machine, NOUVEAU);
    using nv2 = DrmFile.open(machine, NOUVEAU);
    run({ intel, intel2, nv, nv2 });
    for (const file of [intel, intel2, nv, nv2]) file.close();
    assert.is(machine.stats().buffers, buffers, 'no object is left');
  };
}

/** What a global name is here: the inode number. */
function nameOf(file: DrmFile, handle: number): number {
  return file.buffer(handle).record.ino;
}

/** Exports a handle for as long as `use` takes. */
function exported<T>(file: DrmFile, handle: number, use: (dmaBuf: DmaBuf) => T): T {
  using dmaBuf = file.primeHandleToFd(handle);
  return use(dmaBuf);
}

test(
  'i915_nv_import_twice: two files of the other GPU take one fd',
  withFiles(({ intel, nv, nv2 }) => {
    const handle = intel.gemCreate(BO_SIZE);
    exported(intel, handle, ({ fd }) => {
      assert.equal([nv.primeFdToHandle(fd), nv2.primeFdToHandle(fd)], [1, 1]);
    });
    assert.is(nv.buffer(1).size, BO_SIZE);
    assert.is(nv2.buffer(1).size, BO_SIZE);
  }),
);

type Which = keyof Files;

/** Two files import one fd. */
function importTwice(from: Which, to: Which, to2: Which): () => void {
  return withFiles((files) => {
    const handle = files[from].gemCreate(BO_SIZE);
    const names = exported(files[from], handle, ({ fd }) =>
      [files[to], files[to2]].map((file) => nameOf(file, file.primeFdToHandle(fd))),
    );
    const name = nameOf(files[from], handle);
    assert.equal(names, [name, name]);
  });
}

/** Two files import an fd each. */
function reimportTwice(from: Which, to: Which, to2: Which): () => void {
  return withFiles((files) => {
    const handle = files[from].gemCreate(BO_SIZE);
    const take = (file: DrmFile): number => {
      return exported(files[from], handle, ({ fd }) => nameOf(file, file.primeFdToHandle(fd)));
    };
    assert.is(take(files[to]), take(files[to2]));
  });
}

test(
  'i915_nv_import_twice_check_flink_name: both have the same object',
  importTwice('intel', 'nv', 'nv2'),
);
test(
  'nv_i915_import_twice_check_flink_name: both have the same object',
  importTwice('nv', 'intel', 'intel2'),
);
test(
  'i915_nv_reimport_twice_check_flink_name: the same object by another fd',
  reimportTwice('intel', 'nv', 'nv2'),
);
test(
  'nv_i915_reimport_twice_check_flink_name: the same object by another fd',
  reimportTwice('nv', 'intel', 'intel2'),
);

test(
  'i915_nv_import_vs_close: an fd that is closed cannot be imported',
  withFiles(({ intel, nv, nv2 }) => {
    const handle = intel.gemCreate(BO_SIZE);
    const closed = exported(intel, handle, ({ fd }) => {
      nv.primeFdToHandle(fd);
      return fd;
    });
    assert.throws(() => nv2.primeFdToHandle(closed), /EBADF/);
    assert.equal(nv2.handles, []);
  }),
);

test(
  'i915_nv_double_import: one file gives one handle',
  withFiles(({ intel, nv }) => {
    const handle = intel.gemCreate(BO_SIZE);
    exported(intel, handle, ({ fd }) => {
      assert.is(nv.primeFdToHandle(fd), nv.primeFdToHandle(fd));
    });
    nv.gemClose(1);
    assert.equal(nv.handles, [], 'handles are not counted');
  }),
);

test(
  'i915_nv_double_export: two exports are one object',
  withFiles(({ intel, nv }) => {
    const handle = intel.gemCreate(BO_SIZE);
    using one = intel.primeHandleToFd(handle);
    using two = intel.primeHandleToFd(handle);
    assert.is.not(one.fd, two.fd);
    assert.is(nv.primeFdToHandle(one.fd), nv.primeFdToHandle(two.fd));
  }),
);

/** A file imports what it exported. */
function selfImport(which: Which): () => void {
  return withFiles((files) => {
    const handle = files[which].gemCreate(BO_SIZE);
    const back = exported(files[which], handle, ({ fd }) => files[which].primeFdToHandle(fd));
    assert.is(back, handle);
  });
}

/** Another file of the same GPU imports it. */
function importElsewhere(from: Which, to: Which): () => void {
  return withFiles((files) => {
    const handle = files[from].gemCreate(BO_SIZE);
    const its = exported(files[from], handle, ({ fd }) => files[to].primeFdToHandle(fd));
    files[from].gemClose(handle);
    assert.is(files[to].buffer(its).size, BO_SIZE);
  });
}

test('i915_self_import: it comes back as the handle that it was', selfImport('intel'));
test('nv_self_import: it comes back as the handle that it was', selfImport('nv'));
test(
  'i915_self_import_to_different_fd: another file has a handle of its own',
  importElsewhere('intel', 'intel2'),
);
test(
  'nv_self_import_to_different_fd: another file has a handle of its own',
  importElsewhere('nv', 'nv2'),
);

test.run();
