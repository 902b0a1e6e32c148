/**
 * The devices that the conformance suites run against, and what differs between them.
 */
import type { DriverSpec, Machine } from '@dmabuf/core';
import * as assert from 'uvu/assert';
import { frameMd5s, loadClip } from '../codec/test/clips.js';
import {
  camera,
  CameraDevice,
  EncoderDevice,
  EPOLLIN,
  EPOLLOUT,
  type StreamingDevice,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
  V4L2_BUF_TYPE_VIDEO_OUTPUT,
  V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
  v4l2,
  v4l2Encoder,
  VideoDevice,
} from '../index.js';
import { type BufferOptions, BufferSet } from './buffer-set.js';
import { DequeuedCheck } from './dequeued-check.js';
import { V4l2Encoder } from './v4l2-encoder.js';
import { V4l2Player } from './v4l2-player.js';

/** How an application streams. */
export interface StreamOptions extends BufferOptions {
  /** `'no poll'`: looks with O_NONBLOCK; `'select'`: blocks in poll; `'epoll'`: awaits it. */
  readonly wait: 'no poll' | 'select' | 'epoll';
}

/** A device under test. */
export interface Dut {
  readonly name: string;
  readonly kind: 'decoder' | 'encoder' | 'camera';
  readonly driver: DriverSpec;
  /** A file with formats set, so that buffers can be allocated and queued. */
  open(machine: Machine): StreamingDevice;
  /** Streams something from its beginning to its end, and checks what comes out. */
  stream(machine: Machine, options: StreamOptions): Promise<void>;
  /** V4L2_BUF_TYPE_*: single-planar, then multi-planar where the device has it. */
  readonly types: readonly number[];
}

const M2M_TYPES = [
  V4L2_BUF_TYPE_VIDEO_OUTPUT,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
  V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
];

export const DUTS: readonly Dut[] = [
  {
    name: 'decoder',
    kind: 'decoder',
    driver: v4l2(),
    types: M2M_TYPES,
    open: (machine) => {
      const video = VideoDevice.open(machine);
      video.sFmt({ type: V4L2_BUF_TYPE_VIDEO_OUTPUT, pixelformat: 'H264' });
      return video;
    },
    stream: decode,
  },
  {
    name: 'encoder',
    kind: 'encoder',
    driver: v4l2Encoder(),
    types: M2M_TYPES,
    open: (machine) => {
      const video = EncoderDevice.open(machine);
      video.sFmt({ type: V4L2_BUF_TYPE_VIDEO_OUTPUT, pixelformat: 'NV12', width: 64, height: 48 });
      video.sFmt({ type: V4L2_BUF_TYPE_VIDEO_CAPTURE, pixelformat: 'MJPG' });
      return video;
    },
    stream: encode,
  },
  {
    name: 'camera',
    kind: 'camera',
    driver: camera({ width: 64, height: 48, fps: 1000 }),
    types: [V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE],
    open: (machine) => CameraDevice.open(machine),
    stream: capture,
  },
];

const CLIP = 'dog-h264-tiny.mp4';
/** Enough to show that buffers come round. */
const PICTURES = 12;

async function decode(machine: Machine, { wait, ...buffers }: StreamOptions): Promise<void> {
  const { fourcc, packets } = await loadClip(CLIP);
  const player = new V4l2Player(machine, fourcc, { ...buffers, nopoll: wait === 'no poll' });
  const some = packets.slice(0, PICTURES);
  if (wait === 'epoll') await player.playAsync(some);
  else player.play(some);
  assert.equal(
    player.shown.map(({ md5 }) => md5),
    frameMd5s(CLIP).slice(0, PICTURES),
  );
  assert.throws(() => player.takePicture(), /^EPIPE/);
  player.close();
}

async function encode(machine: Machine, { wait, ...buffers }: StreamOptions): Promise<void> {
  const run = new V4l2Encoder(machine, 'MJPG', { ...buffers, nopoll: wait === 'no poll' });
  if (wait === 'epoll') {
    for (const _ of run.rounds(PICTURES)) await run.video.pollAsync(EPOLLIN | EPOLLOUT);
  } else run.encode(PICTURES);
  assert.equal(
    run.packets.map(({ timestamp, key }) => [timestamp, key]),
    Array.from({ length: PICTURES }, (_, i) => [i, true]),
  );
  assert.throws(() => run.takePacket(), /^EPIPE/);
  run.close();
}

async function capture(machine: Machine, { wait, ...buffers }: StreamOptions): Promise<void> {
  const type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  const video = CameraDevice.open(machine);
  const set = new BufferSet(machine, video, type, 3, buffers);
  const check = new DequeuedCheck('CAPTURE', { gaps: true });
  for (let index = 0; index < set.count; index++) set.queue(index);
  video.streamon(type);
  for (let i = 0; i < PICTURES; i++) {
    if (wait === 'epoll') await video.pollAsync(EPOLLIN);
    if (wait === 'select') video.poll(EPOLLIN, Infinity);
    const buffer = video.dqbuf(type, { nonblock: wait !== 'no poll' });
    check.check(buffer);
    set.queue(buffer.index);
  }
  video.streamoff(type);
  set.close();
  video.close();
}

/** Runs `work` on a fresh file, and closes it. */
export function withFile(dut: Dut, machine: Machine, work: (video: StreamingDevice) => void): void {
  using video = dut.open(machine);
  work(video);
}
