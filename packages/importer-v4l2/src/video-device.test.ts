/**
 * An open file as applications hold it: its life, what it refuses, seeks, and that whatever happens
 * every fence signals and every buffer comes back.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  boot,
  discard,
  shared,
  type BootOptions,
  type DmaBuf,
  type Fence,
  type FencePoint,
  type Machine,
} from '@dmabuf/core';
import { createHash } from 'node:crypto';
import { joinNalUnits, splitNalUnits } from './bitstream/annexb.js';
import { frameMd5s, loadClip, type Clip } from './codec/test/clips.js';
import {
  captureFormat,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_BUF_TYPE_VIDEO_OUTPUT,
  V4L2_CAP_VIDEO_M2M,
  V4L2_EVENT_EOS,
  v4l2,
  VideoDevice,
  type DecodeRequest,
} from './index.js';
import type { FeederTask } from './test/feeder-worker.js';
import { largestPicture, stage } from './test/playback.js';

const NAME = 'dog-h264-tiny.mp4';
const clip = await loadClip(NAME);
const MD5S = frameMd5s(NAME);
const BYTES = largestPicture(clip);
const EIO = -5;
const EPIPE = -32;
const ECANCELED = -125;

/** A machine with a video device, an open file, and the clip in a buffer. */
class Rig {
  readonly machine: Machine;
  readonly video: VideoDevice;
  readonly bitstream: DmaBuf;
  readonly offsets: readonly number[];

  constructor(machine: Machine) {
    this.machine = machine;
    this.video = VideoDevice.open(machine);
    this.video.setFormat({ output: { fourcc: 'H264' } });
    const { buffer, offsets } = stage(machine, clip);
    this.bitstream = buffer;
    this.offsets = offsets;
  }

  static async boot(options: BootOptions = {}): Promise<Rig> {
    return new Rig(await boot({ ...options, drivers: [v4l2()] }));
  }

  /** What queueDecode takes for packet `i` of the clip. */
  packet(i: number, capture?: DmaBuf, timestamp = i): DecodeRequest {
    const size = clip.packets[i]?.data.length ?? 0;
    const bitstream = { buffer: this.bitstream, offset: this.offsets[i] ?? 0, size };
    return capture === undefined ? { bitstream, timestamp } : { bitstream, timestamp, capture };
  }

  queue(i: number, capture?: DmaBuf, timestamp = i): Fence {
    return this.video.queueDecode(this.packet(i, capture, timestamp));
  }

  alloc(bytes: number = BYTES): DmaBuf {
    return this.machine.alloc(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine.shutdown();
  }
}

function md5Of(buffer: DmaBuf): string {
  using access = buffer.access({ read: true });
  const { width, height } = buffer.metadata;
  const { sizeimage } = captureFormat(width, height);
  return createHash('md5').update(access.bytes.subarray(0, sizeimage)).digest('hex');
}

/** The SPS and PPS of a clip, Annex B. */
function headerOf({ packets }: Clip): Uint8Array {
  const units = splitNalUnits(packets[0]?.data ?? new Uint8Array(0));
  return joinNalUnits(units.filter(({ type }) => type === 7 || type === 8).map(({ data }) => data));
}

test('a file tells what it is, what it takes and what it gives', async () => {
  await using rig = await Rig.boot();
  const { video, machine } = rig;
  assert.is(video.querycap().bus_info, 'platform:video0');
  assert.ok((video.querycap().capabilities & V4L2_CAP_VIDEO_M2M) !== 0);
  const taken = video.enumFmt(V4L2_BUF_TYPE_VIDEO_OUTPUT);
  assert.equal(
    taken.slice(0, 7).map(({ fourcc, available }) => [fourcc, available]),
    [
      ['H264', true],
      ['VP80', true],
      ['VP90', true],
      ['MJPG', true],
      ['JPEG', true],
      ['YU12', true],
      ['NV12', true],
    ],
  );
  assert.is(video.enumFmt(V4L2_BUF_TYPE_VIDEO_CAPTURE)[0]?.fourcc, 'YU12');
  assert.throws(() => video.enumFmt(3), /^EINVAL.*OUTPUT \(2, 10\)/);
  using fresh = VideoDevice.open(machine);
  assert.equal(fresh.getFormat(), { output: undefined, capture: undefined });
  const { output, capture } = fresh.setFormat({
    output: { fourcc: 'H264', header: headerOf(clip) },
  });
  assert.is(output?.fourcc, 'H264');
  assert.is(capture?.sizeimage, BYTES);
  assert.equal(fresh.setFormat({ output: { fourcc: 'VP80' }, capture: { width: 7, height: 5 } }), {
    output: { fourcc: 'VP80' },
    capture: {
      fourcc: 'YU12',
      width: 7,
      height: 5,
      pitches: [7, 4, 4],
      offsets: [0, 35, 47],
      sizeimage: 59,
    },
  });
});

test('what cannot be opened or set is refused, and changes nothing', async () => {
  await using rig = await Rig.boot();
  const { video, machine } = rig;
  assert.throws(() => VideoDevice.open(machine, '/dev/video7'), /^ENOENT.*\/dev\/video0/);
  const before = video.getFormat();
  assert.throws(() => video.setFormat({ output: { fourcc: 'FWHT' } }), /^EINVAL.*FWHT/);
  const h264 = { fourcc: 'H264' };
  const wrong = { width: 0, height: 5 };
  assert.throws(() => video.setFormat({ output: h264, capture: wrong }), /^EINVAL.*0x5/);
  const nv12 = { width: 8, height: 8, fourcc: 'NV12' };
  assert.throws(() => video.setFormat({ output: h264, capture: nv12 }), /^EINVAL.*give 'YU12'/);
  assert.throws(() => video.setFormat({ output: h264, depth: 0 }), /^EINVAL.*depth of 0/);
  assert.equal(video.getFormat(), before);
  using unset = VideoDevice.open(machine);
  assert.throws(() => unset.queueDecode(rig.packet(0)), /^EINVAL.*call setFormat first/);
  assert.throws(
    () => machine.ioctl(machine.device('/dev/video0').actor, 'VIDIOC_LOG_STATUS'),
    /^ENOTTY/,
  );
  const open = Array.from({ length: 14 }, () => VideoDevice.open(machine));
  assert.throws(() => VideoDevice.open(machine), /^EMFILE.*all 16 files/);
  for (const file of open) file.close();
  VideoDevice.open(machine).close();
});

test('a request that cannot be right is refused and leaves no residue', async () => {
  await using rig = await Rig.boot();
  const { video, machine, bitstream } = rig;
  const capture = rig.alloc();
  const closed = rig.alloc();
  closed.close();
  const jobs = machine.stats().jobs;
  const { size } = bitstream;
  const range = (offset: number, size: number): DecodeRequest => ({
    bitstream: { buffer: bitstream, offset, size },
    timestamp: 0,
    capture,
  });
  for (const [request, pattern] of [
    [range(0, 0), /^EINVAL.*a packet of 0 bytes/],
    [range(0, -1), /^EINVAL.*a packet of -1 bytes/],
    [range(0, 1.5), /^EINVAL.*a packet of 1.5 bytes/],
    [range(-1, 5), /^EINVAL.*bytes -1 to 4 are not inside/],
    [range(size - 4, 5), /^EINVAL.*are not inside the bitstream buffer/],
    [range(NaN, 5), /^EINVAL.*are not inside/],
    [{ ...range(0, 5), timestamp: NaN }, /^EINVAL.*timestamp NaN/],
    [{ ...range(0, 5), timestamp: Infinity }, /^EINVAL.*timestamp Infinity/],
    [{ ...range(0, 5), capture: bitstream }, /^EINVAL.*its own CAPTURE buffer/],
    [{ ...range(0, 5), capture: closed }, /^EBADF/],
  ] as const) {
    assert.throws(() => video.queueDecode(request), pattern);
  }
  assert.is(machine.stats().jobs, jobs);
  assert.is(await rig.queue(0, capture).settled(), 1);
  assert.throws(() => rig.queue(1, capture, 0), /^EINVAL.*timestamp 0 after 0/);
  assert.is(await rig.queue(1, capture).settled(), 1);
  assert.is(md5Of(capture), MD5S[1]);
});

test('the packet after a delivered picture is decoded before its buffer is free, the next is not', async () => {
  await using rig = await Rig.boot();
  const { machine, video } = rig;
  const capture = rig.alloc();
  const stages = [0, 1, 2].map((i) =>
    stage(machine, { ...clip, packets: clip.packets.slice(i, i + 1) }),
  );
  assert.is(await rig.queue(0, capture).settled(), 1);
  const held = capture.access({ read: true });
  const fences = [1, 2].map((i) => {
    const { buffer } = stages[i] ?? { buffer: rig.bitstream };
    const bitstream = { buffer, offset: 0, size: buffer.size };
    return video.queueDecode({ bitstream, timestamp: i, capture });
  });
  // The decoder has read packet 1 when the CPU may write there, and keeps its claim on packet 2.
  const write = { write: true, discard: true } as const;
  stages[1]?.buffer.access({ ...write, timeout: 10_000 }).finish();
  assert.throws(() => stages[2]?.buffer.access({ ...write, timeout: 0 }), /^ETIME/);
  assert.is(video.stats().packets, 2);
  assert.is(video.stats().decoded, 1);
  // A second reader would queue behind the writers that wait for this one.
  assert.is(createHash('md5').update(held.bytes).digest('hex'), MD5S[0]);
  held.finish();
  assert.is(await fences[1]?.settled(), 1);
  assert.is(fences[0]?.status, 1);
  assert.is(md5Of(capture), MD5S[2]);
});

test('a bound packet without a picture fails with EIO, and the next frame is none the worse', async () => {
  await using rig = await Rig.boot();
  const [a, b] = [rig.alloc(), rig.alloc()];
  const header = rig.machine.alloc(64);
  const units = headerOf(clip);
  {
    using access = header.access({ write: true });
    access.bytes.set(units);
  }
  const bitstream = { buffer: header, offset: 0, size: units.length };
  const nothing = rig.video.queueDecode({ bitstream, timestamp: -2, capture: a });
  const hidden = rig.video.queueDecode({ bitstream, timestamp: -1 });
  const frame = rig.queue(0, b);
  assert.is(await nothing.settled(), EIO);
  assert.is(await hidden.settled(), 1);
  assert.is(await frame.settled(), 1);
  assert.throws(() => a.access({ read: true }), /^EIO/);
  assert.is(md5Of(b), MD5S[0]);
  const { packets, decoded, errors, hidden: silent } = rig.video.stats();
  assert.equal(
    { packets, decoded, errors, silent },
    { packets: 3, decoded: 1, errors: 1, silent: 1 },
  );
});

test('a picture larger than its buffer cancels the rest with EPIPE, until a reset', async () => {
  await using rig = await Rig.boot();
  const good = rig.alloc();
  const small = rig.alloc(BYTES - 1);
  const before = rig.machine.stats().bytes;
  // Nothing is decoded before all of it is queued.
  const held = good.access({ read: true });
  const fences = [rig.queue(0, good), rig.queue(1, small), rig.queue(2, good), rig.queue(3)];
  held.finish();
  const statuses = await Promise.all(fences.map((fence) => fence.settled()));
  assert.equal(statuses, [1, EPIPE, EPIPE, EPIPE]);
  const { width, height } = good.metadata;
  const pattern = new RegExp(`^EPIPE.*timestamp|^EPIPE.*picture at 1 is ${width}x${height}.*reset`);
  assert.throws(() => rig.queue(4, good), pattern);
  rig.video.reset();
  assert.is(await rig.queue(0, good).settled(), 1);
  assert.is(md5Of(good), MD5S[0]);
  assert.is(rig.machine.stats().bytes, before);
});

test('a reset cancels what waits for buffers, and plays on from a key frame', async () => {
  await using rig = await Rig.boot();
  const buffers = [rig.alloc(), rig.alloc()];
  const [a = rig.alloc(), b = rig.alloc()] = buffers;
  assert.is(await rig.queue(0, a).settled(), 1);
  const held = a.access({ read: true });
  const fences = [1, 2, 3, 4].map((i) => rig.queue(i, buffers[(i + 1) % 2]));
  rig.video.reset();
  const key = clip.packets.findIndex(
    ({ data }, i) => i > 0 && splitNalUnits(data).some(({ type }) => type === 5),
  );
  const after = [key, key + 1].map((i, n) => rig.queue(i, buffers[n], n));
  held.finish();
  for (const fence of fences) assert.is(await fence.settled(), ECANCELED);
  for (const fence of after) assert.is(await fence.settled(), 1);
  assert.equal([md5Of(a), md5Of(b)], MD5S.slice(key, key + 2));
  assert.equal([a.metadata.sequence, b.metadata.sequence], [0, 1]);
});

test('closing cancels what is queued; held buffers come back, and contexts are given back', async () => {
  await using rig = await Rig.boot({ tables: { contexts: 8 } });
  const { machine } = rig;
  const a = rig.alloc();
  const held = a.access({ read: true, write: true });
  const fences = [0, 1, 2].map((i) => rig.queue(i, a));
  const { handle } = rig.video;
  rig.video.close();
  rig.video.close();
  assert.throws(() => rig.queue(3, a), /^EBADF.*is closed/);
  assert.throws(() => rig.video.stats(), /^EBADF/);
  assert.throws(() => VideoDevice.fromHandle(machine, handle), /^EBADF/);
  held.finish();
  for (const fence of fences) assert.is(await fence.settled(), ECANCELED);
  a.access({ write: true, discard: true, timeout: 10_000 }).finish();
  for (let i = 0; i < 20; i++) VideoDevice.open(machine).close();
});

test('the format of a file with jobs in flight cannot be changed', async () => {
  await using rig = await Rig.boot();
  const a = rig.alloc();
  const held = a.access({ read: true });
  const fence = rig.queue(0, a);
  const vp8 = { output: { fourcc: 'VP80' } };
  assert.throws(() => rig.video.setFormat(vp8), /^EBUSY.*jobs are queued/);
  held.finish();
  assert.is(await fence.settled(), 1);
  rig.video.setFormat(vp8);
  assert.is(rig.video.getFormat().output?.fourcc, 'VP80');
  assert.is(rig.video.stats().packets, 0);
});

test('a bitstream whose writer failed fails its frames with the cause', async () => {
  await using rig = await Rig.boot();
  const { machine, bitstream } = rig;
  const a = rig.alloc();
  const b = rig.alloc();
  assert.is(await rig.queue(0, a).settled(), 1);
  // A job that is malformed for the device stands for a writer that fails.
  const video = machine.device('/dev/video0').actor;
  const writer = machine.createContext(video, 'writer');
  const broken = writer.submit({ buffers: [discard(bitstream)] });
  const lost = rig.queue(1, a);
  const reader = writer.submit({ buffers: [shared(a)] });
  const cause = await broken.settled();
  assert.ok(cause < 0);
  assert.is(await lost.settled(), cause);
  assert.is(await reader.settled(), cause);
  assert.is(rig.video.stats().errors, 1);
  // What referred to the lost frame would be wrong: nothing is shown before the next key frame.
  const restaged = stage(machine, clip).buffer;
  const from = (i: number): DecodeRequest['bitstream'] => ({
    ...rig.packet(i).bitstream,
    buffer: restaged,
  });
  const next = rig.video.queueDecode({ bitstream: from(2), timestamp: 2, capture: b });
  assert.is(await next.settled(), EIO);
  const key = rig.video.queueDecode({ bitstream: from(0), timestamp: 3, capture: b });
  assert.is(await key.settled(), 1);
  assert.is(md5Of(b), MD5S[0]);
});

test('jobs that are none of queueDecode’s are refused one by one', async () => {
  await using rig = await Rig.boot();
  const { machine, video } = rig;
  const a = rig.alloc();
  const bitstream = machine.contextById(video.handle.bitstream);
  const capture = machine.contextById(video.handle.capture);
  const buffers = [shared(a)];
  const fences = [
    bitstream.submit({ buffers, payload: 'x' }),
    bitstream.submit({ payload: [0, 0, 1, false] }),
    capture.submit({ buffers: [discard(a)], payload: null }),
    capture.submit({ buffers, payload: 0 }),
  ];
  for (const fence of fences) assert.is(await fence.settled(), -22);
  assert.is(await rig.queue(0, a).settled(), 1);
  // A range outside the buffer is empty when it comes to decoding.
  const beyond = bitstream.submit({ buffers, payload: [1, BYTES + 5, 9, false] });
  assert.is(await beyond.settled(), -22);
});

test('a full job table costs nothing that was queued: what was refused can be queued again', async () => {
  for (const jobs of [32, 64]) {
    await using rig = await Rig.boot({ tables: { jobs } });
    const buffers = [rig.alloc(), rig.alloc(), rig.alloc()];
    const fences: Fence[] = [];
    const held = buffers.map((buffer) => buffer.access({ read: true }));
    let refused = 0;
    const queueAll = async (): Promise<void> => {
      for (let i = fences.length; i < 40; i++) {
        try {
          fences.push(rig.queue(i, buffers[i % 3]));
        } catch (error) {
          assert.match(String(error), /ENOSPC/);
          refused++;
          for (const access of held.splice(0)) access.finish();
          await fences.at(-1)?.settled();
          i--;
        }
      }
    };
    await queueAll();
    for (const access of held) access.finish();
    const statuses = await Promise.all(fences.map((fence) => fence.settled()));
    assert.ok(
      statuses.every((status) => status === 1),
      statuses.join(' '),
    );
    assert.ok(refused > 0);
    assert.is(rig.video.stats().decoded, 40);
    assert.is(md5Of(buffers[39 % 3] ?? rig.alloc()), MD5S[39]);
  }
});

test('another thread queues on the same file, by its handle', async () => {
  await using rig = await Rig.boot();
  const { machine, video } = rig;
  const buffers = [rig.alloc(), rig.alloc()];
  const [a = rig.alloc()] = buffers;
  const mine = [0, 1, 2, 3].map((i) => rig.queue(i, a));
  const url = new URL('./test/feeder-worker.js', import.meta.url);
  const { workerData, transferList } = machine.invite('feeder');
  const worker = new Worker(url, { workerData, transferList });
  const packets = [4, 5, 6, 7].map((i) => ({ ...rig.packet(i).bitstream, timestamp: i }));
  const task: FeederTask = {
    handle: video.handle,
    packets: packets.map(({ timestamp, offset, size }) => ({ timestamp, offset, size })),
    fds: 3,
  };
  await once(worker, 'message'); // it has joined
  for (const { fd } of [rig.bitstream, ...buffers]) machine.passFd(workerData.actor, fd);
  worker.postMessage(task);
  const points = await new Promise<FencePoint[]>((resolve) => {
    worker.once('message', resolve);
  });
  for (const fence of mine) assert.is(await fence.settled(), 1);
  for (const point of points) assert.is(await machine.fence(point).settled(), 1);
  assert.equal(buffers.map(md5Of), [MD5S[6], MD5S[7]]);
  assert.throws(() => rig.queue(7, a, 7), /^EINVAL.*timestamp 7 after 7/);
  assert.is(video.stats().decoded, 8);
});

test('the trace shows each decode as a slice of the device', async () => {
  await using rig = await Rig.boot({ trace: true });
  const a = rig.alloc();
  const fences = [0, 1, 2].map((i) => rig.queue(i, a));
  for (const fence of fences) assert.is(await fence.settled(), 1);
  const { traceEvents } = rig.machine.trace();
  for (const i of [1, 2, 3]) {
    const slices = traceEvents.filter(({ name }) => name === `video0 bitstream ${i}`);
    const begins = slices.filter(({ ph }) => ph === 'B').map(({ ts }) => ts);
    const ends = slices.filter(({ ph }) => ph === 'E').map(({ ts }) => ts);
    assert.is(begins.length, 2, 'taken in, decoded');
    assert.ok((ends[1] ?? 0) > (begins[1] ?? Infinity));
  }
});

test('another stream on the same file begins with timestamps of its own', async () => {
  await using rig = await Rig.boot();
  const frame = rig.alloc();
  assert.is(await rig.queue(0, frame, 5000).settled(), 1);
  assert.throws(() => rig.queue(0, frame, 0), /^EINVAL.*after 5000/);
  rig.video.setFormat({ output: { fourcc: 'H264' } });
  assert.is(await rig.queue(0, frame, 0).settled(), 1);
  assert.is(md5Of(frame), MD5S[0]);
});

test('waiting for an event for longer than a job may take is no hang of the device', async () => {
  await using rig = await Rig.boot({ clock: 'manual', limits: { job: 100 } });
  const { video, machine } = rig;
  video.subscribeEvent({ type: V4L2_EVENT_EOS });
  // It is the context of its own on which poll(2) waits for an event, too.
  const { file, generation } = video.handle;
  const line = machine.createContext(machine.device('/dev/video0').actor);
  const event = line.submit({ payload: ['event', file, generation, 0] });
  machine.advance(1000);
  assert.is(event.status, 0);
  assert.is(machine.actorStats(machine.device('/dev/video0').actor).restarts, 0);
});

test.run();
