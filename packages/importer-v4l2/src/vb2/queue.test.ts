/**
 * The state machine of a queue, with a driver and memory of cardboard: states, errnos, orders.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '@dmabuf/core';
import {
  V4L2_BUF_FLAG_DONE,
  V4L2_BUF_FLAG_ERROR,
  V4L2_BUF_FLAG_LAST,
  V4L2_BUF_FLAG_PREPARED,
  V4L2_BUF_FLAG_QUEUED,
  V4L2_BUF_FLAG_TIMESTAMP_COPY,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
  V4L2_BUF_TYPE_VIDEO_OUTPUT,
  V4L2_MEMORY_DMABUF,
  V4L2_MEMORY_MMAP,
  VIDEO_MAX_FRAME,
} from '../videodev2.js';
import type { PlaneMemory, V4l2Plane, Vb2Buffer } from './buffer.js';
import type { BufferResult } from './flow.js';
import { Vb2Queue } from './queue.js';

const CAPTURE = V4L2_BUF_TYPE_VIDEO_CAPTURE;
const OUTPUT = V4L2_BUF_TYPE_VIDEO_OUTPUT;
const MMAP = V4L2_MEMORY_MMAP;
const DMABUF = V4L2_MEMORY_DMABUF;
const SIZE = 4096;

class Rig {
  readonly log: string[] = [];
  readonly queue: Vb2Queue<PlaneMemory>;
  sizes: readonly number[] = [SIZE];
  fails = '';
  /** dma-bufs by fd. */
  readonly fds: Map<number, PlaneMemory> = new Map();
  #identity = 0;
  readonly #finished: [Vb2Buffer<PlaneMemory>, BufferResult][] = [];

  constructor(type: number, minQueued = 0) {
    const fail = (step: string): void => {
      if (this.fails === step) throw new DmaBufError('ENOMEM', step, 'told to fail');
    };
    this.queue = new Vb2Queue<PlaneMemory>({
      type,
      minQueued,
      timestampFlags: V4L2_BUF_FLAG_TIMESTAMP_COPY,
      ops: {
        queueSetup: (count, sizes) => {
          if (sizes?.some((size) => size < SIZE)) throw new DmaBufError('EINVAL', 'setup', 'small');
          return { count, sizes: sizes ?? this.sizes };
        },
        bufPrepare: () => fail('prepare'),
        startStreaming: () => fail('start'),
        stopStreaming: (active) => {
          this.log.push(`stop ${active.map(({ index }) => index).join(',')}`);
        },
        bufQueue: ({ index }) => {
          fail('give');
          this.log.push(`give ${index}`);
        },
        collect: () => {
          for (const [buffer, result] of this.#finished.splice(0)) {
            this.queue.bufferDone(buffer, result);
          }
        },
        wait: () => {
          throw new DmaBufError('ETIME', 'wait', 'nothing comes');
        },
      },
      mem: {
        alloc: (size) => {
          this.log.push(`alloc ${size}`);
          return { size, identity: ++this.#identity };
        },
        lookup: (fd) => {
          const found = this.fds.get(fd);
          if (found === undefined) throw new DmaBufError('EBADF', 'get', `fd ${fd}`);
          return found;
        },
        attach: (fd) => {
          this.log.push(`attach ${fd}`);
          return { ...(this.fds.get(fd) ?? { size: 0, identity: 0 }) };
        },
        mapped: () => false,
        release: ({ identity }) => {
          this.log.push(`release ${identity}`);
        },
      },
    });
  }

  /** The driver finishes the `i`-th of its buffers. */
  finish(i: number, result: Partial<BufferResult> = {}): void {
    const buffer = this.queue.active[i];
    if (buffer !== undefined) this.#finished.push([buffer, { error: 0, ...result }]);
  }

  queued(index: number, planes: readonly V4l2Plane[] = [{}], memory = MMAP): number {
    return this.queue.qbuf({ index, type: this.queue.type, memory, planes }).flags;
  }

  take(): string {
    return this.log.splice(0).join('; ');
  }
}

function streaming(type = CAPTURE, count = 3): Rig {
  const rig = new Rig(type);
  rig.queue.reqbufs({ count, type, memory: MMAP });
  rig.queue.streamon(type);
  rig.take();
  return rig;
}

test('a buffer goes DEQUEUED, QUEUED, ACTIVE, DONE and back, and its flags say so', () => {
  const rig = new Rig(CAPTURE);
  const { queue } = rig;
  assert.equal(queue.reqbufs({ count: 2, type: CAPTURE, memory: MMAP }).count, 2);
  assert.is(rig.take(), `alloc ${SIZE}; alloc ${SIZE}`);
  assert.is(rig.queued(0) & V4L2_BUF_FLAG_QUEUED, V4L2_BUF_FLAG_QUEUED);
  assert.is(rig.take(), '', 'before STREAMON vb2 keeps it');
  queue.streamon(CAPTURE);
  assert.is(rig.take(), 'give 0');
  assert.is(queue.held, 1);
  rig.finish(0, { sequence: 7, timestamp: 40, bytesused: [SIZE] });
  const { flags } = queue.querybuf(CAPTURE, 0);
  assert.is(flags & (V4L2_BUF_FLAG_DONE | V4L2_BUF_FLAG_QUEUED), V4L2_BUF_FLAG_DONE);
  const done = queue.dqbuf(CAPTURE);
  assert.equal([done.index, done.sequence, done.timestamp], [0, 7, 40]);
  assert.is(done.flags & V4L2_BUF_FLAG_DONE, 0, 'DQBUF clears DONE');
  assert.is(queue.held, 2);
});

test('DQBUF gives buffers in the order in which they were finished, errors flagged', () => {
  const rig = streaming();
  for (const i of [0, 1, 2]) rig.queued(i);
  rig.finish(1);
  rig.finish(0, { error: -5 });
  rig.finish(2);
  const order = [1, 0, 2].map(() => rig.queue.dqbuf(CAPTURE));
  assert.equal(
    order.map(({ index, flags }) => [index, flags & V4L2_BUF_FLAG_ERROR]),
    [
      [1, 0],
      [0, V4L2_BUF_FLAG_ERROR],
      [2, 0],
    ],
  );
  assert.is(rig.queue.querybuf(CAPTURE, 0).flags & V4L2_BUF_FLAG_ERROR, 0);
});

test('DQBUF refuses in the order: EINVAL not streaming, EIO, EPIPE after LAST, EAGAIN', () => {
  const rig = new Rig(CAPTURE);
  const { queue } = rig;
  assert.throws(() => queue.dqbuf(CAPTURE), /^EINVAL.*not streaming/);
  queue.reqbufs({ count: 2, type: CAPTURE, memory: MMAP });
  queue.streamon(CAPTURE);
  assert.throws(() => queue.dqbuf(CAPTURE, { nonblock: true }), /^EAGAIN/);
  rig.queued(0);
  rig.finish(0, { flags: V4L2_BUF_FLAG_LAST });
  assert.ok(queue.readiness().done);
  queue.dqbuf(CAPTURE);
  assert.ok(queue.readiness().ended, 'poll says IN, so that DQBUF says EPIPE');
  assert.throws(() => queue.dqbuf(CAPTURE), /^EPIPE/);
  assert.not(queue.readiness().ended, 'and not again: nobody spins');
  queue.queueError();
  assert.throws(() => queue.dqbuf(CAPTURE), /^EIO/);
  assert.throws(() => rig.queued(1), /^EIO/);
  queue.streamoff(CAPTURE);
  queue.streamon(CAPTURE);
  rig.queued(1);
  queue.clearLastBufferDequeued();
  assert.throws(() => queue.dqbuf(CAPTURE, { nonblock: true }), /^EAGAIN/);
});

test('STREAMOFF gives back what was queued, active and done, and forgets errors; twice is fine', () => {
  const rig = streaming();
  for (const i of [0, 1, 2]) rig.queued(i);
  rig.finish(0);
  assert.is(rig.queue.doneCount, 1);
  rig.queue.streamoff(CAPTURE);
  rig.queue.streamoff(CAPTURE);
  assert.is(rig.take(), 'give 0; give 1; give 2; stop 1,2');
  assert.is(rig.queue.held, 3);
  rig.queued(0);
  rig.queue.streamoff(CAPTURE);
  assert.is(rig.queue.held, 3, 'also what was never started');
  assert.is(rig.take(), '');
});

test('a late completion of a buffer that STREAMOFF took is nothing', () => {
  const rig = streaming();
  rig.queued(0);
  rig.finish(0);
  rig.queue.streamoff(CAPTURE);
  rig.queue.streamon(CAPTURE);
  assert.throws(() => rig.queue.dqbuf(CAPTURE, { nonblock: true }), /^EAGAIN/);
});

test('a failed start leaves buffers QUEUED, or the one whose QBUF started it DEQUEUED', () => {
  const rig = new Rig(CAPTURE);
  rig.queue.reqbufs({ count: 2, type: CAPTURE, memory: MMAP });
  rig.queued(0);
  rig.fails = 'start';
  assert.throws(() => rig.queue.streamon(CAPTURE), /^ENOMEM/);
  assert.is(rig.queue.querybuf(CAPTURE, 0).flags & V4L2_BUF_FLAG_QUEUED, V4L2_BUF_FLAG_QUEUED);
  rig.fails = 'give';
  assert.throws(() => rig.queue.streamon(CAPTURE), /^ENOMEM/);
  rig.fails = '';
  rig.queue.streamon(CAPTURE);
  assert.match(rig.take(), /give 0$/);

  const late = new Rig(CAPTURE, 2);
  late.queue.reqbufs({ count: 2, type: CAPTURE, memory: MMAP });
  late.queue.streamon(CAPTURE);
  late.queued(0);
  late.fails = 'start';
  assert.throws(() => late.queued(1), /^ENOMEM/);
  assert.is(late.queue.held, 1);
  late.fails = '';
  late.take();
  late.queued(1);
  assert.is(late.take(), 'give 0; give 1');
});

test('REQBUFS refuses what vb2 refuses, frees first, and 0 frees all', () => {
  const rig = streaming();
  const { queue } = rig;
  const ask = (count: number, type = CAPTURE, memory = MMAP): number =>
    queue.reqbufs({ count, type, memory }).count;
  assert.throws(() => ask(1), /^EBUSY.*streaming/);
  queue.streamoff(CAPTURE);
  assert.throws(() => ask(1, 0), /^EINVAL.*type 0/);
  assert.throws(() => ask(1, OUTPUT), /^EINVAL/);
  assert.throws(() => ask(1, CAPTURE, 2), /^EINVAL.*memory 2/);
  rig.take();
  assert.is(ask(1), 1);
  assert.is(rig.take(), `release 1; release 2; release 3; alloc ${SIZE}`);
  assert.is(ask(1000), VIDEO_MAX_FRAME);
  assert.is(ask(0), 0);
  assert.not(queue.busy);
  assert.throws(() => queue.streamon(CAPTURE), /^EINVAL.*no buffers/);
});

test('CREATE_BUFS goes on with new indices, fills holes, and stops at max_num_buffers', () => {
  const { queue } = new Rig(CAPTURE);
  const create = (count: number, sizes?: number[], memory = MMAP): [number, number] => {
    const req = { count, type: CAPTURE, memory };
    const made = queue.createBufs(sizes === undefined ? req : { ...req, sizes });
    return [made.index, made.count];
  };
  queue.reqbufs({ count: 3, type: CAPTURE, memory: MMAP });
  assert.equal(create(2), [3, 2]);
  assert.equal(create(0), [5, 0]);
  queue.removeBufs({ index: 1, count: 2, type: CAPTURE });
  assert.equal(create(2), [1, 2]);
  assert.throws(() => create(1, []), /^EINVAL/);
  assert.throws(() => create(1, [0]), /^EINVAL/);
  assert.throws(() => create(1, [SIZE - 1]), /^EINVAL/);
  assert.throws(() => create(1, undefined, DMABUF), /^EINVAL.*memory/);
  assert.equal(create(1000), [5, VIDEO_MAX_FRAME - 5]);
  assert.throws(() => create(1), /^ENOBUFS/);
  assert.equal(create(0)[1], 0);
});

test('REMOVE_BUFS takes all or none', () => {
  const rig = streaming();
  const { queue } = rig;
  rig.queued(1);
  const remove = (index: number, count: number, type = CAPTURE): void =>
    queue.removeBufs({ index, count, type });
  assert.throws(() => remove(0, 2), /^EBUSY/);
  assert.throws(() => remove(2, 2), /^EINVAL/);
  assert.throws(() => remove(0, 1000), /^EINVAL/);
  assert.throws(() => remove(0, 0, OUTPUT), /^EINVAL/);
  remove(0, 0);
  assert.is(queue.allocated, 3);
  remove(0, 1);
  assert.throws(() => queue.querybuf(CAPTURE, 0), /^EINVAL/);
});

test('QBUF refuses wrong type, memory, index, planes and state, and changes nothing', () => {
  const rig = streaming(OUTPUT);
  const { queue } = rig;
  const good = { index: 0, type: OUTPUT, memory: MMAP, planes: [{ bytesused: 10 }] };
  for (const [bad, pattern] of [
    [{ type: CAPTURE }, /^EINVAL.*type/],
    [{ memory: DMABUF }, /^EINVAL.*memory/],
    [{ index: 3 }, /^EINVAL.*no buffer 3/],
    [{ planes: [] }, /^EINVAL.*0 planes/],
    [{ planes: [{}, {}, {}, {}] }, /^EINVAL.*4 planes/],
    [{ planes: [{ bytesused: SIZE + 1 }] }, /^EINVAL.*bytesused/],
    [{ planes: [{ bytesused: 4, data_offset: 4 }] }, /^EINVAL.*data_offset/],
    [{ planes: [{ bytesused: -1 }] }, /^EINVAL/],
    [{ flags: 0x800000 }, /^EBADR/],
  ] as const) {
    assert.throws(() => queue.qbuf({ ...good, ...bad }), pattern);
  }
  const { planes: _planes, ...bare } = good;
  const planesOf = (): readonly V4l2Plane[] => JSON.parse('null') as readonly V4l2Plane[];
  assert.throws(() => queue.qbuf({ ...bare, planes: planesOf() }), /^EINVAL.*missing/);
  assert.is(rig.take(), '');
  queue.qbuf(good);
  assert.throws(() => queue.qbuf(good), /^EINVAL.*ACTIVE/);
  assert.is(queue.querybuf(OUTPUT, 0).planes[0]?.bytesused, 10);
});

test('DMABUF: the attachment is kept for the same dma-buf and length, and the fd comes back', () => {
  const rig = new Rig(CAPTURE);
  rig.fds.set(5, { size: 8192, identity: 500 }).set(6, { size: 8192, identity: 600 });
  rig.fds.set(7, { size: 8192, identity: 500 }).set(8, { size: 64, identity: 800 });
  rig.queue.reqbufs({ count: 1, type: CAPTURE, memory: DMABUF });
  rig.queue.streamon(CAPTURE);
  const cycle = (fd: number, length?: number): string => {
    rig.queued(0, [length === undefined ? { m: { fd } } : { m: { fd }, length }], DMABUF);
    rig.finish(0);
    assert.is(rig.queue.dqbuf(CAPTURE).planes[0]?.m.fd, fd);
    return rig.take();
  };
  assert.is(cycle(5), 'attach 5; give 0');
  assert.is(cycle(5), 'give 0');
  assert.is(cycle(7), 'give 0', 'another fd of the same dma-buf');
  assert.is(cycle(7, SIZE), 'release 500; attach 7; give 0');
  assert.is(cycle(6), 'release 500; attach 6; give 0');
  assert.throws(() => cycle(8), /^EINVAL.*64 bytes|^EINVAL.*64/);
  assert.throws(() => cycle(9), /^EINVAL.*fd 9/);
  assert.throws(() => cycle(6, 100_000), /^EINVAL/);
  assert.is(rig.take(), '', 'what was refused touched nothing');
});

test('one dma-buf for all planes is attached once', () => {
  const type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
  const rig = new Rig(type);
  rig.sizes = [64, 16, 16];
  rig.fds.set(5, { size: 8192, identity: 500 }).set(6, { size: 8192, identity: 600 });
  rig.queue.reqbufs({ count: 1, type, memory: DMABUF });
  const planes = [5, 5, 6].map((fd) => ({ m: { fd } }));
  rig.queued(0, planes, DMABUF);
  assert.is(rig.take(), 'attach 5; attach 6');
  rig.queue.reqbufs({ count: 0, type, memory: DMABUF });
  assert.is(rig.take(), 'release 500; release 600');
});

test('PREPARE_BUF attaches; QBUF then needs neither fd nor length', () => {
  const rig = new Rig(CAPTURE);
  rig.fds.set(5, { size: 8192, identity: 500 });
  rig.queue.reqbufs({ count: 1, type: CAPTURE, memory: DMABUF });
  const given = { index: 0, type: CAPTURE, memory: DMABUF, planes: [{ m: { fd: 5 } }] };
  const { flags } = rig.queue.prepareBuf(given);
  assert.is(flags & V4L2_BUF_FLAG_PREPARED, V4L2_BUF_FLAG_PREPARED);
  assert.throws(() => rig.queue.prepareBuf(given), /^EINVAL.*prepared/);
  const queued = rig.queue.qbuf({ ...given, planes: [{ m: { fd: -1 }, length: 0 }] });
  assert.equal([queued.planes[0]?.m.fd, queued.planes[0]?.length], [5, 8192]);
  assert.is(rig.take(), 'attach 5');
});

test('a queue with a least number of buffers starts when they are there', () => {
  const rig = new Rig(CAPTURE, 2);
  rig.queue.reqbufs({ count: 1, type: CAPTURE, memory: MMAP });
  assert.throws(() => rig.queue.streamon(CAPTURE), /^EINVAL.*needs 2/);
  rig.queue.reqbufs({ count: 2, type: CAPTURE, memory: MMAP });
  rig.take();
  rig.queue.streamon(CAPTURE);
  rig.queued(1);
  assert.is(rig.take(), '');
  rig.queued(0);
  assert.is(rig.take(), 'give 1; give 0');
});

test('EXPBUF and mmap take MMAP planes only', () => {
  const rig = new Rig(CAPTURE);
  rig.queue.reqbufs({ count: 2, type: CAPTURE, memory: MMAP });
  assert.is(rig.queue.exportable({ type: CAPTURE, index: 1 }).identity, 2);
  assert.throws(() => rig.queue.exportable({ type: CAPTURE, index: 1, plane: 1 }), /^EINVAL/);
  assert.throws(() => rig.queue.exportable({ type: CAPTURE, index: 9 }), /^EINVAL/);
  assert.throws(() => rig.queue.exportable({ type: CAPTURE, index: 1, flags: 0x40 }), /^EINVAL/);
  const offset = rig.queue.querybuf(CAPTURE, 1).planes[0]?.m.mem_offset ?? 0;
  assert.is(offset, 0x40000000 + (1 << 15));
  assert.is(rig.queue.planeAt(offset, undefined).identity, 2);
  assert.throws(() => rig.queue.planeAt(offset, SIZE + 1), /^EINVAL/);
  assert.throws(() => rig.queue.planeAt(offset + 1, 1), /^EINVAL/);
  rig.queue.reqbufs({ count: 2, type: CAPTURE, memory: DMABUF });
  assert.throws(() => rig.queue.exportable({ type: CAPTURE, index: 1 }), /^EINVAL.*MMAP/);
  assert.throws(() => rig.queue.planeAt(offset, undefined), /^EINVAL/);
});

test.run();
