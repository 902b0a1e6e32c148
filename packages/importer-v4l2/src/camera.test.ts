/**
 * The camera, on a clock that only the test moves: beat, dropped frames, frames queued ahead, ends, deaths.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, type BootOptions, type DmaBuf, type Machine } from '@dmabuf/core';
import {
  camera,
  CameraDevice,
  type CameraOptions,
  EPOLLIN,
  EPOLLPRI,
  V4L2_BUF_FLAG_LAST,
  V4L2_BUF_FLAG_TIMESTAMP_MASK,
  V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_CID_TEST_PATTERN,
  V4L2_EVENT_EOS,
  V4L2_MEMORY_MMAP,
} from './index.js';

const TYPE = V4L2_BUF_TYPE_VIDEO_CAPTURE;
const ENODATA = -61;
const ECANCELED = -125;
const SIZE = { width: 64, height: 48 };
const BYTES = (64 * 48 * 3) / 2;

/** A machine with a camera of 50 frames a second, on a manual clock. */
function withCamera(options: CameraOptions = {}, more: BootOptions = {}): Promise<Machine> {
  const size = options.source === undefined ? SIZE : {};
  return boot({ drivers: [camera({ ...size, fps: 50, ...options })], clock: 'manual', ...more });
}

/** MMAP buffers, queued. */
function streaming(machine: Machine, count: number): CameraDevice {
  const video = CameraDevice.open(machine);
  video.reqbufs({ count, type: TYPE, memory: V4L2_MEMORY_MMAP });
  for (let index = 0; index < count; index++) requeue(video, index);
  video.streamon(TYPE);
  return video;
}

function requeue(video: CameraDevice, index: number): void {
  video.qbuf({ index, type: TYPE, memory: V4L2_MEMORY_MMAP, planes: [{}] });
}

function bytesOf(buffer: DmaBuf, length: number = BYTES): Buffer {
  using access = buffer.access({ read: true });
  return Buffer.from(access.bytes.subarray(0, length));
}

/** A Y4M file of 4x2 pictures; each is filled with its number. */
function y4m(count: number): { path: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'camera-'));
  const path = join(folder, 'clip.y4m');
  const frames = Array.from({ length: count }, (_, i) => [
    // Lines of frames may differ in length.
    Buffer.from(i % 2 === 0 ? 'FRAME\n' : 'FRAME Ip\n'),
    Buffer.alloc(8, i + 1),
    Buffer.alloc(2, 100 + i),
    Buffer.alloc(2, 200 + i),
  ]);
  writeFileSync(
    path,
    Buffer.concat([Buffer.from('YUV4MPEG2 W4 H2 F25:1 C420jpeg\n'), ...frames.flat()]),
  );
  return { path, remove: () => rmSync(folder, { recursive: true }) };
}

test('frames come at the rate of the clock, numbered, with the time of each', async () => {
  await using machine = await withCamera();
  const video = streaming(machine, 3);
  assert.throws(() => video.dqbuf(TYPE, { nonblock: true }), /^EAGAIN/);
  machine.advance(19.9);
  assert.is(video.poll(EPOLLIN), 0);
  machine.advance(0.1);
  assert.is(video.poll(EPOLLIN) & EPOLLIN, EPOLLIN);
  for (let i = 0; i < 5; i++) {
    const { index, sequence, timestamp, flags, planes } = video.dqbuf(TYPE, { nonblock: true });
    assert.equal([sequence, timestamp], [i, 20 * (i + 1)]);
    assert.is(planes[0]?.bytesused, BYTES);
    assert.is(flags & V4L2_BUF_FLAG_TIMESTAMP_MASK, V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC);
    requeue(video, index);
    machine.advance(20);
  }
  video.close();
});

test('a frame that finds no buffer is dropped, and the numbers show it', async () => {
  await using machine = await withCamera();
  const video = streaming(machine, 2);
  machine.advance(100);
  const first = video.dqbuf(TYPE, { nonblock: true });
  assert.is(video.dqbuf(TYPE, { nonblock: true }).sequence, 1);
  assert.is(video.stats().dropped, 3);
  assert.is(video.held, 2);
  assert.throws(() => video.dqbuf(TYPE), /^EDEADLK.*holds all 2 CAPTURE buffers/);
  requeue(video, first.index);
  machine.advance(20);
  const next = video.dqbuf(TYPE, { nonblock: true });
  assert.equal([next.sequence, next.timestamp], [5, 120]);
  assert.is(video.stats().decoded, 3);
  video.close();
});

test('STREAMOFF gives all buffers back and ends their fences; STREAMON counts from 0 again', async () => {
  await using machine = await withCamera();
  const video = streaming(machine, 2);
  machine.advance(20);
  const fence = video.fenceOf(TYPE, 1);
  video.streamoff(TYPE);
  assert.is(await fence?.settled(), ECANCELED);
  machine.advance(500);
  for (let index = 0; index < 2; index++) requeue(video, index);
  video.streamon(TYPE);
  machine.advance(20);
  const { sequence, timestamp } = video.dqbuf(TYPE, { nonblock: true });
  assert.equal([sequence, timestamp], [0, machine.now()]);
  video.close();
  assert.is(machine.stats().buffers, 0);
});

test('the pattern has colour bars, a box that moves and the number of the frame, in both formats', async () => {
  await using machine = await withCamera();
  const video = CameraDevice.open(machine);
  for (const pixelformat of ['YU12', 'NV12']) {
    video.sFmt({ type: TYPE, pixelformat, width: 320, height: 240 });
    const bytes = video.gFmt(TYPE).planes[0]?.sizeimage ?? 0;
    const buffers = [0, 1].map(() => machine.alloc(bytes));
    for (const capture of buffers) video.queueCapture({ capture });
    machine.advance(40);
    const [a, b] = buffers.map((buffer) => bytesOf(buffer, bytes));
    if (a === undefined || b === undefined) throw new Error('two frames');
    // In the middle of each bar, below the box.
    const at = Array.from({ length: 8 }, (_, bar) => 320 * 230 + 40 * bar + 20);
    assert.equal(
      at.map((i) => a[i]),
      [180, 162, 131, 112, 84, 65, 35, 16],
    );
    const red = 115 * 160 + 5 * 20 + 10;
    const [u, v] = pixelformat === 'YU12' ? [red, red + 160 * 120] : [2 * red, 2 * red + 1];
    assert.equal([a[320 * 240 + (u ?? 0)], a[320 * 240 + (v ?? 0)]], [100, 212]);
    assert.is(a[320 * 120], 235, 'the box begins at the left');
    assert.is(b[320 * 120], 180, 'and has moved on');
    assert.is(b[320 * 120 + 4], 235);
    const corner = (bytes: Buffer): Buffer =>
      Buffer.concat([...Array(28).keys()].map((y) => bytes.subarray(320 * y, 320 * y + 100)));
    assert.ok(!corner(a).equals(corner(b)), 'the counter counts');
    for (const buffer of buffers) buffer.close();
    machine.advance(20); // with nothing queued it comes to rest
  }
  assert.is(video.querymenu(V4L2_CID_TEST_PATTERN, 2), 'Black');
  video.sCtrl(V4L2_CID_TEST_PATTERN, 2);
  const capture = machine.alloc(320 * 240 * 2);
  video.queueCapture({ capture });
  machine.advance(20);
  assert.is(bytesOf(capture, 320 * 240)[320 * 230], 16);
  video.close();
});

test('frames are queued ahead with no DQBUF; while their buffers are read, frames are left out', async () => {
  await using machine = await withCamera();
  const video = CameraDevice.open(machine);
  const buffers = [0, 1].map(() => machine.alloc(BYTES));
  const queueBoth = () => buffers.map((capture) => video.queueCapture({ capture }));
  const numbers = (): number[][] =>
    buffers.map(({ metadata }) => [metadata.sequence, metadata.timestamp]);
  const first = queueBoth();
  machine.advance(40);
  assert.ok(first.every(({ status }) => status === 1));
  const reading = buffers.map((buffer) => buffer.access({ read: true }));
  const ahead = [...queueBoth(), ...queueBoth(), ...queueBoth()];
  machine.advance(60);
  assert.ok(ahead.every(({ status }) => status === 0));
  assert.equal(numbers(), [
    [0, 20],
    [1, 40],
  ]);
  assert.is(video.stats().dropped, 3);
  for (const bracket of reading) bracket.finish();
  machine.advance(40);
  assert.equal(numbers(), [
    [5, 120],
    [6, 140],
  ]);
  machine.advance(80);
  assert.ok(ahead.every(({ status }) => status === 1));
  assert.equal(numbers(), [
    [9, 200],
    [10, 220],
  ]);
  machine.advance(20);
  const { packets } = video.stats();
  machine.advance(1000);
  assert.is(video.stats().packets, packets, 'nothing is queued: the camera rests');
  video.close();
});

test('one file at a time has the camera; the others are told EBUSY until it lets go', async () => {
  await using machine = await withCamera();
  const mine = streaming(machine, 1);
  const other = CameraDevice.open(machine);
  const reqbufs = (): unknown => other.reqbufs({ count: 1, type: TYPE, memory: V4L2_MEMORY_MMAP });
  const capture = machine.alloc(BYTES);
  assert.throws(reqbufs, /^EBUSY/);
  assert.throws(() => other.queueCapture({ capture }), /^EBUSY/);
  assert.throws(() => mine.queueCapture({ capture }), /^EBUSY.*REQBUFS/);
  assert.throws(() => other.sFmt({ type: TYPE, width: 32 }), /^EBUSY/);
  assert.throws(() => other.sParm(TYPE, { numerator: 1, denominator: 5 }), /^EBUSY/);
  mine.close();
  const fence = other.queueCapture({ capture });
  const third = CameraDevice.open(machine);
  assert.throws(() => third.queueCapture({ capture }), /^EBUSY/);
  assert.throws(reqbufs, /^EBUSY.*queued ahead/);
  machine.advance(20);
  assert.is(fence.status, 1);
  reqbufs();
  other.close();
  third.close();
});

test('a file is shown frame by frame and begins anew at its end', async () => {
  const { path, remove } = y4m(3);
  try {
    await using machine = await withCamera({ source: path });
    const video = CameraDevice.open(machine);
    assert.equal([video.gFmt(TYPE).width, video.gFmt(TYPE).height], [4, 2]);
    assert.is(video.tryFmt({ type: TYPE, width: 640, height: 480 }).width, 4);
    const buffers = Array.from({ length: 5 }, () => machine.alloc(12));
    for (const capture of buffers) video.queueCapture({ capture });
    machine.advance(100);
    assert.equal(
      buffers.map((buffer) => [...bytesOf(buffer, 12)].filter((_, i) => i % 2 === 0).slice(3)),
      [0, 1, 2, 0, 1].map((i) => [i + 1, 100 + i, 200 + i]),
    );
    machine.advance(40); // with nothing queued it comes to rest
    video.sFmt({ type: TYPE, pixelformat: 'NV12' });
    const capture = machine.alloc(12);
    video.queueCapture({ capture });
    machine.advance(20);
    assert.equal([...bytesOf(capture, 12)].slice(8), [100, 200, 100, 200]);
    video.close();
  } finally {
    remove();
  }
});

test('a file that does not loop ends in one empty LAST and EOS; what is queued ahead ends with ENODATA', async () => {
  const { path, remove } = y4m(2);
  try {
    await using machine = await withCamera({ source: path, loop: false });
    const video = CameraDevice.open(machine);
    video.subscribeEvent({ type: V4L2_EVENT_EOS });
    const count = 4;
    video.reqbufs({ count, type: TYPE, memory: V4L2_MEMORY_MMAP });
    for (let index = 0; index < count; index++) requeue(video, index);
    video.streamon(TYPE);
    machine.advance(100);
    const got = [0, 1, 2].map(() => video.dqbuf(TYPE, { nonblock: true }));
    assert.equal(
      got.map(({ sequence, planes }) => [sequence, planes[0]?.bytesused]),
      [
        [0, 12],
        [1, 12],
        [2, 0],
      ],
    );
    assert.equal(
      got.map(({ flags }) => flags & V4L2_BUF_FLAG_LAST),
      [0, 0, V4L2_BUF_FLAG_LAST],
    );
    assert.throws(() => video.dqbuf(TYPE), /^EPIPE/);
    assert.is(video.poll(EPOLLPRI) & EPOLLPRI, EPOLLPRI);
    assert.is(video.dqevent().type, V4L2_EVENT_EOS);
    video.streamoff(TYPE);
    video.reqbufs({ count: 0, type: TYPE, memory: V4L2_MEMORY_MMAP });
    const fences = [0, 1, 2, 3].map(() => video.queueCapture({ capture: machine.alloc(12) }));
    machine.advance(100);
    assert.equal(
      fences.map(({ status }) => status),
      [1, 1, ENODATA, ENODATA],
    );
    video.close();
  } finally {
    remove();
  }
});

test('the worker dies: the beat goes on, no buffer is lost, what it slept through is dropped', async () => {
  await using machine = await withCamera();
  const video = streaming(machine, 3);
  machine.advance(20);
  assert.is(video.dqbuf(TYPE, { nonblock: true }).sequence, 0);
  const { restarts } = machine.actorStats(video.actor);
  machine.resetDevice(video.actor, 'the test killed it');
  for (let i = 0; machine.actorStats(video.actor).restarts === restarts; i++) {
    assert.ok(i < 10_000, 'it is not started again');
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
  video.gInput();
  machine.ioctl(video.actor, 'sync', [video.handle.file, video.handle.generation]);
  machine.advance(40);
  const next = [0, 1].map(() => video.dqbuf(TYPE, { nonblock: true }));
  assert.equal(
    next.map(({ sequence, timestamp }) => [sequence, timestamp]),
    [
      [1, 40],
      [2, 60],
    ],
  );
  video.close();
  assert.is(machine.stats().buffers, 0);
});

test('sizes are adjusted to what there is; what cannot be is refused', async () => {
  await using machine = await withCamera();
  const video = CameraDevice.open(machine);
  assert.throws(() => video.enumFramesizes('H264'), /^EINVAL/);
  assert.is(video.enumInput(0).name, 'Test pattern');
  const { width, height } = video.sFmt({
    type: TYPE,
    width: 33,
    height: 9999,
    pixelformat: 'H264',
  });
  assert.equal([width, height], [32, 4096]);
  assert.throws(() => video.queueCapture({ capture: machine.alloc(100) }), /^EINVAL.*needs/);
  assert.throws(() => camera({ width: 63 }), /^EINVAL/);
  assert.throws(() => camera({ fps: 0 }), /^EINVAL/);
  assert.throws(() => camera({ source: '/nowhere.y4m' }), /^ENOENT/);
  video.close();
});

test.run();
