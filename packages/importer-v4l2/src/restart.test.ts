/**
 * The codec's worker dies: its files go on, decoding resumes at the next key frame, and nothing is lost track
 * of (design D11). The decoder is stopped at a known place by a CAPTURE buffer that is in use.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, type DmaBuf, type Machine } from '@dmabuf/core';
import { codecOf } from './codec/index.js';
import { frameMd5s, loadClip } from './codec/test/clips.js';
import { captureFormat, v4l2, V4L2_DEC_CMD_STOP, VideoDevice } from './index.js';
import { largestPicture, stage } from './test/playback.js';
import { V4l2Player } from './test/v4l2-player.js';

const NAME = 'dog-h264-tiny.mp4';
const clip = await loadClip(NAME);
const MD5S = frameMd5s(NAME);
const EIO = -5;
const ESTALE = -116;
const LIMIT_MS = 30_000;
/** The decoder is stopped with this picture in hand. */
const STOPPED_AT = 5;
const NEXT_KEY = clip.packets.findIndex(
  ({ data }, i) => i > STOPPED_AT && codecOf('H264').inspect(data).keyframe,
);

async function until(done: () => boolean): Promise<void> {
  for (const start = performance.now(); !done();) {
    if (performance.now() - start > LIMIT_MS) throw new Error('it has not happened');
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

async function kill(machine: Machine, actor: number): Promise<void> {
  const { restarts } = machine.actorStats(actor);
  machine.resetDevice(actor, 'the test killed it');
  await until(() => machine.actorStats(actor).restarts > restarts);
}

function md5Of(buffer: DmaBuf): string {
  using access = buffer.access({ read: true, timeout: LIMIT_MS });
  const { width, height } = buffer.metadata;
  const { sizeimage } = captureFormat(width, height);
  return createHash('md5').update(access.bytes.subarray(0, sizeimage)).digest('hex');
}

test('frames that were queued ahead: the next key frame is decoded as if nothing had been', async () => {
  await using machine = await boot({ drivers: [v4l2()] });
  const video = VideoDevice.open(machine);
  video.setFormat({ output: { fourcc: 'H264' }, depth: 3 });
  const { buffer, offsets } = stage(machine, clip);
  const count = NEXT_KEY + 3;
  const buffers = Array.from({ length: count }, () => machine.alloc(largestPicture(clip)));
  const held = buffers[STOPPED_AT]?.access({ read: true });
  const fences = buffers.map((capture, i) => {
    const size = clip.packets[i]?.data.length ?? 0;
    const bitstream = { buffer, offset: offsets[i] ?? 0, size };
    return video.queueDecode({ bitstream, timestamp: i, capture });
  });
  await until(() => video.stats().packets > STOPPED_AT);
  await kill(machine, video.actor);
  held?.finish();
  const statuses = fences.map((fence) => fence.wait(LIMIT_MS));
  // What ended before the restart may be forgotten by now, for the device's jobs need slots, too.
  const expected = statuses.map((_, i) => (i >= STOPPED_AT && i < NEXT_KEY ? EIO : 1));
  assert.equal(
    statuses,
    expected.map((status, i) => (statuses[i] === ESTALE && i <= STOPPED_AT ? ESTALE : status)),
  );
  for (let i = NEXT_KEY; i < count; i++) {
    const capture = buffers[i];
    if (capture !== undefined) assert.is(md5Of(capture), MD5S[i]);
  }
  assert.is(video.stats().decoded, STOPPED_AT + 3);
  video.close();
  const { buffers: live } = machine.stats();
  assert.is(live, count + 1, 'nothing but what the test has');
});

test('the parameter sets of S_FMT outlive the worker, and so does a seek', async () => {
  await using machine = await boot({ drivers: [v4l2()] });
  const video = VideoDevice.open(machine);
  const { buffer, offsets } = stage(machine, clip);
  const header = clip.packets[0]?.data.slice(0, 64);
  if (header === undefined) throw new Error('no packet');
  video.setFormat({ output: { fourcc: 'H264' } });
  const capture = machine.alloc(largestPicture(clip));
  const held = capture.access({ read: true });
  const size = clip.packets[0]?.data.length ?? 0;
  const request = { bitstream: { buffer, offset: offsets[0] ?? 0, size }, timestamp: 0, capture };
  const lost = video.queueDecode(request);
  video.reset();
  await kill(machine, video.actor);
  const again = video.queueDecode(request);
  held.finish();
  assert.is(lost.wait(LIMIT_MS), -125);
  assert.is(again.wait(LIMIT_MS), 1);
  assert.is(md5Of(capture), MD5S[0]);
});

test('a stream of QBUF and DQBUF goes on: errors are flagged, every buffer comes back', async () => {
  await using machine = await boot({ drivers: [v4l2()] });
  const player = new V4l2Player(machine, 'H264', { outputs: 4, captures: 2 });
  const { video } = player;
  const packets = clip.packets.slice(0, NEXT_KEY + 4);
  // The size is known and CAPTURE is not set up: the first packet is in the decoder's hands.
  for (const packet of packets.splice(0, 4)) player.feed(packet);
  video.poll(2, LIMIT_MS);
  player.takeEvents();
  await kill(machine, video.actor);
  player.startCapture();
  for (let rounds = 0; packets.length > 0 && rounds < 1000; rounds++) {
    while (packets[0] !== undefined && player.feed(packets[0])) packets.shift();
    player.pump(1000);
  }
  video.decoderCmd({ cmd: V4L2_DEC_CMD_STOP });
  while (player.pump(LIMIT_MS));
  assert.equal(
    player.shown.map(({ timestamp, md5 }) => [timestamp, md5]),
    [0, 1, 2, 3].map((i) => [NEXT_KEY + i, MD5S[NEXT_KEY + i]]),
  );
  while (player.faulty.length < NEXT_KEY) player.takeOutput();
  assert.equal(
    player.faulty,
    Array.from({ length: NEXT_KEY }, (_, i) => i),
  );
  video.close();
  assert.is(machine.stats().buffers, 0);
});

test('a drain that the worker dies in ends in LAST all the same', async () => {
  await using machine = await boot({ drivers: [v4l2()] });
  const player = new V4l2Player(machine, 'H264', { captures: 1 });
  const { video, capture } = player;
  player.feed(clip.packets[0] ?? { data: new Uint8Array(0), timestamp: 0 });
  video.poll(2, LIMIT_MS);
  player.startCapture();
  const first = video.dqbuf(capture);
  video.decoderCmd({ cmd: V4L2_DEC_CMD_STOP });
  await until(() => video.stats().starved);
  await kill(machine, video.actor);
  player.requeue(first.index);
  const last = video.dqbuf(capture, { timeout: LIMIT_MS });
  assert.ok(VideoDevice.isLast(last));
  assert.is(last.planes[0]?.bytesused, 0);
  assert.throws(() => video.dqbuf(capture), /^EPIPE/);
  video.close();
});

test('the files of a process that dies are closed; those of others stay', async () => {
  await using machine = await boot({ drivers: [v4l2()] });
  const mine = VideoDevice.open(machine);
  const url = new URL('./test/opener-worker.js', import.meta.url);
  const { workerData, transferList } = machine.invite('opener');
  const worker = new Worker(url, { workerData, transferList });
  await once(worker, 'message');
  assert.throws(() => VideoDevice.open(machine), /^EMFILE/);
  await worker.terminate();
  let reopened: VideoDevice | undefined;
  await until(() => {
    try {
      reopened = VideoDevice.open(machine);
      return true;
    } catch {
      return false;
    }
  });
  assert.is(mine.stats().packets, 0);
  reopened?.close();
  mine.close();
});

test.run();
