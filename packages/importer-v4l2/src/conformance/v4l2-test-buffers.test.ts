// v4l2-utils, utils/v4l2-compliance/v4l2-test-buffers.cpp: buffers and streaming. The cases have the names that the
// program prints; those of buffers are asked of every queue of every device.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, type Machine } from '@dmabuf/core';
import {
  isOutput,
  type StreamingDevice,
  V4L2_BUF_CAP_SUPPORTS_DMABUF,
  V4L2_BUF_CAP_SUPPORTS_MMAP,
  V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS,
  V4L2_BUF_CAP_SUPPORTS_REMOVE_BUFS,
  V4L2_BUF_FLAG_DONE,
  V4L2_BUF_FLAG_MAPPED,
  V4L2_BUF_FLAG_NO_CACHE_CLEAN,
  V4L2_BUF_FLAG_NO_CACHE_INVALIDATE,
  V4L2_BUF_FLAG_PREPARED,
  V4L2_BUF_FLAG_QUEUED,
  V4L2_BUF_FLAG_REQUEST_FD,
  V4L2_MEMORY_DMABUF,
  V4L2_MEMORY_MMAP,
  V4L2_MEMORY_USERPTR,
  VIDEO_MAX_FRAME,
} from '../index.js';
import { BufferSet } from '../test/buffer-set.js';
import { DUTS, withFile } from '../test/duts.js';

const MMAP = V4L2_MEMORY_MMAP;
const DMABUF = V4L2_MEMORY_DMABUF;
const O_CLOEXEC = 0x80000;

let machine: Machine;
test.before(async () => {
  machine = await boot({ drivers: DUTS.map(({ driver }) => driver) });
});
test.after(async () => {
  await machine.shutdown();
});

for (const dut of DUTS) {
  /** Asks a case of every queue; nothing of it may be left. */
  const queues = (work: (video: StreamingDevice, type: number) => void) => (): void => {
    for (const type of dut.types) {
      const { buffers } = machine.stats();
      withFile(dut, machine, (video) => work(video, type));
      assert.is(machine.stats().buffers, buffers, `type ${type} leaves buffers`);
    }
  };

  test(
    `VIDIOC_REQBUFS/CREATE_BUFS/QUERYBUF: ${dut.name}`,
    queues((video, type) => {
      for (const wrong of [0, 3, 0x80]) {
        const none = { count: 1, type: wrong, memory: MMAP };
        assert.throws(() => video.reqbufs(none), /^EINVAL/);
        assert.throws(() => video.createBufs(none), /^EINVAL/);
        assert.throws(() => video.querybuf(wrong, 0), /^EINVAL/);
      }
      const { capabilities } = video.reqbufs({ count: 0, type, memory: MMAP });
      const need = V4L2_BUF_CAP_SUPPORTS_MMAP | V4L2_BUF_CAP_SUPPORTS_DMABUF;
      assert.is(capabilities & need, need);
      for (const memory of [0, V4L2_MEMORY_USERPTR, 3, 99]) {
        assert.throws(() => video.reqbufs({ count: 1, type, memory }), /^EINVAL/);
        assert.throws(() => video.createBufs({ count: 1, type, memory }), /^EINVAL/);
      }
      assert.throws(() => video.querybuf(type, 0), /^EINVAL/);
      for (const memory of [MMAP, DMABUF]) {
        const { count } = video.reqbufs({ count: 2, type, memory });
        assert.ok(count > 0);
        for (let index = 0; index < count; index++) {
          const buffer = video.querybuf(type, index);
          assert.equal([buffer.index, buffer.type, buffer.memory], [index, type, memory]);
          assert.equal([buffer.sequence, buffer.timestamp], [0, 0]);
          const state = V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_DONE | V4L2_BUF_FLAG_PREPARED;
          assert.is(buffer.flags & (state | V4L2_BUF_FLAG_MAPPED), 0);
          assert.is(buffer.planes.length, video.gFmt(type).planes.length);
        }
        assert.throws(() => video.querybuf(type, count), /^EINVAL/);
        const other = memory === MMAP ? DMABUF : MMAP;
        assert.throws(() => video.createBufs({ count: 1, type, memory: other }), /^EINVAL/);
        assert.is(video.createBufs({ count: 0, type, memory }).index, count, 'count 0 only asks');
        assert.is(video.createBufs({ count: 1, type, memory }).index, count);
        const large = video.gFmt(type).planes.map(({ sizeimage }) => 2 * sizeimage);
        video.createBufs({ count: 1, type, memory, sizes: large });
        for (const sizes of [[], large.map(() => 0), large.map(() => 1), [...large, 1]]) {
          assert.throws(() => video.createBufs({ count: 1, type, memory, sizes }), /^EINVAL/);
        }
        assert.is(video.reqbufs({ count: 1, type, memory }).count, 1, 'what was there is freed');
        assert.throws(() => video.querybuf(type, 1), /^EINVAL/);
      }
    }),
  );

  test(
    `CREATE_BUFS maximum buffers: ${dut.name}`,
    queues((video, type) => {
      const more = (count: number): number =>
        video.createBufs({ count, type, memory: DMABUF }).count;
      const { max_num_buffers } = video.createBufs({ count: 0, type, memory: DMABUF });
      assert.is(max_num_buffers, VIDEO_MAX_FRAME);
      let made = 0;
      while (made < max_num_buffers) made += more(5);
      assert.is(made, max_num_buffers);
      assert.throws(() => more(1), /^ENOBUFS/);
      assert.is(more(0), 0);
    }),
  );

  test(
    `VIDIOC_REMOVE_BUFS: ${dut.name}`,
    queues((video, type) => {
      const { capabilities } = video.createBufs({ count: 4, type, memory: MMAP });
      assert.ok((capabilities & V4L2_BUF_CAP_SUPPORTS_REMOVE_BUFS) !== 0);
      const remove = (index: number, count: number, of = type): void =>
        video.removeBufs({ index, count, type: of });
      remove(0, 0);
      assert.throws(() => remove(0, 0, 0), /^EINVAL/);
      for (const [index, count] of [
        [4, 1],
        [3, 2],
        [0xffffffff, 1],
        [0, 0xffffffff],
      ] as const) {
        assert.throws(() => remove(index, count), /^EINVAL/);
      }
      const buffers = video.querybuf(type, 2).planes.map(() => ({}));
      video.qbuf({ index: 2, type, memory: MMAP, planes: buffers });
      assert.throws(() => remove(1, 2), /^EBUSY/);
      video.querybuf(type, 1);
      video.streamoff(type);
      remove(1, 2);
      assert.throws(() => video.querybuf(type, 1), /^EINVAL/);
      assert.throws(() => remove(1, 1), /^EINVAL/);
      assert.is(video.createBufs({ count: 2, type, memory: MMAP }).index, 1, 'holes are filled');
    }),
  );

  test(
    `VIDIOC_EXPBUF: ${dut.name}`,
    queues((video, type) => {
      video.reqbufs({ count: 2, type, memory: DMABUF });
      assert.throws(() => video.expbuf({ type, index: 0 }), /^EINVAL.*only MMAP/);
      const { count } = video.reqbufs({ count: 2, type, memory: MMAP });
      const { planes } = video.querybuf(type, 0);
      for (const wrong of [
        { type: 0, index: 0 },
        { type, index: count },
        { type, index: 0, plane: planes.length },
        { type, index: 0, flags: 0x40 },
      ]) {
        assert.throws(() => video.expbuf(wrong), /^EINVAL/);
      }
      const fds = planes.flatMap((_, plane) =>
        [0, 1].map((index) => video.expbuf({ type, index, plane, flags: O_CLOEXEC })),
      );
      fds.push(video.expbuf({ type, index: 0 }));
      assert.is(new Set(fds.map(({ fd }) => fd)).size, fds.length, 'a new fd each time');
      for (const [i, { length }] of planes.entries()) assert.ok((fds[2 * i]?.size ?? 0) >= length);
      // Exported memory outlives the queue's buffers (orphaned).
      video.reqbufs({ count: 0, type, memory: MMAP });
      fds[0]?.access({ read: true }).finish();
      for (const buffer of fds) buffer.close();
    }),
  );

  test(
    `Requests: ${dut.name}`,
    queues((video, type) => {
      const buffers = new BufferSet(machine, video, type, 1);
      const request = {
        index: 0,
        type,
        memory: MMAP,
        planes: buffers.planes(0),
        flags: V4L2_BUF_FLAG_REQUEST_FD,
        request_fd: 10,
      };
      assert.throws(() => video.qbuf(request), /^EBADR/);
      assert.throws(() => video.prepareBuf(request), /^EINVAL/);
      assert.is(video.querybuf(type, 0).flags & V4L2_BUF_FLAG_QUEUED, 0);
    }),
  );

  test(
    `setupMmap: ${dut.name}`,
    queues((video, type) => {
      const { capabilities } = video.reqbufs({ count: 2, type, memory: MMAP });
      assert.ok((capabilities & V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS) !== 0);
      const { planes } = video.querybuf(type, 1);
      const cookies = planes.map(({ m }) => m.mem_offset ?? -1);
      assert.is(new Set(cookies).size, planes.length);
      const [cookie = -1] = cookies;
      assert.throws(() => video.mmap(cookie, (planes[0]?.length ?? 0) + 1), /^EINVAL/);
      assert.throws(() => video.mmap(cookie + 0x20000000), /^EINVAL/);
      const mapping = video.mmap(cookie, planes[0]?.length);
      assert.ok((video.querybuf(type, 1).flags & V4L2_BUF_FLAG_MAPPED) !== 0);
      assert.is(video.querybuf(type, 0).flags & V4L2_BUF_FLAG_MAPPED, 0);
      // Freed while it is mapped: orphaned, and still there for who has it mapped.
      video.reqbufs({ count: 0, type, memory: MMAP });
      const access = mapping.prepareAccess({ write: true, discard: true });
      access.bytes.fill(1);
      access.finish();
      mapping.close();
    }),
  );

  test(
    `setupDmaBuf: ${dut.name}`,
    queues((video, type) => {
      const buffers = new BufferSet(machine, video, type, 2, { memory: DMABUF });
      assert.throws(() => video.mmap(0), /^EINVAL/);
      const planes = buffers.planes(0);
      const of = (fd: number, length?: number) => ({
        index: 0,
        type,
        memory: DMABUF,
        planes: planes.map((_, i) => ({ m: { fd: fd + i }, ...(length && { length }) })),
      });
      for (const prepare of [true, false]) {
        const call = prepare ? 'prepareBuf' : 'qbuf';
        assert.throws(() => video[call](of(0xdeadbeef)), /^EINVAL.*no dma-buf/);
        assert.throws(() => video[call](of(-1)), /^EINVAL/);
      }
      const small = machine.alloc(16);
      assert.throws(() => video.qbuf(of(small.fd)), /^EINVAL.*needs/);
      small.close();
      const hints = V4L2_BUF_FLAG_NO_CACHE_CLEAN | V4L2_BUF_FLAG_NO_CACHE_INVALIDATE;
      const prepared = video.prepareBuf({ ...of(0), planes, flags: hints });
      assert.is(prepared.flags & hints, 0, 'cache hints are not for DMABUF');
      assert.ok((prepared.flags & V4L2_BUF_FLAG_PREPARED) !== 0);
      assert.throws(() => video.prepareBuf({ ...of(0), planes }), /^EINVAL.*prepared already/);
      // Prepared: fd and length of QBUF do not count any more.
      const queued = video.qbuf(of(-1));
      assert.equal(
        queued.planes.map(({ m, length }) => [m.fd, length]),
        prepared.planes.map(({ m, length }) => [m.fd, length]),
      );
      assert.is(queued.flags & V4L2_BUF_FLAG_PREPARED, 0);
      assert.ok((queued.flags & V4L2_BUF_FLAG_QUEUED) !== 0);
      buffers.close();
    }),
  );

  test(
    `testReqBufs: ${dut.name}`,
    queues((video, type) => {
      assert.throws(() => video.streamon(0), /^EINVAL/);
      assert.throws(() => video.streamoff(0), /^EINVAL/);
      assert.throws(() => video.streamon(type), /^EINVAL.*REQBUFS first/);
      video.streamoff(type);
      video.streamoff(type);
      const buffers = new BufferSet(machine, video, type, 2);
      const index = 0;
      const planes = buffers.planes(0, [1]);
      const dequeue = () => video.dqbuf(type, { nonblock: true });
      assert.throws(dequeue, /^EINVAL.*not streaming/);
      for (const wrong of [
        { index: 2, type, memory: MMAP, planes },
        { index, type: 0, memory: MMAP, planes },
        { index, type, memory: DMABUF, planes },
        { index, type, memory: MMAP, planes: [] },
        { index, type, memory: MMAP, planes: Array.from({ length: 9 }, () => ({})) },
      ]) {
        assert.throws(() => video.qbuf(wrong), /^EINVAL/);
      }
      if (isOutput(type)) {
        const length = video.querybuf(type, 0).planes[0]?.length ?? 0;
        const rest = planes.slice(1);
        for (const plane of [{ bytesused: length + 1 }, { bytesused: 4, data_offset: 4 }]) {
          const wrong = { index, type, memory: MMAP, planes: [plane, ...rest] };
          assert.throws(() => video.qbuf(wrong), /^EINVAL/);
        }
      }
      const queued = buffers.queue(0, { bytesused: [1], timestamp: 5 });
      assert.ok((queued.flags & V4L2_BUF_FLAG_QUEUED) !== 0);
      assert.is(queued.timestamp, isOutput(type) ? 5 : 0);
      assert.throws(() => buffers.queue(0), /^EINVAL.*not DEQUEUED/);
      video.streamoff(type);
      assert.is(video.querybuf(type, 0).flags & V4L2_BUF_FLAG_QUEUED, 0);
      video.streamon(type);
      video.streamon(type);
      assert.throws(dequeue, /^EAGAIN/);
      assert.throws(() => video.reqbufs({ count: 1, type, memory: MMAP }), /^EBUSY/);
      assert.throws(() => video.reqbufs({ count: 0, type, memory: MMAP }), /^EBUSY/);
      video.streamoff(type);
    }),
  );

  test(`blocking wait: ${dut.name}`, async () => {
    for (const type of dut.types) {
      using video = dut.open(machine);
      const buffers = new BufferSet(machine, video, type, 2);
      video.streamon(type);
      const waiting = video.dqbufAsync(type);
      assert.throws(() => video.dqbuf(type), /^EBUSY.*another DQBUF waits/);
      assert.is(buffers.count, 2);
      video.streamoff(type);
      let refused = '';
      try {
        await waiting;
      } catch (error) {
        refused = String(error);
      }
      assert.match(refused, /EINVAL.*not streaming/);
    }
  });
}

test.run();
