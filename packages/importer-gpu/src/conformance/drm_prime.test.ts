// The rules of drivers/gpu/drm/drm_prime.c and drm_gem.c that no test program asks for by name.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BUFFER_FLAG } from '@dmabuf/core/driver';
import { copy, DRM_CLOEXEC, DRM_FORMAT_XRGB8888, DRM_RDWR, DrmFile, GpuContext } from '../index.js';
import { bootMachine, poolBuffer, readBytes, writeBytes } from '../testing/machine.test-helper.js';
import { difference, painted } from '../testing/pictures.test-helper.js';

const machine = await bootMachine();

test.after(() => machine.shutdown());

/** A test with an open file, after which nothing may be left. */
function withFile(run: (file: DrmFile) => void): () => void {
  return () => {
    const { buffers } = machine.stats();
    using file = DrmFile.open(machine);
    run(file);
    file.close();
    assert.is(machine.stats().buffers, buffers, 'no object is left');
  };
}

function mmapsOf(ino: number): number {
  return machine.bufinfo().buffers.find((buffer) => buffer.ino === ino)?.counters.mmaps ?? -1;
}

test(
  'fd-to-handle-same: a foreign buffer has one handle in a file, by whatever fd',
  withFile((file) => {
    using buffer = machine.alloc(4096);
    using dup = buffer.dup();
    const handle = file.primeFdToHandle(buffer.fd);
    assert.is(file.primeFdToHandle(dup.fd), handle);
    assert.is(file.primeFdToHandle(buffer.fd), handle);
    assert.equal(file.handles, [handle]);
  }),
);

test(
  're-export-original: an imported buffer is exported as the dma-buf that it is',
  withFile((file) => {
    using buffer = machine.alloc(4096, { name: 'theirs' });
    const handle = file.primeFdToHandle(buffer.fd);
    using again = file.primeHandleToFd(handle);
    assert.is(again.record.ino, buffer.record.ino);
    assert.is(again.name, 'theirs');
  }),
);

test(
  'handle-to-fd-flags: only CLOEXEC and RDWR are known, and without RDWR the fd is for reading only',
  withFile((file) => {
    const handle = file.gemCreate(4096);
    for (const flags of [1, 0o4000, DRM_RDWR | 4, -1, 0.5]) {
      assert.throws(() => file.primeHandleToFd(handle, flags), /EINVAL.*flags/);
    }
    using reader = file.primeHandleToFd(handle, DRM_CLOEXEC);
    using writer = file.primeHandleToFd(handle, DRM_RDWR);
    assert.equal([reader.mode, writer.mode], ['read', 'readwrite']);
  }),
);

test(
  'handle-to-fd-rights: a handle hands on no more than the best fd that it was imported by',
  withFile((file) => {
    using buffer = machine.alloc(4096);
    using reader = buffer.dup('read');
    const handle = file.primeFdToHandle(reader.fd);
    assert.throws(() => file.primeHandleToFd(handle, DRM_RDWR), /EACCES/);
    assert.is(file.primeFdToHandle(buffer.fd), handle);
    using writer = file.primeHandleToFd(handle, DRM_RDWR);
    assert.is(writer.mode, 'readwrite');
    assert.is(file.primeFdToHandle(reader.fd), handle);
    using still = file.primeHandleToFd(handle, DRM_RDWR);
    assert.is(still.mode, 'readwrite');
  }),
);

test(
  'bad-handle: ENOENT for an export, a mapping and a look-up, EINVAL for a close',
  withFile((file) => {
    const handle = file.gemCreate(4096);
    file.gemClose(handle);
    for (const bad of [handle, 0, -1, 77]) {
      assert.throws(() => file.primeHandleToFd(bad), /ENOENT.*no handle/);
      assert.throws(() => file.gemMmap(bad), /ENOENT/);
      assert.throws(() => file.buffer(bad), /ENOENT/);
      assert.throws(() => file.gemClose(bad), /EINVAL/);
    }
  }),
);

test(
  'bad-fd: EBADF for what is not open, EINVAL or EBADF for what is no dma-buf',
  withFile((file) => {
    using timeline = machine.createTimeline();
    for (const fd of [-1, 999, timeline.fd]) {
      assert.throws(() => file.primeFdToHandle(fd), /EBADF|EINVAL/);
    }
    assert.equal(file.handles, []);
  }),
);

test(
  'handle-numbers: the lowest free one is given, so a stale one may name another buffer',
  withFile((file) => {
    const [a, b, c] = [1, 2, 3].map((pages) => file.gemCreate(4096 * pages));
    assert.equal([a, b, c], [1, 2, 3]);
    file.gemClose(2);
    assert.is(file.gemCreate(8 * 4096), 2);
    assert.is(file.buffer(2).size, 8 * 4096);
  }),
);

test(
  'close-keeps: images, mappings and fds outlive the handle, the file outlives the fd',
  withFile((file) => {
    using context = GpuContext.create(machine);
    const handle = file.gemCreate(256);
    const shape = { fourcc: DRM_FORMAT_XRGB8888, width: 8, height: 8 };
    const image = context.importImage({ buffer: file.buffer(handle), ...shape });
    const mapping = file.gemMmap(handle);
    file.gemClose(handle);
    assert.is(machine.bufinfo().buffers.find(({ size }) => size === 256)?.mappings.length, 1);
    context.texSubImage2D(image, painted(256, 6));
    const bracket = mapping.prepareAccess({ read: true });
    assert.is(difference(Uint8Array.from(bracket.bytes), painted(256, 6)), '');
    bracket.finish();
    mapping.close();
    image.close();
  }),
);

test(
  'mmap-exporter: the mapping of an imported handle is the exporter’s, and counted once',
  withFile((file) => {
    using buffer = poolBuffer(machine, 4096);
    const handle = file.primeFdToHandle(buffer.fd);
    const before = mmapsOf(buffer.record.ino);
    using mapping = file.gemMmap(handle, { offset: 64, length: 128 });
    assert.is(mapping.length, 128);
    assert.is(mmapsOf(buffer.record.ino), before + 1);
    assert.throws(() => file.gemMmap(handle, { offset: 4096, length: 1 }), /EINVAL/);
    assert.is(mmapsOf(buffer.record.ino), before + 1);
  }),
);

test(
  'mmap-refused: the exporter’s refusal passes through',
  withFile((file) => {
    using none = poolBuffer(machine, 4096, BUFFER_FLAG.NO_MMAP);
    using secret = poolBuffer(machine, 4096, BUFFER_FLAG.PROTECTED);
    assert.throws(() => file.gemMmap(file.primeFdToHandle(none.fd)), /ENODEV/);
    assert.throws(() => file.primeFdToHandle(secret.fd), /EPERM/, 'protected memory, at import');
  }),
);

test('import-refused: a buffer out of the device’s reach has no handle, and nothing is left', async () => {
  await using strict = await bootMachine({ poolOnly: true });
  using file = DrmFile.open(strict);
  using outside = strict.alloc(4096);
  assert.throws(() => file.primeFdToHandle(outside.fd), /EINVAL.*pool/);
  assert.throws(() => file.gemCreate(4096), /EINVAL.*pool/);
  assert.equal(file.handles, []);
  using inside = poolBuffer(strict, 4096);
  assert.is(file.primeFdToHandle(inside.fd), 1);
});

test(
  'other-file: handles of one file mean nothing in another',
  withFile((file) => {
    using other = DrmFile.open(machine);
    file.gemCreate(4096);
    const handle = file.gemCreate(4096);
    assert.throws(() => other.primeHandleToFd(handle), /ENOENT.*open are: none/);
  }),
);

test(
  'file-closed: every call is EBADF, and closing it twice is harmless',
  withFile((file) => {
    const handle = file.gemCreate(4096);
    file.close();
    for (const call of [
      () => file.gemCreate(4096),
      () => file.gemClose(handle),
      () => file.primeHandleToFd(handle),
      () => file.primeFdToHandle(0),
      () => file.gemMmap(handle),
      () => file.buffer(handle),
    ]) {
      assert.throws(call, /EBADF.*is closed/);
    }
  }),
);

test(
  'gem-job: the GPU works on buffers that it knows by handles',
  withFile((file) => {
    using context = GpuContext.create(machine);
    using theirs = machine.alloc(256);
    writeBytes(theirs, painted(256, 9));
    const [src, dst] = [file.primeFdToHandle(theirs.fd), file.gemCreate(256)].map((handle) =>
      context.importImage({
        ...{ buffer: file.buffer(handle), width: 8, height: 8 },
        fourcc: DRM_FORMAT_XRGB8888,
      }),
    );
    if (src === undefined || dst === undefined) throw new RangeError('no images');
    context.submit({ commands: [copy({ src, dst })] });
    assert.is(difference(readBytes(dst.buffer), painted(256, 9)), '');
    src.close();
    dst.close();
  }),
);

test.run();
